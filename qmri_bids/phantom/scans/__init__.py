"""Scans of a head, and their truth."""
