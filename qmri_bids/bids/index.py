"""The files of participants by their names: what lies in the folders of a dataset, and nothing of what lies above it.

Participant, session and datatype of a file are those of the folders inside the dataset; a name that says otherwise is at fault. A
folder that cannot be read costs its participant and no other.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import Refusal
from qmri_bids.system.temporaries import temporary_path

NOT_INDEXED = ("func", "dwi", "eeg", "ieeg", "meg", "beh", "pet", "micr", "nirs", "motion", "mrs")
"""Datatypes that hold nothing this program reads; walking through them takes hours in large datasets."""

LABEL = re.compile(r"[0-9a-zA-Z+]+")
"""What BIDS allows in a label."""

LONG_NAMES: Mapping[str, str] = {
    "sub": "subject",
    "ses": "session",
    "sample": "sample",
    "task": "task",
    "tracksys": "tracksys",
    "acq": "acquisition",
    "nuc": "nucleus",
    "voi": "volume",
    "ce": "ceagent",
    "trc": "tracer",
    "stain": "staining",
    "rec": "reconstruction",
    "dir": "direction",
    "run": "run",
    "mod": "modality",
    "echo": "echo",
    "flip": "flip",
    "inv": "inv",
    "mt": "mt",
    "part": "part",
    "proc": "proc",
    "hemi": "hemi",
    "space": "space",
    "split": "split",
    "recording": "recording",
    "chunk": "chunk",
    "atlas": "atlas",
    "seg": "segmentation",
    "res": "res",
    "den": "den",
    "label": "label",
    "from": "from",
    "to": "to",
    "mode": "mode",
    "desc": "desc",
}
"""Entities as filter files call them, by what stands in a file name."""

FILTER_ENTITIES = (*LONG_NAMES.values(), "suffix", "datatype", "extension")
"""What a filter may name."""

INDICES = ("run", "echo", "flip", "inv", "split", "chunk")
"""Entities whose labels are numbers: 1 and 01 are the same."""

IMAGES = (".nii.gz", ".nii")
DATABASE = "layout_index.sqlite"


@dataclass(frozen=True, kw_only=True)
class IndexedFile:
    """A file and what its path inside the dataset says.

    Parameters
    ----------
    path
        The file.
    entities
        Labels by the names of `FILTER_ENTITIES`; participant, session and datatype are those of the folders.
    fault
        What is wrong with the name, empty where nothing is: a refusal in the making.
    """

    path: Path
    entities: Mapping[str, str]
    fault: Refusal | None = None


def read_path(path: Path, *, root: Path) -> IndexedFile | None:
    """Return what the path of a file says of it, None for one that lies in no folder of a participant.

    Parameters
    ----------
    path
        The file.
    root
        The dataset.

    Examples
    --------
    >>> found = read_path(Path("/anat/data/sub-01/anat/sub-01_run-1_VFA.nii.gz"), root=Path("/anat/data"))
    >>> found.entities["datatype"], found.entities["subject"], found.fault
    ('anat', '01', None)
    """
    try:
        inside = path.relative_to(root)
    except ValueError:
        return None
    folders = inside.parts[:-1]
    if not folders or not folders[0].startswith("sub-"):
        return None
    subject = folders[0].removeprefix("sub-")
    within = len(folders) > 1 and folders[1].startswith("ses-")
    session = folders[1].removeprefix("ses-") if within else None
    ending = next((end for end in IMAGES if path.name.endswith(end)), None)
    name = parse_name(path)
    suffix, extension = name.suffix, name.extension
    if ending is not None and extension != ending:  # a dot in the name
        suffix, extension = path.name.removesuffix(ending).rpartition("_")[2], ending
    entities = {LONG_NAMES.get(key, key): label for key, label in name.entities.items()}
    entities = {key: label for key, label in entities.items() if key not in ("subject", "session")}
    entities |= {"subject": subject, "suffix": suffix, "extension": extension}
    if session is not None:
        entities["session"] = session
    if len(folders) > 1 + within:
        entities["datatype"] = folders[-1]
    return IndexedFile(path=path, entities=entities, fault=_fault(inside, subject=subject, session=session))


def _fault(inside: Path, *, subject: str, session: str | None) -> Refusal | None:
    """Return what is wrong with the name of an image; maps of it would be written for another participant or session."""
    ending = next((end for end in IMAGES if inside.name.endswith(end)), None)
    if ending is None:
        return None
    stem = inside.name.removesuffix(ending)
    begin = f"sub-{subject}_" + (f"ses-{session}_" if session is not None else "")
    labels = dict(pair.partition("-")[::2] for pair in stem.split("_")[:-1])
    advice = "Rename the file, or move it into the folder of its participant and session."
    if not stem.startswith(begin) or (session is None and "ses" in labels):
        found = (
            inside.name if not stem.startswith(begin) else f"the session {labels['ses']} in a folder without session"
        )
        return Refusal(
            file=inside.as_posix(),
            key="file name",
            expected=f"a name that begins with {begin}, as its folder says"
            + ("" if session is not None else ", and has no ses-"),
            found=found,
            advice=advice,
        )
    if "." in stem:
        return Refusal(
            file=inside.as_posix(),
            key="file name",
            expected=f"no dot before {ending}",
            found=stem,
            advice="Rename the file and its sidecar: labels are letters and digits (acq-15T for 1.5 T).",
        )
    return None


def bad_label(path: Path, *, shown: str) -> Refusal | None:
    """Return the refusal of an image with a label that no file name of BIDS can hold; None where all labels are sound.

    Parameters
    ----------
    path
        The image.
    shown
        Its name in messages.
    """
    stem = path.name.partition(".")[0]
    seen: dict[str, str] = {}
    for pair in stem.split("_")[:-1]:
        key, dash, label = pair.partition("-")
        if not dash:
            continue
        if not LABEL.fullmatch(label):
            return Refusal(
                file=shown,
                key=f"{key}- in the file name",
                expected="a label of letters and digits",
                found=repr(label),
                advice="Rename the file and its sidecar: maps could not be given its label.",
            )
        if key in seen:
            return Refusal(
                file=shown,
                key=f"{key}- in the file name",
                expected="each entity once",
                found=f"{key}-{seen[key]} and {key}-{label}",
                advice="Rename the file and its sidecar.",
            )
        seen[key] = label
    return None


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """The files of the participants that were asked for.

    Parameters
    ----------
    root
        The dataset.
    by_subject
        Files by the label of the participant.
    refusals
        Folders that cannot be read, and folders of no session, by the label of the participant.
    """

    root: Path
    by_subject: Mapping[str, tuple[IndexedFile, ...]]
    refusals: Mapping[str, tuple[Refusal, ...]] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(each.path for files in self.by_subject.values() for each in files)

    def get_subjects(self) -> list[str]:
        """Return the labels of the participants, sorted."""
        return sorted(self.by_subject)

    def get_sessions(self, *, subject: str) -> list[str]:
        """Return the labels of the sessions of a participant that hold files, sorted."""
        found = self.by_subject.get(subject, ())
        return sorted({each.entities["session"] for each in found if "session" in each.entities})

    def of(self, subject: str | None) -> Iterator[IndexedFile]:
        """Yield the files of a participant; of all for None."""
        chosen: Iterable[str] = self.by_subject if subject is None else (subject,)
        for label in chosen:
            yield from self.by_subject.get(label, ())


def walk_dataset(root: Path, *, subjects: Iterable[str]) -> DatasetIndex:
    """Return the files of participants: those in the folders of their datatypes, `NOT_INDEXED` left out.

    Parameters
    ----------
    root
        The dataset.
    subjects
        Labels whose folders are there.
    """
    by_subject: dict[str, tuple[IndexedFile, ...]] = {}
    refusals: dict[str, tuple[Refusal, ...]] = {}
    for subject in subjects:
        walk = _Walk(root)
        walk.enter(root / f"sub-{subject}", depth=0)
        by_subject[subject] = tuple(sorted(walk.files, key=lambda each: each.path))
        if walk.refusals:
            refusals[subject] = tuple(walk.refusals)
    return DatasetIndex(root=root, by_subject=by_subject, refusals=refusals)


class _Walk:
    """Collects the files of a participant."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[IndexedFile] = []
        self.refusals: list[Refusal] = []

    def enter(self, folder: Path, *, depth: int) -> None:
        """Take the files of a folder; participant, session and datatype are three levels, and links cannot lead in circles."""
        inside = folder.relative_to(self.root).as_posix()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            advice = "Give this user permission to read it and what it holds (chmod), or leave the participant out."
            self._refuse(inside, "a folder that can be read", error.strerror or str(error), advice)
            return
        for entry in found:
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads in a circle
                continue
            if not is_folder:
                file = read_path(folder / entry.name, root=self.root)
                if file is not None:
                    self.files.append(file)
            elif depth < 2 and entry.name not in NOT_INDEXED:
                if (
                    depth == 0
                    and entry.name.startswith("ses-")
                    and not LABEL.fullmatch(entry.name.removeprefix("ses-"))
                ):
                    advice = "Rename the folder, or move it out of the dataset: it is left alone."
                    self._refuse(
                        f"{inside}/{entry.name}", "a session, ses-<letters and digits>", repr(entry.name), advice
                    )
                    continue
                # A session holds folders of datatypes; what lies below a datatype is no file of BIDS.
                if depth == 0 or folder.name.startswith("ses-"):
                    self.enter(folder / entry.name, depth=depth + 1)

    def _refuse(self, file: str, expected: str, found: str, advice: str) -> None:
        self.refusals.append(Refusal(file=file, key="folder", expected=expected, found=found, advice=advice))


