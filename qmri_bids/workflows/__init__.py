"""Nipype workflows that carry BIDS files through preprocessing and estimation."""
