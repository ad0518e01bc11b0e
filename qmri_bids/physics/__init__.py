"""What a signal looks like: forward models and protocols, pure functions in SI units."""