def store_index(index: DatasetIndex, database: Path) -> None:
    """Keep an index between calls, whole or not at all.

    Parameters
    ----------
    index
        From `walk_dataset`.
    database
        The file.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(database)
    try:
        with contextlib.closing(sqlite3.connect(temporary)) as connection, connection:
            connection.execute("CREATE TABLE files (path TEXT)")
            connection.execute("CREATE TABLE subjects (label TEXT)")
            connection.executemany("INSERT INTO files VALUES (?)", [(str(path),) for path in index.files])
            connection.executemany("INSERT INTO subjects VALUES (?)", [(label,) for label in index.by_subject])
        os.replace(temporary, database)
    finally:
        temporary.unlink(missing_ok=True)


def stored_index(database: Path, *, root: Path, subjects: Iterable[str]) -> DatasetIndex:
    """Return an index that was kept, by this program or by pybids, for some of its participants.

    Parameters
    ----------
    database
        The file.
    root
        The dataset.
    subjects
        Labels; those that the index does not know are left out.

    Raises
    ------
    ValueError
        If the file is no such index.
    """
    wanted = set(subjects)
    by_subject: dict[str, list[IndexedFile]] = {}
    try:
        with contextlib.closing(sqlite3.connect(f"file:{_quoted(database)}?mode=ro", uri=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            paths: list[Any] = [row[0] for row in connection.execute("SELECT path FROM files")]
            known = [row[0] for row in connection.execute("SELECT label FROM subjects")] if "subjects" in tables else []
    except sqlite3.Error as error:
        raise ValueError(f"{database}: expected an index of a dataset, found: {error}") from error
    for label in wanted & set(map(str, known)):
        by_subject[label] = []
    for path in map(str, paths):
        file = read_path(Path(path), root=root)
        if file is not None and file.entities["subject"] in wanted and "." in Path(path).name:
            by_subject.setdefault(file.entities["subject"], []).append(file)
    return DatasetIndex(
        root=root,
        by_subject={
            label: tuple(sorted(files, key=lambda each: each.path)) for label, files in sorted(by_subject.items())
        },
    )


def _quoted(path: Path) -> str:
    """Return a path as part of a URI of SQLite."""
    from urllib.parse import quote

    return quote(str(path))
