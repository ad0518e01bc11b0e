"""Bloch equations of phase-cycled balanced SSFP by time steps, for the phantom alone."""
