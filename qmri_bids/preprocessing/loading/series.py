"""Reading magnitude images of one grid into one series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.floor import check_floor
from qmri_bids.preprocessing.content.images import ContentError, check_magnitudes, copies, doubts_of_values
from qmri_bids.preprocessing.content.scale import check_scale
from qmri_bids.preprocessing.content.shared_noise import check_shared_noise
from qmri_bids.preprocessing.loading.files import check_grid, read_image

FEWEST_CUBES = 50
"""Cubes of 2 × 2 × 2 voxels, squares of 2 × 2 within a single slice, that must lie in the flat part of a head to tell the noise."""

FLATTEST = 0.2
"""Share of the head, where the gradient is smallest, that tells the noise."""

GRADIENT_SCALE = 2.0
"""Standard deviation of the smoothing before the gradient [voxels]."""


def load_series(
    paths: Sequence[Path], *, volumes: Sequence[int] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the volumes of one or several files of the same grid, one after the other.

    Parameters
    ----------
    paths
        3D or 4D magnitude images.
    volumes
        Indices in the series to keep, in this order; all by default.

    Returns
    -------
    volumes, affine
        Shape (X, Y, Z, N), and voxel to RAS millimetres, shape (4, 4).

    Raises
    ------
    ContentError
        If the grids differ, or a volume that is kept is constant or has a value that is negative or not finite.
    """
    parts: list[NDArray[np.float32]] = []
    affine, before = None, 0
    for path in paths:
        data, own = read_image(path)
        data = data[..., None] if data.ndim == 3 else data
        if affine is None:
            affine = own
        else:
            check_grid(path, data.shape[:3], own, first=paths[0], first_shape=parts[0].shape[:3], first_affine=affine)
        for index in range(data.shape[3]):
            # What is left out may hold anything: that is how to leave it out.
            if volumes is None or before + index in volumes:
                check_magnitudes(data[..., index], name=f"{path}: volume {index + 1}")
        before += data.shape[3]
        parts.append(data)
    if affine is None:
        raise ValueError("a series needs at least one file, found none")
    series = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=3)
    return (series if volumes is None else np.ascontiguousarray(series[..., list(volumes)])), affine


@dataclass(frozen=True, kw_only=True)
class ReadSeries:
    """A series that passed the checks of its content.

    Parameters
    ----------
    volumes, affine
        As of `load_series`.
    decisions, warnings
        Sentences.
    """

    volumes: NDArray[np.float32]
    affine: NDArray[np.float64]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]


def read_series(paths: Sequence[Path], *, volumes: Sequence[int] | None = None, saturated: bool) -> ReadSeries:
    """Return the volumes of a series, and what is to be said of those that are copies of others or of another scale.

    Parameters
    ----------
    paths, volumes
        As of `load_series`.
    saturated
        Whether the volumes are saturated images, which may be as alike as two of no effect; others must differ.

    Raises
    ------
    ContentError
        As of `load_series`, or if images that must differ are the same.
    """
    series, affine = load_series(paths, volumes=volumes)
    decisions = []
    for before, index in copies(series):
        text = f"volume {index + 1} of the series is a copy of volume {before + 1}, to the last digit"
        if not saturated:
            names = ", ".join(path.name for path in paths)
            raise ContentError(
                f"{names}: {text}: images with and without MT pulse, or of different flip angles, cannot be the same; convert the "
                "scan again"
            )
        decisions.append(f"{text[0].upper()}{text[1:]}: it was used as it is. Was an image written twice?")
    shown = [f"volume {index + 1}" for index in (range(series.shape[3]) if volumes is None else volumes)]
    return ReadSeries(
        volumes=series,
        affine=affine,
        decisions=tuple(decisions),
        warnings=(
            *check_scale(series, names=shown),
            *check_floor(series),
            *check_shared_noise(series, names=shown),
            *(
                said
                for index, name in enumerate(shown)
                for said in doubts_of_values(series[..., index], name=f"{paths[0].name}: {name}")
            ),
        ),
    )


def noise_of_series(volumes: NDArray[np.floating]) -> float | None:
    """Return the standard deviation of the noise of a few magnitude images as they were scanned, in their unit.

    The median over the volumes of `noise_of_volume` where the head is flattest: edges are detail too. On the simulated head at 2 mm
    it is 1.4 to 2.2 times the noise; without the choice of flat places 3 to 4 times. Of a single slice it is that within
    the slice. None where the head is too small on this grid to tell.

    Parameters
    ----------
    volumes
        Shape (X, Y, Z, N), before any interpolation.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    from qmri_bids.estimation.mt.maps import noise_of_volume
    from qmri_bids.preprocessing.masks import head_mask

    head = head_mask(volumes.mean(axis=3))
    cube = 2 ** sum(size > 1 for size in volumes.shape[:3])
    if FLATTEST * np.count_nonzero(head) < FEWEST_CUBES * cube:
        return None
    found = []
    for index in range(volumes.shape[3]):
        volume = np.asarray(volumes[..., index], dtype=np.float32)
        gradient = gaussian_gradient_magnitude(volume, GRADIENT_SCALE)
        flat = head & (gradient <= np.quantile(gradient[head], FLATTEST))
        try:
            found.append(noise_of_volume(np.where(flat, volume, 0.0)))
        except ValueError:
            # What is flat is scattered: this volume does not tell.
            continue
    return float(np.median(found)) if found else None
