"""The Bloch-McConnell equations of a saturation train: as matrices, and compiled."""
