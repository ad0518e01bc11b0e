"""The posterior of T1 and T2 in a voxel, by quadrature."""
