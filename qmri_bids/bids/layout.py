"""What a dataset holds of what is asked for: participants, sessions, and files by their entities."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.plain import UnreadableError, read_json
from qmri_bids.bids.index import (
    DATABASE,
    FILTER_ENTITIES,
    INDICES,
    LABEL,
    DatasetIndex,
    IndexedFile,
    store_index,
    stored_index,
    walk_dataset,
)

logger = logging.getLogger(__name__)

FILTER_KEYS = ("pcbssfp", "b1", "cest", "mt", "fieldmap")
"""Kinds of scans that a filter file may select."""


class BidsInputError(ValueError):
    """The dataset, or what was asked of it, cannot be read; the message says what to do."""


NAMES = {"sub": "participant", "ses": "session", "run": "run"}
"""Of entities, as their options say them: `--participant-label`, `--session-label`, `--run-id`."""


def strip_label(label: str, *, entity: str) -> str:
    """Return a label without the prefix of its entity.

    Parameters
    ----------
    label
        With or without prefix: `sub-01` or `01`.
    entity
        Short name of the entity: `sub`, `ses`, `run`.

    Raises
    ------
    BidsInputError
        If nothing or something that is no label is left.

    Examples
    --------
    >>> strip_label("sub-01", entity="sub"), strip_label("01", entity="sub")
    ('01', '01')
    """
    bare = label.strip().removeprefix(f"{entity}-")
    if not LABEL.fullmatch(bare):
        raise BidsInputError(
            f"label of {NAMES.get(entity, entity)}: expected letters and digits, with or without '{entity}-' before them, "
            f"found {label!r}"
        )
    return bare


def list_subjects(bids_dir: Path) -> tuple[str, ...]:
    """Return the labels of all subject folders, sorted, without indexing the dataset; `stray_folders` are none."""
    return tuple(label for label in _subject_folders(bids_dir) if LABEL.fullmatch(label))


def stray_folders(bids_dir: Path) -> tuple[str, ...]:
    """Return the names of folders that begin like those of participants and are none: copies and leftovers."""
    return tuple(f"sub-{label}" for label in _subject_folders(bids_dir) if not LABEL.fullmatch(label))


def _subject_folders(bids_dir: Path) -> list[str]:
    if not bids_dir.is_dir():
        raise BidsInputError(f"{bids_dir}: expected the folder of a BIDS dataset, found no folder")
    try:
        names = [entry.name for entry in bids_dir.iterdir() if entry.name.startswith("sub-") and entry.is_dir()]
    except OSError as error:
        raise BidsInputError(
            f"{bids_dir}: expected a folder that can be read, found: {error.strerror}; change its permissions"
        ) from error
    return sorted(name.removeprefix("sub-") for name in names)


def select_subjects(bids_dir: Path, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Return the subjects to work on: all, or those asked for.

    Parameters
    ----------
    bids_dir
        Folder of the dataset.
    labels
        Labels with or without `sub-`; None or empty for all subjects.

    Raises
    ------
    BidsInputError
        If the dataset has no subject or lacks one that was asked for. Labels match as text: `1` is not `01`.
    """
    there = list_subjects(bids_dir)
    if not there:
        raise BidsInputError(f"{bids_dir}: expected folders sub-<label>, found none. Is this a BIDS dataset?")
    if not labels:
        return there
    wanted = tuple(dict.fromkeys(strip_label(label, entity="sub") for label in labels))
    missing = [label for label in wanted if label not in there]
    if missing:
        shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
        raise BidsInputError(
            f"{bids_dir}: expected sub-{', sub-'.join(missing)}, found the subjects {shown}. "
            "Labels match as text: 1 is not 01."
        )
    return wanted


def list_sessions(layout: DatasetIndex, *, subject: str) -> tuple[str | None, ...]:
    """Return the session labels of a subject, sorted; (None,) for a subject without sessions."""
    labels = layout.get_sessions(subject=strip_label(subject, entity="sub"))
    return tuple(labels) if labels else (None,)


