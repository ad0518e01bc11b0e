"""What every object to be scanned offers: spins at positions, and where the object ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.tissues import Label, Tissue
from qmri_bids.phantom.volume import Points


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Spins at a set of positions, every array of shape (n,)."""

    label: NDArray[np.uint8]
    t1: NDArray[np.float32]
    """[s]"""
    t2: NDArray[np.float32]
    """[s]"""
    m0: NDArray[np.float32]
    """Equilibrium magnetisation, times the share of the position that these spins fill."""
    off_resonance: NDArray[np.float32]
    """Of water [Hz]; fat is shifted against it."""
    chemical_shift: NDArray[np.float32]
    """[Hz]"""
    b1: NDArray[np.float32]
    """Actual over nominal flip angle."""
    share: NDArray[np.float32]
    """Share of the position that these spins fill, in (0, 1]."""


class Head(Protocol):
    """An object to be scanned, in coordinates [mm, RAS] whose origin is its middle."""

    @property
    def field_strength(self) -> float:
        """B0 [T]."""
        ...

    @property
    def tissues(self) -> Mapping[Label, Tissue]:
        """What the object is made of, by label."""
        ...

    @property
    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner of the box around the object [mm]."""
        ...

    def surface_points(self) -> Points:
        """Return positions on the surface of the object [mm], shape (3, n)."""
        ...

    def sample(self, points: Points) -> tuple[NDArray[np.intp], Sample]:
        """Return the spins at positions.

        Parameters
        ----------
        points
            Positions in the coordinates of the object [mm], shape (3, n).

        Returns
        -------
        where, sample
            Index of the position of every kind of spins, and the spins. A position with a mixture of tissues occurs once for
            each of them, one without signal not at all.
        """
        ...

    def brain_distance(self, points: Points) -> NDArray[np.float32] | None:
        """Return the signed distance to the brain's surface [mm], negative inside, shape (n,); None if it is not known."""
        ...
