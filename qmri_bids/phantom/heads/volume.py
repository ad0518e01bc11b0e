"""A map on a regular grid that can be read anywhere in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Positions in RAS millimetres, shape (3, n): lengths are millimetres here, as everywhere in NIfTI."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A scalar map on an axis-parallel, isotropic grid.

    Parameters
    ----------
    data
        Values, shape (x, y, z).
    origin
        Position of the first voxel's centre [mm].
    spacing
        Distance of voxel centres [mm].
    """

    data: NDArray[np.float32]
    origin: tuple[float, float, float]
    spacing: float

    def sample(self, points: Points) -> NDArray[np.float32]:
        """Return the map at `points`, interpolated linearly, shape (n,); beyond the grid its rim goes on."""
        from qmri_bids.phantom.heads.kernels import trilinear

        # One memory layout, so that one compiled version serves all.
        values: NDArray[np.float32] = trilinear(
            np.ascontiguousarray(self.data), np.ascontiguousarray(points), self.origin, self.spacing
        )
        return values

    def with_data(self, data: NDArray) -> Volume:
        """Return a volume with other values on the same grid."""
        return Volume(data=np.asarray(data, dtype=np.float32), origin=self.origin, spacing=self.spacing)

    def points(self) -> Points:
        """Return the positions of all voxel centres [mm], shape (3, n), in C order."""
        axes = [start + self.spacing * np.arange(n) for start, n in zip(self.origin, self.data.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)


def empty_volume(*, lower: tuple[float, float, float], upper: tuple[float, float, float], spacing: float) -> Volume:
    """Return a volume of zeros whose grid covers the box from `lower` to `upper` [mm]."""
    shape = tuple(int(np.ceil((high - low) / spacing)) + 1 for low, high in zip(lower, upper, strict=True))
    return Volume(data=np.zeros(shape, dtype=np.float32), origin=lower, spacing=spacing)
