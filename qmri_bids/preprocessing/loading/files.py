"""Values of an image as they are stored: the one place where scans are read, whatever kind they are of."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.grids import grid_distance, is_same_grid
from qmri_bids.preprocessing.content.images import ContentError

_BLOCK = 2**22


def read_image(
    path: Path, *, dtype: type = np.float32, volume: int | None = None
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the rescaled values of an image and its affine.

    Last axes of length 1 are dropped: converters write a single volume as (X, Y, Z, 1) or (X, Y, Z, 1, 1).

    Parameters
    ----------
    path
        NIfTI, compressed or not.
    dtype
        `numpy.float32` for real, `numpy.complex64` for complex values.
    volume
        Index on the last axis, where one volume of the file is wanted.

    Returns
    -------
    values, affine
        Shape (X, Y, Z) or (X, Y, Z, N), and voxel to scanner coordinates [mm], shape (4, 4).

    Raises
    ------
    ContentError
        If the file cannot be read, its data fail their checksum, values are of the other type, or the shape is no scan's.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        complex_file = np.issubdtype(image.get_data_dtype(), np.complexfloating)
        if complex_file != np.issubdtype(dtype, np.complexfloating):
            found = "complex" if complex_file else "real"
            raise ContentError(f"{path}: expected values of type {np.dtype(dtype).name}, found {found} values")
        values = _values(image, path, dtype=dtype)
    except (OSError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise ContentError(f"{path}: cannot be read as NIfTI ({error}); convert or copy it again") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if not 3 <= values.ndim <= 4:
        raise ContentError(
            f"{path}: expected three or four axes, found the shape {image.shape}; convert the image again"
        )
    if volume is not None:
        values = values if values.ndim == 3 and volume == 0 else values[..., volume]
    return values, np.asarray(image.affine, dtype=np.float64)


def _values(image: Any, path: Path, *, dtype: type) -> NDArray[Any]:
    """Return the rescaled values; compressed data are read to their end, where the checksum lies.

    A reader that stops with the last voxel never sees it, and damaged data look like an image.
    """
    if not path.name.endswith(".gz"):
        return np.asarray(image.dataobj, dtype=dtype)
    with gzip.open(path, "rb") as stream:
        values: NDArray[Any] = np.asarray(type(image).from_stream(stream).dataobj, dtype=dtype)
        while stream.read(_BLOCK):
            pass
    return values


def check_grid(
    path: Path,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    *,
    first: Path,
    first_shape: tuple[int, ...],
    first_affine: NDArray[np.float64],
) -> None:
    """Check that a file lies on the grid of another, within `qmri_bids.grids.SAME_GRID`.

    Parameters
    ----------
    path, shape, affine
        The file, the shape that must agree, and voxel to scanner coordinates [mm].
    first, first_shape, first_affine
        The same of the other file.

    Raises
    ------
    ContentError
        If shapes differ, or the grids lie apart.
    """
    if shape != first_shape:
        raise ContentError(f"{path}: expected the grid of {first}, found the shape {shape} and not {first_shape}")
    if not is_same_grid(first_affine, affine, shape=first_shape):
        apart = grid_distance(first_affine, affine, shape=first_shape)
        raise ContentError(
            f"{path}: expected the grid of {first}, found another (up to {apart:.2g} voxels away): its affine is "
            f"{np.round(affine, 4).tolist()}, not {np.round(first_affine, 4).tolist()}; scan or resample both on one grid"
        )
