"""The voxels of one scan: its cycles as they enter an estimation, and what is known of each voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.physics.protocol import BssfpProtocol

BRAIN = "brain"
"""Name of all voxels together, where tissues are named."""


@dataclass(frozen=True, kw_only=True)
class OwnScan:
    """Preprocessed phase cycles of a scan.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    b1
        Actual over nominal flip angle, shape (V,).
    inside
        Where in the image the voxels lie, shape (X, Y, Z).
    protocol
        The acquisition.
    tissue
        Which voxels are of each tissue by its name, shape (V,); `brain`, all of them, is always there.

    Raises
    ------
    ValueError
        If shapes do not fit together.
    """

    cycles: NDArray[np.complexfloating]
    b1: NDArray[np.floating]
    inside: NDArray[np.bool_]
    protocol: BssfpProtocol
    tissue: Mapping[str, NDArray[np.bool_]]

    def __post_init__(self) -> None:
        voxels = int(np.count_nonzero(self.inside))
        expected = {"cycles": (voxels, self.protocol.number_of_cycles), "b1": (voxels,)}
        found = {"cycles": self.cycles.shape, "b1": self.b1.shape}
        if found != expected or any(each.shape != (voxels,) for each in self.tissue.values()):
            raise ValueError(f"expected {expected} and tissues of shape ({voxels},), found {found}")
        if BRAIN not in self.tissue:
            raise ValueError(f"tissue: expected {BRAIN!r} among the names, found {', '.join(self.tissue)}")

    @property
    def number_of_voxels(self) -> int:
        """Voxels in which is estimated."""
        return len(self.b1)

    @property
    def known(self) -> KnownMaps:
        """What enters an estimation as known; B1 as exact, so that standard deviations are those of noise alone."""
        return KnownMaps(b1=self.b1, inside=self.inside)

    def of_cycles(self, indices: Sequence[int]) -> OwnScan:
        """Return the scan as if only some of its cycles had been acquired."""
        increments = tuple(self.protocol.rf_phase_increment[index] for index in indices)
        return replace(
            self,
            cycles=np.ascontiguousarray(self.cycles[:, list(indices)]),
            protocol=replace(self.protocol, rf_phase_increment=increments),
        )

    def within(self, region: NDArray[np.bool_]) -> OwnScan:
        """Return the voxels of the scan that lie in a region of the image, shape (X, Y, Z)."""
        chosen = region[self.inside]
        return replace(
            self,
            cycles=self.cycles[chosen],
            b1=self.b1[chosen],
            inside=self.inside & region,
            tissue={name: each[chosen] for name, each in self.tissue.items()},
        )

    def volume(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return values of the voxels, shape (V,), as an image, NaN elsewhere."""
        image = np.full(self.inside.shape, np.nan, dtype=np.float32)
        image[self.inside] = values
        return image


def fullest_slice(inside: NDArray[np.bool_], *, axis: int) -> NDArray[np.bool_]:
    """Return the slice that holds most voxels, as a region of the image, shape (X, Y, Z).

    Parameters
    ----------
    inside
        Voxels, shape (X, Y, Z).
    axis
        Axis of the image across the slices.
    """
    counts = np.moveaxis(inside, axis, 0).reshape(inside.shape[axis], -1).sum(axis=1)
    region = np.zeros_like(inside)
    np.moveaxis(region, axis, 0)[int(np.argmax(counts))] = True
    return region
