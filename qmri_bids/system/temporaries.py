"""Names of files that are being written and of folders for a while, by which those that a killed call left behind are known."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PATTERN = re.compile(r"-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}(\.|$)")
_SCRATCH = ".qmri_bids-scratch"


def temporary_path(path: Path) -> Path:
    """Return the path beside a file under which it is written before it has its name.

    It begins with a dot, which validators and pybids ignore, keeps the extension, and is unique for every call.

    Parameters
    ----------
    path
        The file.
    """
    stem, dot, extension = path.name.partition(".")
    if not stem:  # a dot file such as .bidsignore
        stem, extension = extension, ""
    return path.with_name(f".{stem[:80]}-{_unique()}{dot}{extension or 'tmp'}")


_CHANGING = threading.Lock()
_OPEN: dict[str, str | None] = {}
"""Scratch folders that are open, and where temporary files lay before each."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder for files of a moment, in the folder of temporary files of the machine (`TMPDIR`); only its owner may enter.

    The files that libraries make by `tempfile` lie there, too, as long as it is open: ANTs leaves its own behind.
    """
    with _CHANGING:
        before = tempfile.tempdir
        # Beside those that are open, not inside: threads close theirs in any order.
        place = Path(tempfile.gettempdir())
        place = place.parent if str(place) in _OPEN else place
        folder = place / f"{_SCRATCH}-{_unique()}"
        folder.mkdir(mode=0o700)
        _OPEN[str(folder)] = before
        tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        with _CHANGING:
            before = _OPEN.pop(str(folder))
            _OPEN.update({name: before for name, under in _OPEN.items() if under == str(folder)})
            if tempfile.tempdir == str(folder):
                tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Remove and return what processes of this machine that are gone were writing in folders; those within are left alone.

    What another machine is writing, or a call that still runs, stays.

    Parameters
    ----------
    folders
        Those that are not there are passed over.
    """
    removed = []
    for path in (path for folder in folders if folder.is_dir() for path in folder.glob(".*")):
        if _is_abandoned(path):
            path.unlink(missing_ok=True)
            removed.append(path)
    return tuple(removed)


def remove_abandoned_scratch() -> tuple[Path, ...]:
    """Remove and return the scratch folders of processes of this user on this machine that are gone."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}-*"):
        try:
            own = path.lstat().st_uid == os.getuid()
        except FileNotFoundError:
            continue
        if own and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return tuple(removed)


def _is_abandoned(path: Path) -> bool:
    found = _PATTERN.search(path.name)
    return found is not None and found["host"] == _host() and not _runs(int(found["process"]))


def _unique() -> str:
    return f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _host() -> str:
    """Return a name of this machine in eight digits."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
