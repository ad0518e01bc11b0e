"""Whether saturated images can be those of their offsets.

None is brighter than that without saturation, lines have a width, and fat its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

FAT, FAT_WITHIN = -3.4, 0.9
"""Where the main line of fat lies from water, and how far from it the offsets may place it: scans step by half a ppm [ppm]."""

FAT_DEPTH, FAT_VOXELS, FAT_TOGETHER = 0.3, 50, 0.6
"""What makes voxels of fat: a dip by so much deeper than that at water, more than 1 ppm from it; how many of them are needed, and
which share of them must have it at one place, so that noise makes none."""


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
    return (
        *_jumps(placed, medians, water=water),
        *_place_of_fat(volumes[inside] / reference[inside, None], placed, water=water),
    )


def _jumps(placed: Sequence[tuple[float, int]], medians: Mapping[int, float], *, water: float) -> tuple[str, ...]:
    """Say where the spectrum of the head bends more sharply than any line."""
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


def _place_of_fat(
    values: NDArray[np.floating], placed: Sequence[tuple[float, int]], *, water: float
) -> tuple[str, ...]:
    """Say where fat lies if it is elsewhere than 3.4 ppm upfield of water.

    Parameters
    ----------
    values
        Signal over that without saturation, shape (voxels, N).
    placed
        Offset [ppm] and index of every saturated volume.
    water
        Offset of water [ppm].
    """
    offsets = np.array([offset for offset, _ in placed]) - water
    spectra = values[:, [index for _, index in placed]]
    away = np.abs(offsets) > 1.0
    if not away.any():
        return ()
    darkest = np.where(away, spectra, np.inf).argmin(axis=1)
    depth = spectra[:, ~away].min(axis=1) - np.take_along_axis(spectra, darkest[:, None], axis=1)[:, 0]
    places = offsets[darkest[depth > FAT_DEPTH]]
    if places.size < FAT_VOXELS:
        return ()
    place = float(np.median(places))
    # Offsets that are stretched spread what they place.
    together = float(np.mean(np.abs(places - place) < FAT_WITHIN * max(1.0, place / FAT)))
    if together < FAT_TOGETHER or abs(place - FAT) <= FAT_WITHIN:
        return ()
    cause = "the sense of the offsets" if abs(place + FAT) <= FAT_WITHIN else "the unit of the offsets"
    return (
        f"Fat ({places.size} voxels without water) lies {place:+.1f} ppm from water by the offsets of the table, and by physics "
        f"{FAT:g} ppm: check {cause}, and their order.",
    )
