"""Whether two images lie on one grid: one tolerance for all of them, in fractions of a voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME_GRID = 0.05
"""Distance between the same corner of two grids [voxels] up to which they are one: headers store float32, and converters round."""


def grid_distance(first: NDArray[np.floating], second: NDArray[np.floating], *, shape: Sequence[int]) -> float:
    """Return how far apart two grids lie at the corner where they differ most, in voxels of the first.

    Parameters
    ----------
    first, second
        Voxel to scanner coordinates [mm], shape (4, 4).
    shape
        Voxels along the first three axes, of both.

    Examples
    --------
    >>> moved = np.diag([2.0, 2.0, 2.0, 1.0])
    >>> moved[0, 3] = 0.01
    >>> round(grid_distance(np.diag([2.0, 2.0, 2.0, 1.0]), moved, shape=(10, 10, 10)), 6)
    0.005
    """
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in tuple(shape)[:3]], [1], indexing="ij")).reshape(4, -1)
    apart = np.linalg.solve(np.asarray(first, dtype=float), np.asarray(second, dtype=float) @ corners) - corners
    return float(np.abs(apart).max())


def is_same_grid(first: NDArray[np.floating], second: NDArray[np.floating], *, shape: Sequence[int]) -> bool:
    """Whether two affines place images of this shape on each other; arguments as of `grid_distance`."""
    return grid_distance(first, second, shape=shape) <= SAME_GRID
