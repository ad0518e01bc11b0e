"""What disturbs a Z-spectrum: a field that drifts, and fat."""
