"""How well a scan lies on another after registration, and whether it is its mirror image that fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import head_mask, shrink
from qmri_bids.preprocessing.registration.ants_bridge import Schedule, register
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.preprocessing.registration.rigid_freedom import blocks
from qmri_bids.preprocessing.registration.similarity import mutual_information, pointwise_information

MIRROR_VOXEL = 4.0
"""Voxels at which a scan is compared with its mirror image [mm]: the folds of both halves of a brain differ by centimetres."""

MIRROR_SCHEDULE = Schedule(iterations=(200, 200, 100), shrink_factors=(4, 2, 1), smoothing=(2, 1, 0), sampling_rate=0.5)
"""From afar: the mirror image begins as wrong as the pose of the head against the scanner, twice."""

MIRROR_FAILS = 1.05
"""The mirror image fits better by this factor of mutual information: left and right are exchanged."""

MIRROR_REGION = 20.0
"""Side of the regions whose gains are compared [mm]: what lies closer is alike by itself."""

MIRROR_CHANCE = 4.0
"""Standard errors by which a mirror image must fit better over all regions: halves of a ball of water differ by noise alone (at
most 0.8 in eight balls; 11 and more in mirrored scans of a head)."""

FEWEST_REGIONS = 8
"""Regions from which their scatter is known."""

MIRROR_DOUBT = 0.9
"""The mirror image fits nearly as well: left and right cannot be told, or the scans do not lie on each other (0.96 of a T1w
image whose head is turned by 90°; at most 0.76 of scans that do)."""


@dataclass(frozen=True, kw_only=True)
class RegistrationQuality:
    """What is measured of a registration, on the grid at which it was made.

    Parameters
    ----------
    similarity
        Mutual information of both images [nat] before and after.
    overlap
        Dice of both heads, where both scans have voxels, before and after.
    covered
        Share of the head in the fixed scan that the moving one covers.
    mirrored
        Mutual information inside the head with the mirror image of the moving scan, registered anew, over that with the scan
        itself: far below 1; 1 where it fits better, but in some places only, as by chance.
    sides_told
        Whether the scan fits better than its mirror image all over the head, however little: coarse scans are alike from far.
    """

    similarity: tuple[float, float]
    overlap: tuple[float, float]
    covered: float
    mirrored: float
    sides_told: bool = False

    @property
    def sides_in_doubt(self) -> bool:
        """Whether the mirror image fits nearly as well as the scan, and not worse all over the head."""
        return self.mirrored > MIRROR_DOUBT and not self.sides_told


def measure_registration(
    fixed: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    moving: NDArray[np.float32],
    moving_affine: NDArray[np.floating],
    transform: NDArray[np.floating],
) -> RegistrationQuality:
    """Return the quality of a rigid registration.

    Parameters
    ----------
    fixed, moving
        Finite images, 3D.
    affine, moving_affine
        Their voxel to RAS millimetres, shape (4, 4).
    transform
        Matrix from the position in the fixed scan to that in the moving one, RAS millimetres, shape (4, 4).
    """

    def on_fixed(image: NDArray[np.float32], matrix: NDArray[np.floating], order: int = 1) -> NDArray[np.float32]:
        return resample(
            image,
            affine=moving_affine,
            target_shape=fixed.shape,
            target_affine=affine,
            transform=matrix,
            order=order,
        )

    # Interpolated magnitudes may be a little below 0 in air.
    head = head_mask(np.maximum(fixed, 0.0))
    other_head = head_mask(np.maximum(moving, 0.0)).astype(np.float32)
    similarities, overlaps = [], []
    for matrix in (np.eye(4), transform):
        inside = on_fixed(np.ones_like(moving), matrix) > 0.5
        similarities.append(mutual_information(fixed, on_fixed(moving, matrix)))
        both = head & inside
        brought = (on_fixed(other_head, matrix) > 0.5) & inside
        total = int(both.sum()) + int(brought.sum())
        overlaps.append(2.0 * float(np.count_nonzero(both & brought)) / total if total else 0.0)
    mirrored, told = _mirrored(fixed, affine, moving, moving_affine, np.asarray(transform, dtype=float), head)
    return RegistrationQuality(
        similarity=(similarities[0], similarities[1]),
        overlap=(overlaps[0], overlaps[1]),
        covered=float(np.mean(inside[head])),
        mirrored=mirrored,
        sides_told=told,
    )


def _mirrored(
    fixed: NDArray[np.float32],
    affine: NDArray[np.floating],
    moving: NDArray[np.float32],
    moving_affine: NDArray[np.floating],
    transform: NDArray[np.float64],
    head: NDArray[np.bool_],
) -> tuple[float, bool]:
    """Return the mutual information with the mirror image over that with the image at coarse voxels, and whether sides are told."""
    factor = blocks(fixed.shape, affine=affine, voxel=MIRROR_VOXEL)
    small, small_affine = shrink(fixed, affine=affine, factor=factor)
    inside = shrink(head.astype(np.float32), affine=affine, factor=factor)[0] > 0.5
    if min(small.shape) < 4 or not inside.any():
        return float("nan"), False
    centre = small_affine[:3, :3] @ np.argwhere(inside).mean(axis=0) + small_affine[:3, 3]
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2.0 * centre[0]

    def on_small(matrix: NDArray[np.floating]) -> NDArray[np.float32]:
        return resample(
            moving,
            affine=moving_affine,
            target_shape=small.shape,
            target_affine=small_affine,
            transform=matrix,
            order=1,
        )

    def fit(start: NDArray[np.floating]) -> NDArray[np.float64]:
        """Register once more from here, so that a mirror image has the same chance as the image; return what voxels tell."""
        again = register(
            fixed=small,
            fixed_affine=small_affine,
            moving=on_small(start),
            moving_affine=small_affine,
            schedule=MIRROR_SCHEDULE,
        )
        # Interpolated once, from the scan itself: twice would blur what tells both sides apart.
        moved = (on_small(start), on_small(start @ again))
        return max((pointwise_information(small[inside], each[inside]) for each in moved), key=np.mean)

    plain, mirrored = fit(transform), fit(transform @ mirror)
    if not plain.mean() > 0.0:
        return float("nan"), False
    places = np.argwhere(inside) @ small_affine[:3, :3].T
    by_chance = plain.mean() < mirrored.mean() and not _everywhere(mirrored - plain, places)
    ratio = 1.0 if by_chance else float(mirrored.mean() / plain.mean())
    return ratio, _everywhere(plain - mirrored, places)


def _everywhere(gains: NDArray[np.float64], places: NDArray[np.float64]) -> bool:
    """Whether voxels gain in regions all over an object, and not in some by chance.

    The standard error of the mean is that over regions: voxels within one are not independent of each other.

    Parameters
    ----------
    gains
        Shape (V,).
    places
        Their positions [mm], shape (V, 3).
    """
    cells = np.floor((places - places.min(axis=0)) / MIRROR_REGION).astype(int)
    _, region = np.unique(cells, axis=0, return_inverse=True)
    number = np.bincount(region.ravel())
    if len(number) < FEWEST_REGIONS:
        return False
    deviations = np.bincount(region.ravel(), gains) - number * gains.mean()
    error = np.sqrt(np.sum(deviations**2)) / len(gains)
    return bool(gains.mean() > MIRROR_CHANCE * error)
