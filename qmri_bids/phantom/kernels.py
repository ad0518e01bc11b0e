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
        Shape (x, y, z), at least two voxels along every axis.
    points
        Positions in the unit of `origin` and `spacing`, shape (3, n).
    origin, spacing
        Position of the first voxel's centre, and the distance of voxel centres.

    Returns
    -------
    ndarray
        Shape (n,).
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
