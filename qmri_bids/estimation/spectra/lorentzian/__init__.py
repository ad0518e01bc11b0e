"""Lines of all pools fitted together: lines, bounds, starts, the fit and its maps."""
