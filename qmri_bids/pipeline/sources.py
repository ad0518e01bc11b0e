"""Where the maps come from that a run takes: scans, other runs, files and numbers, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from qmri_bids.bids.refusal import ValueSource

B1Method = Literal["TB1TFL", "TB1RFM", "TB1DAM", "TB1AFI", "TB1map", "WASABI"]
"""How B1 was measured: by the suffix of a B1 scan, or by a CEST run."""


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
        Repetition times of a TB1AFI in the order of the images [s], else None.
    method_error
        Relative error of the method, over tissues of a head, that is not corrected since T1 is not known: it enters the standard
        deviation of B1.
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
    method_error: float = 0.0
    run: str | None = None
    intended_for: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_ready_made(self) -> bool:
        """Whether its values were computed elsewhere: they may have been smoothed, so that their scatter tells no noise."""
        return self.method == "TB1map"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, each once."""
        return tuple(dict.fromkeys(path for path in (self.anatomical, self.map, self.second) if path is not None))


def b1_line(b1: B1Run | None) -> str:
    """Return where B1 comes from, as a short line."""
    return "B1: " + ("none (B1 = 1 is assumed)" if b1 is None else f"{b1.run or b1.map.name} ({b1.method})")


PhaseUnits = Literal["rad", "arbitrary"]


@dataclass(frozen=True, kw_only=True)
class Fieldmap:
    """A map of off-resonance, or the phase from which it is computed.

    Parameters
    ----------
    path, magnitude
        The map (or the phase of the first echo, or the difference of both) and the magnitude image on its grid, None without one.
    hertz
        Hz per stored value of a map.
    second
        Phase of the second echo where both are stored apart.
    phase_units
        Units of the phase; None for a map.
    echo_times
        Echo times of both echoes [s]; None for a map.
    intended_for, identifiers
        IntendedFor and B0FieldIdentifier of the sidecar.
    warnings
        Doubts, as sentences.
    """

    path: Path
    magnitude: Path | None = None
    hertz: float = 1.0
    second: Path | None = None
    phase_units: PhaseUnits | None = None
    echo_times: tuple[float, float] | None = None
    intended_for: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(path for path in (self.path, self.second, self.magnitude) if path is not None)


@dataclass(frozen=True, kw_only=True)
class Take:
    """Maps that a run takes, where they come from, and what becomes of it without them.

    Parameters
    ----------
    names
        What is taken, of `physics.fingerprint.KNOWN`.
    key
        Prefix of the inputs of the workflow that take them (`<key>_maps` and `<key>_magnitude`); the names, where none is given.
    method
        How the maps were made: `pcbssfp`, `wasabi`, `wassr`, `b1`, `fieldmap`, `maps` for files, `fixed` for numbers, `spectrum`
        for what a Z-spectrum tells itself.
    run
        Label of the run of this call that gives them; None where none does.
    b1_run, fieldmap
        The scan that gives them, with what its values mean; None where none does.
    files, stdev_files
        Map files by name, in the units of BIDS (T1map, T2map in seconds, TB1map in percent or as a ratio, fieldmap in Hz).
    factors
        What values of files are multiplied by to be in these units, by name; 1 where none is named.
    image
        Image on the grid of the files by which they are registered; None: they are placed by the coordinates of the scanner.
    values
        Numbers in SI units (T1 and T2 in s, B1 as a ratio, off-resonance in Hz) by name.
    sentence
        Why this one, for the log and the report.
    without
        What is done where the run that gives them has failed, as a sentence; None where nothing can be done without it.
    """

    names: tuple[str, ...]
    key: str = ""
    method: str = "run"
    run: str | None = None
    b1_run: B1Run | None = None
    fieldmap: Fieldmap | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    stdev_files: Mapping[str, Path] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    image: Path | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    sentence: str = ""
    without: str | None = None

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", "_".join(self.names))

    @property
    def giver(self) -> str:
        """Label of the run of this call that gives them.

        Raises
        ------
        ValueError
            If they come from elsewhere.
        """
        if self.run is None:
            raise ValueError(f"{self.key}: no run of this call gives it, it comes from {self.method}")
        return self.run


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A source of maps, or why a way to them is closed.

    Parameters
    ----------
    source
        Its sentence is a part of one, until it is chosen. None where the way is closed.
    reason
        Why it is closed.
    remarks
        What is added to the sentence of the source.
    warnings
        Sentences for the run.
    scan
        What sources have in common that are registered together.
    """

    source: Take | None = None
    reason: str = ""
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    scan: object = None
