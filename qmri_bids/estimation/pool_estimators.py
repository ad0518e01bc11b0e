"""The table of estimators of pool fractions and exchange rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qmri_bids.physics.published_pools import AMIDE, MT
from qmri_bids.sentence import Sentence

if TYPE_CHECKING:
    from qmri_bids.estimation.pools.estimate import ExchangeEstimator, ExchangeOptions

Loss = Literal["physics", "supervised"]
"""By which a network is trained in silico."""


@dataclass(frozen=True, kw_only=True)
class ExchangeEntry:
    """A row of the table.

    Parameters
    ----------
    summary
        One line for the help of the command line.
    references
        Keys of the bibliography.
    methods
        What the methods text says of it; every reference is cited.
    create
        Builds the estimator; imports what it needs only then.
    bare
        Key of the estimator that is this one without its refinement; None where there is none.
    loss
        Loss by which a network for a protocol that no weights cover is trained in silico; None where none can be.
    learns
        Whether a network is trained on the subject itself and kept in the folder of weights.
    instead
        Key of the estimator that takes its place for pools other than those of published fingerprinting; None where none does.
    """

    summary: str
    references: tuple[str, ...]
    methods: tuple[Sentence, ...]
    create: Callable[[ExchangeOptions], ExchangeEstimator]
    bare: str | None = None
    loss: Loss | None = None
    learns: bool = False
    instead: str | None = None

    @property
    def trainable(self) -> bool:
        """Whether a network can be trained in silico."""
        return self.loss is not None


def _pinn(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.network import RefinedExchangeNetwork

    return RefinedExchangeNetwork(threads=options.threads, weights_folder=options.weights_folder, device=options.device)


def _pinn_bare(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.network import BareExchangeNetwork

    return BareExchangeNetwork(threads=options.threads, weights_folder=options.weights_folder, device=options.device)


def _maximum_likelihood(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood

    return ExchangeLikelihood(threads=options.threads)


def _quesp(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.quesp import Quesp

    return Quesp(threads=options.threads)


def _train_by_fit(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.train_by_fit import TrainByFit
    from qmri_bids.training.pools.subject import SubjectTrainingSpec

    return TrainByFit(
        threads=options.threads,
        weights_folder=options.weights_folder,
        device=options.device,
        spec=SubjectTrainingSpec(seed=options.seed),
    )


def _dictionary(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.dictionary import SEED, ExchangeDictionary

    return ExchangeDictionary(threads=options.threads, seed=SEED + options.seed)


def _supervised(options: ExchangeOptions) -> ExchangeEstimator:
    from qmri_bids.estimation.pools.network import SupervisedExchangeNetwork

    return SupervisedExchangeNetwork(
        threads=options.threads, weights_folder=options.weights_folder, device=options.device
    )


EXCHANGE_ESTIMATORS: dict[str, ExchangeEntry] = {
    "pinn": ExchangeEntry(
        summary="pretrained physics-informed network, refined by maximum likelihood on all images",
        references=("finkelstein2025",),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was estimated by a network that had been trained on simulated signals with the "
                "Bloch-McConnell equations in its loss [finkelstein2025], and refined by maximum likelihood on all images "
                "[marquardt1963].",
            ),
        ),
        create=_pinn,
        bare="pinn-bare",
        loss="physics",
        instead="ml",
    ),
    "pinn-bare": ExchangeEntry(
        summary="the same network without refinement",
        references=("finkelstein2025",),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was estimated by a network that had been trained on simulated signals with the "
                "Bloch-McConnell equations in its loss [finkelstein2025]; its estimate was not refined.",
            ),
        ),
        create=_pinn_bare,
        loss="physics",
    ),
    "ml": ExchangeEntry(
        summary="maximum likelihood on all images, any protocol",
        references=("marquardt1963",),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was fitted by maximum likelihood on all images [marquardt1963].",
            ),
        ),
        create=_maximum_likelihood,
    ),
    "quesp": ExchangeEntry(
        summary="QUESP and QUEST of one solute by the inverse metric, continuous saturation at both sides of water",
        references=("mcmahon2006", "zaiss2018"),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was fitted by QUESP and QUEST [mcmahon2006]: the inverse metric of images on both sides of "
                "water over powers and durations, by its transient solution in closed form [zaiss2018].",
            ),
        ),
        create=_quesp,
    ),
    "train-by-fit": ExchangeEntry(
        summary="network trained on the subject itself with the Bloch-McConnell equations in its loss, kept for further subjects",
        references=("finkelstein2025",),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was estimated by a network that was trained on the images of this subject, or of one before "
                "with the same protocol, with the Bloch-McConnell equations in its loss [finkelstein2025].",
            ),
        ),
        create=_train_by_fit,
        learns=True,
    ),
    "dictionary": ExchangeEntry(
        summary="best match among 400,000 simulated entries",
        references=("perlman2022",),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was given the values of the best match among simulated signals [perlman2022].",
            ),
        ),
        create=_dictionary,
    ),
    "supervised": ExchangeEntry(
        summary="network trained on simulated signals without physics in its loss",
        references=("perlman2022",),
        methods=(
            Sentence(
                paragraph="cest",
                text="Each voxel was estimated by a network that had been trained on the values of simulated signals "
                "[perlman2022].",
            ),
        ),
        create=_supervised,
        loss="supervised",
    ),
}
"""Estimators by the name that `--cest-estimator` takes; one is added by a file and a row."""

NETWORK_POOLS = frozenset({AMIDE, MT})
"""Pools for which networks are made."""


def estimator_for(name: str, *, pools: Sequence[str], fitted: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the estimator that serves pools where one was asked for, and what is said of it.

    Parameters
    ----------
    name
        Key of `EXCHANGE_ESTIMATORS`.
    pools
        Names of the pools that are estimated.
    fitted
        Relaxation times of water that are fitted along (`physics.fingerprint.ExchangeScan`).

    Examples
    --------
    >>> estimator_for("pinn", pools=["MT", "iohexol"])[0], estimator_for("pinn", pools=["MT", "amide"])[0]
    ('ml', 'pinn')
    """
    other = [pool for pool in pools if pool not in NETWORK_POOLS]
    instead = EXCHANGE_ESTIMATORS[name].instead
    if instead is not None and fitted:
        return instead, (
            f"Networks take T1 and T2 of water as known: with {' and '.join(each.upper() for each in fitted)} fitted along the "
            f"estimator is {instead} ({EXCHANGE_ESTIMATORS[instead].summary}) in place of {name}.",
        )
    if not other or instead is None:
        return name, ()
    return instead, (
        f"Networks are made for MT and amide alone: with {', '.join(other)} the estimator is {instead} "
        f"({EXCHANGE_ESTIMATORS[instead].summary}) in place of {name}.",
    )


POSTERIOR_ESTIMATOR = "supervised"
"""Key of the network that gives posterior means."""

FITS_WATER = "ml"
"""Key of the estimator that fits T1 and T2 of water along."""

DEFAULT_EXCHANGE_ESTIMATOR = "pinn"
