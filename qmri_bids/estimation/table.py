"""The table of estimators: to add one is to add a file and a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qmri_bids.estimation.base import Estimator

PINN_WEIGHTS = "pinn_complex_n12"


@dataclass(frozen=True, kw_only=True)
class EstimatorEntry:
    """One row of the table.

    Parameters
    ----------
    summary
        One sentence for command line and report.
    references
        Keys of the references of the method.
    methods
        Sentences of a methods text: keys, or keys with the values of their placeholders.
    create
        Builds the estimator; imports what it needs only then.
    """

    summary: str
    references: tuple[str, ...]
    methods: tuple[str | tuple[str, Mapping[str, object]], ...]
    create: Callable[[], Estimator]


def _pinn() -> Estimator:
    from qmri_bids.estimation.network import Network
    from qmri_bids.networks.checkpoint import shipped_weights

    return Network("pinn", shipped_weights(PINN_WEIGHTS))


def _miracle() -> Estimator:
    from qmri_bids.estimation.miracle import Miracle

    return Miracle()


def _linear() -> Estimator:
    from qmri_bids.estimation.linear import Linear

    return Linear()


ESTIMATORS: dict[str, EstimatorEntry] = {
    "pinn": EstimatorEntry(
        summary="complex physics-informed network for 12 evenly spaced cycles, any TR",
        references=("birk2025",),
        methods=(("network", {"model": PINN_WEIGHTS}), "stdev_propagation"),
        create=_pinn,
    ),
    "miracle": EstimatorEntry(
        summary="closed form of MIRACLE from the magnitudes of three configurations; needs 12 or more cycles",
        references=("nguyen2017",),
        methods=("miracle", "stdev_propagation"),
        create=_miracle,
    ),
    "linear": EstimatorEntry(
        summary="linear least squares on the configurations, free of aliasing bias for any 3 or more cycles",
        references=("bjork2014",),
        methods=("linear", "stdev_propagation"),
        create=_linear,
    ),
}

DEFAULT_ESTIMATOR = "pinn"
