"""Gibbs ringing: found, and removed by local subvoxel shifts or a taper."""
