"""The experiments of Birk et al. 2025 on the voxels of one scan: nothing is known of the truth, so estimates judge each other."""
