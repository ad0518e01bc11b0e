"""Signals of the phantom, which share no code with the models that they judge."""