def open_layout(bids_dir: Path, *, subjects: Iterable[str], database_dir: Path | None = None) -> DatasetIndex:
    """Index the requested subjects of a dataset.

    File names only: metadata are read by `qmri_bids.bids.metadata.sidecar` for the files that need them, so that a
    broken sidecar refuses its own run and no other.

    Parameters
    ----------
    bids_dir
        Folder of the dataset.
    subjects
        Labels with or without `sub-`.
    database_dir
        Folder that keeps the index between calls. An index that is there is used as it is: files added since
        are not seen until the folder is deleted.

    Raises
    ------
    BidsInputError
        If the folder is no dataset, or a stored index cannot be read or lacks a requested subject.
    """
    labels = select_subjects(bids_dir, tuple(subjects))
    root = bids_dir.absolute()
    if database_dir is None:
        return walk_dataset(root, subjects=labels)
    database = _database_path(database_dir, bids_dir, labels) / DATABASE
    if not database.exists():
        index = walk_dataset(root, subjects=labels)
        try:
            store_index(index, database)
        except OSError as error:
            raise BidsInputError(
                f"--bids-database-dir {database_dir}: cannot be written: {error.strerror}; give another folder"
            ) from error
        return index
    try:
        index = stored_index(database, root=root, subjects=labels)
    except ValueError as error:
        raise BidsInputError(f"{error}. Delete the file to make the index anew.") from error
    logger.info("The index in %s is reused: files added since it was made are not seen.", database.parent)
    missing = sorted(set(labels) - set(index.get_subjects()))
    if missing:
        raise BidsInputError(
            f"{database.parent}: expected an index with sub-{', sub-'.join(missing)}, found one without. "
            "Delete the folder to make the index anew."
        )
    return index


def _database_path(database_dir: Path, bids_dir: Path, labels: Sequence[str]) -> Path:
    """Return the index of just these subjects: jobs of different subjects may share the folder.

    An index of the whole dataset that another program left in the folder itself is taken as it is.
    """
    if (database_dir / DATABASE).exists():
        return database_dir
    content = json.dumps([str(bids_dir.absolute()), sorted(labels)])
    return database_dir / f"qmri_bids-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def load_filter_file(path: Path) -> dict[str, dict[str, Any]]:
    """Read a BIDS filter file: `{"pcbssfp": {"acquisition": "highres"}, "b1": {"run": 2}}`.

    Keys inside are those of `FILTER_ENTITIES`; null means that the entity is absent, "*" that it is present.

    Raises
    ------
    BidsInputError
        If the file is no JSON object, or selects a kind of scans or an entity that is not known.
    """
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise BidsInputError(f"{path}: expected a BIDS filter file in JSON, found: {error}") from error
    known = f"expected an object with some of the keys {', '.join(FILTER_KEYS)}, each an object of entities"
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise BidsInputError(f"{path}: {known}, found {json.dumps(content)[:200]}")
    unknown = sorted(set(content) - set(FILTER_KEYS))
    if unknown:
        raise BidsInputError(f"{path}: {known}, found {', '.join(unknown)}")
    for kind, filters in content.items():
        try:
            _check_filters(filters)
        except BidsInputError as error:
            raise BidsInputError(f"{path}: {kind}: {error}") from error
    return content


def _check_filters(filters: Mapping[str, Any]) -> None:
    for key, value in filters.items():
        if key not in FILTER_ENTITIES:
            raise BidsInputError(f"expected an entity ({', '.join(FILTER_ENTITIES)}), found {key!r}")
        for item in value if isinstance(value, list) else [value]:
            if not (item is None or isinstance(item, str | int)):
                raise BidsInputError(f"{key}: expected a text, a number, null or a list of them, found {item!r:.60}")


def query_files(
    layout: DatasetIndex, *, filters: Mapping[str, Any] | None = None, **entities: Any
) -> list[IndexedFile]:
    """Return the files that match, sorted by path.

    Parameters
    ----------
    layout
        From `open_layout`.
    filters
        One object of a filter file. It narrows down what `entities` ask for and never widens it: a filter that names another
        participant, session, suffix, datatype or extension leaves nothing.
    entities
        Labels, or lists of them, by the names of `FILTER_ENTITIES`.

    Raises
    ------
    BidsInputError
        If a filter names an entity that is not known.
    """
    _check_filters(filters or {})
    wanted = [*entities.items(), *(filters or {}).items()]
    found = layout.of(entities.get("subject"))
    return [file for file in found if all(_matches(file.entities.get(key), value, key=key) for key, value in wanted)]


def _matches(label: str | None, wanted: Any, *, key: str) -> bool:
    if isinstance(wanted, list | tuple):
        return any(_matches(label, item, key=key) for item in wanted)
    if wanted in (None, "Query.NONE"):
        return label is None
    if wanted in ("*", "Query.ANY"):
        return label is not None
    if label is None:
        return False
    text = str(wanted)
    if key in INDICES and label.isdecimal() and text.isdecimal():
        return label.lstrip("0") == text.lstrip("0")
    return label == text
