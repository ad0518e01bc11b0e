"""All that the nodes of a pc-bSSFP run left behind, read once for writing and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.mask_record import BRAIN
from qmri_bids.estimation.base import Estimate
from qmri_bids.preprocessing.pure_tissue import pure_tissue
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import POSTERIOR, STDEV
from qmri_bids.tissue_labels import FLUID, TISSUE_LABELS
from qmri_bids.workflows.map_results import OfMask
from qmri_bids.workflows.volumes import load_volume


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """Files of the nodes; None where a step was left out.

    Parameters
    ----------
    cycles
        Preprocessed complex cycles, as estimated.
    mask, magnitude
        Brain mask and mean magnitude.
    estimate
        Values, stdev, residual and status (npz).
    motion
        Result of the motion correction (npz).
    unwrapped
        Continuous off-resonance (npz).
    b1, b1_registration
        B1 on this grid, and how it came there (npz).
    tissue, tissue_probabilities
        Labels of grey matter, white matter and fluid, and the probability of each (4D).
    found
        What the mask holds and what speaks for it.
    """

    cycles: Path
    mask: Path
    magnitude: Path
    estimate: Path
    motion: Path | None = None
    b1: Path | None = None
    unwrapped: Path | None = None
    b1_registration: Path | None = None
    tissue: Path | None = None
    tissue_probabilities: Path | None = None
    found: Mapping[str, Any] = field(default_factory=lambda: {"kind": BRAIN})


class RunResults(OfMask):
    """Lazy access to the arrays of `RunFiles`."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        self.found = files.found

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to RAS millimetres."""
        return load_volume(self.files.magnitude)[1]

    @cached_property
    def cycles(self) -> NDArray[np.complex64]:
        """Preprocessed complex cycles, mapped from the file."""
        return load_volume(self.files.cycles)[0]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Brain mask."""
        return load_volume(self.files.mask)[0] > 0

    @cached_property
    def magnitude(self) -> NDArray[np.float32]:
        """Mean magnitude."""
        return load_volume(self.files.magnitude)[0]

    @cached_property
    def estimate(self) -> Estimate:
        """The estimate, in volumes."""
        with np.load(self.files.estimate) as stored:
            maps = [name for name in stored.files if name in QUANTITIES and name != "residual"]
            return Estimate(
                values={name: stored[name] for name in maps},
                stdev={name: stored[f"{name}{STDEV}"] for name in maps if f"{name}{STDEV}" in stored},
                residual=stored["residual"],
                status=stored["status"],
            )

    @cached_property
    def posterior(self) -> Mapping[str, NDArray[np.float32]]:
        """Posterior means and standard deviations by name (`T1`, `T1_stdev` …), empty where none was asked for."""
        with np.load(self.files.estimate) as stored:
            return {key.removeprefix(POSTERIOR): stored[key] for key in stored.files if key.startswith(POSTERIOR)}

    @cached_property
    def motion(self) -> Mapping[str, NDArray] | None:
        """Transforms, parameters and displacement, None if motion was not corrected."""
        if self.files.motion is None:
            return None
        with np.load(self.files.motion) as stored:
            return {key: stored[key] for key in stored.files}

    @cached_property
    def unwrapped(self) -> NDArray[np.float32] | None:
        """Continuous off-resonance [Hz], None if it was not unwrapped."""
        if self.files.unwrapped is None:
            return None
        with np.load(self.files.unwrapped) as stored:
            field: NDArray[np.float32] = stored["off_resonance"]
            return field

    @cached_property
    def b1(self) -> NDArray[np.float32] | None:
        """B1 on this grid, None if 1 was assumed."""
        return None if self.files.b1 is None else load_volume(self.files.b1)[0]

    @cached_property
    def b1_registration(self) -> Mapping[str, NDArray] | None:
        """Transform, similarity, measured voxels and aligned anatomical image of the B1 scan."""
        if self.files.b1_registration is None:
            return None
        with np.load(self.files.b1_registration) as stored:
            return {key: stored[key] for key in stored.files}

    @cached_property
    def tissue(self) -> NDArray[np.uint8] | None:
        """Labels of grey matter, white matter and fluid, None where they were not told apart."""
        return None if self.files.tissue is None else np.asarray(load_volume(self.files.tissue)[0]).astype(np.uint8)

    @cached_property
    def tissue_probabilities(self) -> NDArray[np.float32] | None:
        """Probability of each of them, shape (X, Y, Z, 3), None where none is known."""
        return None if self.files.tissue_probabilities is None else load_volume(self.files.tissue_probabilities)[0]

    @cached_property
    def pure_tissue(self) -> NDArray[np.uint8] | None:
        """Labels of the voxels that hold one of them alone, None where they were not told apart."""
        if self.tissue is None:
            return None
        shares = self.tissue_probabilities
        fluid = None if shares is None else shares[..., TISSUE_LABELS.index(FLUID)]
        return pure_tissue(self.tissue, mask=self.mask, fluid=fluid).labels
