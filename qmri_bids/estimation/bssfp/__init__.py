"""T1, T2, M0 and off-resonance from phase-cycled bSSFP."""
