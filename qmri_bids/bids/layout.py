"""Indexing a dataset with pybids: only what is asked for, without its validation.

The validation of pybids drops silently what BIDS has no name for yet.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

logger = logging.getLogger(__name__)

FILTER_KEYS = ("pcbssfp", "b1", "cest", "mt", "fieldmap")
"""Kinds of scans that a filter file may select."""

NOT_INDEXED = ("func", "dwi", "eeg", "ieeg", "meg", "beh", "pet", "micr", "nirs", "motion", "mrs")
"""Datatypes that hold nothing this program reads; walking through them takes hours in large datasets."""


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
    if not re.fullmatch(r"[0-9a-zA-Z+]+", bare):
        raise BidsInputError(
            f"label of {NAMES.get(entity, entity)}: expected letters and digits, with or without '{entity}-' before them, "
            f"found {label!r}"
        )
    return bare


def list_subjects(bids_dir: Path) -> tuple[str, ...]:
    """Return the labels of all subject folders, sorted, without indexing the dataset."""
    if not bids_dir.is_dir():
        raise BidsInputError(f"{bids_dir}: expected the folder of a BIDS dataset, found no folder")
    return tuple(sorted(entry.name.removeprefix("sub-") for entry in bids_dir.glob("sub-*") if entry.is_dir()))


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


def list_sessions(layout: BIDSLayout, *, subject: str) -> tuple[str | None, ...]:
    """Return the session labels of a subject, sorted; (None,) for a subject without sessions."""
    labels = sorted(str(label) for label in layout.get_sessions(subject=strip_label(subject, entity="sub")))
    return tuple(labels) if labels else (None,)


def open_layout(bids_dir: Path, *, subjects: Iterable[str], database_dir: Path | None = None) -> BIDSLayout:
    """Index the requested subjects of a dataset.

    File names only: metadata are read by `qmri_bids.bids.sidecar` for the files that need them, so that a
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
        If the folder is no dataset, or a stored index lacks a requested subject.
    """
    labels = select_subjects(bids_dir, tuple(subjects))
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    database = None if database_dir is None else _database_path(database_dir, bids_dir, labels)
    reused = database is not None and database.exists()
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=_ignore_patterns(labels))
    with warnings.catch_warnings():
        # pybids announces its own future and closes SQLite late; neither is for the user of this program
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(bids|sqlalchemy|upath)\b")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"bids\b")
        try:
            layout = BIDSLayout(str(bids_dir.absolute()), validate=False, indexer=indexer, database_path=database)
        except (ValueError, OSError) as error:
            raise BidsInputError(f"{bids_dir}: cannot be indexed: {error}") from error
    if reused:
        logger.info("The index in %s is reused: files added since it was made are not seen.", database)
        missing = sorted(set(labels) - set(layout.get_subjects()))
        if missing:
            raise BidsInputError(
                f"{database}: expected an index with sub-{', sub-'.join(missing)}, found one without. "
                "Delete the folder to make the index anew."
            )
    return layout


def _ignore_patterns(labels: Sequence[str]) -> list[re.Pattern[str]]:
    """Return patterns on `/path/inside/dataset` that exclude all but the subjects and the sidecars above."""
    subjects = "|".join(re.escape(label) for label in labels)
    return [
        re.compile(r"/\."),
        re.compile(rf"^/sub-(?!(?:{subjects})(?:/|$))[^/_]*(?:/|$)"),
        re.compile(r"^/(?!sub-)[^/]+/"),  # inside derivatives, sourcedata, code and whatever else lies at the top
        re.compile(r"^/(?!sub-)[^/.]+$"),
        re.compile(rf"^/sub-[^/]+/(?:ses-[^/]+/)?(?:{'|'.join(NOT_INDEXED)})(?:/|$)"),
    ]


def _database_path(database_dir: Path, bids_dir: Path, labels: Sequence[str]) -> Path:
    """Return the index of just these subjects: jobs of different subjects may share the folder.

    An index of the whole dataset that another program left in the folder itself is taken as it is.
    """
    if (database_dir / "layout_index.sqlite").exists():
        return database_dir
    content = json.dumps([str(bids_dir.absolute()), sorted(labels)])
    return database_dir / f"qmri_bids-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def load_filter_file(path: Path) -> dict[str, dict[str, Any]]:
    """Read a BIDS filter file: `{"pcbssfp": {"acquisition": "highres"}, "b1": {"run": 2}}`.

    Keys inside are entities as pybids names them (`acquisition`, `reconstruction`, `run`, `suffix` …); null
    means that the entity is absent, "*" that it is present.

    Raises
    ------
    BidsInputError
        If the file is no JSON object or selects a kind of scans that is not known.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BidsInputError(f"{path}: expected a BIDS filter file in JSON, found: {error}") from error
    known = f"expected an object with some of the keys {', '.join(FILTER_KEYS)}, each an object of entities"
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise BidsInputError(f"{path}: {known}, found {json.dumps(content)[:200]}")
    unknown = sorted(set(content) - set(FILTER_KEYS))
    if unknown:
        raise BidsInputError(f"{path}: {known}, found {', '.join(unknown)}")
    return content


def query_files(layout: BIDSLayout, *, filters: Mapping[str, Any] | None = None, **entities: Any) -> list[Path]:
    """Return the files that match, sorted.

    Parameters
    ----------
    layout
        From `open_layout`.
    filters
        One object of a filter file; takes precedence over `entities`.
    entities
        Entities as pybids names them.

    Raises
    ------
    BidsInputError
        If a filter names an entity that pybids does not know.
    """
    from bids.layout import Query

    special = {None: Query.NONE, "*": Query.ANY, "Query.NONE": Query.NONE, "Query.ANY": Query.ANY}

    def translate(value: Any) -> Any:
        if isinstance(value, list):
            return [translate(item) for item in value]
        return special.get(value, value)

    merged = entities | {key: translate(value) for key, value in (filters or {}).items()}
    try:
        found = layout.get(**merged, return_type="filename")
    except ValueError as error:
        raise BidsInputError(f"filter {dict(filters or {})}: {error}") from error
    return sorted(Path(name) for name in found)
