"""Planes, curves, colours and the encoding of pictures."""
