"""B1 scans and field maps as runs of their own, as frozen data that can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.pipeline.run import Run, size_of
from qmri_bids.pipeline.sources import B1Run, Fieldmap

if TYPE_CHECKING:
    from qmri_bids.scans.fields.loading import LoadedField


@dataclass(frozen=True, kw_only=True)
class FieldRun(Run):
    """A scan of a field that is mapped for itself.

    Parameters
    ----------
    entities
        Short names and labels in the order of the file name; `acq` is always there and ends with the suffix of the scan, so that no
        other run has the names of its files.
    suffix
        Suffix of the scan.
    grid
        Shape of the map.
    sources, warnings
        Where values came from; decisions and doubts as sentences for the log and the report.
    """

    entities: Mapping[str, str]
    suffix: str
    grid: tuple[int, int, int]
    sources: tuple[ValueSource, ...] = ()
    warnings: tuple[str, ...] = ()

    volume_noun = "image"

    @property
    def label(self) -> str:
        """Name of the run, e.g. `sub-01_acq-TB1TFL_TB1TFL`."""
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items()), self.suffix])

    @property
    def series(self) -> tuple[Run, ...]:
        """None: no motion is told of one image."""
        return ()

    @property
    def number_of_volumes(self) -> int:
        """One image shows where the scan lies, whatever the map is computed from."""
        return 1

    @property
    def image(self) -> Path | None:
        """Image on the grid of the map in which the head is found; None where the scan has none."""
        raise NotImplementedError

    def load(self) -> LoadedField:
        """Read the scan.

        Raises
        ------
        ContentError
            If its files hold no field.
        """
        raise NotImplementedError

    def check_images(self) -> tuple[str, ...]:
        """Read the scan as the workflow does; see `Run.check_images`."""
        return self.load().warnings


@dataclass(frozen=True, kw_only=True)
class B1ScanRun(FieldRun):
    """A B1 scan.

    Parameters
    ----------
    scan
        Its files, and how B1 follows from them.
    """

    scan: B1Run

    kind = "b1"
    title = "B1 map"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files, all on one grid."""
        return self.scan.paths

    @property
    def image(self) -> Path | None:
        """The anatomical image, or the first of two from which B1 is computed."""
        return self.scan.map if self.scan.second is not None else self.scan.anatomical

    @property
    def lines(self) -> list[str]:
        """The files, and that no run takes them."""
        files = " and ".join(path.name for path in self.paths)
        return [f"B1 ({self.scan.method}) of {size_of(self.grid)}: {files}", "no run of the session takes it"]

    @property
    def choices(self) -> tuple[str, ...]:
        """Why it is a run of its own."""
        why = f"No run of the session takes the B1 scan {self.scan.map.name}: it is mapped for itself."
        if self.image is not None:
            return (why,)
        return (
            why,
            "It has no image of the head, so that no brain is looked for: the mask is asked to hold whatever has a value.",
        )

    def load(self) -> LoadedField:
        """Read the scan; see `FieldRun.load`."""
        from qmri_bids.scans.fields.loading import load_b1

        return load_b1(self.scan)


@dataclass(frozen=True, kw_only=True)
class B0ScanRun(FieldRun):
    """A field map.

    Parameters
    ----------
    scan
        Its files, and how off-resonance follows from them; with a magnitude image.
    """

    scan: Fieldmap

    kind = "b0"
    title = "B0 field map"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files, all on one grid."""
        return self.scan.paths

    @property
    def image(self) -> Path | None:
        """The magnitude image."""
        return self.scan.magnitude

    @property
    def lines(self) -> list[str]:
        """The files, and that there is no other run."""
        files = " and ".join(path.name for path in self.paths)
        return [f"B0 ({self.suffix}) of {size_of(self.grid)}: {files}", "the session has no run that could take it"]

    @property
    def choices(self) -> tuple[str, ...]:
        """Why it is a run of its own."""
        return (
            f"The session has no run that could take the field map {self.scan.path.name}: it is mapped for itself.",
            *self.scan.warnings,
        )

    def load(self) -> LoadedField:
        """Read the scan; see `FieldRun.load`."""
        from qmri_bids.scans.fields.loading import load_b0

        return load_b0(self.scan)
