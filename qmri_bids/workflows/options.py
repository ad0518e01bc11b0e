"""What a user may choose about the processing. Imports nothing: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

IGNORABLE_STEPS = ("motion", "gibbs", "phase-drift")
"""Steps that `--ignore` leaves out."""

GIBBS_BEFORE_MOTION = {"apodization": True, "subvoxel": False}
"""Ways to remove Gibbs ringing, and whether each works on the cycles as acquired or on aligned ones."""

DEFAULT_GIBBS_METHOD = "apodization"

POSTERIOR_PRIORS = ("uniform", "uniform-extended", "in-vivo")
"""Priors of `priors.PRIORS` under which posterior maps can be asked for."""


@dataclass(frozen=True, kw_only=True)
class ProcessingOptions:
    """Choices that change the maps.

    Parameters
    ----------
    estimator
        Key of the table of estimators.
    posterior
        One of `POSTERIOR_PRIORS`: posterior maps are written beside those of the estimator; None for none.
    weights_folder
        Folder searched for weights of networks before those of the package.
    gibbs_method
        Key of `GIBBS_BEFORE_MOTION`.
    ignore
        Steps left out, of `IGNORABLE_STEPS`.
    processes
        Processes for the steps that run in parallel; does not change the maps.
    """

    estimator: str
    posterior: str | None = None
    weights_folder: Path | None = None
    gibbs_method: str = DEFAULT_GIBBS_METHOD
    ignore: tuple[str, ...] = ()
    processes: int = 1
