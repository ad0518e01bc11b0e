"""Reading a B1+ scan from its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class LoadedB1:
    """A B1+ scan on its own grid.

    Parameters
    ----------
    ratio
        Actual over nominal flip angle, float32, shape (X, Y, Z); 0 where there is no signal.
    anatomical
        Anatomical image on the same grid, None where the scan has none.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    """

    ratio: NDArray[np.float32]
    anatomical: NDArray[np.float32] | None
    affine: NDArray[np.float64]


def load_b1(
    *,
    map_path: Path,
    scale: float,
    anatomical_path: Path | None = None,
    map_volume: int | None = None,
    anatomical_volume: int | None = None,
) -> LoadedB1:
    """Read a B1+ map and its anatomical image.

    Parameters
    ----------
    map_path
        The map.
    scale
        Relative B1 per stored value.
    anatomical_path
        Anatomical image on the same grid, possibly the same file.
    map_volume, anatomical_volume
        Index on the last axis where a file holds both.
    """
    ratio, affine = _read(map_path, map_volume)
    finite = np.nan_to_num(ratio * np.float32(scale), nan=0.0, posinf=0.0, neginf=0.0)
    anatomical = None if anatomical_path is None else _read(anatomical_path, anatomical_volume)[0]
    return LoadedB1(ratio=np.maximum(finite, 0.0), anatomical=anatomical, affine=affine)


def _read(path: Path, volume: int | None) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    import nibabel as nib

    image: Any = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    return (data if volume is None else data[..., volume]), image.affine
