"""Balanced SSFP with pulses that take time, on water alone and on water beside a semisolid pool."""
