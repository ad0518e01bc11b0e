"""The simulated dataset as files."""
