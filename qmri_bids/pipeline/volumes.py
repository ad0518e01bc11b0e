"""Intermediate volumes between nodes: uncompressed NIfTI, complex where the data are complex."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import isdefined
from numpy.typing import NDArray

from qmri_bids.system.file_errors import naming


def save_volume(path: Path, data: NDArray[Any], affine: NDArray[np.floating]) -> str:
    """Write an array as it is and return its path; booleans as uint8."""
    array = data.astype(np.uint8) if data.dtype == bool else data
    with naming(path):
        nib.save(nib.Nifti1Image(array, affine), path)
    return str(path)


def load_volume(path: str | Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the array, mapped from the file where it can be, and the affine."""
    image: Any = nib.load(path)
    return np.asanyarray(image.dataobj), image.affine


def load_mask(path: Any, *, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return a mask of this shape, voxels above one half; None where none is given."""
    if not isdefined(path) or path is None:
        return None
    return np.asarray(load_volume(path)[0], dtype=np.float32).reshape(shape) > 0.5


def mean_magnitude(cycles: NDArray[np.complexfloating]) -> NDArray[np.float32]:
    """Return the mean over the cycles of the magnitude, in which the bands are weakest."""
    total = np.zeros(cycles.shape[:3], dtype=np.float32)
    for index in range(cycles.shape[3]):
        total += np.abs(cycles[..., index])
    return total / np.float32(cycles.shape[3])


def load_mean(path: str | Path, *, volumes: Any) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the mean magnitude of some volumes of a series, of all where none are named, and the affine."""
    series, affine = load_volume(path)
    return mean_magnitude(series[..., list(volumes)] if isdefined(volumes) else series), affine


def save_still(path: Path, source: str | Path) -> str:
    """Write an image as one float32 volume, the mean of all where it has several, and return its path."""
    data, affine = load_volume(source)
    still = np.asarray(data, dtype=np.float32)
    return save_volume(path, still.mean(axis=3) if still.ndim == 4 else still, affine)


def save_motion(folder: Path, motion: Any, **extra: Any) -> str:
    """Write what a motion correction found (npz) and return its path.

    Parameters
    ----------
    folder
        Folder of the node.
    motion
        Its result: `MotionEstimate`, or that of a saturated series or of scans.
    extra
        Arrays that only some corrections have.
    """
    path = folder / "motion.npz"
    np.savez(
        path,
        transforms=motion.transforms,
        parameters=motion.parameters,
        centre=motion.centre,
        framewise_displacement=motion.framewise_displacement,
        coverage=motion.coverage,
        reference=motion.reference,
        assessed=motion.assessed,
        remaining=motion.remaining,
        **extra,
    )
    return str(path)
