"""A folder of trained networks, in which each is trained once however many processes ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qmri_bids.system.file_lock import file_lock


@contextmanager
def untrained(name: str, *, cache: Path, say: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lock of a network, and tell whether it still has to be trained.

    The second of two processes that need one network waits for the first.

    Parameters
    ----------
    name
        Name of weights and card.
    cache
        The folder; made if need be.
    say
        Function that is called with a line of text where there is somebody to wait for.
    """
    lock = cache / f".{name}.lock"
    with file_lock(lock, waits=lambda: say(f"Waiting for another process that trains network {name}")):
        yield not (cache / f"{name}.json").is_file()
