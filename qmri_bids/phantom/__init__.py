"""The digital head, and the BIDS dataset that a scan of it would give."""
