"""A field map that passed the checks, as frozen data that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
        Of both echoes [s]; None for a map.
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
