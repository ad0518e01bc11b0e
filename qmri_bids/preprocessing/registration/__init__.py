"""One image onto another: scans, T1w images and templates."""
