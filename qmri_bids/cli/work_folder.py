"""The part of the work folder that belongs to a participant, and the lock that keeps other calls out of it."""

from __future__ import annotations

import fcntl
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from qmri_bids import __version__
from qmri_bids.bids.layout import BidsInputError

logger = logging.getLogger("qmri_bids")


@dataclass(frozen=True, kw_only=True)
class WorkFolder:
    """The work folder of a participant, while this call has it.

    Parameters
    ----------
    path
        The folder.
    lock
        File that is locked until it is closed.
    """

    path: Path
    lock: IO[str]

    def empty(self, *others: Path) -> None:
        """Remove all that is kept in it and in other folders of the participant."""
        for folder in (self.path, *others):
            shutil.rmtree(folder, ignore_errors=True)

    def release(self) -> None:
        """Let other calls have it."""
        self.lock.close()


def take_work_folder(work_dir: Path, *, subject: str) -> WorkFolder:
    """Return the work folder of a participant and keep other calls out of it.

    Parameters
    ----------
    work_dir
        Of the call.
    subject
        Label without `sub-`.

    Raises
    ------
    BidsInputError
        If another call is at work in it.
    """
    # Results of another version are not taken up.
    path = work_dir / f"qmri_bids-{__version__}" / f"sub-{subject}"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BidsInputError(
            f"another call of qmri_bids is at work in {path}; wait for it, or give this one another --work-dir"
        ) from None
    except OSError as error:
        logger.warning("The work folder %s cannot be locked (%s): do not start a second call on it", path, error)
    return WorkFolder(path=path, lock=lock)
