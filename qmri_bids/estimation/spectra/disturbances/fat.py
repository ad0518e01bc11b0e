"""Voxels of a Z-spectrum that hold fat, whose line at -3.4 ppm looks like NOE.

Fat does not exchange with water: its signal adds to that of water, S = (1 - f) Z_water + f Z_fat, and Z_fat knows direct saturation
alone, a line of known width at -3.4 ppm. Three things tell f: a line of that width on a smooth spectrum, the difference from
the mirrored offset, and what is left where water is gone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.correction import correct_shift
from qmri_bids.estimation.spectra.lorentzian.pools import LorentzianPool
from qmri_bids.estimation.spectra.series import NORMAL_QUARTILE, Spectra
from qmri_bids.physics.saturation import Saturation
from qmri_bids.units import GYROMAGNETIC_RATIO, ppm_to_hertz

PLACE = -3.4
"""Where the main line of fat lies from water [ppm]."""

FAT_T1, FAT_T2 = 0.37, 0.06
"""T1 and T2 of fat [s] (de Bazelaire et al., Radiology 230:652, 2004)."""

WINDOW = 2.2
"""A cubic stands for all else within this of fat [ppm]."""

FEWEST_OFFSETS = 8
"""Offsets within the window; the fit has five parameters."""

LEAK = 0.015
"""What NOE of healthy tissue gives for the fraction by its line."""

LINE_SPREAD, MIRROR_SPREAD, FLOOR_SPREAD = 0.02, 0.04, 0.025
"""How much the three measures differ between healthy voxels at least; the last two where the image does not say more (B1, T1)."""

LEAST_FRACTION, SIGNIFICANT = 0.05, 3.0
"""A voxel holds fat where the fraction exceeds this and so many standard deviations."""

SHARE_OF_EITHER = 0.5
"""The measures at -3.4 ppm and that at water must each give this share of it: a dip alone is NOE, what is left at water alone weak
saturation."""

LARGEST_STDEV = 0.1
"""Offsets that tell the fraction less well than this tell no fat."""


NEAR = 1.0
"""Distance of a line from that of fat within which it takes fat for its own [ppm]."""


def lines_near_fat(pools: Mapping[str, LorentzianPool]) -> tuple[str, ...]:
    """Return the names of lines that take fat for their own."""
    return tuple(
        name for name, pool in pools.items() if not pool.semisolid and abs(pool.position.start - PLACE) <= NEAR
    )


def spoiled_by_fat(name: str, *, lines: Sequence[str]) -> bool:
    """Whether fat makes a map meaningless: MTR asymmetry, and all measures of NOE and of `lines`.

    Examples
    --------
    >>> [spoiled_by_fat(name, lines=("rNOE",)) for name in ("MTRasym_3.5", "lda_NOE", "arex_rNOE", "amplitude_amide")]
    [True, True, True, False]
    """
    return name.startswith("MTRasym_") or name.rpartition("_")[2] in ("NOE", *lines)


@dataclass(frozen=True, kw_only=True)
class FatLevels:
    """What fat and healthy tissue look like in an image.

    Parameters
    ----------
    width
        Half width at half maximum of the line of fat [ppm].
    mirror, floor
        Z at +3.4 less that at -3.4 ppm, and Z at water: medians of voxels.
    mirror_spread, floor_spread
        How much healthy voxels differ in them, by the median departure from the median.
    """

    width: float
    mirror: float
    floor: float
    mirror_spread: float
    floor_spread: float


@dataclass(frozen=True, kw_only=True)
class FatFraction:
    """Share of fat in the signal of V voxels.

    Parameters
    ----------
    fraction, stdev
        The share and its standard deviation, the spread of healthy tissue included, shape (V,); NaN where it is not told.
    present
        Where a voxel holds fat, shape (V,).
    """

    fraction: NDArray[np.float64]
    stdev: NDArray[np.float64]
    present: NDArray[np.bool_]


def fat_width(saturation: Saturation, *, field_strength: float) -> float:
    """Return the half width at half maximum of the direct saturation of fat [ppm], ω1 √(T1/T2) of a long saturation."""
    hertz = GYROMAGNETIC_RATIO * saturation.b1_rms * math.sqrt(FAT_T1 / FAT_T2)
    return float(hertz / ppm_to_hertz(1.0, field_strength=field_strength))


def fat_levels(
    z: Spectra,
    *,
    offsets: NDArray[np.float64],
    water_shift: NDArray[np.floating],
    width: float,
    trusted: bool = True,
) -> FatLevels | None:
    """Return what fat and healthy tissue look like, from some voxels of an image; None where the offsets do not tell fat.

    Parameters
    ----------
    z
        Spectra of these voxels.
    offsets, water_shift
        As in `fat_fraction`.
    width
        Half width at half maximum of the line of fat [ppm], from `fat_width`.
    trusted
        Whether the shift of water was measured: without it neither water nor fat has a place.
    """
    if not trusted:
        return None
    values, _ = _at(z.values, offsets, water_shift, z.stdev)
    with np.errstate(all="ignore"):
        differences, floors = values[:, 2] - values[:, 0], values[:, 1]
    mirror, floor = _median(differences), _median(floors)
    levels = FatLevels(
        width=width,
        mirror=mirror,
        floor=floor,
        mirror_spread=max(MIRROR_SPREAD, _median(np.abs(differences - mirror)) / NORMAL_QUARTILE),
        floor_spread=max(FLOOR_SPREAD, _median(np.abs(floors - floor)) / NORMAL_QUARTILE),
    )
    found = fat_fraction(z.values, offsets=offsets, water_shift=water_shift, noise=z.stdev, levels=levels)
    return levels if _median(found.stdev, default=math.inf) < LARGEST_STDEV else None


def _median(values: NDArray[np.float64], default: float = 0.0) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else default


def fat_fraction(
    z: NDArray[np.float64],
    *,
    offsets: NDArray[np.float64],
    water_shift: NDArray[np.floating],
    noise: NDArray[np.float64],
    levels: FatLevels,
) -> FatFraction:
    """Return the share of fat in every voxel.

    Parameters
    ----------
    z
        Z-spectra, shape (V, N).
    offsets
        Offsets [ppm], shape (N,).
    water_shift
        Shift of water [ppm], shape (V,).
    noise
        Standard deviation of Z, shape (V,).
    levels
        What fat and healthy tissue look like, from `fat_levels`.
    """
    width = levels.width
    line, line_stdev = _line(z, offsets=offsets, water_shift=water_shift, noise=noise, width=width)
    values, spread = _at(z, offsets, water_shift, noise)
    # The line of fat at the mirrored offset and at water.
    far = 1.0 / (1.0 + (2.0 * PLACE / width) ** 2)
    water = 1.0 - 1.0 / (1.0 + (PLACE / width) ** 2)
    mirror = (values[:, 2] - values[:, 0] - levels.mirror) / (1.0 - far)
    floor = (values[:, 1] - levels.floor) / water
    mirror_stdev = np.hypot(np.hypot(spread[:, 0], spread[:, 2]), levels.mirror_spread) / (1.0 - far)
    floor_stdev = np.hypot(spread[:, 1], levels.floor_spread) / water
    upfield, upfield_stdev = _weighted((line - LEAK, mirror), (np.hypot(line_stdev, LINE_SPREAD), mirror_stdev))
    fraction, stdev = _weighted((upfield, floor), (upfield_stdev, floor_stdev))
    with np.errstate(invalid="ignore"):
        present = (fraction > np.maximum(LEAST_FRACTION, SIGNIFICANT * stdev)) & (stdev < LARGEST_STDEV)
        present &= (upfield > SHARE_OF_EITHER * fraction) & ~(floor < SHARE_OF_EITHER * fraction)
    return FatFraction(fraction=fraction, stdev=stdev, present=present)


def holds_fat(
    z: Spectra, *, offsets: NDArray[np.float64], water_shift: NDArray[np.floating], levels: FatLevels | None
) -> NDArray[np.bool_]:
    """Return where voxels hold fat, shape (V,); nowhere without `levels`."""
    if levels is None:
        return np.zeros(len(z.values), dtype=bool)
    return fat_fraction(z.values, offsets=offsets, water_shift=water_shift, noise=z.stdev, levels=levels).present


def fat_sentences(levels: FatLevels | None) -> tuple[str, ...]:
    """Return what to say where fat cannot be told."""
    if levels is not None:
        return ()
    return (
        "Voxels that hold fat, which looks like NOE, were not looked for: offsets or shift of water do not tell them.",
    )


def share_of_fat(status: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return what to say of voxels whose code is that of fat."""
    share = 100.0 * float(np.mean(status == Status.MISFIT))
    if share < 0.05:
        return ()
    return (
        f"In {share:.1f} % of the voxels fat gives more than {100.0 * LEAST_FRACTION:.0f} % of the signal: their spectrum is not "
        "that of water (code 10), and they have no MTR asymmetry and no NOE.",
    )


