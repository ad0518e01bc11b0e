"""A pc-bSSFP scan whose T1 and M0 are freed of magnetisation transfer, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.estimation.one_model.given_pools import Measure
from qmri_bids.physics.excitation.transfer import Relaxometry
from qmri_bids.physics.published_pools import MT
from qmri_bids.pipeline.run import Run, size_of, wrapped
from qmri_bids.pipeline.sources import B1Run, Take

RELAXOMETRY, POOLS = "pcbssfp", "pools"
"""Keys of what such a run takes."""


@dataclass(frozen=True, kw_only=True)
class StoredPool:
    """What the values of maps of the semisolid pool in files mean.

    Parameters
    ----------
    measure, title
        Whether the fraction is F or MPF, and the same in words.
    unit, stdev_unit
        Fraction, and standard deviation of it, for a stored value of one: 0.01 of a map in percent.
    names
        Maps that there are, by their names in `quantities`.
    """

    measure: Measure
    title: str
    unit: float
    stdev_unit: float
    names: tuple[str, ...]

    @property
    def has_rate(self) -> bool:
        """Whether a map tells the exchange rate; otherwise it is that of the literature."""
        return f"{MT}_rate" in self.names


@dataclass(frozen=True, kw_only=True)
class TransferRun(Run):
    """T1 and M0 of a pc-bSSFP run freed of magnetisation transfer.

    Parameters
    ----------
    entities
        Those of the pc-bSSFP run; `acq` ends with `FREED_LABEL`, so that no other run has the names of its files.
    relaxometry
        Pulse and protocol of that run.
    scan, pools
        The run that gives apparent T1, and where the semisolid pool comes from.
    line, r1
        G(0) of the semisolid pool [s], and its R1 [1/s]; None for that of free water.
    line_name
        The line in words.
    stored
        What the values of files of the semisolid pool mean; None where another run gives it.
    other
        Pulse and protocol of the other pc-bSSFP run that tells the semisolid pool together with this one: `pools` takes its maps
        of relaxation. None where the pool comes from elsewhere.
    images
        The image files of the pc-bSSFP run.
    b1
        Its B1 map; None where 1 was assumed.
    grid, sources, warnings
        As in `Run`.
    """

    entities: Mapping[str, str]
    relaxometry: Relaxometry
    scan: Take
    pools: Take
    line: float
    line_name: str
    r1: float | None
    images: tuple[Path, ...]
    b1: B1Run | None
    grid: tuple[int, int, int]
    stored: StoredPool | None = None
    other: Relaxometry | None = None
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    kind = "transfer"
    title = "pc-bSSFP freed of magnetization transfer"
    volume_noun = "image"

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-pcbssfpMT_transfer`."""
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items()), "transfer"])

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files of the pc-bSSFP run."""
        return self.images

    @property
    def series(self) -> tuple[Run, ...]:
        """None: the images, and their motion, are those of the pc-bSSFP run."""
        return ()

    @property
    def static_field(self) -> float | None:
        """That of the pc-bSSFP run."""
        return self.relaxometry.protocol.field_strength

    @property
    def lines(self) -> list[str]:
        """What is freed, and by what."""
        return [f"T1 and M0 of {self.scan.giver}, {size_of(self.grid)}", *wrapped(self.pools.sentence)]

    @property
    def number_of_volumes(self) -> int:
        """One image shows where the scan lies."""
        return 1

    @property
    def b1_scans(self) -> tuple[B1Run, ...]:
        """The B1 map of the pc-bSSFP run."""
        return () if self.b1 is None else (self.b1,)

    @property
    def choices(self) -> tuple[str, ...]:
        """What frees T1, and what is assumed of the semisolid pool."""
        held = "R1 of free water" if self.r1 is None else f"R1 of {self.r1:g} 1/s"
        same = (
            (
                "With R1 of the semisolid pool that of free water, T1 of an inversion recovery and T1 of free water are one.",
            )
            if self.r1 is None
            else ()
        )
        return (
            self.pools.sentence,
            *same,
            f"The semisolid pool has a {self.line_name} line with G(0) = {1e6 * self.line:.3g} µs, and {held}; the "
            f"excitation pulse is a {self.relaxometry.pulse.name}.",
        )

    @property
    def takes(self) -> tuple[Take, ...]:
        """Apparent T1, and the pools where another run gives them."""
        return (self.scan, *((self.pools,) if self.pools.run is not None else ()))

    @property
    def maps_taken(self) -> tuple[Take, ...]:
        """Apparent T1, and the pools."""
        return (self.scan, self.pools)

    def check_images(self) -> tuple[str, ...]:
        """Check nothing: the images are read by the pc-bSSFP run."""
        return ()
