"""Odd, broken and wrong files, each with the right answer: what the check must say of it.

Every entry changes the files of sub-02 in a dataset of `tiny_dataset`, or lays something beside its participants. The others
must be checked as if nothing were wrong.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from tiny_dataset import INCREMENTS, SHAPE, write_image

MAGNITUDE = "sub-02/anat/sub-02_acq-pcbssfp_flip-1_part-mag_VFA"
PHASE = MAGNITUDE.replace("-mag_", "-phase_")
CEST = "sub-02/anat/sub-02_acq-APTw_cest"
TABLE = "sub-02/anat/sub-02_acq-APTw_cestcontext.tsv"
B1 = "sub-02/fmap/sub-02_acq-famp_TB1TFL"
MTR = "sub-02/anat/sub-02_mt-on_MTR"


@dataclass(frozen=True, kw_only=True)
class Odd:
    """An odd input.

    Parameters
    ----------
    name
        For the list of tests.
    write
        Changes a dataset, given its root.
    words
        What the answer must name; empty for an input that is right as it is.
    arguments
        Further ones of the command line.
    """

    name: str
    write: Callable[[Path], object]
    words: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


def header(stem: str, place: int, layout: str, *values: Any, whole: bool = False) -> Callable[[Path], None]:
    """Return what writes values over a place in the header of an image."""

    def write(root: Path) -> None:
        path = root / f"{stem}.nii.gz"
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[place : place + struct.calcsize(layout)] = struct.pack(layout, *values)
        path.write_bytes(gzip.compress(bytes(content)))

    return write


def content(name: str, data: bytes) -> Callable[[Path], None]:
    """Return what replaces a file."""
    return lambda root: (root / name).write_bytes(data) and None


def keys(stem: str, **changes: Any) -> Callable[[Path], None]:
    """Return what changes keys of a sidecar."""

    def write(root: Path) -> None:
        path = root / f"{stem}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return write


def affine(stem: str, matrix: Any, *, units: str = "mm") -> Callable[[Path], None]:
    """Return what gives another affine to an image."""

    def write(root: Path) -> None:
        path = root / f"{stem}.nii.gz"
        image: Any = nib.load(path)
        changed = np.diag([*np.ones(3), 1.0])
        changed[:3, :3] = matrix
        new = nib.Nifti1Image(np.asarray(image.dataobj), None)
        new.set_sform(changed, code=1)
        new.header.set_xyzt_units(units)
        nib.save(new, path)

    return write


def cut(name: str, share: float) -> Callable[[Path], None]:
    """Return what keeps the first part of a file."""

    def write(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * share)])

    return write


def flipped(name: str, place: int) -> Callable[[Path], None]:
    """Return what changes one byte from the end."""

    def write(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[place] ^= 0xFF
        (root / name).write_bytes(bytes(data))

    return write


def wrong_values(root: Path) -> None:
    """Store the image uncompressed in the gzip, with one value changed after its checksum was made."""
    path = root / f"{MAGNITUDE}.nii.gz"
    plain = gzip.decompress(path.read_bytes())
    packed = bytearray(gzip.compress(plain, compresslevel=0))
    packed[len(packed) - 100] ^= 0x01
    path.write_bytes(bytes(packed))


def bomb(root: Path) -> None:
    """Let an image expand a thousandfold beyond its header."""
    path = root / f"{MAGNITUDE}.nii.gz"
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(plain + bytes(100 * 2**20), compresslevel=1))


def rename(old: str, new: str) -> Callable[[Path], None]:
    """Return what gives other names to all files that begin alike."""

    def write(root: Path) -> None:
        for path in sorted((root / "sub-02").rglob(f"*{old}*")):
            path.rename(path.with_name(path.name.replace(old, new)))

    return write


def pipe(name: str) -> Callable[[Path], None]:
    """Return what puts a pipe in the place of a file."""

    def write(root: Path) -> None:
        (root / name).unlink()
        os.mkfifo(root / name)

    return write


def pipe_of_a_cycle(root: Path) -> None:
    """Call a pipe like one of several files of single cycles: how many volumes it has is asked before anything else."""
    os.mkfifo(root / "sub-02/anat/sub-02_acq-pcbssfpPC045_flip-1_part-mag_VFA.nii.gz")


def pipe_of_other_bssfp(root: Path) -> None:
    """Call a pipe like a scan that is balanced and has no phase cycles: its volumes decide whether it is ours."""
    os.mkfifo(root / "sub-02/anat/sub-02_T2w.nii.gz")
    (root / "sub-02/anat/sub-02_T2w.json").write_text('{"PulseSequenceType": "CISS"}')


def link(name: str, target: str) -> Callable[[Path], None]:
    """Return what puts a link in the place of a file."""

    def write(root: Path) -> None:
        (root / name).unlink()
        (root / name).symlink_to(target)

    return write


def sequence(text: str) -> Callable[[Path], None]:
    """Return what names a pulseq file in the sidecar of the Z-spectrum."""

    def write(root: Path) -> None:
        (root / "code").mkdir(exist_ok=True)
        (root / "code" / "odd.seq").write_text(text)
        keys(CEST, PulseqFile="bids::code/odd.seq")(root)

    return write


def filters(**kinds: Any) -> Callable[[Path], None]:
    """Return what writes a filter file beside the dataset."""
    return lambda root: (root.parent / "filter.json").write_text(json.dumps(kinds)) and None


def below(*folders: str) -> Callable[[Path], None]:
    """Return what moves the dataset; the test looks for it there."""

    def write(root: Path) -> None:
        target = root.parent.joinpath(*folders)
        target.mkdir(parents=True)
        for path in sorted(root.iterdir()):
            path.rename(target / path.name)

    return write


HUGE = "1" * 400
DEEP = "[" * 100_000
SEQUENCE = """# Pulseq sequence file
[VERSION]
major 1
minor 4
revision 0
[DEFINITIONS]
AdcRasterTime 1e-07
BlockDurationRaster 1e-05
GradientRasterTime 1e-05
RadiofrequencyRasterTime 1e-06
[BLOCKS]
1 100 1 0 0 0 0 0
[RF]
1 100 1 0 0 0 0 0
[SHAPES]
shape_id 1
num_samples {number}
{packed}
"""

HEADERS = (
    Odd(name="type-0", write=header(MAGNITUDE, 70, "<h", 0), words=("part-mag_VFA", "datatype", "code 0 (no type)")),
    Odd(name="type-1", write=header(MAGNITUDE, 70, "<h", 1), words=("datatype", "code 1 (single bits)")),
    Odd(name="type-rgb", write=header(MAGNITUDE, 70, "<h", 128), words=("datatype", "colours (RGB)")),
    Odd(name="type-float128", write=header(CEST, 70, "<h", 1536), words=("_cest", "datatype", "float128")),
    Odd(name="type-9999", write=header(B1, 70, "<h", 9999), words=("TB1TFL", "code 9999, which is no type of NIfTI")),
    Odd(name="affine-huge", write=header(B1, 280, "<4f", *[1e38] * 4), words=("TB1TFL", "voxel size")),
    Odd(
        name="affine-nan", write=header(CEST, 280, "<f", np.nan), words=("_cest.nii.gz", "affine", "finite voxel sizes")
    ),
    Odd(name="type-rgb-of-mtr", write=header(MTR, 70, "<h", 128), words=("_MTR", "datatype", "colours (RGB)")),
    Odd(name="axes-minus-1", write=header(MAGNITUDE, 40, "<h", -1), words=("dim[0]", "3 or 4 axes", "-1")),
    Odd(name="axes-9", write=header(CEST, 40, "<h", 9), words=("dim[0]", "3 or 4 axes", "9")),
    Odd(
        name="axis-of-minus-6",
        write=header(MTR, 42, "<h", -6),
        words=("dim", "axes of one voxel or more", "(-6, 5, 4)"),
    ),
    Odd(name="offset-negative", write=header(MAGNITUDE, 108, "<f", -8.0), words=("vox_offset", "found -8")),
    Odd(name="offset-nan", write=header(CEST, 108, "<f", np.nan), words=("vox_offset", "found nan")),
    Odd(name="offset-huge", write=header(B1, 108, "<f", 3e38), words=("vox_offset", "3e+38")),
    Odd(
        name="slope-infinite", write=header(MAGNITUDE, 112, "<f", np.inf), words=("scl_slope", "finite numbers", "inf")
    ),
    Odd(name="slope-nan", write=header(CEST, 112, "<f", np.nan), words=("scl_slope", "nan")),
    Odd(name="intercept-infinite", write=header(B1, 112, "<2f", 1.0, np.inf), words=("scl_inter", "inf")),
    Odd(name="claims-too-much", write=header(MTR, 42, "<h", 32000), words=("file size", "bytes of image", "truncated")),
    Odd(
        name="claims-terabytes",
        write=header(MAGNITUDE, 42, "<4h", 32000, 32000, 32000, 6),
        words=("dim", "an image of at most 64 GiB"),
    ),
    Odd(
        name="claims-gigabytes",
        write=header(MAGNITUDE, 42, "<4h", 1000, 1000, 100, 6),
        words=("file size", "2400000352 bytes of image", "hardly more than one value"),
    ),
    Odd(name="not-nifti", write=content(f"{CEST}.nii.gz", gzip.compress(b"text" * 200)), words=("no header of NIfTI",)),
    Odd(name="not-compressed", write=content(f"{CEST}.nii.gz", b"text" * 200), words=("not compressed", ".gz")),
    Odd(name="header-cut", write=content(f"{B1}.nii.gz", gzip.compress(bytes(100))), words=("no header of NIfTI",)),
    Odd(
        name="empty",
        write=content(f"{MAGNITUDE}.nii.gz", b""),
        words=("part-mag_VFA.nii.gz", "an empty file (0 bytes)"),
    ),
    Odd(name="empty-b1", write=content(f"{B1}.nii.gz", b""), words=("famp_TB1TFL.nii.gz", "an empty file (0 bytes)")),
)

DAMAGE = (
    Odd(name="gz-cut-in-half", write=cut(f"{MAGNITUDE}.nii.gz", 0.5), words=("file size", "truncated or damaged")),
    Odd(
        name="gz-without-end",
        write=cut(f"{CEST}.nii.gz", 0.999),
        words=("_cest.nii.gz", "the file is cut off"),
    ),
    Odd(name="gz-cut-b1", write=cut(f"{B1}.nii.gz", 0.7), words=("famp_TB1TFL.nii.gz", "truncated or damaged")),
    Odd(name="gz-checksum", write=flipped(f"{PHASE}.nii.gz", -6), words=("part-phase_VFA", "fail their checksum")),
    Odd(name="gz-wrong-values", write=wrong_values, words=("part-mag_VFA", "fail their checksum")),
    Odd(name="gz-bomb", write=bomb, words=("part-mag_VFA", "bytes and more of data under a header that states")),
)

GRIDS = (
    Odd(
        name="shear",
        write=affine(CEST, [[1.3, 0.3, 0], [0, 1.3, 0], [0, 0, 1.3]]),
        words=("affine", "axes that are perpendicular", "(shear)"),
    ),
    Odd(
        name="metres",
        write=affine(CEST, np.diag([0.0013, 0.0013, 0.0013]), units="meter"),
        words=("voxel size", "lengths are in metres", "millimetres"),
    ),
    Odd(
        name="micrometres",
        write=affine(MTR, np.diag([1300.0] * 3), units="micron"),
        words=("voxel size", "micrometres"),
    ),
    Odd(name="80-mm", write=affine(CEST, np.diag([80.0, 80.0, 80.0])), words=("voxel size", "80 × 80 × 80 mm")),
    Odd(name="flat", write=affine(CEST, np.diag([1.0, 1.0, 0.0])), words=("affine", "voxel sizes above zero")),
    Odd(
        name="oblique-is-right",
        write=affine(CEST, 1.3 * np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])),
    ),
)

NAMES = (
    Odd(
        name="hyphen-in-label",
        write=rename("acq-pcbssfp", "acq-pcbssfp-hi-res"),
        words=("acq- in the file name", "letters and digits", "'pcbssfp-hi-res'", "Rename the file and its sidecar"),
    ),
    Odd(name="hyphen-in-cest", write=rename("acq-APTw", "acq-APT-w"), words=("acq- in the file name", "'APT-w'")),
    Odd(name="dot-in-label", write=rename("acq-APTw", "acq-1.5T"), words=("no dot before .nii.gz", "acq-1.5T")),
    Odd(name="quote-in-label", write=rename("acq-pcbssfp", "acq-pc\"b'ssfp"), words=("acq- in the file name",)),
    Odd(name="space-in-label", write=rename("acq-APTw", "acq-APT w"), words=("acq- in the file name", "'APT w'")),
    Odd(name="line-in-label", write=rename("acq-APTw", "acq-AP\nTw"), words=("acq- in the file name",)),
    Odd(
        name="label-twice", write=rename("acq-APTw", "acq-APTw_acq-b"), words=("each entity once", "acq-APTw and acq-b")
    ),
    Odd(
        name="without-sub",
        write=rename("sub-02_acq-pcbssfp", "acq-pcbssfp"),
        words=("file name", "a name that begins with sub-02_", "acq-pcbssfp"),
    ),
    Odd(
        name="of-another-participant",
        write=rename("sub-02_acq-pcbssfp", "sub-01_acq-pcbssfp"),
        words=("sub-02/anat/sub-01_acq-pcbssfp", "a name that begins with sub-02_", "move it"),
    ),
    Odd(
        name="session-in-name-alone",
        write=rename("sub-02_acq-APTw", "sub-02_ses-1_acq-APTw"),
        words=("sub-02/anat/sub-02_ses-1_acq-APTw", "the session 1 in a folder without session"),
    ),
    Odd(
        name="copy",
        write=lambda root: (root / "sub-02 (copy)" / "anat").mkdir(parents=True),
        words=("'sub-02 (copy)'",),
    ),
    Odd(
        name="old",
        write=lambda root: (root / "sub-01_old").mkdir(),
        words=("'sub-01_old'", "move it out of the dataset"),
    ),
    Odd(
        name="session-copy",
        write=lambda root: (root / "sub-02" / "ses-1 (copy)").mkdir(),
        words=("sub-02/ses-1 (copy)", "ses-<letters and digits>"),
    ),
    Odd(name="below-anat", write=below("anat", "data"), arguments=("anat/data",)),
    Odd(name="below-perf", write=below("perf", "fmap"), arguments=("perf/fmap",)),
    Odd(name="below-another-participant", write=below("sub-99", "ses-7", "run-3"), arguments=("sub-99/ses-7/run-3",)),
)

SIDECARS = (
    Odd(
        name="number-of-400-digits",
        write=content(f"{MAGNITUDE}.json", f'{{"PulseSequenceType": "bSSFP", "FlipAngle": {HUGE}}}'.encode()),
        words=("FlipAngle", "a number of 400 digits"),
    ),
    Odd(
        name="numbers-of-400-digits",
        write=content(f"{CEST}.json", f'{{"SaturationOffset": [{HUGE}, 1]}}'.encode()),
        words=("sub-02_acq-APTw_cest.json",),
    ),
    Odd(
        name="number-of-5000-digits", write=content(f"{CEST}.json", f'{{"a": {"1" * 5000}}}'.encode()), words=("_cest",)
    ),
    Odd(
        name="deep",
        write=content(f"{CEST}.json", DEEP.encode()),
        words=("_cest.json", "JSON nested too deeply to be read"),
    ),
    Odd(name="empty-sidecar", write=content(f"{CEST}.json", b""), words=("_cest.json", "an empty file")),
    Odd(
        name="latin-1",
        write=content(f"{CEST}.json", '{"a": "µ"}'.encode("latin-1")),
        words=("another encoding (line 1)",),
    ),
    Odd(name="utf-16", write=content(f"{CEST}.json", "{}".encode("utf-16")), words=("UTF-16", "save it in UTF-8")),
    Odd(name="no-object", write=content(f"{CEST}.json", b"[1]"), words=("a JSON object of keys and values",)),
    Odd(name="cut", write=cut(f"{MAGNITUDE}.json", 0.5), words=("part-mag_VFA.json", "no JSON")),
    Odd(name="pipe-sidecar", write=pipe(f"{CEST}.json"), words=("_cest.json", "a pipe of this name")),
    Odd(name="pipe-image", write=pipe(f"{MAGNITUDE}.nii.gz"), words=("part-mag_VFA.nii.gz", "a pipe of this name")),
    Odd(name="pipe-of-a-cycle", write=pipe_of_a_cycle, words=("PC045",)),
    Odd(name="pipe-of-other-bssfp-is-left-alone", write=pipe_of_other_bssfp),
    Odd(name="device-image", write=link(f"{MAGNITUDE}.nii.gz", "/dev/zero"), words=("a device of this name",)),
    Odd(name="device-sidecar", write=link(f"{CEST}.json", "/dev/zero"), words=("_cest.json", "a device of this name")),
    Odd(name="link-to-nothing", write=link(f"{CEST}.json", "gone"), words=("a link to a file that is not here",)),
    Odd(
        name="link-of-image",
        write=link(f"{CEST}.nii.gz", "gone"),
        words=("a link to a file that is not here", "datalad"),
    ),
    Odd(name="pulses-without-end", write=keys(CEST, MTNumberOfPulses=10**200), words=("MTNumberOfPulses",)),
    Odd(name="pulses-2e9", write=keys(CEST, MTNumberOfPulses=2_000_000_000), words=("_cest",)),
    Odd(name="angle-is-a-list-of-lists", write=keys(MAGNITUDE, FlipAngle=[[15]]), words=("FlipAngle", "[[15]]")),
    Odd(name="increments-are-an-object", write=keys(MAGNITUDE, RFPhaseIncrement={"a": 1}), words=("RFPhaseIncrement",)),
    Odd(
        name="sequence-is-a-number", write=keys(MAGNITUDE, PulseSequenceType=3), words=("PulseSequenceType", "found 3")
    ),
    Odd(name="not-a-number", write=content(f"{CEST}.json", b'{"SaturationB1RMS": NaN}'), words=("_cest.json",)),
    Odd(
        name="byte-order-mark-is-right",
        write=lambda root: (root / f"{CEST}.json").write_bytes(b"\xef\xbb\xbf" + (root / f"{CEST}.json").read_bytes()),
    ),
)


def table_as(encoding: str) -> Callable[[Path], None]:
    """Return what stores the table of the Z-spectrum in another encoding, with a comment that needs it."""

    def write(root: Path) -> None:
        first, *rows = (root / TABLE).read_text().splitlines()
        lines = [f"{first}\tcomment", *(f"{row}\tµT" for row in rows)]
        (root / TABLE).write_text("\n".join(lines), encoding=encoding)

    return write


def context(text: str, *, encoding: str = "utf-8") -> Callable[[Path], None]:
    """Return what writes the table of the phase cycles."""
    return lambda root: (
        (root / "sub-02/anat/sub-02_acq-pcbssfp_flip-1_ssfpcontext.tsv").write_text(text, encoding=encoding) and None
    )


_CYCLES = "rf_phase_increment\n" + "\n".join(f"{each:g}" for each in INCREMENTS) + "\n"

TABLES = (
    Odd(
        name="table-latin-1",
        write=table_as("latin-1"),
        words=("_cestcontext.tsv", "another encoding (line 2)", "UTF-8"),
    ),
    Odd(name="table-utf-16", write=table_as("utf-16"), words=("_cestcontext.tsv", "UTF-16")),
    Odd(name="table-with-mark-is-right", write=table_as("utf-8-sig")),
    Odd(name="table-of-cycles-with-mark-is-right", write=context(_CYCLES, encoding="utf-8-sig")),
    Odd(
        name="table-of-cycles-in-utf-16",
        write=context(_CYCLES, encoding="utf-16"),
        words=("_ssfpcontext.tsv", "a table of tab-separated values in UTF-8", "UTF-16"),
    ),
    Odd(name="table-of-cycles-is-empty", write=context(""), words=("_ssfpcontext.tsv", "rf_phase_increment")),
    Odd(name="table-is-a-pipe", write=pipe(TABLE), words=("_cestcontext.tsv", "a pipe of this name")),
    Odd(name="table-is-a-device", write=link(TABLE, "/dev/zero"), words=("_cestcontext.tsv", "a device of this name")),
    Odd(name="table-is-binary", write=content(TABLE, bytes(64)), words=("_cestcontext.tsv", "binary content")),
)

BOMBS = (
    Odd(
        name="sequence-of-2e9-samples",
        write=sequence(SEQUENCE.format(number=2_000_000_000, packed="1e-9\n1e-9\n1999999998")),
        words=("code/odd.seq",),
    ),
    Odd(
        name="sequence-of-zeros",
        write=sequence(SEQUENCE.format(number=2_000_000_000, packed="0\n0\n1999999998")),
        words=("code/odd.seq",),
    ),
    Odd(
        name="sequence-is-a-device",
        write=lambda root: (sequence("")(root), link("code/odd.seq", "/dev/zero")(root)),
        words=("code/odd.seq", "device"),
    ),
    Odd(name="sequence-is-empty", write=sequence(""), words=("code/odd.seq",)),
)

FILTERS = (
    Odd(
        name="filter-names-a-participant",
        write=filters(pcbssfp={"subject": "01"}, b1={"subject": "01"}, cest={"subject": "01"}, mt={"subject": "01"}),
        arguments=("--participant-label", "02", "--bids-filter-file", "filter.json"),
        words=("sub-02: the filter pcbssfp {'subject': '01'} selects none of 2 files", "narrows down"),
    ),
    Odd(
        name="filter-names-a-suffix",
        write=filters(cest={"suffix": "VFA"}),
        arguments=("--participant-label", "02", "--bids-filter-file", "filter.json"),
        words=("the filter cest {'suffix': 'VFA'} selects none of",),
    ),
    Odd(
        name="filter-names-a-datatype",
        write=filters(pcbssfp={"datatype": "fmap"}),
        arguments=("--participant-label", "02", "--bids-filter-file", "filter.json"),
        words=("the filter pcbssfp {'datatype': 'fmap'} selects none of",),
    ),
    Odd(
        name="filter-names-an-extension",
        write=filters(pcbssfp={"extension": ".json"}),
        arguments=("--participant-label", "02", "--bids-filter-file", "filter.json"),
        words=("the filter pcbssfp {'extension': '.json'} selects none of",),
    ),
)

CORPUS = (*HEADERS, *DAMAGE, *GRIDS, *NAMES, *SIDECARS, *TABLES, *BOMBS)
"""All that leaves the others of a dataset alone."""


def write_volume_of_one(root: Path) -> None:
    """Give the images of a pair a last axis of one."""
    write_image(root / f"{MTR}.nii.gz", 80.0, shape=(*SHAPE, 1))
