"""What Z-spectra take from other scans of the session: T1 for AREX, and spectra at other powers."""
