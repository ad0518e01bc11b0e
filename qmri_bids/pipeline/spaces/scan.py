"""A run whose maps are put into other spaces, and the reading of what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.provenance import RAW_NAME, bids_uri
from qmri_bids.bids.refusal import relative_name
from qmri_bids.pipeline.volumes import load_volume


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A run whose maps are put into other spaces.

    Parameters
    ----------
    entities
        Entities of the raw run.
    magnitude, mask
        Magnitude and mask on the grid of the run.
    affine
        Voxel to RAS millimetres.
    to_t1w
        Matrix from the position in the run to that in the T1w image; None without an image or a registration.
    contrast
        Image of T1 contrast, by which a run without T1w image comes to the template; None where there is none.
    holds_brain
        Whether the mask is that of a brain.
    """

    entities: Mapping[str, str]
    magnitude: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    to_t1w: NDArray[np.float64] | None = None
    contrast: NDArray[np.float32] | None = None
    holds_brain: bool = True


def uri(path: Path, *, bids_dir: Path) -> str:
    """Return the BIDS URI of a raw file, and the path of any other as URI."""
    if Path(relative_name(path, bids_dir)).is_absolute():
        return path.absolute().as_uri()
    return bids_uri(path, root=bids_dir, dataset=RAW_NAME)


def grid_of(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return shape and affine of an image."""
    import nibabel as nib

    image: Any = nib.load(path)
    return tuple(image.shape[:3]), np.asarray(image.affine, dtype=float)


def volume_of(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return values and affine of an image."""
    values, affine = load_volume(path)
    return np.asarray(values, dtype=np.float32), affine
