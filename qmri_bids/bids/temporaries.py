"""Names of files that are being written, by which those that a killed call left behind are known."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path

_PATTERN = re.compile(r"-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}(\.|$)")


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
    unique = f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{stem[:80]}-{unique}{dot}{extension or 'tmp'}")


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
        found = _PATTERN.search(path.name)
        if found and found["host"] == _host() and not _runs(int(found["process"])):
            path.unlink(missing_ok=True)
            removed.append(path)
    return tuple(removed)


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
