"""The group level: the records of all participants in tables and on one page."""
