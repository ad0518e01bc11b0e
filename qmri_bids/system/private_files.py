"""Files and folders that no other user can put things into: locks that are no links, and folders whose content is trusted.

Intermediate results are pickles, which run as programs when they are read. They are read from folders alone that belong to the user
of this process and that others cannot write to.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import IO


class UntrustedError(OSError):
    """A folder or a lock may be in the hands of another user; the message says what to do."""

    def __str__(self) -> str:
        return str(self.args[0])


def open_lock(path: Path) -> IO[str]:
    """Open a lock file, which is made if need be and never read or emptied; a link of this name is not followed.

    Parameters
    ----------
    path
        The file, in a folder that is there.

    Raises
    ------
    UntrustedError
        If it is a link or no file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise UntrustedError(f"{path}: expected a lock file, found {_kind(path)}: remove it") from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UntrustedError(f"{path}: expected a lock file, found {_kind(path)}: remove it")
    return os.fdopen(handle, "r+")


def _kind(path: Path) -> str:
    if path.is_symlink():
        return f"a link to {os.readlink(path)}"
    return "a folder" if path.is_dir() else "something else"


def make_private(folder: Path) -> None:
    """Make a folder whose content can be trusted, with those above it, or check that one that is there can be.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    UntrustedError
        If it is a link, belongs to another user, or others may write to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        check_private(folder)


def check_private(folder: Path) -> None:
    """Check that the content of a folder can be trusted.

    Parameters
    ----------
    folder
        That is there.

    Raises
    ------
    UntrustedError
        If it is a link, belongs to another user, or others may write to it.
    """
    found = folder.lstat()
    advice = "Give another --work-dir, or remove this folder."
    if not stat.S_ISDIR(found.st_mode):
        raise UntrustedError(f"{folder}: expected a folder of intermediate results, found {_kind(folder)}. {advice}")
    if found.st_uid != os.geteuid() and found.st_uid != _own_user(folder):
        raise UntrustedError(
            f"{folder}: expected a folder of this user, found one of user {found.st_uid}: intermediate results are programs to "
            f"Python, and are not taken from others. {advice}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UntrustedError(
            f"{folder}: expected a folder that only this user may write to, found the permissions "
            f"{stat.S_IMODE(found.st_mode):o}: intermediate results are programs to Python, and others could have put some there. "
            f"If nobody has, `chmod go-w {folder}` and run the same command again. {advice}"
        )


def _own_user(folder: Path) -> int | None:
    """Return whom a file system takes this user for: network drives may give root another name."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_uid
    except OSError:
        return None
