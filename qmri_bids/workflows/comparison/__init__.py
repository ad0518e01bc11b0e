"""Estimators of one processed run side by side: the run prepared again, the experiments, the files."""
