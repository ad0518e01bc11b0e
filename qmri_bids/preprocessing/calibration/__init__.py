"""Gain, phase and frequency of every phase cycle, found from all voxels together, and cycles that stand out."""
