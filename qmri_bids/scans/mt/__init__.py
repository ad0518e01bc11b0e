"""MTR and MTsat runs."""
