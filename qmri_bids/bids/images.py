"""Checks of a NIfTI file before anything is computed from it."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.grids import SAME_GRID, grid_distance

AFFINE_TOLERANCE = 1e-3
"""Largest difference between the affines of two images on one grid [mm]: headers store float32."""


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """Header of an image that was found readable and complete.

    Parameters
    ----------
    path, name
        The file, and its name relative to the dataset for messages.
    shape
        Shape of the data.
    affine
        Voxel to scanner coordinates [mm], shape (4, 4).
    is_complex
        Whether the values are complex.
    is_oriented
        Whether the header states an orientation (sform or qform code above zero).
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    affine: NDArray[np.floating]
    is_complex: bool
    is_oriented: bool


def check_image(path: Path, *, root: Path) -> ImageInfo:
    """Read the header of a NIfTI file and check that all of its data are there.

    Parameters
    ----------
    path
        `.nii` or `.nii.gz`.
    root
        The dataset, for names in messages.

    Raises
    ------
    RefusedError
        If the file is missing, empty, no NIfTI, truncated, or has no usable grid.
    """
    import nibabel as nib

    name = relative_name(path, root)

    def unreadable(found: str, advice: str) -> RefusedError:
        return refuse(file=name, key="file", expected="a readable NIfTI image", found=found, advice=advice)

    if path.is_symlink() and not path.exists():
        raise unreadable("a link to a file that is not here", "Fetch the content first, e.g. with `datalad get`.")
    try:
        size = path.stat().st_size
        if size == 0:
            raise unreadable("an empty file (0 bytes)", "Convert or copy the image again.")
        image: Any = nib.load(path)
        shape = tuple(int(length) for length in image.shape)
        while len(shape) > 3 and shape[-1] == 1:  # as every reader does
            shape = shape[:-1]
        data_type = image.get_data_dtype()
        affine = np.asarray(image.affine, dtype=np.float64)
        offset = int(image.dataobj.offset)
        codes = int(image.header["sform_code"]), int(image.header["qform_code"])
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        zlib.error,
        nib.filebasedimages.ImageFileError,
    ) as error:
        raise unreadable(f"{type(error).__name__}: {error}", "Convert or copy the image again.") from error
    needed = offset + math.prod(shape) * data_type.itemsize
    there = _stored_bytes(path, size, needed)
    if there < needed:
        raise refuse(
            file=name,
            key="file size",
            expected=f"{needed} bytes of image",
            found=f"{there} bytes",
            advice="The file is truncated or damaged: convert or copy it again.",
        )
    if len(shape) < 3 or min(shape) < 1:
        raise refuse(
            file=name,
            key="shape",
            expected="an image of three or four axes",
            found=str(shape),
            advice="Convert the image again.",
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise refuse(
            file=name,
            key="affine",
            expected="finite voxel sizes above zero",
            found=str(np.round(affine[:3], 6).tolist()),
            advice="Convert the image again.",
        )
    if not np.issubdtype(data_type, np.number):
        raise refuse(
            file=name,
            key="datatype",
            expected="real or complex numbers",
            found=str(data_type),
            advice="Convert the image again.",
        )
    return ImageInfo(
        path=path,
        name=name,
        shape=shape,
        affine=affine,
        is_complex=bool(np.issubdtype(data_type, np.complexfloating)),
        is_oriented=max(codes) > 0,
    )


def _stored_bytes(path: Path, size: int, needed: int) -> int:
    """Return the number of bytes the file holds after decompression."""
    if not path.name.endswith(".gz"):
        return size
    with path.open("rb") as handle:
        handle.seek(max(0, size - 4))
        tail = handle.read(4)
    # gzip ends with the length modulo 2^32: it agrees for a whole file, by chance only for a truncated one
    if len(tail) == 4 and struct.unpack("<I", tail)[0] == needed % 2**32:
        return needed
    total = 0
    try:
        with gzip.open(path, "rb") as stream:
            while block := stream.read(2**24):
                total += len(block)
    except (EOFError, OSError, zlib.error):
        return min(total, needed - 1)  # damaged at the end, if not before
    return total


def stored_shape(path: Path) -> tuple[int, ...]:
    """Return the shape in the header of an image."""
    import nibabel as nib

    image: Any = nib.load(path)
    return tuple(int(each) for each in image.shape)


def volumes_in(path: Path) -> int:
    """Return the number of volumes in an image by its header."""
    return math.prod(stored_shape(path)[3:4])


def check_same_grid(first: ImageInfo, second: ImageInfo) -> None:
    """Check that two images have the same shape and affine.

    Raises
    ------
    RefusedError
        If they differ.
    """
    advice = f"Both must come from one acquisition: compare with {first.name} and convert both again."
    if first.shape != second.shape:
        raise refuse(file=second.name, key="shape", expected=str(first.shape), found=str(second.shape), advice=advice)
    apart = grid_distance(first.affine, second.affine, shape=first.shape)
    if apart > SAME_GRID:
        difference = float(np.abs(first.affine - second.affine).max())
        raise refuse(
            file=second.name,
            key="affine",
            expected=f"the affine of {Path(first.name).name}",
            found=f"one that differs by up to {difference:.4g} mm, which places a corner {apart:.2g} voxels away",
            advice=advice,
        )


def central_slice(info: ImageInfo) -> NDArray[np.floating]:
    """Return the finite values of the central slice of the first volume, a quick look at their range."""
    import nibabel as nib

    index: tuple[slice | int, ...] = (slice(None), slice(None), info.shape[2] // 2)
    if len(info.shape) == 4:
        index += (0,)
    values = np.asarray(nib.load(info.path).dataobj[index])  # type: ignore[attr-defined]
    return values[np.isfinite(values)]


def median_of_nonzero(info: ImageInfo, *, volume: int | None) -> float:
    """Return the median of the finite values above zero, NaN if there are none."""
    import nibabel as nib

    data = nib.load(info.path).dataobj  # type: ignore[attr-defined]
    values = np.asarray(data if volume is None else data[..., volume])
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.median(values)) if values.size else math.nan
