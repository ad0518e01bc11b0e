"""All that the nodes of a fingerprint left behind, read once for writing and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.exchange_scan import QUANTITIES, ExchangeScan
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.quantity import POSTERIOR
from qmri_bids.workflows.map_results import MapFiles, MapResults, arrays_of
from qmri_bids.workflows.volumes import load_volume


@dataclass(frozen=True, kw_only=True)
class ExchangeFiles(MapFiles):
    """Files of the nodes.

    Parameters
    ----------
    series
        Magnitudes of every stage on the grid of the first, 4D.
    motions
        By the number of the stage: where the head was in its volumes (npz), of those stages that moved.
    registrations
        How the stages after the first, by their label, and the known maps, by `KnownSource.key`, came to this grid (npz).
    """

    series: Sequence[Path]
    motions: Mapping[int, Path]
    registrations: Mapping[str, Path]


class ExchangeResults(MapResults):
    """Lazy access to the arrays of `ExchangeFiles`."""

    def __init__(self, files: ExchangeFiles, *, scan: ExchangeScan) -> None:
        super().__init__(files)
        self.files, self.scan = files, scan

    def series(self, stage: int) -> NDArray[np.float32]:
        """Return the magnitudes of a stage, mapped from the file."""
        return load_volume(self.files.series[stage])[0]

    @cached_property
    def motions(self) -> Mapping[int, Mapping[str, NDArray[Any]]]:
        """Transforms of the volumes by the number of the stage, with parameters and displacement where motion was corrected."""
        return {stage: arrays_of(path) for stage, path in self.files.motions.items()}

    @cached_property
    def registrations(self) -> Mapping[str, Mapping[str, NDArray[Any]]]:
        """How stages and known maps came to this grid."""
        return {name: arrays_of(path) for name, path in self.files.registrations.items()}

    @cached_property
    def maps(self) -> Mapping[str, NDArray[np.float32]]:
        """Fractions and rates by name, `MT_fraction` …, in the order of the pools."""
        names = [f"{pool}_{quantity}" for pool in self.scan.pools for quantity in QUANTITIES]
        return {name: self.arrays[name] for name in names}

    @cached_property
    def correlations(self) -> Mapping[str, NDArray[np.float32]]:
        """Correlation of fraction and rate by name, `MT_correlation` …."""
        return {f"{pool}_correlation": self.arrays[f"{pool}_correlation"] for pool in self.scan.pools}

    @cached_property
    def status(self) -> Mapping[str, NDArray[np.uint8]]:
        """Codes of `Status` by pool."""
        return {pool: self.arrays[f"{pool}_status"] for pool in self.scan.pools}

    @cached_property
    def known(self) -> Mapping[str, NDArray[np.float32]]:
        """Known maps as used, by the names of `KNOWN`."""
        return {name: self.arrays[quantity.name] for name, quantity in KNOWN_QUANTITIES.items()}

    @cached_property
    def posterior(self) -> Mapping[str, NDArray[np.float32]]:
        """Posterior maps and their standard deviations by name, empty where none were asked for."""
        return {name.removeprefix(POSTERIOR): each for name, each in self.arrays.items() if name.startswith(POSTERIOR)}
