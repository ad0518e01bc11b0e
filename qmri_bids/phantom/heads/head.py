"""What every object to be scanned offers: spins at positions, what they are, and where the object ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.tissues import TISSUES, Label, Tissue
from qmri_bids.phantom.heads.volume import Points


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Spins at a set of positions, every array of shape (n,)."""

    label: NDArray[np.uint8]
    t1: NDArray[np.float32]
    """T1 [s]."""
    t2: NDArray[np.float32]
    """T2 [s]."""
    m0: NDArray[np.float32]
    """Equilibrium magnetisation, times the share of the position that these spins fill."""
    off_resonance: NDArray[np.float32]
    """Off-resonance of water [Hz]; fat is shifted against it."""
    chemical_shift: NDArray[np.float32]
    """Chemical shift against water [Hz]."""
    b1: NDArray[np.float32]
    """Actual over nominal flip angle."""
    share: NDArray[np.float32]
    """Share of the position that these spins fill, in (0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A kind of spins that the truth tells apart.

    Parameters
    ----------
    label
        Label of the spins.
    index
        Index in the `dseg` file.
    name, abbreviation, colour
        Name, abbreviation and colour in the table of that file.
    tissue
        Its relaxation times and M0.
    """

    label: int
    index: int
    name: str
    abbreviation: str
    colour: str
    tissue: Tissue


BRAIN_REGIONS = tuple(
    Region(label=label, index=int(label), name=name, abbreviation=label.name, colour=colour, tissue=TISSUES[label])
    for label, name, colour in (
        (Label.GM, "Gray Matter", "#7f7f7f"),
        (Label.WM, "White Matter", "#f2f2f2"),
        (Label.CSF, "Cerebrospinal Fluid", "#4fa3d1"),
    )
)
"""Regions of every head."""


class Head(Protocol):
    """An object to be scanned, in coordinates [mm, RAS] whose origin is its middle."""

    @property
    def field_strength(self) -> float:
        """B0 [T]."""
        ...

    @property
    def tissues(self) -> Mapping[int, Tissue]:
        """What the object is made of, by label."""
        ...

    @property
    def regions(self) -> tuple[Region, ...]:
        """What the truth tells apart, and what its maps and masks count."""
        ...

    @property
    def mask_name(self) -> str:
        """What the mask of all regions is called: brain or object."""
        ...

    @property
    def decisions(self) -> tuple[str, ...]:
        """What it is and what was decided about it, in sentences."""
        ...

    @property
    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner of the box around the object [mm]."""
        ...

    @property
    def target(self) -> NDArray[np.float64]:
        """Position [mm] on which slices are centred, shape (3,): the middle of the brain."""
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

    def after(self, motion: NDArray[np.float64]) -> Head:
        """Return the object after its rigid part has moved, in the coordinates of that part.

        Parameters
        ----------
        motion
            Motion of the rigid part, in coordinates of the object, shape (4, 4). What is rigid throughout is the same after it.
        """
        ...


def posed(head: Head, *, placement: NDArray[np.float64], motion: NDArray[np.float64]) -> Head:
    """Return the object as it is after a motion in the scanner.

    Parameters
    ----------
    head
        The object at rest.
    placement
        Matrix from coordinates of the object to the scanner's RAS [mm] at rest, shape (4, 4).
    motion
        Motion of its rigid part in the scanner's RAS [mm], shape (4, 4).
    """
    return head.after(np.linalg.inv(placement) @ motion @ placement)


def tissue_table(tissues: Mapping[int, Tissue]) -> NDArray[np.float32]:
    """Return T1 [s], T2 [s], M0 and chemical shift [fraction of the frequency] by label, shape (256, 4)."""
    table = np.zeros((256, 4), dtype=np.float32)
    for label, tissue in tissues.items():
        table[label] = (tissue.t1, tissue.t2, tissue.m0, tissue.chemical_shift)
    return table
