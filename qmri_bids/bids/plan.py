"""What was found in a session and what can be done with it, as frozen data that can be pickled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qmri_bids.bids.refusal import Refusal, ValueSource
from qmri_bids.bids.run import Run, Take, size_of
from qmri_bids.choices import B0Choice
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.units import radians_to_degrees

if TYPE_CHECKING:
    from qmri_bids.bids.exchange_plan import ExchangeRun
    from qmri_bids.bids.saturation_plan import CestRun, MtrRun, MtsRun

B1Method = Literal["TB1TFL", "TB1RFM", "TB1DAM", "TB1AFI", "TB1map", "WASABI"]
"""How B1 was measured: by the suffix of a B1 scan, or by a CEST run."""

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
class B1Run:
    """A scan of B1+ and how relative B1 follows from it.

    A map holds it: (stored value - `offset`) × `scale`. Of two images (`second`), the method says how it is computed.

    Parameters
    ----------
    entities
        Short names and labels, in the order of the file name.
    method
        One of `B1Method`.
    anatomical, map
        Image by which the scan is registered, on the grid of the map, None if there is none; the map, or the first of two images.
    second
        The image of twice the flip angle (TB1DAM) or of the second repetition time (TB1AFI), else None.
    anatomical_volume, map_volume, second_volume
        Index on the last axis where several lie in one file, else None.
    scale, offset
        Relative B1 (1 = nominal) per stored value, and the stored value of B1 = 0.
    nominal_flip_angle
        Nominal flip angle of the first image or of the preparation [rad], None for a TB1map.
    repetition_times
        Of a TB1AFI in the order of the images [s], else None.
    run
        Label of the CEST run of the same call whose estimate holds B1 (WASABI); None for a B1 scan.
    intended_for
        Runs that the sidecar names, as written there.
    identifiers
        B0FieldIdentifier of the sidecar.
    sources, warnings
        Where values came from; decisions and doubts as sentences.
    """

    entities: Mapping[str, str]
    method: B1Method
    anatomical: Path | None
    map: Path
    second: Path | None = None
    anatomical_volume: int | None = None
    map_volume: int | None = None
    second_volume: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    nominal_flip_angle: float | None = None
    repetition_times: tuple[float, float] | None = None
    run: str | None = None
    intended_for: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, each once."""
        return tuple(dict.fromkeys(path for path in (self.anatomical, self.map, self.second) if path is not None))


def b1_line(b1: B1Run | None) -> str:
    """Return where B1 comes from, as a short line."""
    return "B1: " + ("none (B1 = 1 is assumed)" if b1 is None else f"{b1.run or b1.map.name} ({b1.method})")


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


@dataclass(frozen=True, kw_only=True)
class SessionPlan:
    """Runs of one subject and session.

    Parameters
    ----------
    subject, session
        Bare labels; session None for all sessions of the subject.
    pcbssfp, cest, mtr, mts
        Runs that can be computed.
    exchange
        Fingerprints that can be computed; until `with_exchange` makes them, they are among `cest`.
    b1
        B1 maps that can be used.
    files
        What else may serve a run.
    refusals
        Runs that were meant to be used and cannot.
    notes
        Scans that were looked at and left alone, as sentences.
    """

    subject: str
    session: str | None
    pcbssfp: tuple[PcBssfpRun, ...] = ()
    cest: tuple[CestRun, ...] = ()
    mtr: tuple[MtrRun, ...] = ()
    mts: tuple[MtsRun, ...] = ()
    exchange: tuple[ExchangeRun, ...] = ()
    b1: tuple[B1Run, ...] = ()
    files: SessionFiles = field(default_factory=SessionFiles)
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def runs(self) -> tuple[PcBssfpRun | CestRun | MtrRun | MtsRun | ExchangeRun, ...]:
        """All runs that can be computed."""
        return (*self.pcbssfp, *self.mtr, *self.mts, *self.cest, *self.exchange)

    @property
    def label(self) -> str:
        """`sub-01` or `sub-01_ses-1`."""
        return f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")
