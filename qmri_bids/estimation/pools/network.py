"""Networks of pools: alone, refined by maximum likelihood, and the supervised baseline.

A network is trained for the signals of one scan. Whether a scan is that one is told by the signals themselves: the card keeps those
of a few reference voxels, and a protocol that gives the same ones is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.input import ExchangeInput
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.point import assembled, known_covariance, noise_level, point_at
from qmri_bids.networks.checkpoint import ModelCard, Weights, available_weights, load_checkpoint
from qmri_bids.networks.devices import CPU, device_of, resolve_device
from qmri_bids.networks.pools import ExchangeNetwork
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.training.pools.card import SAME_SIGNAL, SIMILAR_SIGNAL, covers, is_same_scan
from qmri_bids.training.pools.specification import known_features

CHUNK = 16_384
"""Voxels that a network sees at a time."""

ADVICE: Mapping[str, str] = {
    "physics": "Train one with --train-missing, or use --cest-estimator ml.",
    "supervised": "Train one with --train-missing, or do without (--cest-estimator pinn or ml, no --cest-posterior).",
}
"""What to do where no network was trained for a scan, by the loss of the training."""

Values = NDArray[np.float64]


def find_exchange_weights(
    scan: ExchangeScan, *, loss: str, folder: Path | None = None, within: float = SAME_SIGNAL
) -> Weights | None:
    """Return the weights that serve a scan, None if there are none.

    Parameters
    ----------
    scan
        Series and pools.
    loss
        Loss of the training: `physics`, `supervised` or `train-by-fit`.
    folder
        Searched before the package.
    within
        Difference of signals that is let pass, in units of M0.
    """
    for weights in available_weights(folder):
        card = weights.card
        if card.kind == "exchange" and card.training.get("loss") == loss and is_same_scan(card, scan, within=within):
            return weights
    return None


def predict(network: ExchangeNetwork, signal: NDArray[np.floating], known: KnownVoxels) -> tuple[Values, Values]:
    """Return logarithms of the parameters and of their standard deviations by a network, shape (V, P) each."""
    images, maps, device = (
        torch.as_tensor(np.asarray(signal, dtype=np.float32)),
        known_features(known),
        device_of(network),
    )
    count = len(network.config.parameters)
    logs, spreads = np.empty((len(images), count)), np.empty((len(images), count))
    with torch.inference_mode():
        for begin in range(0, len(images), CHUNK):
            part = slice(begin, begin + CHUNK)
            found = network(images[part].to(device), maps[part].to(device))
            logs[part], spreads[part] = (each.cpu().numpy() for each in found)
    return logs, spreads


class _NetworkOfScan:
    """Weights looked up for a scan, loaded once."""

    def __init__(
        self, *, name: str, loss: str, weights_folder: Path | None, device: str, within: float = SAME_SIGNAL
    ) -> None:
        self._name, self._loss, self._folder, self._within = name, loss, weights_folder, within
        self._device = resolve_device(device)
        self._loaded: tuple[ExchangeNetwork, ModelCard, Path] | None = None
        self.identity: Mapping[str, str] = {}

    def find(self, scan: ExchangeScan) -> tuple[ExchangeNetwork, ModelCard] | None:
        """Return network and card, None where no weights serve the scan."""
        if self._loaded is not None and is_same_scan(self._loaded[1], scan, within=self._within):
            return self._loaded[:2]
        weights = find_exchange_weights(scan, loss=self._loss, folder=self._folder, within=self._within)
        if weights is None:
            return None
        network, card = load_checkpoint(weights.path)
        self._loaded = cast(ExchangeNetwork, network).to(self._device), card, weights.path
        self.identity = {"name": card.name, "sha256": card.sha256}
        return self._loaded[:2]

    def get(self, scan: ExchangeScan) -> tuple[ExchangeNetwork, ModelCard]:
        """Return network and card.

        Raises
        ------
        ProtocolNotSupported
            If no weights serve the scan.
        """
        found = self.find(scan)
        if found is None:
            images = " + ".join(str(protocol.number_of_images) for protocol in scan.protocols)
            raise ProtocolNotSupported(
                expected=f"a protocol for which a network was trained (estimator {self._name})",
                found=f"another one: {images} images for {', '.join(scan.pools)}",
                advice=ADVICE[self._loss],
            )
        return found


class BareExchangeNetwork:
    """A network alone, with the standard deviations that it learned of its own errors.

    Parameters
    ----------
    threads
        Threads of compiled kernels.
    weights_folder
        Folder searched for weights before those of the package.
    device
        Device of the network; see `networks.devices`.
    """

    name = "pinn-bare"
    frees_t1 = False
    loss = "physics"

    def __init__(self, *, threads: int = 1, weights_folder: Path | None = None, device: str = CPU) -> None:
        self.threads = threads
        self._network = _NetworkOfScan(name=self.name, loss=self.loss, weights_folder=weights_folder, device=device)

    @property
    def model(self) -> Mapping[str, str]:
        """Name and hash of the weights in use; empty before the first scan."""
        return self._network.identity

    def check(self, scan: ExchangeScan) -> None:
        """Raise `ProtocolNotSupported` unless weights serve the scan."""
        self._network.get(scan)

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Say what these maps are."""
        return (
            "These maps are those of a network alone: what it was trained on pulls them, and rare tissue more than others. "
            "Standard deviations are those of its errors over its training, and leave out those of T1, T2, B1 and B0.",
        )

    def network(self, scan: ExchangeScan) -> ExchangeNetwork:
        """Return the network of a scan; raise `ProtocolNotSupported` if there is none."""
        return self._network.get(scan)[0]

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return what the network says, shape (V, P)."""
        return np.exp(predict(self.network(scan), signal, known)[0])

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate pools; see `ExchangeEstimator`."""
        given = ExchangeInput.of(signal, scan=scan, known=known)
        network, card = self._network.get(scan)
        data, maps = given.signal, given.known
        logs, spreads = predict(network, data, maps)
        found = point_at(np.exp(logs), data, scan=scan, known=maps, threads=self.threads)
        noise = noise_level(found, scan=scan)
        covariance = found.covariance[:, : logs.shape[1], : logs.shape[1]] * noise[:, None, None] ** 2
        # The network knows the size of its own errors; how they hang together, the information of the data tells.
        learned = np.exp(spreads) / np.sqrt(np.einsum("vpp->vp", covariance))
        covariance = covariance * learned[:, :, None] * learned[:, None, :] + known_covariance(found, maps, scan=scan)
        estimate = assembled(
            found,
            signal=data,
            scan=scan,
            log_values=logs,
            covariance=covariance,
            noise=noise,
            vague=np.zeros(logs.shape, dtype=np.bool_),
            outside=~covers(card, np.exp(logs), maps, scan=scan),
        )
        return given.whole(estimate)


