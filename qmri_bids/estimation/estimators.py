"""The table of estimators: to add one is to add a file and a row. Imports nothing heavy: the command line reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.sentence import Sentence

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
        What the methods text says of it; every reference is cited.
    create
        Builds the estimator; imports what it needs only then.
    bare
        Key of the estimator that is this one without its refinement; None where there is none.
    trainable
        Whether weights for a protocol that none of the existing ones cover can be trained.
    """

    summary: str
    references: tuple[str, ...]
    methods: tuple[Sentence, ...]
    create: Callable[[EstimatorOptions], Estimator]
    bare: str | None = None
    trainable: bool = False


def _pinn(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.profile_network import RefinedNaturalNetwork

    return RefinedNaturalNetwork(threads=options.threads, weights_folder=options.weights_folder, device=options.device)


def _pinn_bare(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.profile_network import BareNaturalNetwork

    return BareNaturalNetwork(weights_folder=options.weights_folder, device=options.device)


def _maximum_likelihood(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood

    return MaximumLikelihood(threads=options.threads)


def _linear(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.linear import Linear

    return Linear()


def _miracle(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.miracle import Miracle

    return Miracle()


def _planet(options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.planet import Planet

    return Planet()


def _paper_network(name: str, options: EstimatorOptions) -> Estimator:
    from qmri_bids.estimation.bssfp.network import Network

    return Network(name, weights_folder=options.weights_folder, device=options.device)


_NATURAL_NETWORK = Sentence(
    paragraph="estimation",
    text="A physics-informed neural network [birk2025], trained in silico with PyTorch [paszke2019] on the profile of "
    "balanced SSFP in its natural coordinates, inferred these from the low-order configurations (of uneven increments they "
    "are a linear solution); T1 and T2 follow from them, TR, flip angle and B1 in closed form.",
)

_STDEV_OF_FIT = Sentence(
    paragraph="estimation",
    text="Standard deviations follow from the Fisher information of all cycles and the noise, which was estimated from the "
    "residuals and moderated by those of the surroundings [smyth2004].",
)

_FLUID = Sentence(
    paragraph="estimation",
    text="Near fluid, tissue alone and tissue with fluid (of T1 and T2 found in the voxels that fluid surrounds) were both fitted, "
    "and "
    "the maps of tissue averaged by the probability of each model [hoeting1999].",
)

_STDEV_PROPAGATED = Sentence(
    paragraph="estimation",
    text="Standard deviations were propagated to first order from the noise of the complex cycles through the derivatives of "
    "the estimator.",
)

ESTIMATORS: dict[str, EstimatorEntry] = {
    "pinn": EstimatorEntry(
        summary="physics-informed network for any protocol, refined by maximum likelihood on all cycles",
        references=("birk2025",),
        methods=(
            _NATURAL_NETWORK,
            Sentence(
                paragraph="estimation",
                text="From there T1, T2, off-resonance and the complex amplitude were fitted to all complex cycles by "
                "maximum likelihood, with the amplitude eliminated by variable projection [golub1973] and "
                "Levenberg-Marquardt iterations [marquardt1963].",
            ),
            _STDEV_OF_FIT,
            _FLUID,
        ),
        create=_pinn,
        bare="pinn-bare",
    ),
    "pinn-bare": EstimatorEntry(
        summary="the same network without refinement",
        references=("birk2025",),
        methods=(_NATURAL_NETWORK, _STDEV_PROPAGATED),
        create=_pinn_bare,
    ),
    "ml": EstimatorEntry(
        summary="maximum likelihood on all complex cycles, any three or more increments",
        references=("golub1973",),
        methods=(
            Sentence(
                paragraph="estimation",
                text="T1, T2, off-resonance and the complex amplitude were fitted to all complex cycles by maximum "
                "likelihood, with the amplitude eliminated by variable projection [golub1973] and Levenberg-Marquardt "
                "iterations [marquardt1963].",
            ),
            _STDEV_OF_FIT,
            _FLUID,
        ),
        create=_maximum_likelihood,
    ),
    "linear": EstimatorEntry(
        summary="linear least squares, free of aliasing bias for any three or more cycles",
        references=("bjork2014",),
        methods=(
            Sentence(
                paragraph="estimation",
                text="T1, T2 and off-resonance were computed by linear least squares on the relations between the "
                "configurations [bjork2014], which are free of aliasing for any number of cycles from three.",
            ),
            _STDEV_PROPAGATED,
        ),
        create=_linear,
    ),
    "miracle": EstimatorEntry(
        summary="closed form of MIRACLE from the magnitudes of three configurations; biased below 12 cycles",
        references=("nguyen2017",),
        methods=(
            Sentence(
                paragraph="estimation",
                text="T1 and T2 were computed from the magnitudes of the configurations of orders -1, 0 and 1 by "
                "motion-insensitive rapid configuration relaxometry (MIRACLE) [nguyen2017], in closed form.",
            ),
            _STDEV_PROPAGATED,
        ),
        create=_miracle,
    ),
    "planet": EstimatorEntry(
        summary="ellipse fit, six or more cycles",
        references=("shcherbakova2018",),
        methods=(
            Sentence(
                paragraph="estimation",
                text="T1, T2 and off-resonance were computed from an ellipse fitted to the complex cycles (PLANET) "
                "[shcherbakova2018]: that of the least squared Sampson distances, with its centre on one of its axes.",
            ),
            _STDEV_PROPAGATED,
        ),
        create=_planet,
    ),
} | {
    name: EstimatorEntry(
        summary=row.summary,
        references=("birk2025",),
        methods=(
            Sentence(
                paragraph="estimation",
                text="T1, T2 and off-resonance were inferred by the complex physics-informed neural network {model}, trained "
                "in silico [birk2025] with PyTorch [paszke2019].",
                values={"model": name},
            ),
            _STDEV_PROPAGATED,
        ),
        create=partial(_paper_network, name),
        trainable=True,
    )
    for name, row in NETWORK_SYSTEMS.items()
}

DEFAULT_ESTIMATOR = "pinn"
