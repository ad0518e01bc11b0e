"""Compiled loop over positions in a cubic B-spline: value and gradient in one pass over the coefficients around each.

SciPy's `map_coordinates` gives one value a pass, holds a list of positions for it, and knows no gradient. The gradient is that of
central differences over two voxels: that of the spline itself follows the noise, which interpolation smooths between voxels, and
takes motions for 10 % larger than they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BORDER = 1e-6
"""Positions so far outside of the grid [voxels] are rounding."""


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _around(place: float, length: int, weights: Any, slopes: Any, indices: Any) -> None:  # pragma: no cover - compiled
    """Write six indices around a position, mirrored at the border, with the weights of value and central difference."""
    base = int(np.floor(place))
    part = place - base
    rest = 1.0 - part
    weights[0], weights[5] = 0.0, 0.0
    weights[1] = rest * rest * rest / 6.0
    weights[2] = 2.0 / 3.0 - part * part * (1.0 - 0.5 * part)
    weights[3] = 2.0 / 3.0 - rest * rest * (1.0 - 0.5 * rest)
    weights[4] = part * part * part / 6.0
    slopes[0], slopes[1] = -0.5 * weights[1], -0.5 * weights[2]
    slopes[2], slopes[3] = 0.5 * (weights[1] - weights[3]), 0.5 * (weights[2] - weights[4])
    slopes[4], slopes[5] = 0.5 * weights[3], 0.5 * weights[4]
    last = length - 1
    for index in range(6):
        where = base - 2 + index
        if where < 0:
            where = -where
        if where > last:
            where = 2 * last - where
        indices[index] = min(max(where, 0), last)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _sample(
    coefficients: Any, matrix: Any, points: Any, value: Any, slope: Any, inside: Any
) -> None:  # pragma: no cover - compiled
    weights, slopes, indices = np.empty((3, 6)), np.empty((3, 6)), np.empty((3, 6), np.int64)
    shape = coefficients.shape
    for point in range(points.shape[0]):
        within = True
        for axis in range(3):
            where = (
                matrix[axis, 0] * points[point, 0]
                + matrix[axis, 1] * points[point, 1]
                + matrix[axis, 2] * points[point, 2]
                + matrix[axis, 3]
            )
            last = shape[axis] - 1.0
            within = within and where >= -BORDER and where <= last + BORDER
            _around(min(max(where, 0.0), last), shape[axis], weights[axis], slopes[axis], indices[axis])
        inside[point] = within
        total, by_x, by_y, by_z = 0.0, 0.0, 0.0, 0.0
        for i in range(6):
            outer = i == 0 or i == 5
            for j in range(6):
                if outer and (j == 0 or j == 5):
                    continue
                x, y = indices[0, i], indices[1, j]
                line = 0.0
                for k in range(1, 5):
                    line += weights[2, k] * coefficients[x, y, indices[2, k]]
                by_x += slopes[0, i] * weights[1, j] * line
                by_y += weights[0, i] * slopes[1, j] * line
                if not outer and 0 < j < 5:
                    total += weights[0, i] * weights[1, j] * line
                    change = 0.0
                    for k in range(6):
                        change += slopes[2, k] * coefficients[x, y, indices[2, k]]
                    by_z += weights[0, i] * weights[1, j] * change
        value[point] = total
        for axis in range(3):
            slope[point, axis] = by_x * matrix[0, axis] + by_y * matrix[1, axis] + by_z * matrix[2, axis]


def sample_spline(
    coefficients: NDArray[np.float32], *, points: NDArray[np.floating], voxel_map: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return value, gradient (central differences over two voxels) and validity of a cubic B-spline at positions.

    Parameters
    ----------
    coefficients
        Of `scipy.ndimage.spline_filter` (order 3, mirrored at the border), shape (X, Y, Z); an axis of one voxel is constant.
    points
        Positions, shape (S, 3).
    voxel_map
        Matrix from a position to the voxel of the spline, shape (4, 4).

    Returns
    -------
    value
        Shape (S,); outside of the grid that of its border.
    gradient
        By the position, shape (S, 3).
    inside
        Whether the position lies within the grid, shape (S,).

    Examples
    --------
    >>> from scipy.ndimage import spline_filter
    >>> squares = np.broadcast_to(np.arange(33.0)[:, None, None] ** 2, (33, 9, 9))
    >>> coefficients = spline_filter(squares, order=3, output=np.float32)
    >>> value, gradient, inside = sample_spline(coefficients, points=np.array([[16.0, 4.0, 4.0]]), voxel_map=np.eye(4))
    >>> round(float(value[0])), round(float(gradient[0, 0])), bool(inside[0])
    (256, 32, True)
    """
    number = len(points)
    value, inside = np.empty(number, np.float32), np.empty(number, np.bool_)
    slope = np.empty((number, 3), np.float32)
    _sample(
        np.ascontiguousarray(coefficients, np.float32),
        np.ascontiguousarray(voxel_map, np.float64),
        np.ascontiguousarray(points, np.float64),
        value,
        slope,
        inside,
    )
    return value, slope, inside
