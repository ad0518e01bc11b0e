"""In-silico evaluation of pool estimators."""
