"""Images as they are written: copied bit for bit, or volumes of several files as one series."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.images import ImageInfo, check_same_grid
from qmri_bids.importing.images import SourceImage

_BLOCK = 2**20


def check_one_grid(images: Sequence[SourceImage]) -> None:
    """Check that all images of a scan lie on one grid, whatever their number of volumes.

    Raises
    ------
    RefusedError
        Naming the files that differ.
    """
    first, *others = [_volume(image) for image in images]
    for other in others:
        check_same_grid(first, other)


def _volume(image: SourceImage) -> ImageInfo:
    return replace(image.info, shape=image.info.shape[:3], name=image.name)


def write_copy(source: Path, target: Path) -> None:
    """Copy an image bit for bit; one that is not compressed is, without name and time, so that the same image gives the same file.

    Parameters
    ----------
    source
        `.nii` or `.nii.gz`.
    target
        `.nii.gz`.
    """
    if source.name.lower().endswith(".gz"):
        shutil.copyfile(source, target)
        return
    with (
        source.open("rb") as plain,
        target.open("wb") as handle,
        gzip.GzipFile("", "wb", fileobj=handle, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, _BLOCK)


def stack_note(images: Sequence[SourceImage]) -> str:
    """Return what becomes of the values of volumes that are written as one series; empty where they stay as stored."""
    if len({_scale(image.info.path) for image in images}) == 1:
        return ""
    return "the volumes have different slopes: their values are written as 32-bit numbers"


def _scale(path: Path) -> tuple[float, float]:
    """Return slope and intercept of a header: 1 and 0 where it states none."""
    import nibabel as nib

    data: Any = nib.load(path).dataobj  # type: ignore[attr-defined]
    return float(data.slope), float(data.inter)


def write_stack(sources: Sequence[Path], target: Path) -> None:
    """Write volumes as one 4D series in the order given.

    Where all have one slope and intercept, stored values and both stay as they are; else the values that they mean are written
    as float32 (complex64 for complex ones).

    Parameters
    ----------
    sources
        3D images on one grid.
    target
        `.nii.gz`.
    """
    import nibabel as nib

    images: list[Any] = [nib.load(source) for source in sources]
    scales = {_scale(source) for source in sources}
    shape = images[0].shape[:3]
    if len(scales) == 1:
        volumes = [np.asanyarray(image.dataobj.get_unscaled()).reshape(shape) for image in images]
        slope, intercept = next(iter(scales))
    else:
        wanted = np.complex64 if any(np.iscomplexobj(image.dataobj[0, 0, 0]) for image in images) else np.float32
        volumes = [np.asanyarray(image.dataobj).reshape(shape).astype(wanted) for image in images]
        slope, intercept = 1.0, 0.0
    stacked = np.stack(volumes, axis=-1)
    stacked = stacked.astype(stacked.dtype.newbyteorder("="), copy=False)
    header = images[0].header.copy()
    header.set_data_shape(stacked.shape)
    header.set_data_dtype(stacked.dtype)
    series = type(images[0])(stacked, images[0].affine, header)
    series.header.set_slope_inter(slope, intercept)
    nib.save(series, target)
