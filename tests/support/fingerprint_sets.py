"""Test sets of pools beside those of `qmri-tools benchmark`: a brain in small, and one tissue."""

from __future__ import annotations

from qmri_bids.evaluation.pools.sets import TISSUES, ExchangeSet, mixture
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.training.pools.shipped import PLAYED_SCAN

POOL_SPREAD = 0.10
"""Fractions and rates in `brain_set` lie within this share of their mean, uniformly and independent of each other."""


def brain_set(number: int, seed: int, *, scan: ExchangeScan = PLAYED_SCAN) -> ExchangeSet:
    """Return a brain in small: 45 % white matter, 54 % grey matter, 1 % lesion, pools that vary within each by `POOL_SPREAD`."""
    return mixture(number, seed, scan=scan, shares=(0.45, 0.54, 0.01), spread=POOL_SPREAD)


def single_tissue_set(number: int, seed: int, *, tissue: str, scan: ExchangeScan = PLAYED_SCAN) -> ExchangeSet:
    """Return voxels of one of `TISSUES`, as `tissue_set` has them."""
    shares = [float(name == tissue) for name in TISSUES]
    return mixture(number, seed, scan=scan, shares=shares, spread=0.0)
