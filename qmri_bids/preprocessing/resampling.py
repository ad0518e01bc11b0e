"""Interpolation on another grid by a linear transform, real or complex, in one step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _voxel_map(
    affine: NDArray[np.floating], target_affine: NDArray[np.floating], transform: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the matrix from target voxel to source voxel."""
    return np.linalg.inv(np.asarray(affine, dtype=float)) @ transform @ np.asarray(target_affine, dtype=float)


def resample(
    image: NDArray[Any],
    *,
    affine: NDArray[np.floating],
    target_shape: tuple[int, ...],
    target_affine: NDArray[np.floating],
    transform: NDArray[np.floating],
    order: int = 5,
) -> NDArray[Any]:
    """Interpolate a 3D image on another grid.

    Parameters
    ----------
    image
        Real or complex, shape (X, Y, Z). Complex images are interpolated as real and imaginary parts.
    affine, target_affine
        Voxel to RAS millimetres of the image and of the grid asked for, shape (4, 4).
    target_shape
        Shape of the grid asked for.
    transform
        Maps a target position to the position in `image`, RAS millimetres, shape (4, 4).
    order
        Order of the B-spline; 1 is linear.

    Returns
    -------
    Array
        Type of `image`, 0 outside its grid. With the identity on the same grid the image comes back untouched.
    """
    from scipy.ndimage import affine_transform

    voxel_map = _voxel_map(affine, target_affine, transform)
    if tuple(target_shape) == image.shape and np.allclose(voxel_map, np.eye(4), atol=1e-9):
        return image.copy()

    def interpolate(part: NDArray[Any]) -> NDArray[Any]:
        return affine_transform(
            part, voxel_map, output_shape=tuple(target_shape), order=order, mode="constant", output=part.dtype
        )

    if np.iscomplexobj(image):
        return (interpolate(image.real) + 1j * interpolate(image.imag)).astype(image.dtype)
    return interpolate(image)


def grid_coverage(
    *, shape: tuple[int, ...], affine: NDArray[np.floating], transform: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return where a transform leads from a grid to a position inside that same grid, shape as given."""
    voxel_map = _voxel_map(affine, affine, transform)
    indices = np.ogrid[tuple(slice(0, size) for size in shape)]
    inside = np.ones(shape, dtype=bool)
    for row, size in zip(voxel_map[:3], shape, strict=True):
        position = row[0] * indices[0] + row[1] * indices[1] + row[2] * indices[2] + row[3]
        inside &= (position >= -1e-6) & (position <= size - 1 + 1e-6)
    return inside
