"""Field maps, and where the shift of water comes from."""
