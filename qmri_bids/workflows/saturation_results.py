"""All that the nodes of a Z-spectrum, B0 or MT run left behind, read once for writing and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.workflows.map_results import MapFiles, MapResults, arrays_of
from qmri_bids.workflows.volumes import load_volume


@dataclass(frozen=True, kw_only=True)
class SaturationFiles(MapFiles):
    """Files of the nodes; None where a step was left out.

    Parameters
    ----------
    series
        Magnitudes as estimated, 4D.
    motion
        Result of the motion correction (npz).
    b0_registration, t1_registration, b1_registration
        How maps of other scans came here (npz).
    b1
        B1 on this grid.
    """

    series: Path
    motion: Path | None = None
    b0_registration: Path | None = None
    t1_registration: Path | None = None
    b1_registration: Path | None = None
    b1: Path | None = None


class SaturationResults(MapResults):
    """Lazy access to the arrays of `SaturationFiles`."""

    def __init__(self, files: SaturationFiles) -> None:
        super().__init__(files)
        self.files = files

    @cached_property
    def series(self) -> NDArray[np.float32]:
        """Aligned magnitudes, mapped from the file."""
        return load_volume(self.files.series)[0]

    @cached_property
    def b1(self) -> NDArray[np.float32] | None:
        """B1 on this grid that entered the maps, None if there was none."""
        return None if self.files.b1 is None else load_volume(self.files.b1)[0]

    @cached_property
    def motion(self) -> Mapping[str, NDArray[Any]] | None:
        """Transforms, parameters and displacement, None if motion was not corrected."""
        return None if self.files.motion is None else arrays_of(self.files.motion)

    @cached_property
    def registrations(self) -> Mapping[str, Mapping[str, NDArray[Any]]]:
        """How maps of other scans came here: `b0`, `t1` and `b1` of those that did."""
        paths = {name: getattr(self.files, f"{name}_registration") for name in ("b0", "t1", "b1")}
        return {name: arrays_of(path) for name, path in paths.items() if path is not None}
