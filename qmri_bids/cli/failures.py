"""What a user is told when a call cannot go on: one clear message, and details in a file."""

from __future__ import annotations

import datetime
import errno
import os
import sys
import traceback
import uuid
from collections.abc import Mapping
from pathlib import Path

from qmri_bids import __version__
from qmri_bids.system.private_files import UntrustedError

ADVICE: Mapping[int, str] = {
    errno.ENOSPC: "the disk is full: make room and run the same command again, which goes on from the last step that was done",
    errno.EDQUOT: "the disk quota is used up: make room and run the same command again, which goes on from the last step that was "
    "done",
    errno.EROFS: "the file system is read-only: give folders that can be written for output_dir and --work-dir",
    errno.EACCES: "this user may not read or write it: change its permissions, or give other folders",
    errno.EPERM: "this user may not change it: change its permissions, or give other folders",
    errno.EISDIR: "a folder of this name is where a file belongs: move it away, or give another folder",
    errno.ENOTDIR: "a file of this name is where a folder belongs: move it away, or give another folder",
    errno.ENOENT: "it is not there (any more): restore it, or run the same command again",
    errno.ELOOP: "it is a link where a file of this program belongs: remove it, or give another folder",
    errno.ENAMETOOLONG: "its name is too long for the file system: give folders with shorter paths, or shorter labels",
    errno.EIO: "the disk or the network failed: check it, and run the same command again, which goes on",
    errno.ESTALE: "the network drive was lost: mount it, and run the same command again, which goes on",
    errno.ENOMEM: "memory ran out: give the job more, or fewer processes with --nprocs",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n), or give fewer processes with --nprocs",
}
"""What to do about errors of the operating system, by their number."""


def describe_failure(error: Exception, *, output_dir: Path | None, command: str) -> str:
    """Return what a user is told of an error that ends the call; details of an unexpected one are kept in `logs`.

    Parameters
    ----------
    error
        The error.
    output_dir
        Root of the derivatives, where details are kept; None for a call that writes nothing.
    command
        The call.
    """
    if isinstance(error, UntrustedError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None and (error.errno in ADVICE or error.filename is not None):
        # Of two names the second is the one that a user knows: files are written beside it first.
        names = error.filename if error.filename2 is None else error.filename2
        advice = ADVICE.get(
            error.errno, "the operating system does not give it: check the file and the disk it lies on"
        )
        return f"{names or 'a file could not be written'}: {advice} ({error.strerror})"
    kept = _keep_details(error, output_dir=output_dir, command=command)
    message = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {message}. {kept}"


def _keep_details(error: Exception, *, output_dir: Path | None, command: str) -> str:
    """Write the traceback to a file, or return it where none can be written."""
    details = "".join(traceback.format_exception(error))
    if output_dir is None:
        return f"Please report it with these details:\n{details}"
    now = datetime.datetime.now().astimezone()
    path = output_dir / "logs" / f"crash_{now:%Y%m%d-%H%M%S}_{uuid.uuid4().hex[:6]}.txt"
    text = f"qmri_bids {__version__}, {now.isoformat(timespec='seconds')}\n{command}\n\n{details}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        return f"Please report it with these details:\n{details}"
    return f"Please report it with the details in {path}"


def say(text: str) -> None:
    """Print a text; that nobody reads on (as after `| head`) does not matter."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What the interpreter flushes at its end must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
