"""Masks and motion of an earlier call, applied instead of fitted."""
