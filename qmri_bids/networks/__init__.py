"""Architectures, checkpoints and shipped weights."""
