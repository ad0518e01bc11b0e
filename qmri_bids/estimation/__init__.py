"""From signals to parameters with their uncertainty."""
