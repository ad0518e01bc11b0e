"""All that the nodes of a CEST or MT run left behind, read once for writing and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.workflows.volumes import load_volume

RESERVED = ("residual", "status", "inside")
"""Arrays in the file of an estimate that are no maps."""


@dataclass(frozen=True, kw_only=True)
class SaturationFiles:
    """Files of the nodes; None where a step was left out.

    Parameters
    ----------
    series
        Magnitudes as estimated, 4D.
    mask, magnitude
        Brain mask and mean of the volumes of full signal.
    estimate
        Maps, standard deviations, residual and status (npz).
    motion
        Result of the motion correction (npz).
    tissue
        Labels of white matter, grey matter and fluid.
    b0_registration, t1_registration, b1_registration
        How maps of other scans came here (npz).
    b1
        B1 on this grid.
    """

    series: Path
    mask: Path
    magnitude: Path
    estimate: Path
    motion: Path | None = None
    tissue: Path | None = None
    b0_registration: Path | None = None
    t1_registration: Path | None = None
    b1_registration: Path | None = None
    b1: Path | None = None


class SaturationResults:
    """Lazy access to the arrays of `SaturationFiles`."""

    def __init__(self, files: SaturationFiles) -> None:
        self.files = files

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to RAS millimetres."""
        return load_volume(self.files.magnitude)[1]

    @cached_property
    def series(self) -> NDArray[np.float32]:
        """Aligned magnitudes, mapped from the file."""
        return load_volume(self.files.series)[0]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Brain mask."""
        return load_volume(self.files.mask)[0] > 0

    @cached_property
    def magnitude(self) -> NDArray[np.float32]:
        """Mean of the volumes of full signal."""
        return load_volume(self.files.magnitude)[0]

    @cached_property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All arrays of the estimate by name."""
        return _arrays(self.files.estimate)

    @cached_property
    def maps(self) -> Mapping[str, NDArray[np.float32]]:
        """Maps by name, volumes in SI units; those that are known and were not estimated (T1) left out."""
        shape = self.mask.shape
        return {
            name: values
            for name, values in self.arrays.items()
            if values.shape == shape and name not in (*RESERVED, "T1") and not name.endswith("_stdev")
        }

    @cached_property
    def stdev(self) -> Mapping[str, NDArray[np.float32]]:
        """Standard deviations of the maps that have one, by the name of the map."""
        return {name: self.arrays[f"{name}_stdev"] for name in self.maps if f"{name}_stdev" in self.arrays}

    @cached_property
    def tissue(self) -> NDArray[np.uint8] | None:
        """Labels of white matter, grey matter and fluid."""
        return None if self.files.tissue is None else load_volume(self.files.tissue)[0]

    @cached_property
    def b1(self) -> NDArray[np.float32] | None:
        """B1 on this grid that entered the maps, None if there was none."""
        return None if self.files.b1 is None else load_volume(self.files.b1)[0]

    @cached_property
    def motion(self) -> Mapping[str, NDArray[Any]] | None:
        """Transforms, parameters and displacement, None if motion was not corrected."""
        return None if self.files.motion is None else _arrays(self.files.motion)

    @cached_property
    def registrations(self) -> Mapping[str, Mapping[str, NDArray[Any]]]:
        """How maps of other scans came here: `b0`, `t1` and `b1` of those that did."""
        paths = {name: getattr(self.files, f"{name}_registration") for name in ("b0", "t1", "b1")}
        return {name: _arrays(path) for name, path in paths.items() if path is not None}

    def series_of_voxels(self, name: str) -> NDArray[np.float32]:
        """Return an array (V, K) of the estimate as a series of volumes, NaN outside."""
        values = self.arrays[name]
        full = np.full((*self.mask.shape, values.shape[1]), np.nan, dtype=np.float32)
        full[self.arrays["inside"]] = values
        return full


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}
