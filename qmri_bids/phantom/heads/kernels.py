"""The compiled inner loop of the phantom: faster than SciPy's `map_coordinates`, free of Python's lock."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True)
def trilinear(
    data: NDArray[np.float32],
    points: NDArray[np.float64],
    origin: tuple[float, float, float],
    spacing: float,
) -> NDArray[np.float32]:
    """Return the map at positions, interpolated linearly; beyond its grid the value of the rim.

    Parameters
    ----------
    data
        The map, shape (x, y, z), at least two voxels along every axis.
    points
        Positions in the unit of `origin` and `spacing`, shape (3, n).
    origin, spacing
        Position of the first voxel's centre, and the distance of voxel centres.

    Returns
    -------
    ndarray
        Values at the positions, shape (n,).
    """
    values = np.empty(points.shape[1], dtype=np.float32)
    index = np.empty(3, dtype=np.int64)
    weight = np.empty(3, dtype=np.float32)
    for n in range(points.shape[1]):
        for axis in range(3):
            last = data.shape[axis] - 1
            place = min(max((points[axis, n] - origin[axis]) / spacing, 0.0), float(last))
            index[axis] = min(int(place), last - 1)
            weight[axis] = place - index[axis]
        i, j, k = index
        u, v, w = weight
        low = data[i, j, k] * (1 - w) + data[i, j, k + 1] * w
        high = data[i, j + 1, k] * (1 - w) + data[i, j + 1, k + 1] * w
        near = low * (1 - v) + high * v
        low = data[i + 1, j, k] * (1 - w) + data[i + 1, j, k + 1] * w
        high = data[i + 1, j + 1, k] * (1 - w) + data[i + 1, j + 1, k + 1] * w
        values[n] = near * (1 - u) + (low * (1 - v) + high * v) * u
    return values


@njit(nogil=True)
def deposit(values: NDArray[np.complex64], where: NDArray[np.int64], out: NDArray[np.complex64]) -> None:
    """Write the sum of the signals at every position into `out`, shape (m,), from n signals and their positions."""
    out[:] = 0.0
    for n in range(len(where)):
        out[where[n]] += values[n]


@njit(nogil=True)
def mixtures(
    shares: NDArray[np.uint8],
    points: NDArray[np.float64],
    origin: tuple[float, float, float],
    spacing: float,
    least: float,
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float32]]:
    """Return what lies at positions, interpolated linearly: position, tissue and share of every kind of spins.

    Parameters
    ----------
    shares
        Share of every tissue in every voxel, 255 for the whole, shape (x, y, z, tissues).
    points
        Positions in the unit of `origin` and `spacing`, shape (3, n); nothing lies beyond the grid.
    origin, spacing
        Position of the first voxel's centre, and the distance of voxel centres.
    least
        A smaller share is given to the other tissues of the position.
    """
    tissues = shares.shape[3]
    where = np.empty(points.shape[1] * 2, dtype=np.int64)
    tissue = np.empty(len(where), dtype=np.uint8)
    share = np.empty(len(where), dtype=np.float32)
    found = 0
    index = np.empty(3, dtype=np.int64)
    weight = np.empty(3, dtype=np.float64)
    sums = np.empty(tissues, dtype=np.float64)
    for n in range(points.shape[1]):
        outside = False
        for axis in range(3):
            place = (points[axis, n] - origin[axis]) / spacing
            if not 0.0 <= place <= shares.shape[axis] - 1.0:
                outside = True
                break
            index[axis] = min(int(place), shares.shape[axis] - 2)
            weight[axis] = place - index[axis]
        if outside:
            continue
        sums[:] = 0.0
        for corner in range(8):
            i, j, k = corner >> 2, (corner >> 1) & 1, corner & 1
            part = (
                (weight[0] if i else 1.0 - weight[0])
                * (weight[1] if j else 1.0 - weight[1])
                * (weight[2] if k else 1.0 - weight[2])
            )
            for t in range(tissues):
                sums[t] += part * shares[index[0] + i, index[1] + j, index[2] + k, t]
        kept, whole = 0.0, 0.0
        for t in range(tissues):
            whole += sums[t]
            if sums[t] >= 255.0 * least:
                kept += sums[t]
        if kept == 0.0:
            continue
        if found + tissues > len(where):
            where = np.concatenate((where, np.empty_like(where)))
            tissue = np.concatenate((tissue, np.empty_like(tissue)))
            share = np.concatenate((share, np.empty_like(share)))
        for t in range(tissues):
            if sums[t] >= 255.0 * least:
                where[found], tissue[found] = n, t
                # Steps of 1/4096, so that one tissue alone is exactly 1.
                share[found] = np.rint(sums[t] * min(whole / kept, 255.0 / kept) / 255.0 * 4096.0) / 4096.0
                found += 1
    return where[:found], tissue[:found], share[:found]
