"""The program in a process of its own, forked from one that has imported and compiled everything."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Ended(NamedTuple):
    """How a call ended.

    Parameters
    ----------
    code
        Exit code, None where it had to be ended.
    memory
        The most that the process held, what it shares with this one among it [GiB].
    """

    code: int | None
    memory: float


def called(arguments: Sequence[str], said: Path, *, until: float) -> Ended:
    """Return how a call ended; what it says goes to a file.

    Parameters
    ----------
    arguments
        Of the command line.
    said
        The file.
    until
        When it is ended [s of `time.perf_counter`].
    """
    child = os.fork()
    if child == 0:
        _call(arguments, said)
    while time.perf_counter() < until:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return Ended(os.waitstatus_to_exitcode(status), usage.ru_maxrss / 2**20)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    _, _, usage = os.wait4(child, 0)
    return Ended(None, usage.ru_maxrss / 2**20)


def _call(arguments: Sequence[str], said: Path) -> None:
    """Run the program in this process, which ends with it."""
    code = 99
    try:
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        from qmri_bids.cli.run import main

        code = main(list(arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 98
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
