"""The pictures of the report, one file a kind."""
