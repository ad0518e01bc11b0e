"""Phase-cycled bSSFP runs that passed the checks, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.run import Run, size_of
from qmri_bids.pipeline.sources import B1Run, Take, b1_line
from qmri_bids.units import radians_to_degrees

LayoutKind = Literal["mag-phase", "real-imag", "complex", "split-mag-phase", "split-real-imag", "split-complex"]


@dataclass(frozen=True, kw_only=True)
class CycleFiles:
    """Image files of a pc-bSSFP run.

    The tuples in use have one path (4D, last axis = cycles) or one path per cycle (3D); the others are empty.

    Parameters
    ----------
    magnitude, phase, real, imaginary, complex_
        Paths by part.
    phase_units
        `rad`, or `arbitrary` for a scale to be detected; None where there is no phase image.
    volumes
        Index of the volume of each cycle in the series (the volumes of a 4D file, or the 3D files in their
        order). Shorter than the series where a table marks volumes as not valid.
    """

    magnitude: tuple[Path, ...] = ()
    phase: tuple[Path, ...] = ()
    real: tuple[Path, ...] = ()
    imaginary: tuple[Path, ...] = ()
    complex_: tuple[Path, ...] = ()
    phase_units: Literal["rad", "arbitrary"] | None = None
    volumes: tuple[int, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, part by part."""
        return self.magnitude + self.phase + self.real + self.imaginary + self.complex_


@dataclass(frozen=True, kw_only=True)
class PcBssfpRun(Run):
    """A phase-cycled bSSFP run that passed all checks.

    Parameters
    ----------
    entities
        Short names and labels in the order of the file name, without `part`; the label of a single cycle is
        removed from `acq`.
    suffix
        Suffix of the raw files.
    layout_kind
        How the complex values are stored.
    files
        The image files.
    grid
        Shape of one volume.
    protocol
        In SI units, one increment per cycle in the order of `files.volumes`.
    b1
        The B1 map to use; None if the user chose to work without.
    sources, warnings
        Where values came from; decisions and doubts as sentences for the log and the report.
    in_slices
        Whether slices along the third axis were excited one by one (MRAcquisitionType 2D).
    pulse
        The excitation pulse; None where it is not known, or takes no time.
    hard_pulses
        Whether pulses are stated to take no time, as simulations may have them.
    """

    entities: Mapping[str, str]
    suffix: str
    layout_kind: LayoutKind
    files: CycleFiles
    grid: tuple[int, int, int]
    protocol: BssfpProtocol
    b1: B1Run | None
    sources: tuple[ValueSource, ...]
    warnings: tuple[str, ...]
    in_slices: bool = False
    pulse: ExcitationPulse | None = None

    hard_pulses: bool = False

    kind = "pcbssfp"
    title = "pc-bSSFP relaxometry"
    volume_noun = "cycle"
    names_registered = False

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-pcbssfp_flip-1`."""
        return "_".join(f"{key}-{value}" for key, value in self.entities.items())

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files."""
        return self.files.paths

    @property
    def lines(self) -> list[str]:
        """Cycles, files and B1."""
        return [
            f"{self.protocol.number_of_cycles} cycles of {size_of(self.grid)}, {self.layout_kind}, "
            f"{len(self.files.paths)} file(s)",
            b1_line(self.b1),
        ]

    @property
    def number_of_volumes(self) -> int:
        """Number of phase cycles."""
        return self.protocol.number_of_cycles

    @property
    def volume_columns(self) -> Mapping[str, Sequence[Any]]:
        """RF phase increment of each cycle [degrees]."""
        return {"rf_phase_increment": [radians_to_degrees(each) for each in self.protocol.rf_phase_increment]}

    @property
    def b1_scans(self) -> tuple[B1Run, ...]:
        """The B1 map, if there is one."""
        return () if self.b1 is None else (self.b1,)

    def check_images(self) -> tuple[str, ...]:
        """Read the cycles as the workflow does; see `Run.check_images`."""
        from qmri_bids.scans.bssfp.cycles import read_cycles

        return read_cycles(self.files, self.protocol).warnings

    @property
    def takes(self) -> tuple[Take, ...]:
        """B1, where another run gives it."""
        return () if self.b1 is None or self.b1.run is None else (Take(key="b1", names=("b1",), run=self.b1.run),)
