"""What the engine says of itself."""

from __future__ import annotations

import logging


def quiet_engine(level: int) -> None:
    """Keep Nipype from repeating every step and its tracebacks: ours are one line a step, and the crash files.

    Parameters
    ----------
    level
        Level of `logging` from which on messages of Nipype are shown.
    """
    import nipype  # noqa: F401  (sets up its loggers, which are then changed)

    for name in ("nipype", "nipype.workflow", "nipype.utils", "nipype.interface"):
        engine = logging.getLogger(name)
        engine.handlers.clear()
        engine.setLevel(level)
