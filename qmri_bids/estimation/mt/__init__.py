"""MTR and MTsat."""
