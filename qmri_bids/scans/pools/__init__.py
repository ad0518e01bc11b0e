"""Fingerprints of a session: pools fitted with known maps."""
