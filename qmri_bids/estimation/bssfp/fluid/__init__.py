"""Fluid that shares a voxel with tissue: its profile, its fraction, and what it does to T1 and T2."""
