"""The lock under which jobs that share an output folder change the files that they share."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmri_bids.system.private_files import open_lock

logger = logging.getLogger("qmri_bids")

LOCK = Path("logs") / ".lock"
"""The lock, inside the output folder."""

PATIENCE = 60.0
"""How long another job is waited for [s]: the shared files take milliseconds, one that takes longer hangs."""


@contextmanager
def shared_files(output_dir: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Keep other jobs from changing the shared files of an output folder while the block runs.

    Where the file system has no locks, or a job does not let go of them, this is said in the log and the block runs all the
    same: files are written whole in any case, but an entry of another job may be lost.

    Parameters
    ----------
    output_dir
        Root of the derivatives.
    patience
        How long another job is waited for [s].
    """
    path = output_dir / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never removed: a lock file that is removed is a different file to the job that waits for it.
    with open_lock(path) as lock:
        ends = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    logger.warning("%s: another job has held it for %g s; going on without it", path, patience)
                    break
                time.sleep(0.02)
            except OSError as error:
                logger.warning(
                    "%s: cannot be locked (%s): jobs that share the folder may lose each other's lines", path, error
                )
                break
        yield
