"""What lies in a folder: images with what their sidecars say, arrays with their description, and what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.plain import UnreadableError, read_json
from qmri_bids.bids.images import ImageInfo, check_image
from qmri_bids.bids.refusal import RefusedError, refusal_of, refuse
from qmri_bids.importing.arrays import ENDINGS as ARRAY_ENDINGS
from qmri_bids.importing.arrays import OWN_KEYS, write_array
from qmri_bids.importing.names import PART_ENDINGS

IMAGE_ENDINGS = (".nii.gz", ".nii")

PARTS = ("mag", "phase", "real", "imag", "complex", "anat", "famp", "tr1", "tr2", "both")
"""Words for an image of a scan, of the table and of descriptions."""

DEEPEST = 60
"""Levels of a sidecar: real ones have three."""

NO_SCAN = ("datatype", "shape")
"""Keys of a refusal of images that were never meant for this program: in colour, of one plane, of five axes."""


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """An image of the folder.

    Parameters
    ----------
    name
        File relative to the folder, as the table calls it.
    stem
        Name without folder and ending.
    info
        Its header, checked.
    values
        What its sidecar states, without the keys that describe an array.
    taken_for, part
        What the description of an array states, empty without one.
    has_sidecar
        Whether there was a JSON file.
    note
        What is to be said of it.
    """

    name: str
    stem: str
    info: ImageInfo
    values: Mapping[str, Any]
    taken_for: str = ""
    part: str = ""
    has_sidecar: bool = True
    note: str = ""

    @property
    def volumes(self) -> int:
        """Length of the fourth axis, 1 for a volume."""
        return self.info.shape[3] if len(self.info.shape) > 3 else 1

    def text(self, key: str) -> str:
        """Return what a key states as a text, empty without one."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> float | None:
        """Return what a key states as a number, None without one."""
        value = self.values.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names that a person gave: of the series, of the protocol, of the file."""
        found = (self.text("SeriesDescription"), self.text("ProtocolName"), self.stem)
        return tuple(dict.fromkeys(name for name in found if name))


def stem_of(name: str, endings: Sequence[str] = (*IMAGE_ENDINGS, *ARRAY_ENDINGS)) -> str | None:
    """Return the name of a file without its ending, None if it has another.

    Examples
    --------
    >>> stem_of("20250101_trufi_5_ph.nii.gz")
    '20250101_trufi_5_ph'
    """
    return next((name[: -len(end)] for end in endings if name.lower().endswith(end)), None)


def shown(name: str) -> str:
    """Return a name as text that any file can hold: bytes that are no UTF-8 as their numbers."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_folder(
    folder: Path, *, scratch: Path, without: Path
) -> tuple[list[SourceImage], dict[str, str], dict[str, str]]:
    """Return the images of a folder and of those below it, and why others cannot be used.

    Parameters
    ----------
    folder
        With images and arrays, in any depth; names that begin with a dot are passed over.
    scratch
        Where arrays become images.
    without
        The dataset that is written, which may lie in the folder.

    Returns
    -------
    list of SourceImage
        In the order of their names.
    dict of str
        By file, what is wrong with it, as a sentence.
    dict of str
        By file, why it is no scan: pictures in colour, single planes.
    """
    images: list[SourceImage] = []
    refused: dict[str, str] = {}
    others: dict[str, str] = {}
    excluded = None if without.resolve() in folder.resolve().parents else without.resolve()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        stem = stem_of(path.name)
        if any(piece.startswith(".") for piece in path.relative_to(folder).parts):
            continue
        if path.is_symlink() and path.is_dir():
            others[shown(name)] = "a link to a folder, which is not entered: import that folder, or copy it here"
            continue
        if stem is None:
            continue
        try:
            if path.is_dir() or excluded in path.resolve().parents:
                continue
        except (OSError, RuntimeError):  # a link in a circle
            refused[shown(name)] = (
                f"{shown(name)}: file: expected an image, found a link that leads to itself. Remove it."
            )
            continue
        if shown(name) != name:
            refused[shown(name)] = f"{shown(name)}: file: expected a name in UTF-8, found another encoding. Rename it."
            continue
        try:
            images.append(_read(path, name=name, stem=stem, folder=folder, scratch=scratch))
        except Exception as error:  # whatever one file is at fault for costs itself
            is_said = isinstance(error, RefusedError | ValueError)
            sentence = str(error) if is_said else str(refusal_of(error, file=name))
            no_scan = isinstance(error, RefusedError) and error.refusal.key in NO_SCAN
            (others if no_scan else refused)[name] = " ".join(sentence.split())
    return images, refused, others


def _read(path: Path, *, name: str, stem: str, folder: Path, scratch: Path) -> SourceImage:
    sidecar = path.with_name(f"{stem}.json")
    values: dict[str, Any] = {}
    there = sidecar.is_file()
    if there:
        try:
            values = read_json(sidecar)
        except UnreadableError as error:
            raise ValueError(
                f"{sidecar.name}: file: expected JSON, found {error}. Convert the series again, or repair the file."
            ) from error
        if not isinstance(values, dict):
            raise ValueError(
                f"{sidecar.name}: file: expected a JSON object, found {type(values).__name__}. Repair the file."
            )
        if _depth(values) > DEEPEST:
            raise ValueError(
                f"{sidecar.name}: file: expected JSON of {DEEPEST} levels at most, found more. Repair the file."
            )
    described: Mapping[str, Any] = {}
    note = "" if there else "no JSON file beside it"
    if path.name.lower().endswith(ARRAY_ENDINGS):
        described = values
        image = write_array(path, description=values if there else None, scratch=scratch)
        values = {key: value for key, value in values.items() if key not in OWN_KEYS}
        note = "array: axes taken as right, anterior, superior; its centre is the origin"
        info = check_image(image, root=scratch)
    else:
        info = check_image(path, root=folder)
    if len(info.shape) > 4:
        raise refuse(file=name, key="shape", expected="three or four axes", found=str(info.shape), advice="Split it.")
    return SourceImage(
        name=name,
        stem=stem,
        info=info,
        values=values,
        taken_for=str(described.get("Kind", "")),
        part=_part(described, sidecar.name),
        has_sidecar=there,
        note=note,
    )


def _depth(value: Any) -> int:
    """Return the levels of a JSON value."""
    level, here = 0, [value]
    while here:
        level += 1
        here = [
            item
            for each in here
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
    return level


def _part(described: Mapping[str, Any], name: str) -> str:
    """Return the part that the description of an array states, in the word of the table."""
    stated = described.get("Part", "")
    word = stated.strip().lower() if isinstance(stated, str) else None
    if word is None or (word and word not in PART_ENDINGS and word not in PARTS):
        raise ValueError(f"{name}: Part: expected one of {', '.join(PARTS)}, found {stated!r}. Correct it.")
    return PART_ENDINGS.get(word, word)
