"""Files, locks, processes and blocks of voxels: what every floor needs and none owns."""
