"""What the process does from which those of steps are forked: imported there first, it ends that process with the program."""

from __future__ import annotations

import os
from multiprocessing import forkserver

from qmri_bids.system.child_processes import end_with_parent

VARIABLE = "QMRI_BIDS_STEP_SERVER"
"""Set where this module is imported by that process."""


def start_server() -> None:
    """Start that process, if it is not there; it imports what `set_forkserver_preload` was told."""
    os.environ[VARIABLE] = "1"
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[VARIABLE]


if os.environ.pop(VARIABLE, None) is not None:
    end_with_parent()
