"""What every run that passed the checks says of itself, whatever it is a scan of."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.pipeline.sources import B1Run, Take
from qmri_bids.units import GYROMAGNETIC_RATIO

LINE_WIDTH = 99
"""Longest short line [characters]."""


def size_of(grid: Sequence[int]) -> str:
    """Return the size of a volume in words.

    Examples
    --------
    >>> size_of((176, 176, 128))
    '176 × 176 × 128 voxels'
    """
    return " × ".join(str(length) for length in grid) + " voxels"


def wrapped(sentence: str) -> list[str]:
    """Return a sentence as short lines."""
    return textwrap.wrap(sentence, width=LINE_WIDTH, break_on_hyphens=False)


class Run:
    """A run that passed all checks, as frozen data that can be pickled; what differs between kinds of runs is overridden.

    Parameters
    ----------
    kind
        Key of the kind of run, by which its workflow, files, figures and words are found.
    volume_noun
        What one image of a series is called.
    names_registered
        Whether the table of confounds says which volumes were registered by themselves.
    entities
        Short names and labels in the order of the file name.
    grid
        Shape of one volume, and of the maps.
    sources, warnings
        Where values came from; decisions and doubts as sentences for the log and the report.
    """

    kind: Any
    volume_noun = "volume"
    names_registered = True
    entities: Mapping[str, str]
    grid: tuple[int, int, int]
    sources: tuple[ValueSource, ...]
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """What is done with it, in words: the heading of its report, whether it was done or failed."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-pcbssfp_flip-1`."""
        raise NotImplementedError

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files."""
        raise NotImplementedError

    @property
    def series(self) -> tuple[Run, ...]:
        """The series of images that make up the run; each has files and motion of its own."""
        return (self,)

    @property
    def lines(self) -> list[str]:
        """What it is, in short lines for the table of a dry run."""
        raise NotImplementedError

    @property
    def number_of_volumes(self) -> int:
        """Volumes of the longest series."""
        raise NotImplementedError

    @property
    def volume_columns(self) -> Mapping[str, Sequence[Any]]:
        """What each volume is, by the column of the table of confounds."""
        return {}

    @property
    def transforms_output(self) -> str:
        """Row in `data/outputs.json` of the transforms of its volumes."""
        return f"{self.volume_noun}_transforms"

    @property
    def reference_key(self) -> str:
        """Key of the sidecar for the index of the volume that all others were brought to."""
        return f"Reference{self.volume_noun.capitalize()}"

    @property
    def b1_scans(self) -> tuple[B1Run, ...]:
        """B1 maps that enter the maps of the run."""
        return ()

    @property
    def all_sources(self) -> tuple[ValueSource, ...]:
        """Where its values came from, and those of the B1 scans that it takes."""
        return (*self.sources, *(source for scan in self.b1_scans for source in scan.sources))

    @property
    def static_field(self) -> float | None:
        """Static field of the scan [T], None where no sidecar states it."""
        stated = next((source for source in self.all_sources if source.key == "field_strength"), None)
        if stated is None:
            return None
        return float(stated.value) * (1e6 / GYROMAGNETIC_RATIO if stated.unit == "MHz" else 1.0)

    @property
    def choices(self) -> tuple[str, ...]:
        """What was chosen for the run before anything was computed, as sentences."""
        return ()

    @property
    def takes(self) -> tuple[Take, ...]:
        """Maps of other runs that enter the maps of this one."""
        return ()

    def freed_of(self, keys: Collection[str]) -> Run:
        """Return the run without those of `takes` that it can do without, by their keys."""
        raise ValueError(f"{self.label} cannot do without {' and '.join(keys)}")

    @property
    def maps_taken(self) -> tuple[Take, ...]:
        """All maps that enter its own, those of scans and files among them."""
        return self.takes

    def check_images(self) -> tuple[str, ...]:
        """Read the images as the workflow does, keep nothing, and return the warnings that it will have.

        Raises
        ------
        ContentError
            If they are not what names, headers and sidecars state.
        """
        raise NotImplementedError

    @property
    def all_entities(self) -> list[Mapping[str, str]]:
        """Entities under which the files of the run are written: its own, then those of its series."""
        return [self.entities, *(each.entities for each in self.series if each is not self)]
