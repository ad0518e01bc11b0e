"""Names of networks and priors, for command lines that must not import torch; tests hold the tables elsewhere to them."""

from __future__ import annotations

from dataclasses import dataclass

from qmri_bids.choices import PAPER_PRIORS


@dataclass(frozen=True, kw_only=True)
class NetworkSystem:
    """One of the four networks of Birk et al. 2025.

    Parameters
    ----------
    loss
        Key of `training.losses.LOSSES`.
    inputs
        Key of `networks.features.INPUTS`.
    hidden
        Width of the two hidden layers.
    summary
        What it is, for help texts.
    """

    loss: str
    inputs: str
    hidden: int
    summary: str


SYSTEMS: dict[str, NetworkSystem] = {
    "svnn-magnitude": NetworkSystem(
        loss="supervised", inputs="magnitude", hidden=64, summary="supervised network on configuration magnitudes"
    ),
    "pinn-magnitude": NetworkSystem(
        loss="physics", inputs="magnitude", hidden=64, summary="physics-informed network on configuration magnitudes"
    ),
    "svnn-complex": NetworkSystem(
        loss="supervised", inputs="complex", hidden=256, summary="supervised network on complex configurations"
    ),
    "pinn-complex": NetworkSystem(
        loss="physics", inputs="complex", hidden=256, summary="physics-informed network on complex configurations"
    ),
}
"""The four systems of Birk et al. 2025, Fig. 1b."""

PRIOR_NAMES = (*PAPER_PRIORS, "log-uniform")


@dataclass(frozen=True, kw_only=True)
class NetworkEstimator:
    """An estimator that is a network: its system, the prior it was trained on, and one sentence on it."""

    system: str
    prior: str
    summary: str


NETWORK_SYSTEMS: dict[str, NetworkEstimator] = {
    f"{system}-{prior}": NetworkEstimator(
        system=system, prior=prior, summary=f"{row.summary} (Birk et al. 2025), prior {prior}"
    )
    for system, row in SYSTEMS.items()
    for prior in PAPER_PRIORS
}
"""Every estimator that is a network of the paper, by its name on the command line."""
