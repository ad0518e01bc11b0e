"""Fingerprints from which pool fractions and exchange rates are estimated, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.pipeline.run import Run, size_of, wrapped
from qmri_bids.pipeline.sources import B1Run, Take
from qmri_bids.scans.saturation.run import CestRun


@dataclass(frozen=True, kw_only=True)
class ExchangeRun(Run):
    """Fingerprints of a session, estimated together.

    Parameters
    ----------
    entities
        Short names and labels in the order of the file name; `acq` is that of the one stage, or what all stages share.
    stages
        The series, in the order of `scan.protocols`; all are aligned to the first.
    scan
        Protocols, pool model and pools to estimate.
    known
        Sources that together give every map of `physics.fingerprint.KNOWN` once, but for those that are fitted along
        (`ExchangeScan.fitted`).
    sources, decisions, warnings
        Where values came from; what was chosen, and what a reader must know, as sentences for the log and the report.
    protons
        Exchanging protons in one molecule by the name of the pool, of those whose concentration is mapped too.
    relaxometry
        The bSSFP scan that has seen T1, which is apparent then and freed together with the pools; None where T1 is that of water,
        or the pulse of the scan is not known.
    """

    entities: Mapping[str, str]
    stages: tuple[CestRun, ...]
    scan: ExchangeScan
    known: tuple[Take, ...]
    sources: tuple[ValueSource, ...] = ()
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    protons: Mapping[str, float] = field(default_factory=dict)
    relaxometry: Relaxometry | None = None

    kind = "exchange"
    title = "CEST: pool fractions and exchange rates"

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-MRF_exchange`."""
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items()), "exchange"])

    @property
    def grid(self) -> tuple[int, int, int]:  # type: ignore[override]  # computed, and never set
        """Shape of one volume of the first stage, the grid of the maps."""
        return self.stages[0].grid

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files."""
        return tuple(stage.image for stage in self.stages)

    @property
    def series(self) -> tuple[Run, ...]:
        """The stages."""
        return self.stages

    @property
    def lines(self) -> list[str]:
        """Pools, stages, and where each known map comes from."""
        images = [f"stage: {each.label}, {len(each.volumes)} images of {size_of(each.grid)}" for each in self.stages]
        return [
            f"fraction and exchange rate of {' and '.join(self.scan.pools)}, {len(self.stages)} stage(s)",
            *images,
            *(line for decision in self.decisions for line in wrapped(f"pools: {decision}")),
            *(line for source in self.known for line in wrapped(f"known: {source.sentence}")),
        ]

    @property
    def number_of_volumes(self) -> int:
        """Volumes of the longest stage."""
        return max(stage.number_of_volumes for stage in self.stages)

    @property
    def b1_scans(self) -> tuple[B1Run, ...]:
        """The B1 scan among the sources of the known maps, if there is one."""
        return tuple(source.b1_run for source in self.known if source.b1_run is not None)

    @property
    def choices(self) -> tuple[str, ...]:
        """How the pools were chosen, and where each known map comes from."""
        return (*self.decisions, *(source.sentence for source in self.known))

    @property
    def maps_taken(self) -> tuple[Take, ...]:
        """The known maps, from wherever they come."""
        return self.known

    def check_images(self) -> tuple[str, ...]:
        """Read the stages as the workflow does; see `Run.check_images`."""
        return tuple(said for stage in self.stages for said in stage.check_images())

    @property
    def takes(self) -> tuple[Take, ...]:
        """The known maps that other runs give."""
        return tuple(source for source in self.known if source.run is not None)
