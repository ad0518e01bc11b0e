"""B1+ maps on the grid of another scan: registered, made smooth and whole, interpolated once, and marked where in doubt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.b1_smoothing import WAVELENGTH, SmoothB1, coarsened, smooth_b1
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes
from qmri_bids.preprocessing.registration.quality import MIRROR_FAILS, RegistrationQuality
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.preprocessing.registration.scans import (
    FEWEST_SLICES,
    LARGEST_TRANSLATION,
    RegistrationFailed,
    register_and_measure,
    too_thin,
)

PLAUSIBLE_RANGE = (0.3, 1.7)
"""Ratios outside are marked and named: next to no transmit coil reaches them in a head."""
POSITION_STDEV = 0.08
"""Standard deviation of the position that registration finds along an axis, in voxels of the B1 scan. Scans of 5 mm were off by
0.53 mm on a real head, by 0.55 mm on the worst of three digital ones, and by 0.88 mm on one that was scanned apart from these."""
HEADER_STDEV = 1.0
"""The same where the coordinates of the scanner are trusted [mm]: what a head that lies still moves between two scans."""
LARGEST_EXTRAPOLATION = 50.0
"""A map that is extrapolated in more than this share of the brain [%] says nothing of it."""


class B1Code(IntEnum):
    """What B1 of a voxel is worth: the codes of the B1 mask."""

    OUTSIDE = 0
    """Outside the brain mask."""
    MEASURED = 1
    """Measured, and plausible."""
    EXTRAPOLATED = 2
    """The B1 scan has no value here: continued from its surroundings."""
    IMPLAUSIBLE = 3
    """Outside `PLAUSIBLE_RANGE`, measured or not."""


@dataclass(frozen=True, kw_only=True)
class B1Result:
    """A B1+ map on the grid of another scan.

    Parameters
    ----------
    map
        Actual over nominal flip angle, float32, shape (X, Y, Z).
    stdev
        Its standard deviation, float32, shape (X, Y, Z), everywhere: from the noise of the B1 scan, what its method gets wrong,
        its position and interpolation, and the distance where it is extrapolated. None of a map whose noise cannot be told.
    transform
        Shape (4, 4), RAS millimetres: from the position in the target to that in the B1 scan.
    similarity
        Mutual information of the two anatomical images [nat] before and after registration, or NaN.
    measured
        Shape (X, Y, Z): True where the B1 scan has a value, False where the map is extrapolated.
    codes
        `B1Code` of every voxel, uint8, shape (X, Y, Z).
    decisions, warnings
        What was decided, and what a reader must know, as sentences.
    """

    map: NDArray[np.float32]
    stdev: NDArray[np.float32] | None
    transform: NDArray[np.float64]
    similarity: tuple[float, float]
    measured: NDArray[np.bool_]
    codes: NDArray[np.uint8]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def register_b1(
    b1: NDArray[np.floating],
    *,
    b1_affine: NDArray[np.floating],
    anatomical: NDArray[np.floating] | None,
    target_magnitude: NDArray[np.floating],
    target_affine: NDArray[np.floating],
    target_mask: NDArray[np.bool_] | None = None,
    stdev: NDArray[np.floating] | None = None,
    method_error: float = 0.0,
    ready_made: bool = False,
) -> B1Result:
    """Bring a B1 map to the grid of another scan.

    The map is made smooth and whole on its own grid, of voxels not far below 5 mm, and interpolated linearly, once.

    Parameters
    ----------
    b1
        Actual over nominal flip angle, shape of `anatomical`; 0 or not finite without signal.
    b1_affine
        Voxel to RAS millimetres of `b1` and `anatomical`, shape (4, 4).
    anatomical
        Anatomical image of the B1 scan; None if it has none: the scanner coordinates are then trusted.
    target_magnitude
        Mean magnitude of the other scan, shape (X, Y, Z).
    target_affine
        Its voxel to RAS millimetres.
    target_mask
        Its brain, shape (X, Y, Z); the head where None.
    stdev
        Standard deviation of `b1`, None where it is not known: then it is told from the scatter about the surface.
    method_error
        Relative error of the method that is not corrected: it enters the standard deviation.
    ready_made
        Whether `b1` was computed elsewhere: it may have been smoothed, so that its scatter tells no noise.

    Returns
    -------
    B1Result
        The map and how it came about.

    Raises
    ------
    ValueError
        If the shapes of map and anatomical image differ, or the map has no value above 0.
    RegistrationFailed
        If the registration moves the head by more than `LARGEST_TRANSLATION`, the map covers less than half of the brain, or
        left and right of both scans are exchanged.
    """
    if anatomical is not None and anatomical.shape != b1.shape:
        raise ValueError(f"the B1 map has the shape {b1.shape}, its anatomical image {anatomical.shape}")
    valid = np.isfinite(b1) & (b1 > 0)
    doubts: tuple[str, ...] = ()
    if anatomical is None:
        transform, similarity, displaced = np.eye(4), (math.nan, math.nan), HEADER_STDEV
        sentence = "The B1 scan has no anatomical image: it was aligned to this scan by its header alone."
    elif (fewest := min(*anatomical.shape, *target_magnitude.shape)) < FEWEST_SLICES:
        valid &= head_mask(anatomical)
        transform, similarity, displaced = np.eye(4), (math.nan, math.nan), HEADER_STDEV
        sentence = (
            f"The B1 scan was placed by the coordinates of the scanner alone: {too_thin(fewest)}. WHETHER THE HEAD MOVED BETWEEN "
            "BOTH SCANS WAS NOT ASSESSED."
        )
    else:
        valid &= head_mask(anatomical)
        transform, similarity, quality = _register_anatomical(
            anatomical, affine=b1_affine, target=target_magnitude, target_affine=target_affine
        )
        displaced = POSITION_STDEV * float(np.mean(voxel_sizes(b1_affine)))
        sentence = (
            "The anatomical image of the B1 scan was registered rigidly to the mean magnitude of this scan; their "
            f"mutual information was {similarity[0]:.3f} before and is {similarity[1]:.3f} after."
        )
        if quality.sides_in_doubt:
            doubts += (
                "The mirror image of the B1 scan fits nearly as well as the scan itself (mutual information "
                f"{quality.mirrored:.2f} times as high): left and right cannot be told, or the scans do not lie on each other; "
                "look at the contours.",
            )
        if similarity[1] < similarity[0]:
            # Nothing was to be gained, or the search went astray: the scanner knows where both scans lie.
            transform, displaced = np.eye(4), HEADER_STDEV
            sentence = (
                "Registering the anatomical image of the B1 scan to the mean magnitude of this scan lowered their mutual "
                f"information from {similarity[0]:.3f} to {similarity[1]:.3f}: the coordinates of the scanner were kept."
            )
    if not valid.any():
        raise ContentError("the B1 map has no value above 0 where its anatomical image has signal")

    def on_target(image: NDArray[Any], affine: NDArray[np.floating], *, outside: str) -> NDArray[np.float32]:
        return resample(
            np.asarray(image, dtype=np.float32),
            affine=affine,
            target_shape=target_magnitude.shape,
            target_affine=target_affine,
            transform=transform,
            order=1,
            outside=outside,
        )

    measured = on_target(valid, b1_affine, outside="zero") > 0.5
    inside = head_mask(target_magnitude) if target_mask is None else target_mask
    region = "head" if target_mask is None else "brain"
    extrapolated = 100.0 * float(np.mean(~measured[inside]))
    if extrapolated > LARGEST_EXTRAPOLATION:
        raise RegistrationFailed(
            f"the B1 scan covers only {100.0 - extrapolated:.0f} % of the {region} in the other scan (at least "
            f"{100.0 - LARGEST_EXTRAPOLATION:.0f} % expected): it shows another place, or its orientation in the header is wrong"
        )
    smooth, ratio, spread = _smoothed(
        b1,
        valid=valid,
        stdev=stdev,
        affine=b1_affine,
        bring=on_target,
        method_error=method_error,
        displaced=displaced,
    )
    beyond = (ratio < PLAUSIBLE_RANGE[0]) | (ratio > PLAUSIBLE_RANGE[1])
    codes = np.where(measured, B1Code.MEASURED, B1Code.EXTRAPOLATED).astype(np.uint8)
    codes[beyond] = B1Code.IMPLAUSIBLE
    codes[~inside] = B1Code.OUTSIDE
    return B1Result(
        map=ratio,
        stdev=None if ready_made else spread,
        transform=transform,
        similarity=similarity,
        measured=measured,
        codes=codes,
        decisions=(
            sentence,
            _said(smooth, region=region, extrapolated=extrapolated),
            _said_of_stdev(
                smooth, spread[inside], method_error=method_error, displaced=displaced, ready_made=ready_made
            ),
        ),
        warnings=(*doubts, *_warnings(ratio, beyond & inside, inside, region=region)),
    )


def _smoothed(
    b1: NDArray[np.floating],
    *,
    valid: NDArray[np.bool_],
    stdev: NDArray[np.floating] | None,
    affine: NDArray[np.floating],
    bring: Callable[..., NDArray[np.float32]],
    method_error: float = 0.0,
    displaced: float = 0.0,
) -> tuple[SmoothB1, NDArray[np.float32], NDArray[np.float32]]:
    """Return the smooth surface on voxels not far below 5 mm, and it and its standard deviation as `bring` interpolates them.

    The standard deviation is that of the surface with the relative error of the method, a position that is known within `displaced`
    [mm] along every axis, and what linear interpolation leaves between voxels: the mean over a cell of t(1 - t)/2, a twelfth of
    the second difference.
    """
    own = coarsened(b1, valid=valid, stdev=stdev, affine=affine)
    sizes = voxel_sizes(own.affine)
    smooth = smooth_b1(own.b1, valid=own.valid, voxel_sizes=sizes, stdev=own.stdev)
    variance = np.square(smooth.stdev) + np.square(method_error * smooth.map)
    bend = np.zeros_like(smooth.map)
    for axis, size in enumerate(sizes):
        if smooth.map.shape[axis] > 1:
            slope = np.gradient(smooth.map, axis=axis)
            variance += np.square(displaced / size * slope)
            bend += np.gradient(slope, axis=axis) / 12.0
    spread = bring(np.sqrt(variance + np.square(bend)), own.affine, outside="nearest")
    return smooth, bring(smooth.map, own.affine, outside="nearest"), spread


@dataclass(frozen=True, kw_only=True)
class SmoothScan:
    """A B1+ map made smooth on the grid of its own scan.

    Parameters
    ----------
    map, stdev
        Actual over nominal flip angle and its standard deviation, float32, shape (X, Y, Z); NaN where B1 was not measured.
    single
        Standard deviation of B1 in one voxel of the scan, median.
    decisions
        What was decided, as sentences.
    """

    map: NDArray[np.float32]
    stdev: NDArray[np.float32]
    single: float
    decisions: tuple[str, ...]


def smooth_scan(
    b1: NDArray[np.floating],
    *,
    valid: NDArray[np.bool_],
    affine: NDArray[np.floating],
    stdev: NDArray[np.floating] | None = None,
    method_error: float = 0.0,
) -> SmoothScan:
    """Make a B1+ map smooth where it is: the surface that other scans are given, not continued beyond what was measured.

    Parameters
    ----------
    b1
        Actual over nominal flip angle, shape (X, Y, Z).
    valid
        Where it was measured.
    affine
        Voxel to RAS millimetres.
    stdev
        Standard deviation of `b1`, None where it is not known.
    method_error
        Relative error of the method that is not corrected: it enters the standard deviation.

    Raises
    ------
    ContentError
        If nothing was measured.
    """
    if not valid.any():
        raise ContentError("the B1 map has no value above 0 where its image has signal")

    def on_own_grid(image: NDArray[Any], source: NDArray[np.floating], *, outside: str) -> NDArray[np.float32]:
        return resample(
            np.asarray(image, dtype=np.float32),
            affine=source,
            target_shape=b1.shape,
            target_affine=affine,
            transform=np.eye(4),
            order=1,
            outside=outside,
        )

    smooth, ratio, spread = _smoothed(
        b1, valid=valid, stdev=stdev, affine=affine, bring=on_own_grid, method_error=method_error
    )
    return SmoothScan(
        map=np.where(valid, ratio, np.float32(np.nan)),
        stdev=np.where(valid, spread, np.float32(np.nan)),
        single=smooth.single,
        decisions=(
            f"B1 is a smooth surface through the values of the scan, on their grid (structure below {WAVELENGTH:g} mm removed; "
            f"{100.0 * smooth.outliers:.1f} % of them passed by as outliers). It is not continued where B1 was not measured.",
        ),
    )


def implausible_warning(ratio: NDArray[np.floating], *, region: str) -> tuple[str, ...]:
    """Warn of voxels with an implausible B1, which stay in the map.

    Parameters
    ----------
    ratio
        Actual over nominal flip angle in the voxels of a mask; NaN is left out.
    region
        What the mask holds.
    """
    found = ratio[np.isfinite(ratio)]
    beyond = found[(found < PLAUSIBLE_RANGE[0]) | (found > PLAUSIBLE_RANGE[1])]
    if not beyond.size:
        return ()
    return (
        f"B1 IS IMPLAUSIBLE in {beyond.size:,} voxels of the {region} ({100.0 * beyond.size / found.size:.2g} %): "
        f"{float(beyond.min()):.2f} to {float(beyond.max()):.2f} times nominal, expected {PLAUSIBLE_RANGE[0]} to "
        f"{PLAUSIBLE_RANGE[1]}. They stay in the map; look at them before it is used.",
    )


def _said(smooth: SmoothB1, *, region: str, extrapolated: float) -> str:
    """Say how the map was made smooth and whole."""
    return (
        f"B1 was replaced by a smooth surface through its values (structure below {WAVELENGTH:g} mm removed; "
        f"{100.0 * smooth.outliers:.1f} % of them passed by as outliers) and continued from their surroundings in "
        f"{extrapolated:.1f} % of the {region}."
    )


def _said_of_stdev(
    smooth: SmoothB1, spread: NDArray[np.floating], *, method_error: float, displaced: float, ready_made: bool
) -> str:
    """Say what the standard deviation holds, or why there is none."""
    if ready_made:
        return (
            "No standard deviation of B1 is given: the map came ready-made, and what was done to it is not known. Its scatter "
            f"about the smooth surface is {100.0 * smooth.single:.2g} % of nominal. THE STANDARD DEVIATIONS OF THE MAPS THAT TAKE "
            "IT, T1 AND M0 ABOVE ALL, DO NOT HOLD THAT OF B1."
        )
    method = f"{100.0 * abs(method_error):.2g} % that the method errs where T1 is not known, " if method_error else ""
    return (
        f"Standard deviation of B1: {100.0 * smooth.single:.2g} % of nominal in one voxel of the B1 scan, "
        f"{100.0 * float(np.median(spread)):.2g} % of the smooth map (median; noise of long waves, {smooth.long_waves:.2g} times "
        f"that of short ones, {method}a position known within {displaced:.2g} mm along each axis, and interpolation). It enters "
        "the standard deviations of the maps that take B1."
    )


def _warnings(
    ratio: NDArray[np.floating], beyond: NDArray[np.bool_], inside: NDArray[np.bool_], *, region: str
) -> tuple[str, ...]:
    """Warn of voxels with an implausible B1."""
    number = int(np.count_nonzero(beyond))
    if not number:
        return ()
    low, high = float(ratio[beyond].min()), float(ratio[beyond].max())
    return (
        f"B1 IS IMPLAUSIBLE in {number:,} voxels of the {region} ({100.0 * number / np.count_nonzero(inside):.2g} %): {low:.2f} to "
        f"{high:.2f} times nominal, expected {PLAUSIBLE_RANGE[0]} to {PLAUSIBLE_RANGE[1]}. The maps there stand on it; code "
        f"{B1Code.IMPLAUSIBLE} of the B1 mask (desc-B1_mask) marks them.",
    )


def _register_anatomical(
    anatomical: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    target: NDArray[np.floating],
    target_affine: NDArray[np.floating],
) -> tuple[NDArray[np.float64], tuple[float, float], RegistrationQuality]:
    """Return the transform from the target to the B1 scan, mutual information before and after, and what was measured."""
    found = register_and_measure(target, fixed_affine=target_affine, moving=anatomical, moving_affine=affine)
    quality = found.quality
    _check_registration(found.transform, found.fixed.shape, found.affine)
    if quality.mirrored > MIRROR_FAILS:
        raise RegistrationFailed(
            "left and right of the B1 scan and the other scan are exchanged: the mirror image of one fits the other better than "
            f"the scan itself (mutual information {quality.mirrored:.2f} times as high); check the orientation in both headers"
        )
    return found.transform, quality.similarity, quality


def _check_registration(
    transform: NDArray[np.float64],
    shape: tuple[int, ...],
    affine: NDArray[np.floating],
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
