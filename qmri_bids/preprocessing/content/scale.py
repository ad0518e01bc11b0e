"""Whether the volumes of a series were stored at one scale: the noise of the air, which knows nothing of the contrast, tells it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import head_mask

FEWEST_AIR = 1000
"""Voxels of air from which the noise of one volume is known to 2 %."""

AIR_DISTANCE = 0.08
"""Distance of the air from the head, as a share of the shortest side of the image: ringing decays by there."""

FARTHEST, ENOUGH_AIR = 0.1, 6000
"""Share of the air, farthest from the head, that is looked at, and as many voxels at least where there are."""

SHARED = 0.25
"""Correlation of a volume with the others over what was taken for air beyond which it is none: noise has 0.02 (3,000 voxels)."""

OTHER_TAIL = 0.15
"""Relative difference of the brightest voxels of the air over its median from that of the other volumes, beyond which there is more
than noise: 0.05 in simulated scans, 0.29 in an echo-planar image beside others of less signal."""

LEAST_VALUED = 0.5
"""Share of the air that must have a value in all volumes."""

LARGEST_GRID = 200_000
"""Voxels of a volume that are looked at, on a grid thinned out evenly."""

SAME_SCALE, SAME_SCALE_OF_FEW = 0.06, 0.15
"""Relative difference of the noise of a volume from that of the others that a scale of its own makes; of two or three volumes there
is no scatter to tell it from chance."""

SCATTERS = 5.0
"""Or the difference over its standard deviation, as halves of the air tell it."""

RAYLEIGH_MEDIAN = 1.17741
"""Median of the magnitude of noise over the standard deviation of its real part."""


@dataclass(frozen=True, kw_only=True)
class NoiseLevels:
    """The noise of volumes.

    Parameters
    ----------
    levels
        Relative to their median, shape (N,); NaN where something else is in the air of that volume.
    scatter
        Standard deviation of a level by chance.
    stdev
        Standard deviation of the real part of the noise, of the typical volume, in the unit of the images.
    """

    levels: NDArray[np.float64]
    scatter: float
    stdev: float


def noise_levels(volumes: NDArray[np.number]) -> NoiseLevels | None:
    """Return the noise of every volume, None where there is no air that holds noise.

    Parameters
    ----------
    volumes
        Magnitudes or complex values, shape (X, Y, Z, N).
    """
    values = air_of(volumes)
    if values is None or _shares_structure(values):
        return None
    medians = np.median(values, axis=0)
    tails = np.quantile(values, 0.99, axis=0) / medians
    levels = medians / np.median(medians)
    # Noise of another scale has the same distribution; what signal leaves in the air has some places where it is strong.
    levels[np.abs(np.log(tails / np.median(tails))) > OTHER_TAIL] = np.nan
    # Halves of the air, apart from each other, tell by how much chance, folds and correlation make a level wrong.
    half = len(values) // 2
    halves = np.median(values[:half], axis=0), np.median(values[half:], axis=0)
    differences = np.log(halves[0] / halves[1])
    scatter = 0.5 * 1.4826 * float(np.median(np.abs(differences - np.median(differences))))
    return NoiseLevels(
        levels=np.asarray(levels, dtype=np.float64), scatter=scatter, stdev=float(np.median(medians)) / RAYLEIGH_MEDIAN
    )


def air_of(volumes: NDArray[np.number]) -> NDArray[np.floating] | None:
    """Return magnitudes of voxels far from the head, shape (V, N), None where there are too few or they were set to 0.

    Parameters
    ----------
    volumes
        Magnitudes or complex values, shape (X, Y, Z, N).
    """
    from scipy.ndimage import distance_transform_edt

    step = max(1, math.ceil((math.prod(volumes.shape[:3]) / LARGEST_GRID) ** (1.0 / 3.0)))
    thin = np.abs(volumes[tuple(slice(None, None, step if size >= 8 * step else 1) for size in volumes.shape[:3])])
    thin = np.nan_to_num(thin, nan=0.0, posinf=0.0, neginf=0.0)
    mean = thin.mean(axis=3)
    if not np.ptp(mean) > 0.0:
        return None
    long = [size for size in mean.shape if size >= 8] or [max(mean.shape)]
    distance = distance_transform_edt(~head_mask(mean))
    air = distance > max(1.5, AIR_DISTANCE * min(long))
    # Images that were moved have no values at their edges; where most of the air has none it was set to 0.
    valued = air & np.all(thin > 0.0, axis=3)
    number = int(np.count_nonzero(valued))
    if number < max(FEWEST_AIR, LEAST_VALUED * np.count_nonzero(air)):
        return None
    air = valued
    # The farther from the head, the less of it rings or folds there.
    farthest = np.quantile(distance[air], 1.0 - min(1.0, max(ENOUGH_AIR / number, FARTHEST)))
    values: NDArray[np.floating] = thin[air & (distance >= farthest)]
    return values


def _shares_structure(values: NDArray[np.floating]) -> bool:
    """Whether volumes know of each other in what was taken for air: tissue that is dark, ghosts and folds do, noise does not."""
    total = values.sum(axis=1)
    shared = [np.corrcoef(each, total - each)[0, 1] for each in values.T]
    return bool(np.nanmax(np.abs(shared)) > SHARED)


def check_scale(volumes: NDArray[np.number], *, names: Sequence[str]) -> tuple[str, ...]:
    """Return a warning of volumes whose noise is that of another scale.

    The noise of the receiver does not know what is scanned: what makes it stronger makes the signal stronger, too.

    Parameters
    ----------
    volumes
        Magnitudes or complex values, shape (X, Y, Z, N).
    names
        Of the volumes.
    """
    found = noise_levels(volumes) if volumes.shape[3] > 1 else None
    if found is None:
        return ()
    levels = found.levels
    few = len(levels) < 4
    if few:
        # Of two or three there is no majority: the first is what the others are compared with.
        levels = levels / levels[0]
    limit = SAME_SCALE_OF_FEW if few else max(SAME_SCALE, SCATTERS * found.scatter)
    odd = [
        index for index, level in enumerate(levels) if np.isfinite(level) and abs(math.log(max(level, 1e-9))) > limit
    ]
    if not odd:
        return ()
    listed = ", ".join(f"{names[index]} ({levels[index]:.2f} times)" for index in odd)
    others = f"that of {names[0]}" if few else "that of the others"
    return (
        f"The noise of the air is not {others} in {listed}: a volume stored at another scale, or scanned with another receive "
        "gain, has its signal multiplied alike, and what is computed from it is wrong. Bring all volumes to one scale (see the "
        "rescale slopes of the files), or leave it out.",
    )
