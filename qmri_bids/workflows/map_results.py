"""What the results of all CEST and MT runs have in common, read once for writing and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.mask_record import BRAIN, OBJECT
from qmri_bids.preprocessing.pure_tissue import pure_tissue
from qmri_bids.quantity import STDEV
from qmri_bids.workflows.volumes import load_volume

RESERVED = ("residual", "status", "inside", "T1")
"""Arrays in the file of an estimate that are no maps of its own: T1 is known."""


@dataclass(frozen=True, kw_only=True)
class MapFiles:
    """Files of the nodes; None where a step was left out.

    Parameters
    ----------
    mask, magnitude
        Brain mask and mean of the volumes of full signal.
    estimate
        Maps, standard deviations, residual and status (npz).
    tissue
        Labels of white matter, grey matter and fluid.
    found
        What the mask holds and what speaks for it.
    """

    mask: Path
    magnitude: Path
    estimate: Path
    tissue: Path | None = None
    found: Mapping[str, Any] = field(default_factory=lambda: {"kind": BRAIN})


class OfMask:
    """What is said of the mask of a run wherever its results are written."""

    found: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What the mask holds: `brain`, `object` or `all`."""
        return str(self.found["kind"])

    @property
    def whole(self) -> str:
        """Name of the whole mask in tables."""
        return BRAIN if self.kind == BRAIN else OBJECT

    @property
    def by_hand(self) -> bool:
        """Whether a person has made the mask."""
        return bool(self.found.get("by_hand", False))

    @property
    def stripped(self) -> bool | None:
        """SkullStripped where it is not what it usually is: maps of an object hold whatever has signal."""
        return None if self.kind == BRAIN else False


class MapResults(OfMask):
    """Lazy access to the arrays of `MapFiles`."""

    def __init__(self, files: MapFiles) -> None:
        self._common = files
        self.found = files.found

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to RAS millimetres."""
        return load_volume(self._common.magnitude)[1]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Brain mask."""
        return load_volume(self._common.mask)[0] > 0

    @cached_property
    def magnitude(self) -> NDArray[np.float32]:
        """Mean of the volumes of full signal."""
        return load_volume(self._common.magnitude)[0]

    @cached_property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All arrays of the estimate by name."""
        return arrays_of(self._common.estimate)

    @cached_property
    def maps(self) -> Mapping[str, NDArray[np.float32]]:
        """Maps by name, volumes in SI units; those that are known and were not estimated left out."""
        shape = self.mask.shape
        return {
            name: values
            for name, values in self.arrays.items()
            if values.shape == shape and name not in RESERVED and not name.endswith(STDEV)
        }

    @cached_property
    def stdev(self) -> Mapping[str, NDArray[np.float32]]:
        """Standard deviations of the maps that have one, by the name of the map."""
        return {name: self.arrays[f"{name}{STDEV}"] for name in self.maps if f"{name}{STDEV}" in self.arrays}

    @cached_property
    def tissue(self) -> NDArray[np.uint8] | None:
        """Labels of white matter, grey matter and fluid."""
        return None if self._common.tissue is None else load_volume(self._common.tissue)[0]

    @cached_property
    def pure_tissue(self) -> NDArray[np.uint8] | None:
        """Those of the voxels that hold one of them alone."""
        return None if self.tissue is None else pure_tissue(self.tissue, mask=self.mask).labels

    def series_of_voxels(self, name: str) -> NDArray[np.float32]:
        """Return an array (V, K) of the estimate as a series of volumes, NaN outside."""
        values = self.arrays[name]
        full = np.full((*self.mask.shape, values.shape[1]), np.nan, dtype=np.float32)
        full[self.arrays["inside"]] = values
        return full


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file (npz) by name."""
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}
