"""Images as they are written: copied bit for bit, or volumes of several files as one series."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

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
    """Copy an image bit for bit, less the name of the original in the header of gzip, which may be that of a person.

    One that is not compressed is, without name and time, so that the same image gives the same file.

    Parameters
    ----------
    source
        `.nii` or `.nii.gz`.
    target
        `.nii.gz`.
    """
    if source.name.lower().endswith(".gz"):
        with source.open("rb") as packed, target.open("wb") as handle:
            handle.write(_without_name(packed))
            shutil.copyfileobj(packed, handle, _BLOCK)
        return
    with (
        source.open("rb") as plain,
        target.open("wb") as handle,
        gzip.GzipFile("", "wb", fileobj=handle, mtime=0) as compressed,
    ):
        shutil.copyfileobj(plain, compressed, _BLOCK)


_CHECKED, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
"""Flags of the header of gzip (RFC 1952)."""


def _without_name(packed: BinaryIO) -> bytes:
    """Return the header of a gzip file without name, comment and time, and leave the file where it ends.

    A header without name and comment is left unread, so that all is copied as it is.
    """
    fixed = packed.read(10)
    if len(fixed) < 10 or fixed[:2] != b"\x1f\x8b" or not fixed[3] & (_NAME | _COMMENT):
        packed.seek(0)
        return b""
    flags, extra = fixed[3], b""
    if flags & _EXTRA:
        length = packed.read(2)
        extra = length + packed.read(int.from_bytes(length, "little"))
    for flag in (_NAME, _COMMENT):
        while flags & flag and packed.read(1) not in (b"\0", b""):
            pass
    if flags & _CHECKED:
        packed.read(2)
    kept = flags & ~(_NAME | _COMMENT | _CHECKED)
    return fixed[:3] + bytes([kept]) + bytes(4) + fixed[8:] + extra


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
