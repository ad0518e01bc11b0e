"""What is said about a CEST series while it is read, and which of several statements counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.refusal import ValueSource
from qmri_bids.physics.saturation import SaturatedImage, SaturationProtocol
from qmri_bids.scans.cest.context import CestTable
from qmri_bids.scans.cest.values import Quantity, Stated, agree, read_stated


@dataclass(kw_only=True)
class Book:
    """The series that is read, and what is said about it on the way.

    Parameters
    ----------
    sidecar, table
        Where it is described; None without a table.
    number
        Volumes of the image.
    played, seq_name
        What the pulseq file plays, and its name; None without one.
    sources, warnings
        As in `CestRun`.
    """

    sidecar: Sidecar
    table: CestTable | None
    number: int
    played: SaturationProtocol | None = None
    seq_name: str = ""
    sources: list[ValueSource] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stated(self, quantity: Quantity) -> list[Stated]:
        """Return what table and sidecar state of a quantity, the table first."""
        return read_stated(quantity, table=self.table, sidecar=self.sidecar, number_of_volumes=self.number)

    def of_pulseq(self, values: Callable[[SaturatedImage], float | None]) -> Stated | None:
        """Return a value of every image of the pulseq file, None without a file."""
        if self.played is None:
            return None
        numbers = tuple(values(image) for image in self.played.images)
        return Stated(values=numbers, file=self.seq_name, key="events", per_volume=True)

    def choose(self, stated: Sequence[Stated], *, played: Stated | None = None, slack: float = 0.0) -> Stated | None:
        """Return the statement that takes precedence, None without any; a disagreement with those it overrules is a warning."""
        ordered = [each for each in stated if each.per_volume]
        ordered += [played] if played is not None else []
        ordered += [each for each in stated if not each.per_volume]
        if not ordered:
            return None
        for other in ordered[1:]:
            if not agree(ordered[0], other, slack):
                self.warnings.append(
                    f"{other.origin} differs from {ordered[0].origin}, which takes precedence and is used."
                )
        return ordered[0]
