"""Train by fit: the network of the subject, trained on it or taken up from an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.fit import bounds_of
from qmri_bids.estimation.pools.input import ExchangeInput
from qmri_bids.estimation.pools.network import find_exchange_weights, predict
from qmri_bids.estimation.pools.point import assembled, known_covariance, noise_level, point_at
from qmri_bids.estimation.pools.start import RegressionStart
from qmri_bids.networks.checkpoint import load_checkpoint, save_checkpoint
from qmri_bids.networks.devices import CPU, resolve_device
from qmri_bids.networks.pools import ExchangeNetwork
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.training.pools.card import subject_card
from qmri_bids.training.pools.subject import SubjectTrainingSpec, train_on_subject

LOGGER = logging.getLogger(__name__)

FEWEST_VOXELS = 1000
"""Fewer do not train a network."""

EDGE = 1.2
"""Estimates within this factor of a bound lie at it: the network's outputs bend before they reach it."""

Values = NDArray[np.float64]


class TrainByFit:
    """A network trained on the subject itself, reused where the folder of weights holds one for the scan.

    Parameters
    ----------
    threads
        Threads of compiled kernels.
    weights_folder
        Folder in which the network is looked for, and kept after a training; None: it is trained anew for every subject.
    spec
        How it is trained.
    device
        Device of network and training; see `networks.devices`.
    """

    name = "train-by-fit"
    frees_t1 = False

    def __init__(
        self,
        *,
        threads: int = 1,
        weights_folder: Path | None = None,
        spec: SubjectTrainingSpec | None = None,
        device: str = CPU,
    ) -> None:
        self.threads, self._folder = threads, weights_folder
        self._device = resolve_device(device)
        self._spec = spec or SubjectTrainingSpec()
        self.model: Mapping[str, str] = {}
        self._said: tuple[str, ...] = ()

    def check(self, scan: ExchangeScan) -> None:
        """Accept every scan: the network is trained on it."""

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Say what these maps are, and after an estimate where the network came from."""
        return (
            *self._said,
            "A network that was trained on a subject leans towards the tissues that it saw most of: rare tissue is pulled towards "
            "them. Standard deviations are those of the noise and the known maps alone.",
        )

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return what the network says, trained first if need be, shape (V, P)."""
        given = ExchangeInput.of(signal, scan=scan, known=known)
        network = self._network(given.signal, scan=scan, known=given.known)
        values = np.full((len(signal), len(scan.parameters)), np.nan)
        values[given.usable] = np.exp(predict(network, given.signal, given.known)[0])
        return values

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate pools; see `ExchangeEstimator`.

        Raises
        ------
        ValueError
            If there are too few voxels to train on.
        """
        given = ExchangeInput.of(signal, scan=scan, known=known)
        data, maps = given.signal, given.known
        network = self._network(data, scan=scan, known=maps)
        logs, _ = predict(network, data, maps)
        found = point_at(np.exp(logs), data, scan=scan, known=maps, threads=self.threads)
        noise = noise_level(found, scan=scan)
        count = logs.shape[1]
        low, high = bounds_of(scan)
        estimate = assembled(
            found,
            signal=data,
            scan=scan,
            log_values=logs,
            covariance=found.covariance[:, :count, :count] * noise[:, None, None] ** 2
            + known_covariance(found, maps, scan=scan),
            noise=noise,
            vague=np.zeros(logs.shape, dtype=np.bool_),
            outside=(np.exp(logs) < low * EDGE) | (np.exp(logs) > high / EDGE),
        )
        return given.whole(estimate)

    def _network(self, data: Values, *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeNetwork:
        weights = find_exchange_weights(scan, loss=self.name, folder=self._folder)
        if weights is not None:
            network, card = load_checkpoint(weights.path)
            self.model = {"name": card.name, "sha256": card.sha256}
            self._said = (f"The network was trained on an earlier subject: {card.name}.",)
            assert isinstance(network, ExchangeNetwork)
            return network.to(self._device)
        if len(data) < FEWEST_VOXELS:
            raise ValueError(
                f"train-by-fit needs at least {FEWEST_VOXELS} voxels with data and known maps, found {len(data)}; "
                "use --cest-estimator pinn or ml"
            )
        start = RegressionStart.of(scan, threads=self.threads).predict(data, known)
        result = train_on_subject(
            data,
            scan=scan,
            known=known,
            start=start,
            bounds=bounds_of(scan),
            spec=self._spec,
            threads=self.threads,
            device=self._device,
            progress=LOGGER.info,
        )
        self._said = (f"The network was trained on this subject in {result.seconds:.0f} s.",)
        if self._folder is not None:
            card = subject_card(result.network, self._spec, scan=scan, losses=result.losses, seconds=result.seconds)
            path = save_checkpoint(result.network, card, self._folder)
            self.model = {"name": card.name}
            self._said += (f"It is kept in {path} and serves further subjects.",)
        return result.network.to(self._device)
