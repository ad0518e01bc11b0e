"""Fingerprints from which pool fractions and exchange rates are estimated, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.pipeline.b1_source import B1Run
from qmri_bids.pipeline.run import Run, Take, size_of, wrapped
from qmri_bids.scans.fieldmap.source import Fieldmap
from qmri_bids.scans.saturation.run import CestRun

KnownMethod = Literal["pcbssfp", "wasabi", "wassr", "fieldmap", "b1", "maps", "fixed"]
"""Where known maps come from: another run of the call, a field map, a B1 scan, maps in files, or numbers that were asked for."""


@dataclass(frozen=True, kw_only=True)
class KnownSource:
    """Where some of the known maps of a fingerprint come from.

    Parameters
    ----------
    names
        What it gives, of `estimation.exchange.KNOWN`.
    method
        One of `KnownMethod`.
    run
        Label of the run of this call whose estimate holds the maps; None otherwise.
    files, stdev_files
        Map files by name, in the units of BIDS (T1map, T2map in seconds, TB1map in percent or as a ratio, fieldmap in Hz); empty
        unless the method is `maps` or `fieldmap`.
    image
        Image on the grid of the files by which they are registered; None: they are placed by the coordinates of the scanner.
    b1_run
        The B1 scan; None unless the method is `b1`.
    fieldmap
        How off-resonance follows from a field map; None unless the method is `fieldmap`.
    values
        Numbers in SI units (T1 and T2 in s, B1 as a ratio, off-resonance in Hz) by name; empty unless the method is `fixed`.
    sentence
        Why this one, for the log and the report.
    """

    names: tuple[str, ...]
    method: KnownMethod
    run: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    stdev_files: Mapping[str, Path] = field(default_factory=dict)
    image: Path | None = None
    b1_run: B1Run | None = None
    fieldmap: Fieldmap | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    sentence: str

    @property
    def key(self) -> str:
        """Name of the source within its run: what it gives, e.g. `t1_t2`."""
        return "_".join(self.names)


@dataclass(frozen=True, kw_only=True)
class ExchangeRun(Run):
    """One or two fingerprints of a session, estimated together.

    Parameters
    ----------
    entities
        Short names and labels in the order of the file name; `acq` is that of the one stage, or what both stages share.
    stages
        The series, in the order of `scan.protocols`; all are aligned to the first.
    scan
        Protocols, pool model and pools to estimate.
    known
        Sources that together give every map of `estimation.exchange.KNOWN` once.
    sources, decisions, warnings
        Where values came from; what was chosen, and what a reader must know, as sentences for the log and the report.
    """

    entities: Mapping[str, str]
    stages: tuple[CestRun, ...]
    scan: ExchangeScan
    known: tuple[KnownSource, ...]
    sources: tuple[ValueSource, ...] = ()
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

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
    def takes(self) -> tuple[Take, ...]:
        """The known maps that other runs give."""
        return tuple(
            Take(key=source.key, names=source.names, run=source.run) for source in self.known if source.run is not None
        )
