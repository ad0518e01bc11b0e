"""Fresh worker processes that leave the script of their parent alone.

A spawned process runs the main script of its parent again, guarded by `if __name__ == "__main__":` or not. The scripts that
Nipype writes for the jobs of a cluster are not: every worker would run the job again. What runs in workers here is imported
by its name and needs nothing of a main script, so that they are not told of it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_LOCK = threading.Lock()


class _Worker(SpawnProcess):
    """A spawned process that does not run the main script again."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        from multiprocessing.popen_spawn_posix import Popen

        with _hidden_script():
            return Popen(process_obj)


class _WorkerContext(SpawnContext):
    """Spawned processes of the kind above."""

    Process = _Worker


def worker_context() -> SpawnContext:
    """Return the context in which pools of this package make their processes."""
    return _WorkerContext()


@contextmanager
def _hidden_script() -> Iterator[None]:
    """Hide the path of the main script, which `multiprocessing` would send to a new process."""
    main = vars(sys.modules["__main__"])
    with _LOCK:
        path = main.pop("__file__", None) if main.get("__spec__") is None else None
        try:
            yield
        finally:
            if path is not None:
                main["__file__"] = path
