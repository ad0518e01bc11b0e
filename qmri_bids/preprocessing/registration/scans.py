"""Scans of one session brought together: rigid registration by mutual information, and maps on another grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import head_mask, shrink
from qmri_bids.preprocessing.registration.ants_bridge import Schedule, deterministic_pool, register
from qmri_bids.preprocessing.registration.quality import (
    MIRROR_FAILS,
    RegistrationQuality,
    measure_registration,
)
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.preprocessing.registration.rigid_freedom import blocks

_COARSE_VOXEL = 2.6
"""Voxel size of the registration [mm]."""
_SCHEDULE = Schedule(iterations=(1000, 500, 200), shrink_factors=(4, 2, 1), smoothing=(2, 1, 0), sampling_rate=0.5)
"""For an image of `_COARSE_VOXEL` [mm], as fine as two scans of a session need to find each other."""

FEWEST_SLICES = 4
"""Fewer do not tell where they are in another scan: coordinates of the scanner are trusted then."""

LARGEST_TRANSLATION = 50.0
"""A registration of two scans of one session that moves the head further [mm] has failed."""

LARGEST_ROTATION = 45.0
"""A registration of two scans of one session that turns the head further [degrees] has failed."""

LEAST_COVERAGE = 0.5
"""A scan that covers less of the head than this shows another place."""

LEAST_SIMILARITY = 0.1
"""Mutual information [nat] below which two images share no head: 0.3 to 0.9 of two contrasts of one, 0.07 of a head and noise."""

LEAST_VALID = 0.5
"""Share of the weight of an interpolated value that its valid neighbours must have."""


class RegistrationFailed(RuntimeError):
    """Two scans of a session could not be aligned; the message says by what this was seen."""


@dataclass(frozen=True, kw_only=True)
class MeasuredRegistration:
    """A rigid registration as it was found, whether or not it is to be believed.

    Parameters
    ----------
    transform
        Matrix from the position in the fixed image to that in the moving one, RAS millimetres, shape (4, 4).
    quality
        What was measured of it.
    fixed, affine
        The fixed image on the coarse grid of the registration, and its voxel to RAS millimetres.
    """

    transform: NDArray[np.float64]
    quality: RegistrationQuality
    fixed: NDArray[np.float32]
    affine: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScanRegistration:
    """Where a scan lies in another.

    Parameters
    ----------
    transform
        Matrix from the position in the fixed scan to that in the moving one, RAS millimetres, shape (4, 4).
    similarity
        Mutual information of both [nat] before and after; NaN where they were not registered.
    decisions
        What was decided, as sentences.
    quality
        What was measured of it; None where they were not registered.
    warnings
        Doubts, as sentences.
    """

    transform: NDArray[np.float64]
    similarity: tuple[float, float]
    decisions: tuple[str, ...]
    quality: RegistrationQuality | None = None
    warnings: tuple[str, ...] = ()

    @property
    def stored(self) -> dict[str, Any]:
        """What a file keeps of it: transform, similarity, overlap of the heads and the fit of the mirror image."""
        overlap, mirrored = (
            ((math.nan, math.nan), math.nan) if self.quality is None else (self.quality.overlap, self.quality.mirrored)
        )
        return {
            "transform": self.transform,
            "similarity": self.similarity,
            "overlap": overlap,
            "mirrored": mirrored,
            "sides_in_doubt": self.quality is not None and self.quality.sides_in_doubt,
        }


def too_thin(slices: int) -> str:
    """Return why so few slices are not registered, as a part of a sentence.

    Examples
    --------
    >>> too_thin(1)
    '1 slice does not tell where it is (at least 4 needed)'
    """
    said = "1 slice does not tell where it is" if slices == 1 else f"{slices} slices do not tell where they are"
    return f"{said} (at least {FEWEST_SLICES} needed)"


def register_scans(
    fixed: NDArray[np.floating],
    *,
    fixed_affine: NDArray[np.floating],
    moving: NDArray[np.floating],
    moving_affine: NDArray[np.floating],
) -> ScanRegistration:
    """Register two scans of one session by a rigid transform.

    Parameters
    ----------
    fixed, moving
        Images, 3D, of any two contrasts; values that are not finite count as 0.
    fixed_affine, moving_affine
        Their voxel to RAS millimetres, shape (4, 4).

    Raises
    ------
    ValueError
        If an image is not 3D or constant.
    RegistrationFailed
        If the transform moves or turns the head further than a session explains, the mutual information falls or is next to none,
        or the moving scan covers less than half of the head in the fixed one.
    """
    for name, image in (("fixed", fixed), ("moving", moving)):
        if image.ndim != 3:
            raise ValueError(f"the {name} image must have three dimensions, found shape {image.shape}")
        if not np.ptp(np.nan_to_num(image)) > 0.0:
            raise ValueError(f"the {name} image is constant: nothing to register")
    thin = min(min(fixed.shape), min(moving.shape))
    if thin < FEWEST_SLICES:
        return ScanRegistration(
            transform=np.eye(4),
            similarity=(math.nan, math.nan),
            decisions=(
                f"Placed by the coordinates of the scanner alone: {too_thin(thin)}. WHETHER THE HEAD MOVED BETWEEN BOTH WAS NOT "
                "ASSESSED.",
            ),
        )
    found = register_and_measure(_finite(fixed), fixed_affine=fixed_affine, moving=moving, moving_affine=moving_affine)
    transform, quality = found.transform, found.quality
    head = head_mask(np.maximum(found.fixed, 0.0))
    distance, angle = _movement(transform, head=head, affine=found.affine)
    _check(distance=distance, angle=angle, quality=quality)
    before, after = quality.similarity
    warnings = []
    if quality.sides_in_doubt:
        warnings.append(
            f"The mirror image of the other scan fits nearly as well as the scan itself (mutual information {quality.mirrored:.2f} "
            "times as high): left and right cannot be told, or the scans do not lie on each other; look at the contours and "
            "check the orientation of both files."
        )
    return ScanRegistration(
        transform=transform,
        similarity=quality.similarity,
        decisions=(
            f"Registered rigidly, by {distance:.1f} mm and {angle:.1f}°; the mutual information of both was {before:.3f} before "
            f"and is {after:.3f} after, with the mirror image {quality.mirrored:.2f} times that.",
        ),
        quality=quality,
        warnings=tuple(warnings),
    )


def register_and_measure(
    fixed: NDArray[np.floating],
    *,
    fixed_affine: NDArray[np.floating],
    moving: NDArray[np.floating],
    moving_affine: NDArray[np.floating],
) -> MeasuredRegistration:
    """Register two images by a rigid transform, and measure how well they lie on each other.

    Parameters
    ----------
    fixed, moving
        Images, 3D, of any two contrasts; values of the moving one that are not finite count as 0.
    fixed_affine, moving_affine
        Their voxel to RAS millimetres, shape (4, 4).
    """
    factor = blocks(fixed.shape, affine=fixed_affine, voxel=_COARSE_VOXEL)
    small, small_affine = shrink(fixed, affine=fixed_affine, factor=factor)
    other = _finite(moving)
    with deterministic_pool(processes=1) as pool:
        transform = pool.submit(
            register,
            fixed=small,
            fixed_affine=small_affine,
            moving=other,
            moving_affine=moving_affine,
            schedule=_SCHEDULE,
        ).result()
        quality = pool.submit(
            measure_registration,
            small,
            affine=small_affine,
            moving=other,
            moving_affine=moving_affine,
            transform=transform,
        ).result()
    return MeasuredRegistration(transform=transform, quality=quality, fixed=small, affine=small_affine)


def bring(
    maps: Mapping[str, NDArray[np.floating]],
    *,
    affine: NDArray[np.floating],
    target_shape: tuple[int, ...],
    target_affine: NDArray[np.floating],
    transform: NDArray[np.floating],
) -> dict[str, NDArray[np.float32]]:
    """Interpolate maps linearly on another grid; voxels without a value do not enter.

    Parameters
    ----------
    maps
        Maps by name, shape (X, Y, Z), NaN where there is no value.
    affine
        Their voxel to RAS millimetres, shape (4, 4).
    target_shape, target_affine
        The grid asked for.
    transform
        Matrix from the position in the target to that in the maps, RAS millimetres, shape (4, 4).

    Returns
    -------
    dict
        The maps by name, float32; NaN where valid neighbours have less than half of the weight.
    """

    def on_target(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return resample(
            values,
            affine=affine,
            target_shape=target_shape,
            target_affine=target_affine,
            transform=transform,
            order=1,
        )

    brought = {}
    for name, values in maps.items():
        valid = np.isfinite(values)
        weight = on_target(valid.astype(np.float32))
        total = on_target(np.where(valid, values, 0.0).astype(np.float32))
        with np.errstate(all="ignore"):
            # Rounding must not lose a voxel whose neighbours have exactly half of the weight.
            brought[name] = np.where(weight >= LEAST_VALID - 1e-5, total / weight, np.nan).astype(np.float32)
    return brought


def _finite(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return an image with 0 where it is not finite."""
    return np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _movement(
    transform: NDArray[np.float64], *, head: NDArray[np.bool_], affine: NDArray[np.float64]
) -> tuple[float, float]:
    """Return how far a transform moves the centre of the head [mm], and by which angle it turns it [degrees]."""
    centre = affine[:3, :3] @ np.argwhere(head).mean(axis=0) + affine[:3, 3]
    moved = transform[:3, :3] @ centre + transform[:3, 3]
    cosine = float(np.clip((np.trace(transform[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))
    return float(np.linalg.norm(moved - centre)), math.degrees(math.acos(cosine))


def _check(*, distance: float, angle: float, quality: RegistrationQuality) -> None:
    """Raise if a registration is not believable."""
    similarity, covered = quality.similarity, quality.covered
    if distance > LARGEST_TRANSLATION or angle > LARGEST_ROTATION:
        raise RegistrationFailed(
            f"the registration of two scans moves the head by {distance:.0f} mm and {angle:.0f}°, expected at most "
            f"{LARGEST_TRANSLATION:.0f} mm and {LARGEST_ROTATION:.0f}°; check that both are of one session and their orientation"
        )
    if similarity[1] < LEAST_SIMILARITY:
        raise RegistrationFailed(
            f"two scans share next to nothing after registration: their mutual information is {similarity[1]:.3f}, expected at "
            f"least {LEAST_SIMILARITY}; check that both show a head, and the same place"
        )
    if quality.mirrored > MIRROR_FAILS:
        raise RegistrationFailed(
            "left and right of two scans are exchanged: the mirror image of one fits the other better than the scan itself "
            f"(mutual information {quality.mirrored:.2f} times as high); check the orientation in the headers of both"
        )
    if similarity[1] < 0.98 * similarity[0]:
        raise RegistrationFailed(
            f"the registration of two scans lowered their mutual information from {similarity[0]:.3f} to {similarity[1]:.3f}; "
            "check that both show a head"
        )
    if covered < LEAST_COVERAGE:
        raise RegistrationFailed(
            f"a scan covers only {100.0 * covered:.0f} % of the head in the other (at least {100.0 * LEAST_COVERAGE:.0f} % "
            "expected): it shows another place, or its orientation in the header is wrong"
        )
