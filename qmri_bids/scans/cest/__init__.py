"""Z-spectra, WASABI and fingerprints: sidecars, tables and .seq files to one saturation protocol."""
