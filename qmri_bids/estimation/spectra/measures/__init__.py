"""Simpler measures of a Z-spectrum than a fit of all its pools, each with a standard deviation."""
