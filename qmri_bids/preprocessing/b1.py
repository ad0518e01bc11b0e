"""B1+ maps on the grid of the bSSFP scan: registered, extrapolated, smoothed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.ants_bridge import Schedule, deterministic_pool, register, voxel_sizes
from qmri_bids.preprocessing.masks import head_mask, shrink
from qmri_bids.preprocessing.resampling import resample
from qmri_bids.preprocessing.similarity import mutual_information

MEDIAN_SIZE = 13.0
"""Edge of the median filter [mm]: 10 voxels of 1.3 mm (Birk et al. 2025)."""
PLAUSIBLE_RANGE = (0.3, 1.7)
"""Ratios outside are counted and named: no transmit coil reaches them in a head."""
_COARSE_VOXEL = 2.6
_SCHEDULE = Schedule(iterations=(1000, 500, 200), shrink_factors=(4, 2, 1), smoothing=(2, 1, 0), sampling_rate=0.5)
"""For a bSSFP image of `_COARSE_VOXEL` [mm], finer than any B1 scan."""
LARGEST_EXTRAPOLATION = 50.0
"""A map that is extrapolated in more than this share of the head [%] says nothing of it."""
LARGEST_TRANSLATION = 50.0
"""A registration of two scans of one session that moves the head further [mm] has failed."""


@dataclass(frozen=True, kw_only=True)
class B1Result:
    """A B1+ map on the grid of another scan.

    Parameters
    ----------
    map
        Actual over nominal flip angle, float32, shape (X, Y, Z).
    transform
        Shape (4, 4), RAS millimetres: from the position in the target to that in the B1 scan.
    similarity
        Mutual information of the two anatomical images [nat] before and after registration, or NaN.
    measured
        Shape (X, Y, Z): True where the B1 scan has signal, False where the map is extrapolated.
    decisions
        What was decided, as sentences.
    """

    map: NDArray[np.float32]
    transform: NDArray[np.float64]
    similarity: tuple[float, float]
    measured: NDArray[np.bool_]
    decisions: tuple[str, ...]


class RegistrationFailed(RuntimeError):
    """Two scans of a session could not be aligned; the message says by what this was seen."""


def register_b1(
    b1: NDArray[np.floating],
    *,
    b1_affine: NDArray[np.floating],
    anatomical: NDArray[np.floating] | None,
    target_magnitude: NDArray[np.floating],
    target_affine: NDArray[np.floating],
    median_size: float = MEDIAN_SIZE,
) -> B1Result:
    """Bring a B1 map to the grid of the bSSFP scan.

    The map is extrapolated from where the B1 scan has signal, median filtered on its own grid (a map that
    varies over centimetres needs no finer one) and interpolated linearly, once.

    Parameters
    ----------
    b1
        Actual over nominal flip angle, shape of `anatomical`; 0 or not finite without signal.
    b1_affine
        Voxel to RAS millimetres of `b1` and `anatomical`, shape (4, 4).
    anatomical
        Anatomical image of the B1 scan; None if it has none: the scanner coordinates are then trusted.
    target_magnitude
        Mean magnitude of the bSSFP cycles, shape (X, Y, Z).
    target_affine
        Its voxel to RAS millimetres.
    median_size
        Edge of the median filter [mm].

    Returns
    -------
    B1Result
        The map and how it came about.

    Raises
    ------
    ValueError
        If the shapes of map and anatomical image differ or the map has no value above 0.
    RegistrationFailed
        If the registration moves the head by more than `LARGEST_TRANSLATION`, the mutual information falls, or the map covers
        less than half of the head.
    """
    if anatomical is not None and anatomical.shape != b1.shape:
        raise ValueError(f"the B1 map has the shape {b1.shape}, its anatomical image {anatomical.shape}")
    valid = np.isfinite(b1) & (b1 > 0)
    if anatomical is None:
        transform, similarity = np.eye(4), (math.nan, math.nan)
        sentence = "The B1 scan has no anatomical image: it was aligned to this scan by its header alone."
    else:
        valid &= head_mask(anatomical)
        transform, similarity = _register_anatomical(
            anatomical, affine=b1_affine, target=target_magnitude, target_affine=target_affine
        )
        sentence = (
            "The anatomical image of the B1 scan was registered rigidly to the mean magnitude of this scan; their "
            f"mutual information was {similarity[0]:.3f} before and is {similarity[1]:.3f} after."
        )
    if not valid.any():
        raise ValueError("the B1 map has no value above 0 where its anatomical image has signal")
    filtered, window = _fill_and_filter(b1, valid=valid, width=median_size / voxel_sizes(b1_affine))

    def on_target(image: NDArray[np.float32], *, outside: str) -> NDArray[np.float32]:
        return resample(
            image,
            affine=b1_affine,
            target_shape=target_magnitude.shape,
            target_affine=target_affine,
            transform=transform,
            order=1,
            outside=outside,
        )

    ratio = on_target(filtered, outside="nearest")
    measured = on_target(valid.astype(np.float32), outside="zero") > 0.5
    head = head_mask(target_magnitude)
    beyond = head & ((ratio < PLAUSIBLE_RANGE[0]) | (ratio > PLAUSIBLE_RANGE[1]))
    extrapolated = 100.0 * float(np.mean(~measured[head]))
    if extrapolated > LARGEST_EXTRAPOLATION:
        raise RegistrationFailed(
            f"the B1 scan covers only {100.0 - extrapolated:.0f} % of the head in the other scan (at least "
            f"{100.0 - LARGEST_EXTRAPOLATION:.0f} % expected): it shows another place, or its orientation in the header is wrong"
        )
    size = "×".join(str(width) for width in window)
    return B1Result(
        map=ratio,
        transform=transform,
        similarity=similarity,
        measured=measured,
        decisions=(
            sentence,
            f"B1 was extrapolated by the nearest measured value in {extrapolated:.1f} % of the head, and "
            f"median filtered over {size} voxels of its own grid (about {median_size:g} mm).",
            f"{np.count_nonzero(beyond)} voxels of the head have B1 outside {PLAUSIBLE_RANGE[0]} to "
            f"{PLAUSIBLE_RANGE[1]} times nominal.",
        ),
    )


def _register_anatomical(
    anatomical: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    target: NDArray[np.floating],
    target_affine: NDArray[np.floating],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the transform from the target to the B1 scan, and the mutual information before and after."""
    factor = tuple(int(step) for step in np.maximum(1, np.round(_COARSE_VOXEL / voxel_sizes(target_affine))))
    small, small_affine = shrink(target, affine=target_affine, factor=factor)
    with deterministic_pool(processes=1) as pool:
        transform = pool.submit(
            register,
            fixed=small,
            fixed_affine=small_affine,
            moving=np.asarray(anatomical, dtype=np.float32),
            moving_affine=affine,
            schedule=_SCHEDULE,
        ).result()
    before, after = (
        mutual_information(
            small,
            resample(
                np.asarray(anatomical, dtype=np.float32),
                affine=affine,
                target_shape=small.shape,
                target_affine=small_affine,
                transform=matrix,
                order=1,
            ),
        )
        for matrix in (np.eye(4), transform)
    )
    _check_registration(transform, small.shape, small_affine, (before, after))
    return transform, (before, after)


