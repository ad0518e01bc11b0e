"""Head motion between the images of a scan."""
