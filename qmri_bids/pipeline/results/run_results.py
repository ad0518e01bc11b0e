"""All that the nodes of a run left behind, read once for writing and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.pipeline.earlier.mask_record import BRAIN, OBJECT
from qmri_bids.pipeline.results.estimate_file import StoredEstimate, arrays_of
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.preprocessing.tissues.pure import pure_tissue
from qmri_bids.tissue_labels import FLUID, TISSUE_LABELS


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """Files of the nodes; None, or not in a mapping, where a step was left out.

    Parameters
    ----------
    mask, magnitude
        Brain mask, and mean of the cycles or of the volumes of full signal.
    estimate
        What was estimated; see `estimate_file`.
    series
        Images as estimated, 4D, one file a series, all on the grid of the first.
    motions
        Motion of the head in the volumes of a series (npz), by the number of the series.
    registrations
        How other series and maps of other scans came to this grid (npz), by name.
    b1
        B1 on this grid.
    calibration
        Frequency, gain and phase of every phase cycle (npz).
    unwrapped
        Continuous off-resonance (npz).
    tissue, tissue_probabilities
        Labels of grey matter, white matter and fluid, and the probability of each (4D).
    images
        Images of other contrast and without bands by name (npz).
    unaligned
        The first series before its motion was corrected, 4D.
    found
        What the mask holds and what speaks for it.
    """

    mask: Path
    magnitude: Path
    estimate: Path
    series: Sequence[Path]
    motions: Mapping[int, Path] = field(default_factory=dict)
    registrations: Mapping[str, Path] = field(default_factory=dict)
    b1: Path | None = None
    calibration: Path | None = None
    unwrapped: Path | None = None
    tissue: Path | None = None
    tissue_probabilities: Path | None = None
    images: Path | None = None
    unaligned: Path | None = None
    found: Mapping[str, Any] = field(default_factory=lambda: {"kind": BRAIN})


class RunResults:
    """Lazy access to the arrays of `RunFiles`."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        self.estimate = StoredEstimate(files.estimate)

    @property
    def kind(self) -> str:
        """What the mask holds: `brain`, `object` or `all`."""
        return str(self.files.found["kind"])

    @property
    def whole(self) -> str:
        """Name of the whole mask in tables."""
        return BRAIN if self.kind == BRAIN else OBJECT

    @property
    def by_hand(self) -> bool:
        """Whether a person has made the mask."""
        return bool(self.files.found.get("by_hand", False))

    @property
    def stripped(self) -> bool | None:
        """SkullStripped where it is not what it usually is: maps of an object hold whatever has signal."""
        return None if self.kind == BRAIN else False

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to RAS millimetres."""
        return load_volume(self.files.magnitude)[1]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Brain mask."""
        return load_volume(self.files.mask)[0] > 0

    @cached_property
    def magnitude(self) -> NDArray[np.float32]:
        """Mean of the cycles, or of the volumes of full signal."""
        return load_volume(self.files.magnitude)[0]

    def series(self, number: int = 0) -> NDArray[Any]:
        """Return the images of a series as estimated, mapped from the file: complex cycles or magnitudes."""
        return load_volume(self.files.series[number])[0]

    @cached_property
    def motions(self) -> Mapping[int, Mapping[str, NDArray[Any]]]:
        """Transforms of the volumes by the number of the series, with parameters and displacement where motion was corrected."""
        return {number: arrays_of(path) for number, path in self.files.motions.items()}

    @property
    def motion(self) -> Mapping[str, NDArray[Any]] | None:
        """Motion in the first series, None if it was not corrected."""
        return self.motions.get(0)

    def unaligned(self) -> NDArray[Any] | None:
        """Return the first series before its motion was corrected, mapped from the file, None if it was not corrected."""
        return None if self.files.unaligned is None else load_volume(self.files.unaligned)[0]

    @cached_property
    def registrations(self) -> Mapping[str, Mapping[str, NDArray[Any]]]:
        """How other series and maps of other scans came to this grid, by name."""
        return {name: arrays_of(path) for name, path in self.files.registrations.items()}

    @cached_property
    def b1(self) -> NDArray[np.float32] | None:
        """B1 on this grid that entered the maps, None if there was none."""
        return None if self.files.b1 is None else load_volume(self.files.b1)[0]

    @cached_property
    def calibration(self) -> Mapping[str, NDArray[Any]] | None:
        """Frequency, gain and phase of every phase cycle with their standard deviations, None if none were looked for."""
        return None if self.files.calibration is None else arrays_of(self.files.calibration)

    @cached_property
    def unwrapped(self) -> NDArray[np.float32] | None:
        """Continuous off-resonance [Hz], None if it was not unwrapped."""
        return None if self.files.unwrapped is None else arrays_of(self.files.unwrapped)["off_resonance"]

    @cached_property
    def tissue(self) -> NDArray[np.uint8] | None:
        """Labels of grey matter, white matter and fluid, None where they were not told apart."""
        return None if self.files.tissue is None else np.asarray(load_volume(self.files.tissue)[0]).astype(np.uint8)

    @cached_property
    def tissue_probabilities(self) -> NDArray[np.float32] | None:
        """Probability of each of them, shape (X, Y, Z, 3), None where none is known."""
        return None if self.files.tissue_probabilities is None else load_volume(self.files.tissue_probabilities)[0]

    @cached_property
    def images(self) -> Mapping[str, NDArray[np.float32]] | None:
        """Images of other contrast and without bands with their standard deviations by name, None if none were asked for."""
        return None if self.files.images is None else arrays_of(self.files.images)

    @cached_property
    def pure_tissue(self) -> NDArray[np.uint8] | None:
        """Labels of the voxels that hold one of them alone, None where they were not told apart."""
        if self.tissue is None:
            return None
        shares = self.tissue_probabilities
        fluid = None if shares is None else shares[..., TISSUE_LABELS.index(FLUID)]
        return pure_tissue(self.tissue, mask=self.mask, fluid=fluid).labels

    def series_of_voxels(self, name: str) -> NDArray[np.float32]:
        """Return an array (V, K) of the estimate as a series of volumes, NaN outside."""
        values = self.estimate.arrays[name]
        full = np.full((*self.mask.shape, values.shape[1]), np.nan, dtype=np.float32)
        full[self.estimate.arrays["inside"]] = values
        return full