def _weighted(
    values: tuple[NDArray[np.float64], ...], stdev: tuple[NDArray[np.float64], ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of those measures that are there, weighted by their variances, and its standard deviation."""
    total, weight = np.zeros(len(values[0])), np.zeros(len(values[0]))
    for value, spread in zip(values, stdev, strict=True):
        there = np.isfinite(value) & np.isfinite(spread)
        own = np.where(there, 1.0 / np.square(np.where(there, spread, 1.0)), 0.0)
        total += own * np.where(there, value, 0.0)
        weight += own
    with np.errstate(all="ignore"):
        return np.where(weight > 0.0, total / weight, np.nan), np.where(weight > 0.0, weight**-0.5, np.nan)


def _at(
    z: NDArray[np.float64], offsets: NDArray[np.float64], water_shift: NDArray[np.floating], noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Z at fat, at water and at the mirrored place of fat with standard deviations, shape (V, 3); NaN where not measured.

    An offset counts as measured where neighbours on both sides are no further apart than one part per million.
    """
    wanted = np.array([PLACE, 0.0, -PLACE])
    values, stdev = np.full((len(z), 3), np.nan), np.full((len(z), 3), np.nan)
    ordered = np.sort(offsets)
    places = [
        k
        for k, place in enumerate(wanted)
        if ordered[0] < place < ordered[-1] and ordered[ordered >= place][0] - ordered[ordered <= place][-1] <= 1.0
    ]
    if places:
        found = correct_shift(z, offsets=offsets, water_shift=water_shift, noise=noise, targets=wanted[places])
        assert found.stdev is not None
        values[:, places], stdev[:, places] = found.values, found.stdev
    return values, stdev


def _line(
    z: NDArray[np.float64],
    *,
    offsets: NDArray[np.float64],
    water_shift: NDArray[np.floating],
    noise: NDArray[np.float64],
    width: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the depth of a line of fat on a cubic, and its standard deviation; NaN where too few offsets are near."""
    missing = np.full(len(z), np.nan)
    chosen = np.abs(offsets - PLACE) <= WINDOW
    if chosen.sum() < FEWEST_OFFSETS:
        return missing, missing
    known = np.isfinite(water_shift) & np.isfinite(z).all(axis=1)
    away = offsets[chosen] - np.where(known, water_shift, 0.0)[:, None] - PLACE
    columns = np.stack([*(away**power for power in range(4)), -1.0 / (1.0 + (away / width) ** 2)], axis=2)
    normal = np.einsum("vni,vnj->vij", columns, columns)
    covariance = np.linalg.inv(normal + 1e-9 * np.eye(5))
    right = np.einsum("vni,vn->vi", columns, np.where(known[:, None], z[:, chosen], 0.0))
    depth = np.einsum("vi,vi->v", covariance[:, 4], right)
    return np.where(known, depth, np.nan), np.where(known, np.sqrt(covariance[:, 4, 4]) * noise, np.nan)
