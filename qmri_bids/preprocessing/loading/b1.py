"""Reading a B1+ scan from its files: a stored map, or two images from which B1 is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.b1_maps import B1Estimate
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.content.scale import RAYLEIGH_MEDIAN
from qmri_bids.preprocessing.loading.files import read_image
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.registration.rigid_freedom import FEWEST_SLICES

FEWEST_AIR = 200
"""Voxels of air from which noise is told."""


@dataclass(frozen=True, kw_only=True)
class LoadedB1:
    """A B1+ scan on its own grid.

    Parameters
    ----------
    ratio
        Actual over nominal flip angle, float32, shape (X, Y, Z); 0 where there is no value.
    stdev
        Its standard deviation, None where the noise is not known; not finite where there is no value.
    anatomical
        Anatomical image on the same grid, None where the scan has none.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    decisions, warnings
        What was decided, and what a reader must know, as sentences.
    """

    ratio: NDArray[np.float32]
    stdev: NDArray[np.float32] | None = None
    anatomical: NDArray[np.float32] | None
    affine: NDArray[np.float64]
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load_b1(
    *,
    map_path: Path,
    scale: float,
    offset: float = 0.0,
    anatomical_path: Path | None = None,
    map_volume: int | None = None,
    anatomical_volume: int | None = None,
) -> LoadedB1:
    """Read a B1+ map and its anatomical image.

    Parameters
    ----------
    map_path
        The map.
    scale, offset
        Relative B1 per stored value, and the stored value of B1 = 0.
    anatomical_path
        Anatomical image on the same grid, possibly the same file.
    map_volume, anatomical_volume
        Index on the last axis where a file holds both.
    """
    stored, affine = _read(map_path, map_volume)
    finite = np.nan_to_num((stored - np.float32(offset)) * np.float32(scale), nan=0.0, posinf=0.0, neginf=0.0)
    anatomical = None if anatomical_path is None else _read(anatomical_path, anatomical_volume)[0]
    return LoadedB1(ratio=np.maximum(finite, 0.0), anatomical=anatomical, affine=affine)


def load_b1_pair(
    *,
    paths: tuple[Path, Path],
    volumes: tuple[int | None, int | None] = (None, None),
    compute: Callable[..., B1Estimate],
) -> LoadedB1:
    """Compute B1+ from two images; the first shows where the scan lies.

    Parameters
    ----------
    paths
        Both images, on one grid.
    volumes
        Index on the last axis where one file holds both.
    compute
        From both images and the standard deviation of their noise (`noise`, None where it is not known) to relative B1.
    """
    (first, affine), (second, _) = (_read(path, volume) for path, volume in zip(paths, volumes, strict=True))
    head = head_mask(first)
    noise = air_noise(second, head=head)
    found = compute(first, second, noise=noise)
    number, failed = int(np.count_nonzero(head)), int(np.count_nonzero(head & ~np.isfinite(found.b1)))
    decisions = [
        f"The ratio of both images belongs to no flip angle in {failed:,} of {number:,} voxels of the head "
        f"({100.0 * failed / max(1, number):.1f} %): B1 was not measured there."
    ]
    if noise is None:
        decisions.append("The noise of the B1 scan is not known (no air with noise in its images).")
    else:
        median = float(np.median(first[head])) / noise
        decisions.append(
            f"Noise of the B1 scan, from the air around the head: {median:.0f} times weaker than its signal."
        )
    return LoadedB1(
        ratio=np.nan_to_num(found.b1, nan=0.0).astype(np.float32),
        stdev=found.stdev,
        anatomical=first,
        affine=affine,
        decisions=tuple(decisions),
    )


def air_noise(image: NDArray[np.floating], *, head: NDArray[np.bool_]) -> float | None:
    """Return the standard deviation of the noise of a magnitude image from the air, None where it cannot be told.

    The air is what lies further than a tenth of the image from the head; ringing decays by there. Images whose air was set to 0
    tell nothing.

    Parameters
    ----------
    image
        Magnitude of one receive channel or of combined ones, shape (X, Y, Z).
    head
        The head, shape (X, Y, Z).
    """
    from scipy import ndimage

    # Of one or few slices the air beside the head within them.
    long = [size for size in image.shape if size >= FEWEST_SLICES] or [max(image.shape)]
    far = ndimage.distance_transform_edt(~head) > 0.08 * min(long)
    air = image[far & np.isfinite(image)]
    if air.size < FEWEST_AIR or np.mean(air > 0.0) < 0.9:
        return None
    return float(np.median(air)) / RAYLEIGH_MEDIAN


def _read(path: Path, volume: int | None) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    values, affine = read_image(path, volume=volume)
    if values.ndim != 3:
        raise ContentError(f"{path}: expected one volume, found shape {values.shape}")
    return values, affine
