"""The brain by the anatomy of the session."""
