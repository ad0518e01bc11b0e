"""From an estimate to files and a page of the report."""
