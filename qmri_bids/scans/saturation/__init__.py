"""What Z-spectra and MT runs share: the series, its workflow, estimates and pages."""