class SupervisedExchangeNetwork(BareExchangeNetwork):
    """The baseline: trained on parameters, with no physics in its loss."""

    name = "supervised"
    loss = "supervised"


class RefinedExchangeNetwork(ExchangeLikelihood):
    """The default: the network's point, then maximum likelihood on all images.

    Parameters
    ----------
    threads
        Threads of compiled kernels; the result does not depend on it.
    weights_folder
        Folder searched for weights before those of the package.
    device
        Device of the network; the refinement stays on the processor.
    """

    name = "pinn"
    loss = "physics"

    def __init__(self, *, threads: int = 1, weights_folder: Path | None = None, device: str = CPU) -> None:
        super().__init__(threads=threads)
        self._network = _NetworkOfScan(
            name=self.name, loss=self.loss, weights_folder=weights_folder, device=device, within=SIMILAR_SIGNAL
        )

    @property
    def model(self) -> Mapping[str, str]:
        """Name and hash of the weights in use; empty before the first scan, or where none serve it."""
        return self._network.identity

    def check(self, scan: ExchangeScan) -> None:
        """Accept every scan; weights that are damaged are found now."""
        self._network.find(scan)

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Say where no network serves the scan."""
        if self._network.find(scan) is not None:
            return ()
        return (
            "No network was trained for this protocol: maximum likelihood began at a regression on simulated signals instead, and "
            "leads to the same maps. --train-missing trains one.",
        )

    def start(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return the network's point; that of a regression where no network serves the scan."""
        found = self._network.find(scan)
        if found is None:
            return super().start(signal, scan=scan, known=known)
        return np.exp(predict(found[0], signal, known)[0])
