"""A scan of B1+ that passed the checks, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
