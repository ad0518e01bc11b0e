"""Training the networks of pools."""
