"""Whether air is brighter than its noise: magnitudes with an offset give ratios and T1 of another scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.scale import air_of
from qmri_bids.preprocessing.masks import head_mask

BRIGHT_AIR = 0.08
"""Air over the head from which an offset of the air changes what is computed from magnitudes by as much."""

NO_NOISE = 2.5
"""Median of the air over its spread beyond which it is not the noise of one receiver: that has 1.77 (Rayleigh)."""


def check_floor(volumes: NDArray[np.number]) -> tuple[str, ...]:
    """Return a warning of images whose air is bright and even.

    The sum of squares of many coils has such a floor, too, which is far below the signal of a head in scans that serve.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    """
    values = air_of(volumes)
    if values is None:
        return ()
    medians = np.median(values, axis=0)
    spreads = 1.4826 * np.median(np.abs(values - medians), axis=0)
    brightest = np.abs(volumes).mean(axis=3)
    share = float(np.median(medians)) / float(np.median(brightest[head_mask(brightest)]))
    even = float(np.median(medians / np.maximum(spreads, 1e-12 * medians.max())))
    if share < BRIGHT_AIR or even < NO_NOISE:
        return ()
    return (
        f"Air is {100.0 * share:.0f} % as bright as the head, {even:.1f} times its own spread where noise makes 1.8: "
        "the images have an offset (or the floor of the sum of squares of many coils), which changes ratios, saturation and T1. "
        "Take it off, or reconstruct the scan without it.",
    )
