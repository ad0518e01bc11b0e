"""Tissues of a run, and their statistics."""
