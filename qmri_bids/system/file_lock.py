"""A lock between processes: what is made once is made by the first, and the others wait for it."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

from qmri_bids.system.private_files import open_lock


@contextlib.contextmanager
def file_lock(path: Path, *, waits: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock while the block runs.

    Where the file system has no locks the block runs without: then the same is made twice, and the second wins.

    Parameters
    ----------
    path
        Of the lock; its folder is made if need be, and the file stays.
    waits
        Called where there is somebody to wait for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waits is not None:
                waits()
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
