"""Pulseq files: events, saturation trains and definitions."""
