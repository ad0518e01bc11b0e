"""What a user may choose about the processing. Imports nothing: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass

IGNORABLE_STEPS = ("motion", "gibbs", "phase-drift")
"""Steps that `--ignore` leaves out."""

GIBBS_BEFORE_MOTION = {"apodization": True, "subvoxel": False}
"""Ways to remove Gibbs ringing, and whether each works on the cycles as acquired or on aligned ones."""

DEFAULT_GIBBS_METHOD = "apodization"


@dataclass(frozen=True, kw_only=True)
class ProcessingOptions:
    """Choices that change the maps.

    Parameters
    ----------
    estimator
        Key of the table of estimators.
    gibbs_method
        Key of `GIBBS_BEFORE_MOTION`.
    ignore
        Steps left out, of `IGNORABLE_STEPS`.
    processes
        Processes for the steps that run in parallel; does not change the maps.
    """

    estimator: str
    gibbs_method: str = DEFAULT_GIBBS_METHOD
    ignore: tuple[str, ...] = ()
    processes: int = 1
