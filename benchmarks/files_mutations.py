"""Mutations of a dataset: one thing about one file is changed, at random but repeatably."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HEADER = 348
"""Size of a NIfTI-1 header [bytes]."""

ODD_VALUES: tuple[Any, ...] = (
    None,
    "",
    "twelve",
    "0",
    True,
    0,
    -1,
    1e300,
    -1e-300,
    10**400,
    [],
    [[]],
    {},
    {"a": [None]},
    [None, 1],
    float("nan"),
    float("inf"),
    [1.0] * 1000,
    "\x00",
    "∞",
    1j.imag,
)

NUMBERS_OF_TYPES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 511, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 9999, -1)
"""Codes of NIfTI data types, and some that are none."""

PLACES: Mapping[str, tuple[int, str, tuple[Any, ...]]] = {
    "sizeof_hdr": (0, "<i", (0, 540, 1543569408, -1)),
    "dim0": (40, "<h", (-1, 0, 1, 2, 7, 9, 32767)),
    "dim1": (42, "<h", (-1, 0, 1, 32767)),
    "dim4": (48, "<h", (-5, 0, 1, 2, 32767)),
    "datatype": (70, "<h", NUMBERS_OF_TYPES),
    "bitpix": (72, "<h", (0, -8, 7, 4096)),
    "pixdim1": (80, "<f", (0.0, -1.0, float("nan"), float("inf"), 1e-6, 80.0, 1e30)),
    "vox_offset": (108, "<f", (-352.0, 0.0, 1.0, 353.0, 1e9, float("nan"))),
    "scl_slope": (112, "<f", (0.0, -1.0, float("nan"), float("inf"), 1e30)),
    "scl_inter": (116, "<f", (float("nan"), float("inf"), -1e30)),
    "xyzt_units": (123, "<b", (0, 1, 3, 127, -1)),
    "qform_code": (252, "<h", (0, 5, -1, 999)),
    "sform_code": (254, "<h", (0, 5, -1, 999)),
    "srow_x0": (280, "<f", (0.0, float("nan"), float("inf"), 1e30, 500.0)),
    "srow_x1": (284, "<f", (0.5, -40.0, float("nan"))),
    "magic": (344, "<4s", (b"ni1\0", b"\0\0\0\0", b"n+2\0", b"abcd")),
}
"""Fields of the header: place, layout, values."""

Change = Callable[[random.Random, Path], str]


def mutate(root: Path, seed: int) -> str:
    """Change one thing in a dataset and return what.

    Parameters
    ----------
    root
        A dataset that may be spoilt.
    seed
        What decides on the change.
    """
    rng = random.Random(seed)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    kinds: dict[str, list[Path]] = {
        "json": [path for path in files if path.suffix == ".json"],
        "tsv": [path for path in files if path.suffix == ".tsv"],
        "image": [path for path in files if path.name.endswith((".nii", ".nii.gz"))],
        "any": [path for path in files if "sub-" in str(path.relative_to(root))],
    }
    kind = rng.choices(list(kinds), weights=(40, 10, 35, 15))[0]
    path = rng.choice(kinds[kind] or files)
    said = rng.choice(CHANGES[kind])(rng, path)
    return f"{path.relative_to(root)}: {said}"


def _value(rng: random.Random, path: Path) -> str:
    content = json.loads(path.read_text())
    key = rng.choice(sorted(content)) if content else "RepetitionTime"
    how = rng.choice(("gone", "odd", "scaled", "reversed", "shorter", "named otherwise", "as text"))
    old = content.get(key)
    if how == "gone":
        content.pop(key, None)
    elif how == "odd":
        content[key] = rng.choice(ODD_VALUES)
    elif how == "scaled":
        factor = rng.choice((1e-3, 1e3, -1.0, 2.0, 0.5, 57.29578, 1e6))
        content[key] = (
            [factor * each if isinstance(each, int | float) else each for each in old]
            if isinstance(old, list)
            else (factor * old if isinstance(old, int | float) else old)
        )
    elif how == "reversed" and isinstance(old, list):
        content[key] = old[::-1]
    elif how == "shorter" and isinstance(old, list):
        content[key] = old[: len(old) // 2]
    elif how == "named otherwise":
        content[key.lower()] = content.pop(key, None)
    else:
        content[key] = str(old)
    path.write_text(json.dumps(content))
    return f"{key} {how}: {str(content.get(key))[:40]}"


def _text(rng: random.Random, path: Path) -> str:
    raw = path.read_bytes()
    how = rng.choice(("empty", "cut", "mark", "other encoding", "deep", "list", "noise", "repeated", "null"))
    path.write_bytes(
        {
            "empty": b"",
            "cut": raw[: len(raw) // 2],
            "mark": b"\xef\xbb\xbf" + raw,
            "other encoding": raw.decode().encode("utf-16"),
            "deep": b"[" * 100_000,
            "list": b"[1, 2, 3]",
            "noise": rng.randbytes(200),
            "repeated": raw + raw,
            "null": b"null",
        }[how]
    )
    return f"text {how}"


def _table(rng: random.Random, path: Path) -> str:
    rows = list(csv.reader(io.StringIO(path.read_text()), delimiter="\t"))
    how = rng.choice(("column gone", "row gone", "row more", "odd cell", "commas", "names only", "column twice"))
    place = rng.randrange(len(rows[0]))
    separator = "\t"
    if how == "column gone":
        rows = [row[:place] + row[place + 1 :] for row in rows]
    elif how == "row gone":
        rows.pop(rng.randrange(len(rows)))
    elif how == "row more":
        rows.append(rows[-1])
    elif how == "odd cell":
        rows[rng.randrange(len(rows))][place] = rng.choice(("n/a", "", "NaN", "1e400", "x", "-1", "1,5", "∞"))
    elif how == "commas":
        separator = ","
    elif how == "names only":
        rows = rows[:1]
    else:
        rows = [[*row, row[place]] for row in rows]
    path.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    return f"table {how}"


def _content(path: Path) -> bytearray:
    raw = path.read_bytes()
    return bytearray(gzip.decompress(raw) if path.name.endswith(".gz") else raw)


def _keep(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, 1) if path.name.endswith(".gz") else content)


def _header(rng: random.Random, path: Path) -> str:
    content = _content(path)
    name = rng.choice(list(PLACES))
    place, layout, values = PLACES[name]
    value = rng.choice(values)
    content[place : place + struct.calcsize(layout)] = struct.pack(layout, value)
    _keep(path, bytes(content))
    return f"{name} = {value!r}"


def _damaged(rng: random.Random, path: Path) -> str:
    raw = bytearray(path.read_bytes())
    how = rng.choice(("cut", "bit", "empty", "tail", "not compressed", "header alone", "noise"))
    if how == "cut":
        del raw[rng.randrange(len(raw)) :]
    elif how == "bit":
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif how == "empty":
        raw.clear()
    elif how == "tail":
        raw += rng.randbytes(50)
    elif how == "not compressed":
        raw = _content(path)
    elif how == "header alone":
        _keep(path, bytes(_content(path)[: HEADER + 4]))
        return "header alone"
    else:
        raw = bytearray(rng.randbytes(500))
    path.write_bytes(bytes(raw))
    return f"file {how}"


def _voxels(rng: random.Random, path: Path) -> str:
    content = _content(path)
    start = 352
    how = rng.choice(("zero", "ones", "noise", "half zero"))
    size = len(content) - start
    if how == "zero":
        content[start:] = bytes(size)
    elif how == "ones":
        content[start:] = b"\xff" * size
    elif how == "noise":
        content[start:] = rng.randbytes(size)
    else:
        content[start : start + size // 2] = bytes(size // 2)
    _keep(path, bytes(content))
    return f"voxels {how}"


def _name(rng: random.Random, path: Path) -> str:
    how = rng.choice(
        (
            "hyphen",
            "without sub",
            "copy",
            "gone",
            "folder",
            "link to nothing",
            "pipe",
            "unreadable",
            "quote",
            "other subject",
        )
    )
    stem = path.name
    if how == "hyphen":
        path.rename(path.with_name(stem.replace("_", "_acq-hi-res_", 1)))
    elif how == "without sub":
        path.rename(path.with_name(stem.partition("_")[2] or "x"))
    elif how == "copy":
        path.with_name(stem.replace(".", " (copy).", 1)).write_bytes(path.read_bytes())
    elif how == "quote":
        path.rename(path.with_name(stem.replace("_", "_acq-a'b\"_", 1)))
    elif how == "other subject":
        path.rename(path.with_name(stem.replace("sub-01", "sub-02")))
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
        elif how == "link to nothing":
            path.symlink_to("nowhere")
        elif how == "pipe":
            os.mkfifo(path)
        elif how == "unreadable":
            path.symlink_to("/proc/1/mem")
    return f"name: {how}"


CHANGES: Mapping[str, tuple[Change, ...]] = {
    "json": (_value, _value, _value, _value, _text),
    "tsv": (_table, _table, _text),
    "image": (_header, _header, _damaged, _voxels),
    "any": (_name,),
}
"""By the kind of the file."""
