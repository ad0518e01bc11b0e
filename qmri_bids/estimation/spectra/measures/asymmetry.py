"""MTR asymmetry Z(-Δ) - Z(Δ) at an offset (Zhou et al., Nat Med 9:1085, 2003), or its mean over a range of offsets."""

from __future__ import annotations

import numpy as np

from qmri_bids.estimation.spectra.measures.linearised import Linearised, Measured, average, sampled
from qmri_bids.estimation.spectra.spline import SplineOperator

STEP = 0.05
"""Largest step of the mean over a range [ppm]: finer than any spectrum is sampled."""


def mean_asymmetry(measured: Measured, operator: SplineOperator, *, low: float, high: float) -> Linearised:
    """Return the mean of Z(-Δ) - Z(Δ) over Δ from `low` to `high` [ppm], which may be the same, as a fraction, shape (V,).

    The mean is that of the integral of the spline (trapezoids of `STEP` or less), so that it does not depend on how densely the
    range was sampled. NaN where either end of either side was not measured.
    """
    number = max(int(np.ceil((high - low) / STEP)), 1) + 1
    shares = np.full(number, 1.0 / (number - 1))
    shares[[0, -1]] *= 0.5
    total = None
    for at, share in zip(np.linspace(low, high, number), shares, strict=True):
        both = [sampled(measured, operator, -float(at)), sampled(measured, operator, float(at))]
        one = average(both, [float(share), -float(share)])
        total = one if total is None else average([total, one], [1.0, 1.0])
    assert total is not None
    return total
