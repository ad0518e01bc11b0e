"""Posterior mean and spread of pools under a stated prior: an extra beside the maps, never the maps.

A network that was trained on draws of a prior, to the least squared error of the parameters, tells the mean of the posterior
under that prior, and by the likelihood of its errors their spread. A prior pulls: what the data cannot tell moves towards its
middle, and rare tissue most of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.pools.input import check_exchange_shapes, usable_voxels
from qmri_bids.estimation.pools.network import SupervisedExchangeNetwork, predict
from qmri_bids.networks.devices import CPU
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels
from qmri_bids.priors.pools import EXCHANGE_PRIOR, ExchangePrior

EXCHANGE_PRIORS: Mapping[str, ExchangePrior] = {"uniform": EXCHANGE_PRIOR}
"""Priors that a posterior can be taken under."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExchangePosterior:
    """Posterior of V voxels.

    Parameters
    ----------
    prior
        Its prior.
    values, stdev
        Mean and standard deviation by parameter, shape (V,); NaN where there is no data, or a known map lies outside of the prior.
    """

    prior: ExchangePrior
    values: Mapping[str, Values]
    stdev: Mapping[str, Values]

    def sentence(self) -> str:
        """Say what was assumed."""
        ranges = ", ".join(
            f"{name} {low:g} to {high:g}" for name, (low, high) in self.prior.ranges.items() if "." in name
        )
        return (
            f"Posterior maps assume the prior '{self.prior.name}' ({ranges}), which pulls them, most where the data say least; "
            "T1, T2, B1 and B0 count as exact."
        )


def exchange_posterior(
    signal: NDArray[np.floating],
    *,
    scan: ExchangeScan,
    known: KnownVoxels,
    prior: str = "uniform",
    weights_folder: Path | None = None,
    device: str = CPU,
) -> ExchangePosterior:
    """Return the posterior of every voxel.

    Parameters
    ----------
    signal
        Images of all series side by side, shape (V, N), any scale.
    scan
        Series and pools.
    known
        Maps of the voxels.
    prior
        Key of `EXCHANGE_PRIORS`.
    weights_folder
        Searched for weights before the package.
    device
        Device of the network; see `networks.devices`.

    Raises
    ------
    ProtocolNotSupported
        If no supervised network was trained for the scan.
    """
    chosen = EXCHANGE_PRIORS[prior]
    check_exchange_shapes(signal, scan=scan, known=known)
    network = SupervisedExchangeNetwork(weights_folder=weights_folder, device=device).network(scan)
    usable = usable_voxels(signal, known)
    for name in KNOWN:
        low, high = chosen.ranges[name]
        with np.errstate(invalid="ignore"):
            usable &= (getattr(known, name) >= low) & (getattr(known, name) <= high)
    mean = np.full((len(usable), len(scan.parameters)), np.nan)
    spread = mean.copy()
    logs, relative = predict(network, signal[usable], known[usable])
    mean[usable], spread[usable] = np.exp(logs), np.exp(logs + relative)
    return ExchangePosterior(
        prior=chosen,
        values={name: mean[:, place] for place, name in enumerate(scan.parameters)},
        stdev={name: spread[:, place] for place, name in enumerate(scan.parameters)},
    )
