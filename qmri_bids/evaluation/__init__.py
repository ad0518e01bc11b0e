"""In-silico evaluation of relaxometry: test sets, scores, experiments and their figures."""
