"""Metadata of a file by the inheritance principle of BIDS, each value with the file that states it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.plain import UnreadableError, check_regular, read_json
from qmri_bids.bids.metadata.added import OPTION, AddedMetadata
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sequences import translated
from qmri_bids.bids.refusal import refuse, relative_name


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """Metadata of one file.

    Parameters
    ----------
    file
        The data file, relative to the dataset.
    expected_name
        The sidecar beside the data file, where a missing key should be added.
    values
        Values by key.
    origins
        For every key the file that states it, relative to the dataset.
    stated_as
        For keys that were read from another: that other key.
    decisions
        For keys that were read from another, or that two files state differently: what was decided, as a sentence.
    """

    file: str
    expected_name: str
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    stated_as: Mapping[str, str] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str:
        """Return where a key is stated, for a message; the sidecar that should state it if none does."""
        return self.origins.get(key, self.expected_name)

    def source(self, key: str) -> str:
        """Return where a value came from: the file, and the key under which it stands there."""
        return f"{self.origin(key)}: {self.stated_as.get(key, key)}"


def read_sidecar(path: Path, *, root: Path, added: AddedMetadata | None = None) -> Sidecar:
    """Merge all sidecars that apply to a file, from the top of the dataset down to its folder.

    A sidecar applies if it lies in the folder of the file or above, has the same suffix and no entity that
    the file lacks (BIDS, Common principles, inheritance). Of two in one folder the one with more entities is
    the nearer. What they lack is taken from `added`, then from other keys where these say it plainly (`sequences.translated`).

    Parameters
    ----------
    path
        The image.
    root
        The dataset.
    added
        What the user states of the whole dataset.

    Raises
    ------
    RefusedError
        If a sidecar that applies is not readable or is no JSON object.
    """
    name = parse_name(path)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for candidate in applicable_files(path, root=root, suffix=name.suffix, extension=".json"):
        origin = relative_name(candidate, root)
        for key, value in _read_json(candidate, origin).items():
            values[key] = value
            origins[key] = origin
    decisions: dict[str, str] = {}
    stated_as: dict[str, str] = {}
    shown = relative_name(path, root)
    if added is not None:
        for key, value in added.of(path, values).items():
            if values.get(key) is None:
                values[key] = value
                origins[key] = f"{OPTION} {added.name}"
            elif values[key] != value:
                decisions[key] = (
                    f"{origins[key]}: {key} is {values[key]!r}, and {value!r} in {added.name} ({OPTION}): the sidecar comes first; "
                    "the file adds what is not there."
                )
    for each in list(translated(values, suffix=name.suffix)):
        values[each.key] = each.value
        origins[each.key] = origins[each.source]
        stated_as[each.key] = each.source
        decisions[each.key] = f"{origins[each.source]}: {each.sentence}"
    stem = path.name.partition(".")[0]
    return Sidecar(
        file=shown,
        expected_name=relative_name(path.with_name(stem + ".json"), root),
        values=values,
        origins=origins,
        stated_as=stated_as,
        decisions=decisions,
    )


def applicable_files(path: Path, *, root: Path, suffix: str, extension: str) -> list[Path]:
    """Return the files of a suffix that apply to `path` by inheritance, the most general first."""
    entities = parse_name(path).entities
    folders = [path.parent, *path.parent.parents]
    depth = folders.index(root) + 1 if root in folders else 1
    folders = folders[:depth]
    found = []
    for folder in reversed(folders):
        # an index of the whole dataset is no help here: `sub-*` folders may hold thousands of other files
        here = [
            (len(labels), name)
            for name, labels in _named(folder, suffix, extension)
            if labels.items() <= entities.items()
        ]
        found += [folder / name for _, name in sorted(here)]
    return found


def _named(folder: Path, suffix: str, extension: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """Return the files of a suffix in a folder and their entities; none where it cannot be read."""
    try:
        changed = folder.stat().st_mtime_ns
    except OSError:
        return ()
    return _listed(folder, changed, suffix, extension)


@lru_cache(maxsize=1024)
def _listed(folder: Path, _changed: int, suffix: str, extension: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """List a folder once: the top of a dataset holds the folders of thousands of participants, and every file asks for it."""
    try:
        names = os.listdir(folder)
    except OSError:
        return ()
    found = []
    for name in names:
        if name.endswith(f"{suffix}{extension}"):
            parts = parse_name(folder / name)
            if parts.suffix == suffix and parts.extension == extension:
                found.append((name, parts.entities))
    return tuple(found)


def _read_json(path: Path, shown: str) -> dict[str, Any]:
    try:
        size = check_regular(path)
        content = _cached_json(path, path.stat().st_mtime_ns, size)
    except (OSError, UnreadableError) as error:
        raise refuse(
            file=shown,
            key="file",
            expected="a JSON sidecar in UTF-8",
            found=f"{error}",
            advice="Repair or restore the file.",
        ) from error
    if not isinstance(content, dict):
        raise refuse(
            file=shown,
            key="file",
            expected="a JSON object of keys and values",
            found=f"a {type(content).__name__}",
            advice="Repair or restore the file.",
        )
    return content


@lru_cache(maxsize=256)
def _cached_json(path: Path, _modified: int, _size: int) -> Any:
    """Read a JSON file once: dozens of phase cycles share the sidecars above them."""
    return read_json(path)


def texts(sidecar: Sidecar, key: str) -> tuple[str, ...]:
    """Return a text or an array of texts as a tuple; whatever is no text is left out."""
    value = sidecar.values.get(key, ())
    items = [value] if isinstance(value, str) else value
    return tuple(item for item in items if isinstance(item, str)) if isinstance(items, list | tuple) else ()


def is_intended(targets: Sequence[str], images: Sequence[Path], root: Path) -> bool:
    """Whether IntendedFor names one of the images, as BIDS URI or relative to the subject."""
    names = {relative_name(image, root) for image in images}
    names |= {name.partition("/")[2] for name in names}
    return any(target.removeprefix("bids::").lstrip("./") in names for target in targets)


def decisions_on(sidecars: Sequence[Sidecar], keys: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return what was decided on keys of the files of a run, on all where none are named, each decision once."""
    said: dict[tuple[str, Any], str] = {}
    for sidecar in sidecars:
        for key in sidecar.decisions if keys is None else keys:
            if key in sidecar.decisions:
                said.setdefault((key, str(sidecar.values[key])), sidecar.decisions[key])
    return tuple(said.values())
