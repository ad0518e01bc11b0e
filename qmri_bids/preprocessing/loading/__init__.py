"""Stored images to arrays in SI units."""
