"""Interpolation on another grid by a linear transform, real or complex, in one step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _voxel_map(
    affine: NDArray[np.floating], target_affine: NDArray[np.floating], transform: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the matrix from target voxel to source voxel.

    Rounding is taken off: a slice that stays in its plane must not fall out of a stack at its ends.
    """
    matrix = np.linalg.inv(np.asarray(affine, dtype=float)) @ transform @ np.asarray(target_affine, dtype=float)
    whole = np.round(matrix)
    return np.where(np.abs(matrix - whole) < 1e-9, whole, matrix)


def _padded(image: NDArray[Any], voxel_map: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return an image whose axes of one voxel have its value across the thickness of the slice, and the map to its voxels."""
    single = [size == 1 for size in image.shape]
    shift = np.array([float(each) for each in single])
    moved = voxel_map.copy()
    moved[:3, 3] += shift
    return np.pad(image, [(1, 1) if each else (0, 0) for each in single], mode="edge"), moved


def _thickness(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return how far beyond the first and last voxel centre an image has values [voxels], shape (3,): half a slice if it is one."""
    return np.array([0.5 if size == 1 else 0.0 for size in shape])


def resample(
    image: NDArray[Any],
    *,
    affine: NDArray[np.floating],
    target_shape: tuple[int, ...],
    target_affine: NDArray[np.floating],
    transform: NDArray[np.floating],
    order: int = 3,
    outside: str = "zero",
) -> NDArray[Any]:
    """Interpolate a 3D image on another grid.

    Parameters
    ----------
    image
        The image, real or complex, shape (X, Y, Z). Complex images are interpolated as real and imaginary parts.
    affine, target_affine
        Voxel to RAS millimetres of the image and of the grid asked for, shape (4, 4).
    target_shape
        Shape of the grid asked for.
    transform
        Maps a target position to the position in `image`, RAS millimetres, shape (4, 4).
    order
        Order of the B-spline; 1 is linear. Measured on a head moved by up to 1 mm and 1°, error without noise
        and standard deviation of white noise after interpolation: linear 3.3 % and 0.61, cubic 1.7 % and
        0.86, quintic 1.7 % and 0.91; at the edges of bands cubic is best, in a third of the time of quintic.
    outside
        `zero`, or `nearest` to continue the values at the border of the image.

    Returns
    -------
    Array
        Type of `image`. With the identity on the same grid the image comes back untouched. A single slice has its value across its
        thickness.
    """
    from scipy.ndimage import affine_transform

    voxel_map = _voxel_map(affine, target_affine, transform)
    if tuple(target_shape) == image.shape and np.allclose(voxel_map, np.eye(4), atol=1e-9):
        return image.copy()

    mode = {"zero": "constant", "nearest": "nearest"}[outside]
    single = 1 in image.shape
    source, source_map = _padded(image, voxel_map) if single else (image, voxel_map)
    beyond = ~_inside(voxel_map, shape=image.shape, onto=tuple(target_shape)) if single and outside == "zero" else None

    def interpolate(part: NDArray[Any]) -> NDArray[Any]:
        found = affine_transform(
            part, source_map, output_shape=tuple(target_shape), order=order, mode=mode, output=part.dtype
        )
        if beyond is not None:
            found[beyond] = 0
        return found

    if np.iscomplexobj(image):
        return (interpolate(source.real) + 1j * interpolate(source.imag)).astype(image.dtype)
    return interpolate(source)


def resample_series(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    target_shape: tuple[int, ...],
    target_affine: NDArray[np.floating],
    transforms: NDArray[np.floating],
    threads: int = 1,
) -> NDArray[np.float32]:
    """Interpolate every volume of a series of magnitudes on another grid by a transform of its own.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    affine, target_shape, target_affine
        Grid of the volumes and shape and grid of what is asked for: see `resample`.
    transforms
        Matrices from a target position to the position in each volume, RAS millimetres, shape (N, 4, 4).
    threads
        Threads; the result does not depend on it.

    Returns
    -------
    Array
        float32, shape (*target_shape, N). Where the interpolation overshoots below 0, in air beside an edge, it is 0.
    """

    def one(index: int) -> NDArray[np.float32]:
        moved = resample(
            np.asarray(volumes[..., index], dtype=np.float32),
            affine=affine,
            target_shape=target_shape,
            target_affine=target_affine,
            transform=transforms[index],
        )
        return np.maximum(moved, 0.0)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return np.stack(list(pool.map(one, range(volumes.shape[3]))), axis=-1)


def grid_coverage(
    *,
    shape: tuple[int, ...],
    affine: NDArray[np.floating],
    transform: NDArray[np.floating],
    target_shape: tuple[int, ...] | None = None,
    target_affine: NDArray[np.floating] | None = None,
) -> NDArray[np.bool_]:
    """Return where a transform leads from a grid to a position inside another: that same one where no target is given.

    Parameters
    ----------
    shape, affine
        The grid that is to be reached.
    transform
        Maps a target position to the position in it, RAS millimetres, shape (4, 4).
    target_shape, target_affine
        The grid of the result.
    """
    onto = tuple(shape if target_shape is None else target_shape)
    voxel_map = _voxel_map(affine, affine if target_affine is None else target_affine, transform)
    return _inside(voxel_map, shape=shape, onto=onto)


def _inside(voxel_map: NDArray[np.float64], *, shape: tuple[int, ...], onto: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which voxels of a grid `onto` a map leads into an image of this shape."""
    indices = np.ogrid[tuple(slice(0, size) for size in onto)]
    inside = np.ones(onto, dtype=bool)
    for row, size, margin in zip(voxel_map[:3], shape, _thickness(shape) + 1e-6, strict=True):
        position = row[0] * indices[0] + row[1] * indices[1] + row[2] * indices[2] + row[3]
        inside &= (position >= -margin) & (position <= size - 1 + margin)
    return inside


def common_coverage(transforms: NDArray[np.floating], **grids: Any) -> NDArray[np.bool_]:
    """Return where all transforms (N, 4, 4) lead to positions inside a grid; `grids` as of `grid_coverage`."""
    return np.logical_and.reduce([grid_coverage(transform=transform, **grids) for transform in transforms])
