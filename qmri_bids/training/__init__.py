"""Training networks on simulated signals."""