def _fill_and_filter(
    b1: NDArray[np.floating], *, valid: NDArray[np.bool_], width: NDArray[np.floating]
) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Return the map, extrapolated by its nearest valid value and median filtered, and the filter's size."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    filled = np.asarray(b1, dtype=np.float32)[tuple(nearest)]
    # Odd sizes: an even one would shift the map by half a voxel.
    window = tuple(max(1, 2 * round((float(size) - 1.0) / 2.0) + 1) for size in width)
    return ndimage.median_filter(filled, size=window, mode="nearest"), window


def _check_registration(
    transform: NDArray[np.float64],
    shape: tuple[int, ...],
    affine: NDArray[np.floating],
    similarity: tuple[float, ...],
) -> None:
    """Raise if a registration is not believable."""
    centre = np.append((np.asarray(affine) @ np.append((np.asarray(shape) - 1) / 2.0, 1.0))[:3], 1.0)
    distance = float(np.linalg.norm((transform @ centre - centre)[:3]))
    if distance > LARGEST_TRANSLATION:
        raise RegistrationFailed(
            f"the registration of the B1 scan to the other scan moves the head by {distance:.0f} mm, "
            f"expected at most {LARGEST_TRANSLATION:.0f} mm; check that both scans are of one session and "
            "the orientation of both"
        )
    if similarity[1] < 0.98 * similarity[0]:
        raise RegistrationFailed(
            f"the registration of the B1 scan to the other scan lowered their mutual information from "
            f"{similarity[0]:.3f} to {similarity[1]:.3f}; check the anatomical image of the B1 scan"
        )
