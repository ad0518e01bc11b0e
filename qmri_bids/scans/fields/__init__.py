"""B1 scans and field maps that no run of their session takes: runs of their own, whose only maps are those of the field."""
