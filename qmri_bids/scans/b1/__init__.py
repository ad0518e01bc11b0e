"""B1 scans and maps: found, checked, brought to a run."""
