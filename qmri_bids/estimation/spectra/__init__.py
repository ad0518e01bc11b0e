"""Z-spectra and WASABI: shift of water, corrections, lines and contrasts."""
