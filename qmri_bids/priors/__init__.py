"""Distributions of T1 and T2, and of pools: what networks are trained on and what posteriors assume."""
