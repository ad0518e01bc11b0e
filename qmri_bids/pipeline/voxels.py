"""The voxels of a mask that can be estimated, and the way back into volumes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import isdefined
from numpy.typing import NDArray

from qmri_bids.pipeline.volumes import load_volume

LEAST_OVERLAP = 0.1
"""Share of a mask in which a known map must have values: less shows another place."""


class Voxels:
    """Voxels inside a mask where every volume has data.

    Parameters
    ----------
    mask
        Image of the mask.
    motions
        Results of motion corrections (npz) that say where every volume has data; those that are not defined are passed over.
    """

    def __init__(self, mask: str | Path, *, motions: Iterable[Any] = ()) -> None:
        self.mask: NDArray[np.bool_] = load_volume(mask)[0] > 0
        self.inside = self.mask.copy()
        self.decisions: list[str] = []
        covered = np.ones_like(self.mask)
        for motion in motions:
            if isdefined(motion):
                covered &= np.load(motion)["coverage"]
        self.keep(covered, "left the field of view in some volume")

    def keep(self, usable: NDArray[np.bool_], reason: str) -> None:
        """Leave out all voxels but those that are usable, and say how many and why."""
        lost = int(np.count_nonzero(self.inside & ~usable))
        if lost:
            self.decisions.append(f"Voxels of the brain mask that {reason} were not estimated: {lost:,}.")
        self.inside &= usable

    def signal(self, series: str | Path) -> NDArray[Any]:
        """Return the values of an image in the voxels, shape (V, N) of a series."""
        return np.ascontiguousarray(load_volume(series)[0][self.inside])

    def values_of(self, path: Any, name: str) -> NDArray[np.float64] | None:
        """Return a map of a file (npz) in the voxels, None where there is no such file or map."""
        if not isdefined(path):
            return None
        with np.load(path) as stored:
            return stored[name][self.inside].astype(np.float64) if name in stored else None

    def volume(self, values: NDArray[Any], fill: float) -> NDArray[Any]:
        """Return values of the voxels as a volume."""
        kind = np.uint8 if values.dtype.kind in "ui" else np.float32
        full = np.full(self.mask.shape, fill, dtype=kind)
        full[self.inside] = values
        return full


def network_sentences(estimator: Any, folder: Path | None) -> list[str]:
    """Say which network an estimator holds and where it is from; nothing of an estimator without one.

    Parameters
    ----------
    estimator
        Has `model`, and `weights_path` where the model came from a file.
    folder
        Folder of weights that was searched before the package.
    """
    if not estimator.model:
        return []
    sentence = f"Network {estimator.model['name']}"
    if "sha256" in estimator.model:  # one that was trained in this call has none yet
        sentence += f" (sha256 {estimator.model['sha256'][:12]})"
    weights: Path | None = getattr(estimator, "weights_path", None)
    if weights is None:
        return [f"{sentence}."]
    own = folder is not None and weights.parent == folder
    sentence += f" from {weights.parent if own else 'the package'}."
    if folder is not None and not own:
        sentence += f" {folder} holds no weights for this estimator and protocol."
    return [sentence]
