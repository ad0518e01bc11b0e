"""Whether images hold what names, headers and sidecars state."""
