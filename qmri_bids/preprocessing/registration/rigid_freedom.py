"""Which rigid motions a grid tells: all six of a volume, three in the plane of one or few slices, none of a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_SLICES = 8
"""Fewer slices do not tell a motion through the plane."""

MOSTLY = 0.7
"""Cosine from which an axis of the scanner counts as lying along that of a stack: 45°."""


@dataclass(frozen=True, kw_only=True)
class Freedom:
    """The rigid motions that can be seen in the images of one grid.

    Parameters
    ----------
    basis
        Columns are small motions (translation along x, y, z, rotation about x, y, z, RAS), shape (6, K): K is 6, 3 or 0.
    through
        Voxel axis along which there are too few slices, None where all are long or more than one is short.
    frame
        Matrix from millimetres along the voxel axes, counted from the first voxel, to RAS millimetres, shape (4, 4).
    assessed
        Which of the six parameters (translation x, y, z, rotation about x, y, z) are seen, shape (6,); of oblique slices those
        that lie mostly in the plane.
    """

    basis: NDArray[np.float64]
    through: int | None
    frame: NDArray[np.float64]
    assessed: NDArray[np.bool_]

    @property
    def short(self) -> tuple[bool, bool, bool]:
        """Along which voxel axes nothing is filtered, since there are too few slices."""
        return (self.through == 0, self.through == 1, self.through == 2)

    def in_space(self, plane: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return a motion within the plane, in millimetres along its two voxel axes (3, 3), in RAS millimetres (4, 4)."""
        kept = [axis for axis in range(3) if axis != self.through]
        local = np.eye(4)
        local[np.ix_(kept, kept)] = plane[:2, :2]
        local[kept, 3] = plane[:2, 2]
        return np.asarray(self.frame @ local @ np.linalg.inv(self.frame))


def freedom_of(shape: tuple[int, ...], *, affine: NDArray[np.floating]) -> Freedom:
    """Return the rigid motions that images of a grid tell.

    Parameters
    ----------
    shape
        Shape of the grid, (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Examples
    --------
    >>> freedom_of((64, 64, 1), affine=np.diag([3.0, 3.0, 5.0, 1.0])).assessed.tolist()
    [True, True, False, False, False, True]
    """
    matrix = np.asarray(affine, dtype=float)
    frame = matrix.copy()
    axes, _, right = np.linalg.svd(matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0))
    frame[:3, :3] = axes @ right
    short = [axis for axis in range(3) if shape[axis] < FEWEST_SLICES]
    if not short:
        return Freedom(basis=np.eye(6), through=None, frame=frame, assessed=np.ones(6, dtype=bool))
    if len(short) > 1:
        return Freedom(basis=np.zeros((6, 0)), through=None, frame=frame, assessed=np.zeros(6, dtype=bool))
    through = short[0]
    normal = frame[:3, through]
    basis = np.zeros((6, 3))
    basis[:3, :2] = np.delete(frame[:3, :3], through, axis=1)
    basis[3:, 2] = normal
    along = np.abs(normal) > MOSTLY
    return Freedom(basis=basis, through=through, frame=frame, assessed=np.concatenate([~along, along]))


def blocks(shape: tuple[int, ...], *, affine: NDArray[np.floating], voxel: float) -> tuple[int, int, int]:
    """Return how many voxels make up blocks of about a size [mm] along each axis, no more than there are."""
    sizes = np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)
    x, y, z = (int(each) for each in np.clip(np.round(voxel / sizes), 1, shape))
    return x, y, z


def not_assessed(assessed: NDArray[np.bool_]) -> str:
    """Return what was not looked at, in words; empty where all six parameters were."""
    seen = np.asarray(assessed, dtype=bool)
    if seen.all():
        return ""
    return "through the plane" if seen.any() else "at all"
