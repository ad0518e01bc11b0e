"""What a network says of a scan after every epoch of its training, against the last (Birk et al. 2025, Fig. 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.evaluation.own_scan.differences import PARAMETERS
from qmri_bids.evaluation.own_scan.voxels import OwnScan
from qmri_bids.evaluation.scores import coefficient_of_determination
from qmri_bids.networks.architecture import PaperNetwork
from qmri_bids.networks.features import lowest_configurations, phase_theta
from qmri_bids.training.loop import train
from qmri_bids.training.losses import LOSSES
from qmri_bids.training.missing import spec_for
from qmri_bids.training.simulation import TrainingSpec, simulate

VALIDATION_SAMPLES = 20_000
SAMPLES = 100_000
"""Samples of an epoch: a quarter of those of the shipped networks, so that the course of a training shows within seconds."""


@dataclass(frozen=True, kw_only=True)
class EpochsRow:
    """The course of one training on one scan; all tuples have one entry an epoch.

    Parameters
    ----------
    system
        Network and loss, key of `networks.names.SYSTEMS`.
    seconds
        Duration of each epoch [s].
    validation_loss
        Loss of the system on samples that training does not see.
    agreement
        Coefficient of determination between the predictions of an epoch and those of the last, by (parameter, tissue).
    first, last
        Predictions of the first and the last epoch by parameter [s], shape (V,).
    """

    system: str
    seconds: tuple[float, ...]
    validation_loss: tuple[float, ...]
    agreement: Mapping[tuple[str, str], tuple[float, ...]]
    first: Mapping[str, NDArray[np.float64]]
    last: Mapping[str, NDArray[np.float64]]


def short_training(scan: OwnScan, estimator: str, *, epochs: int, seed: int, samples: int = SAMPLES) -> TrainingSpec:
    """Return how a network for the protocol of a scan is trained for a few epochs.

    Parameters
    ----------
    scan
        Its protocol, whose increments must be evenly spaced.
    estimator
        Key of `networks.names.NETWORK_SYSTEMS`.
    epochs
        How many.
    seed
        Of weights, samples and noise.
    samples
        An epoch.

    Raises
    ------
    ValueError
        If the network cannot serve the protocol, or there are fewer than 2 epochs.
    """
    if epochs < 2:
        raise ValueError(f"epochs: expected 2 or more, the last being compared with those before, found {epochs}")
    return replace(spec_for(scan.protocol, estimator), epochs=epochs, seed=seed, samples=samples)


def epochs_on_scan(spec: TrainingSpec, *, scan: OwnScan, progress: Callable[[str], None] | None = None) -> EpochsRow:
    """Train a network and follow what it says of a scan.

    Parameters
    ----------
    spec
        What to train, from `short_training`.
    scan
        The voxels.
    progress
        Called with a line of text after every epoch.
    """
    increments, tr = scan.protocol.rf_phase_increment, scan.protocol.repetition_time
    modes = lowest_configurations(torch.as_tensor(scan.cycles, dtype=torch.complex64), rf_phase_increment=increments)
    angle = torch.as_tensor(scan.b1, dtype=torch.float32) * scan.protocol.flip_angle
    held_out = simulate(spec, VALIDATION_SAMPLES, generator=torch.Generator().manual_seed(spec.seed + 10_000))
    loss = LOSSES[spec.parts.loss]
    said: list[dict[str, NDArray[np.float64]]] = []
    losses: list[float] = []

    def inspect(epoch: int, network: PaperNetwork) -> None:
        with torch.no_grad():
            logs = network(network.inputs.compute(modes), angle, phase_theta(modes))
            losses.append(float(loss(network, held_out, spec.protocol)))
        said.append({name: tr * np.exp(each.double().numpy()) for name, each in zip(PARAMETERS, logs, strict=False)})
        if progress is not None:
            progress(f"{spec.system}: epoch {epoch} of {spec.epochs}")

    result = train(spec, inspect=inspect)
    return EpochsRow(
        system=spec.system,
        seconds=tuple(result.epoch_seconds),
        validation_loss=tuple(losses),
        agreement={
            (parameter, tissue): tuple(
                coefficient_of_determination(each[parameter][chosen], said[-1][parameter][chosen]) for each in said
            )
            for parameter in PARAMETERS
            for tissue, chosen in scan.tissue.items()
            if chosen.any()
        },
        first=said[0],
        last=said[-1],
    )
