"""The table of estimators: to add one is to add a file and a row. Imports nothing heavy: the command line reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qmri_bids.networks.names import NETWORK_SYSTEMS

if TYPE_CHECKING:
    from qmri_bids.estimation.base import Estimator, EstimatorOptions


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
    bare
        Key of the estimator that is this one without its refinement; None where there is none.
    trainable
        Whether weights for a protocol that none of the existing ones cover can be trained.
    """

    summary: str
    references: tuple[str, ...]
    methods: tuple[str | tuple[str, Mapping[str, object]], ...]
    create: Callable[[EstimatorOptions], Estimator]
    bare: str | None = None
    trainable: bool = False


def _pinn(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.natural_network import RefinedNaturalNetwork

    return RefinedNaturalNetwork(threads=options.threads, weights_folder=options.weights_folder, device=options.device)


def _pinn_bare(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.natural_network import BareNaturalNetwork

    return BareNaturalNetwork(weights_folder=options.weights_folder, device=options.device)


def _maximum_likelihood(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.maximum_likelihood import MaximumLikelihood

    return MaximumLikelihood(threads=options.threads)


def _linear(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.linear import Linear

    return Linear()


def _miracle(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.miracle import Miracle

    return Miracle()


def _planet(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.planet import Planet

    return Planet()


def _paper_network(name: str, options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.network import Network

    return Network(name, weights_folder=options.weights_folder, device=options.device)


ESTIMATORS: dict[str, EstimatorEntry] = {
    "pinn": EstimatorEntry(
        summary="physics-informed network for any protocol, refined by maximum likelihood on all cycles",
        references=("birk2025",),
        methods=("natural_network", "refinement", "stdev_information"),
        create=_pinn,
        bare="pinn-bare",
    ),
    "pinn-bare": EstimatorEntry(
        summary="the same network without refinement",
        references=("birk2025",),
        methods=("natural_network", "stdev_propagation"),
        create=_pinn_bare,
    ),
    "ml": EstimatorEntry(
        summary="maximum likelihood on all complex cycles, any three or more increments",
        references=("golub1973",),
        methods=("maximum_likelihood", "stdev_information"),
        create=_maximum_likelihood,
    ),
    "linear": EstimatorEntry(
        summary="linear least squares, free of aliasing bias for any three or more cycles",
        references=("bjork2014",),
        methods=("linear", "stdev_propagation"),
        create=_linear,
    ),
    "miracle": EstimatorEntry(
        summary="closed form of MIRACLE from the magnitudes of three configurations; biased below 12 cycles",
        references=("nguyen2017",),
        methods=("miracle", "stdev_propagation"),
        create=_miracle,
    ),
    "planet": EstimatorEntry(
        summary="ellipse fit, six or more cycles",
        references=("shcherbakova2018",),
        methods=("planet", "stdev_propagation"),
        create=_planet,
    ),
} | {
    name: EstimatorEntry(
        summary=row.summary,
        references=("birk2025",),
        methods=(("network", {"model": name}), "stdev_propagation"),
        create=partial(_paper_network, name),
        trainable=True,
    )
    for name, row in NETWORK_SYSTEMS.items()
}

DEFAULT_ESTIMATOR = "pinn"
