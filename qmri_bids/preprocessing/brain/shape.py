"""The brain of the MNI template laid over an outline by shape alone: no contrast enters, so that it serves every image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POINTS = 500
"""Places on each of both surfaces that are compared."""

PITCHES = (-20.0, 0.0, 20.0)
"""Angles at which the search starts [degrees]: heads nod more than they tilt."""

SLAB_FACE = 0.15
"""Share of a face of the image that brain fills from which it shows a slab."""

HEIGHTS = (-45.0, -15.0, 15.0, 45.0)
"""Heights at which the search starts for a slab, along the axis of the body [mm]."""

SCALES = (-0.3, 0.45)
"""Logarithm of the size of the template against the brain, smallest and largest: it is larger than most."""

ROBUST = 4.0
"""Distances beyond this count less [mm]: part of an outline may be wrong."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The template on the grid of an outline.

    Parameters
    ----------
    distance
        Signed distance to the surface of the template's brain [mm], negative inside, shape (X, Y, Z).
    matrix
        Matrix from the position in the scan to that in the template, RAS millimetres, shape (4, 4).
    share
        Share of the template's brain that lies in the field of view.
    """

    distance: NDArray[np.float32]
    matrix: NDArray[np.float64]
    share: float


def signed_distance(mask: NDArray[np.bool_], *, spacing: float) -> NDArray[np.float32]:
    """Return the distance to the outline of a mask [mm], negative inside; the outline lies between voxels."""
    from scipy.ndimage import distance_transform_edt

    outside = distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)
    within = distance_transform_edt(mask) if not mask.all() else np.full(mask.shape, np.inf)
    return (spacing * np.where(mask, 0.5 - within, outside - 0.5)).astype(np.float32)


@lru_cache(maxsize=1)
def _template() -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return the signed distance to the template's brain, its affine, and positions on its surface, shape (n, 3)."""
    from nilearn.datasets import load_mni152_brain_mask

    image = load_mni152_brain_mask(resolution=2)
    mask = np.pad(np.asarray(image.dataobj) > 0, 20)
    affine = np.asarray(image.affine, dtype=float).copy()
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, 20.0)
    return signed_distance(mask, spacing=2.0), affine, _surface(mask, affine)


def _surface(mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return positions on the surface of a mask [mm], those at the border of the image left out."""
    from scipy.ndimage import binary_erosion

    voxels = np.argwhere(mask & ~binary_erosion(mask, border_value=1))
    chosen = np.random.default_rng(0).permutation(len(voxels))[:POINTS]
    return np.asarray(voxels[chosen] @ affine[:3, :3].T + affine[:3, 3])


def _read(
    field: NDArray[np.float32], affine: NDArray[np.floating], places: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return a field at positions [mm], shape (n, 3); beyond its grid its rim goes on."""
    from scipy.ndimage import map_coordinates

    inverse = np.linalg.inv(affine)
    return np.asarray(
        map_coordinates(field, (places @ inverse[:3, :3].T + inverse[:3, 3]).T, order=1, mode="nearest", output=float)
    )


def lay_template(
    inside: NDArray[np.bool_], *, distance: NDArray[np.float32], affine: NDArray[np.floating], spacing: float
) -> Shape:
    """Lay the template's brain over an outline: nine parameters that bring both surfaces together.

    Parameters
    ----------
    inside, distance
        The outline and the signed distance to it [mm], shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    spacing
        Edge of a voxel [mm].
    """
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    field, field_affine, surface = _template()
    affine = np.asarray(affine, dtype=float)
    own = _surface(inside, affine)
    voxels = np.argwhere(inside)
    centre = affine[:3, :3] @ voxels.mean(axis=0) + affine[:3, 3]
    middle = field_affine[:3, :3] @ np.argwhere(field < 0.0).mean(axis=0) + field_affine[:3, 3]
    inverse = np.linalg.inv(affine)
    upper = np.array(inside.shape) - 0.5

    def matrix_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = np.eye(4)
        matrix[:3, :3] = np.exp(values[6:, None]) * Rotation.from_rotvec(values[:3]).as_matrix()
        matrix[:3, 3] = middle + 10.0 * values[3:6] - matrix[:3, :3] @ centre
        return matrix

    def misfits(values: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = matrix_of(values)
        back = np.linalg.inv(matrix)
        there = own @ matrix[:3, :3].T + matrix[:3, 3]
        here = surface @ back[:3, :3].T + back[:3, 3]
        index = here @ inverse[:3, :3].T + inverse[:3, 3]
        seen = np.all((index >= -0.5) & (index <= upper), axis=1)
        return np.concatenate([_read(field, field_affine, there), np.where(seen, _read(distance, affine, here), 0.0)])

    faces = [face for axis in range(3) for face in np.moveaxis(inside, axis, 0)[[0, -1]]]
    at_border = any(np.mean(face) > SLAB_FACE for face in faces)
    size = np.log(1.15) if at_border else np.log((field < 0.0).sum() * 8.0 / (voxels.shape[0] * spacing**3)) / 3.0
    size = float(np.clip(size, SCALES[0] + 0.01, SCALES[1] - 0.01))
    lower = np.array([-1.0] * 3 + [-12.0] * 3 + [SCALES[0]] * 3)
    best = None
    for pitch in PITCHES:
        for height in HEIGHTS if at_border else (0.0,):
            start = np.array([np.deg2rad(pitch), 0.0, 0.0, 0.0, 0.0, 0.1 * height, size, size, size])
            found = least_squares(
                misfits,
                start,
                bounds=(lower, np.where(lower < -0.9, -lower, SCALES[1])),
                loss="soft_l1",
                f_scale=ROBUST,
                max_nfev=20,
                diff_step=1e-3,
            )
            if best is None or found.cost < best.cost:
                best = found
    assert best is not None
    matrix = matrix_of(best.x)
    grid = np.indices(inside.shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    laid = _read(field, field_affine, grid @ matrix[:3, :3].T + matrix[:3, 3]).reshape(inside.shape)
    scale = float(np.exp(best.x[6:].mean()))
    covered = np.count_nonzero(laid < 0.0) * (spacing * scale) ** 3
    return Shape(
        distance=(laid / scale).astype(np.float32),
        matrix=matrix,
        share=min(1.0, covered / (8.0 * np.count_nonzero(field < 0.0))),
    )
