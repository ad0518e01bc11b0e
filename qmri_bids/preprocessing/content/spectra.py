"""Whether saturated images can be those of their offsets: none is brighter than that without saturation, and lines have a width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import head_mask

TOO_BRIGHT = 1.05
"""Median of a saturated image over that without saturation in the head above which the order is wrong: noise and motion make
1.01."""

TOO_SHARP = 0.04
"""Departure of an offset from the line through its two neighbours, of the head as a whole, that no pool makes: beyond 2 ppm from
water a simulated spectrum at 3 T bends by 0.02 at most."""

NEAR_WATER, WIDEST_STEP = 2.0, 0.51
"""Distance from the darkest offset within which spectra bend sharply, and between neighbours up to which they are looked at
[ppm]."""


def check_spectrum(
    volumes: NDArray[np.floating], *, offsets: Sequence[float | None], roles: Sequence[str], smooth: bool
) -> tuple[str, ...]:
    """Return warnings of saturated images that cannot be those of their offsets.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    offsets, roles
        Offset [ppm], None without one, and role of every volume; `m0` are those without saturation.
    smooth
        Whether the saturated ones make up a spectrum, and not fringes.
    """
    full = [index for index, role in enumerate(roles) if role == "m0"]
    if not full:
        return ()
    reference = volumes[..., full].mean(axis=3)
    inside = head_mask(reference) & (reference > 0.0)
    medians = {
        index: float(np.median(volumes[..., index][inside] / reference[inside]))
        for index in range(volumes.shape[3])
        if index not in full
    }
    bright = [index for index, value in medians.items() if value > TOO_BRIGHT]
    if bright:
        worst = max(bright, key=lambda index: medians[index])
        return (
            f"{len(bright)} saturated volumes are brighter than the one without saturation (volume {worst + 1} of the series by "
            f"{medians[worst]:.2f} times, median of the head): is the right volume marked as m0scan, and are all of one scale?",
        )
    placed = sorted((offset, index) for index, offset in enumerate(offsets) if index in medians and offset is not None)
    if not smooth or len(placed) < 5:
        return ()
    water = min(placed, key=lambda each: medians[each[1]])[0]
    found = []
    for (low, before), (place, index), (high, after) in zip(placed, placed[1:], placed[2:], strict=False):
        if max(place - low, high - place) > WIDEST_STEP or high == low or abs(place - water) <= NEAR_WATER:
            continue
        share = (place - low) / (high - low)
        expected = (1.0 - share) * medians[before] + share * medians[after]
        if abs(medians[index] - expected) > TOO_SHARP:
            found.append(f"{place:.2f} ppm ({medians[index]:.2f}, between its neighbours {expected:.2f})")
    if not found:
        return ()
    more = "" if len(found) <= 3 else f" and {len(found) - 3} more"
    return (
        f"The spectrum of the head jumps at {', '.join(found[:3])}{more}: no line is so narrow. Are the offsets in the order of "
        "the volumes, and all volumes of one scale?",
    )
