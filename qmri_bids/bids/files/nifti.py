"""What the first bytes of a NIfTI file state, and whether the rest of the file keeps it: before a library touches it.

Source: the NIfTI-1.1 and NIfTI-2 standards (nifti1.h, nifti2.h). Libraries read damaged headers each in its own way, or end in
errors of their own; here each fault is named by its field. A compressed file is decompressed once, block by block: a damaged
one is known before anything is computed, and one that expands without end takes neither memory nor time.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, check_regular

DATA_TYPES: Mapping[int, tuple[str, int]] = {
    2: ("uint8", 1),
    4: ("int16", 2),
    8: ("int32", 4),
    16: ("float32", 4),
    32: ("complex64", 8),
    64: ("float64", 8),
    256: ("int8", 1),
    512: ("uint16", 2),
    768: ("uint32", 4),
    1024: ("int64", 8),
    1280: ("uint64", 8),
    1792: ("complex128", 16),
}
"""Types that are read: name and bytes by the code of the header."""

OTHER_TYPES: Mapping[int, str] = {
    0: "no type",
    1: "single bits",
    128: "colours (RGB)",
    1536: "float128, which machines store differently",
    2048: "complex256, which machines store differently",
    2304: "colours (RGBA)",
}
"""Types that are not, as messages call them."""

LARGEST_IMAGE = 2**36
"""Of the voxels in memory [bytes]: no scan of this program comes near it."""

STRONGEST_COMPRESSION = 500.0
"""Bytes of voxels a byte of file: above it nearly all values are one."""

SLACK = 2**20
"""Bytes that may follow the voxels."""

_BLOCK = 2**20
_GZIP = b"\x1f\x8b"
_AGAIN = "Convert or copy the image again."


class HeaderError(ValueError):
    """A header or what follows it is at fault.

    Parameters
    ----------
    key
        Field of the header, or `file`.
    expected, found
        As in a refusal.
    advice
        What to do.
    """

    def __init__(self, key: str, expected: str, found: str, advice: str = _AGAIN) -> None:
        super().__init__(f"{key}: expected {expected}, found {found}")
        self.key, self.expected, self.found, self.advice = key, expected, found, advice


@dataclass(frozen=True, kw_only=True)
class NiftiHeader:
    """Fields of a header that was found sound.

    Parameters
    ----------
    shape
        Lengths of the axes.
    data_type
        Name of the type of the values.
    offset
        Where the voxels begin [bytes].
    needed
        Bytes from the begin of the file to the end of the voxels.
    unit
        Code of the unit of lengths: 0 not stated, 1 m, 2 mm, 3 µm.
    """

    shape: tuple[int, ...]
    data_type: str
    offset: int
    needed: int
    unit: int


def read_header(path: Path) -> NiftiHeader:
    """Read and check the header of a NIfTI file.

    Parameters
    ----------
    path
        `.nii` or `.nii.gz`.

    Raises
    ------
    HeaderError
        If the file is none, or a field cannot be meant.
    """
    try:
        size = check_regular(path)
    except UnreadableError as error:
        link = "a link to a file that is not here" in str(error)
        advice = "Fetch the content first, e.g. with `datalad get`." if link else "Restore the file."
        found = "a link to a file that is not here" if link else str(error)
        raise HeaderError("file", "a readable NIfTI image", found, advice) from error
    if size == 0:
        raise HeaderError("file", "a readable NIfTI image", "an empty file (0 bytes)")
    try:
        with path.open("rb") as handle:
            begin = handle.read(4096)
    except OSError as error:
        advice = "Give this user permission to read the file, or restore it."
        raise HeaderError("file", "a readable NIfTI image", (error.strerror or str(error)).lower(), advice) from error
    if path.name.endswith(".gz"):
        if begin[:2] != _GZIP:
            raise HeaderError(
                "file", "a readable NIfTI image", "a file that is not compressed, though it ends with .gz"
            )
        try:
            begin = _decompressed(begin, 540)
        except zlib.error as error:
            raise HeaderError("file", "a readable NIfTI image", "compressed data that are damaged") from error
    elif begin[:2] == _GZIP:
        raise HeaderError(
            "file", "a readable NIfTI image", "a compressed file without .gz", "Rename it to end with .nii.gz."
        )
    return _fields(begin)


def _decompressed(packed: bytes, number: int) -> bytes:
    """Return the first bytes of what was compressed, be it in one part or in several in a row."""
    found = b""
    while packed and len(found) < number:
        stream = zlib.decompressobj(wbits=31)
        found += stream.decompress(packed, number - len(found))
        packed = stream.unused_data if stream.eof else b""
    return found


def _fields(begin: bytes) -> NiftiHeader:
    """Return the fields of a header.

    Raises
    ------
    HeaderError
        At the first that cannot be meant.
    """
    for order in "<>":
        size = struct.unpack(f"{order}i", begin[:4])[0] if len(begin) >= 4 else 0
        if size == 348 and len(begin) >= 348 and begin[344:348] in (b"n+1\0", b"ni1\0", b"\0\0\0\0"):
            dim = struct.unpack(f"{order}8h", begin[40:56])
            code, bits = struct.unpack(f"{order}2h", begin[70:74])
            offset, slope, intercept = struct.unpack(f"{order}3f", begin[108:120])
            unit, least = begin[123] & 7, 348
            break
        if size == 540 and len(begin) >= 540:
            dim = struct.unpack(f"{order}8q", begin[16:80])
            code, bits = struct.unpack(f"{order}2h", begin[12:16])
            offset, slope, intercept = struct.unpack(f"{order}q2d", begin[168:192])
            unit, least = struct.unpack(f"{order}i", begin[500:504])[0] & 7, 540
            break
    else:
        raise HeaderError("file", "a readable NIfTI image", "no header of NIfTI")
    if not 1 <= dim[0] <= 7:
        raise HeaderError("dim[0]", "3 or 4 axes", str(dim[0]))
    shape = dim[1 : 1 + dim[0]]
    if min(shape) < 1:
        raise HeaderError("dim", "axes of one voxel or more", str(tuple(shape)))
    if code not in DATA_TYPES:
        found = f"code {code}" + (f" ({OTHER_TYPES[code]})" if code in OTHER_TYPES else ", which is no type of NIfTI")
        raise HeaderError(
            "datatype", "real or complex numbers", found, "Convert the image to float32, or to int16 with a slope."
        )
    name, width = DATA_TYPES[code]
    if bits not in (0, 8 * width):
        raise HeaderError("bitpix", f"{8 * width} for the datatype {name}", str(bits))
    if not math.isfinite(offset) or offset < 0.0 or offset > LARGEST_IMAGE or offset != int(offset):
        raise HeaderError("vox_offset", f"where the voxels begin, {least + 4} or more", f"{offset:g}")
    # A slope of zero means that there is none; then the intercept has no meaning either.
    if not math.isfinite(slope) or (slope != 0.0 and not math.isfinite(intercept)):
        raise HeaderError(
            "scl_slope and scl_inter",
            "finite numbers",
            f"{slope:g} and {intercept:g}",
            "Write the image again with slope 1 and intercept 0, or the scale that is meant.",
        )
    voxels = math.prod(shape) * width
    if voxels > LARGEST_IMAGE:
        raise HeaderError(
            "dim", f"an image of at most {LARGEST_IMAGE / 2**30:.0f} GiB", f"{tuple(shape)}, {voxels / 2**30:.4g} GiB"
        )
    begins = max(int(offset), least)
    return NiftiHeader(shape=tuple(shape), data_type=name, offset=begins, needed=begins + voxels, unit=unit)


def check_content(path: Path, header: NiftiHeader) -> None:
    """Check that a file holds what its header states, to the end: length, and the checksum of compressed data.

    Parameters
    ----------
    path
        The file.
    header
        Its header.

    Raises
    ------
    HeaderError
        If it is truncated, damaged, or expands far beyond its voxels.
    """
    size = path.stat().st_size
    needed = header.needed
    if not path.name.endswith(".gz"):
        if size < needed:
            raise _truncated(needed, f"{size} bytes")
        return
    if needed > 2**28 and needed / size > STRONGEST_COMPRESSION:
        raise HeaderError(
            "file size",
            f"{needed} bytes of image",
            f"{size} bytes, in which hardly more than one value can be stored",
            "Convert or copy the image again: it is empty, or its header is wrong.",
        )
    stat = path.stat()
    fault = _fault_of_gzip(path, stat.st_mtime_ns, stat.st_size, needed)
    if fault is None:
        return
    key, found = fault
    if key == "file size":
        raise _truncated(needed, found)
    raise HeaderError(key, "compressed data that are whole", found)


def _truncated(needed: int, found: str) -> HeaderError:
    advice = "The file is truncated or damaged: convert or copy it again."
    return HeaderError("file size", f"{needed} bytes of image", found, advice)


@lru_cache(maxsize=4096)
def _fault_of_gzip(path: Path, _modified: int, _size: int, needed: int) -> tuple[str, str] | None:
    """Decompress a file block by block, keeping nothing, and return what is wrong with it.

    Every image of a run is asked for several times, and read once.
    """
    total = 0
    stream = zlib.decompressobj(wbits=31)
    try:
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK):
                while block:
                    if stream.eof:  # files may be several compressed ones in a row
                        if not block.strip(b"\0"):
                            break
                        stream = zlib.decompressobj(wbits=31)
                    total += len(stream.decompress(block, _BLOCK))
                    if total > needed + SLACK:
                        return "file", f"{total} bytes and more of data under a header that states {needed}"
                    block = stream.unconsumed_tail if not stream.eof else stream.unused_data
            while not stream.eof and (more := stream.decompress(stream.unconsumed_tail, _BLOCK)):
                total += len(more)
    except zlib.error as error:
        # So zlib says that what was decompressed is not what was compressed; all else is damage before the end.
        if "incorrect data check" in str(error) or "incorrect length check" in str(error):
            return "file", "data that fail their checksum: some voxels are wrong"
        return ("file size", f"{total} bytes, damaged there") if total < needed else ("file", "damaged data")
    except OSError as error:
        return "file", (error.strerror or str(error)).lower()
    if total < needed:
        return "file size", f"{total} bytes"
    return None if stream.eof else ("file", "data that end without their checksum: the file is cut off")
