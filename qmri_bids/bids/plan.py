"""Options and files of a session, and pc-bSSFP runs that passed the checks, as frozen data that can be pickled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qmri_bids.bids.b1_plan import B1Run, b1_line
from qmri_bids.bids.refusal import ValueSource
from qmri_bids.bids.run import Run, Take, size_of
from qmri_bids.choices import B0Choice
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.units import radians_to_degrees

LayoutKind = Literal["mag-phase", "real-imag", "complex", "split-mag-phase", "split-real-imag", "split-complex"]


@dataclass(frozen=True, kw_only=True)
class FindOptions:
    """What the user asked for.

    Parameters
    ----------
    no_b1
        Work without a B1 map: B1 = 1 is assumed.
    b1_nominal_flip_angle
        Nominal flip angle of the B1 scan [rad], instead of FlipAngle in its sidecar.
    b1_scale
        Relative B1 per stored value, instead of the scale of the method: B1 = stored value × b1_scale.
    b1_afi_repetition_times
        TR1 and TR2 of actual flip-angle imaging [s], instead of those in the sidecars.
    run_label
        Runs to use, with or without `run-`; empty for all.
    cest_b0
        Where the shift of water of Z-spectra and fingerprints comes from; `auto` for the best that there is.
    cest_pools
        Pool model of fingerprints, YAML of pulseq-CEST; None for the published one.
    cest_t1, cest_t2, cest_off_resonance
        T1 [s], T2 [s] and off-resonance [Hz] of every voxel of fingerprints that have no map of it; None to have them refused.
    derivatives
        Folders in which maps for fingerprints are looked for, by name.
    filters
        Content of a BIDS filter file, from `load_filter_file`.
    """

    no_b1: bool = False
    b1_nominal_flip_angle: float | None = None
    b1_scale: float | None = None
    b1_afi_repetition_times: tuple[float, float] | None = None
    cest_b0: B0Choice = "auto"
    cest_pools: Path | None = None
    cest_t1: float | None = None
    cest_t2: float | None = None
    cest_off_resonance: float | None = None
    derivatives: Mapping[str, Path] = field(default_factory=dict)
    run_label: str | tuple[str, ...] | None = None
    filters: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("b1_nominal_flip_angle", "b1_scale", "cest_t1", "cest_t2"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be a number above zero, found {value}")
        if self.b1_afi_repetition_times is not None:
            first, second = self.b1_afi_repetition_times
            if not min(first, second) > 0.0 or not max(first, second) < math.inf or first == second:
                raise ValueError(
                    f"b1_afi_repetition_times must be two different numbers above zero, found {first} and {second}"
                )
        if self.cest_off_resonance is not None and not math.isfinite(self.cest_off_resonance):
            raise ValueError(f"cest_off_resonance must be a finite number, found {self.cest_off_resonance}")


@dataclass(frozen=True, kw_only=True)
class SessionFiles:
    """Files from which runs may take maps; none of them has been read.

    Parameters
    ----------
    root
        The dataset.
    b1, fieldmaps
        Images of B1 scans and field maps.
    """

    root: Path = Path()
    b1: tuple[Path, ...] = ()
    fieldmaps: tuple[Path, ...] = ()


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

    @property
    def takes(self) -> tuple[Take, ...]:
        """B1, where another run gives it."""
        return () if self.b1 is None or self.b1.run is None else (Take(key="b1", names=("b1",), run=self.b1.run),)
