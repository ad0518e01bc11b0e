"""Maps that a run takes from elsewhere."""
