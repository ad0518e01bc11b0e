"""What a user may choose about the processing. Imports nothing: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass

IGNORABLE_STEPS = ("motion", "gibbs")
"""Steps that `--ignore` leaves out."""


@dataclass(frozen=True, kw_only=True)
class ProcessingOptions:
    """Choices that change the maps.

    Parameters
    ----------
    estimator
        Key of the table of estimators.
    ignore
        Steps left out, of `IGNORABLE_STEPS`.
    processes
        Processes for the steps that run in parallel; does not change the maps.
    """

    estimator: str
    ignore: tuple[str, ...] = ()
    processes: int = 1
