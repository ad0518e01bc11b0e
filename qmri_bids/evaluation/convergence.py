"""How fast a network learns: its predictions after every epoch against those of the last (Birk et al. 2025, Fig. 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.evaluation.scores import coefficient_of_determination
from qmri_bids.evaluation.sets import SimulatedSet
from qmri_bids.networks.architecture import PaperNetwork
from qmri_bids.networks.features import lowest_configurations, phase_theta
from qmri_bids.training.loop import train
from qmri_bids.training.losses import LOSSES
from qmri_bids.training.simulation import TrainingSpec, simulate

VALIDATION_SAMPLES = 20_000


@dataclass(frozen=True, kw_only=True)
class ConvergenceRow:
    """The course of one training; all tuples have one entry an epoch.

    Parameters
    ----------
    system
        Network and loss.
    seconds
        Duration of each epoch [s].
    validation_loss
        Loss of the system on samples that training does not see.
    t1, t2
        Coefficient of determination between the predictions of the epoch and those of the last.
    t1_error, t2_error
        Mean |error| against the truth, fraction.
    """

    system: str
    seconds: tuple[float, ...]
    validation_loss: tuple[float, ...]
    t1: tuple[float, ...]
    t2: tuple[float, ...]
    t1_error: tuple[float, ...]
    t2_error: tuple[float, ...]


def convergence(spec: TrainingSpec, *, samples: SimulatedSet, snr: float = math.inf, seed: int = 0) -> ConvergenceRow:
    """Train a network and follow its predictions.

    Parameters
    ----------
    spec
        What to train.
    samples
        Voxels on which the predictions are compared, of the protocol of `spec`.
    snr
        Signal-to-noise ratio of these voxels.
    seed
        Seed of their noise and of the validation set.

    Raises
    ------
    ValueError
        If the samples are of another protocol than the training.
    """
    if samples.protocol != spec.protocol:
        raise ValueError(
            f"the samples must be of the protocol of the training, {spec.protocol}, found {samples.protocol}"
        )
    cycles = torch.as_tensor(samples.cycles(snr=snr, seed=seed), dtype=torch.complex64)
    b1 = torch.as_tensor(samples.b1, dtype=torch.float32)
    held_out = simulate(spec, VALIDATION_SAMPLES, generator=torch.Generator().manual_seed(spec.seed + 10_000 + seed))
    loss = LOSSES[spec.parts.loss]
    predictions: list[tuple[NDArray, NDArray]] = []
    losses: list[float] = []

    def inspect(epoch: int, network: PaperNetwork) -> None:
        modes = lowest_configurations(cycles, rf_phase_increment=spec.protocol.rf_phase_increment)
        with torch.no_grad():
            log_t1, log_t2, _ = network(
                network.inputs.compute(modes), b1 * spec.protocol.flip_angle, phase_theta(modes)
            )
            losses.append(float(loss(network, held_out, spec.protocol)))
        tr = spec.protocol.repetition_time
        predictions.append((tr * np.exp(log_t1.double().numpy()), tr * np.exp(log_t2.double().numpy())))

    result = train(spec, inspect=inspect)
    final = predictions[-1]
    return ConvergenceRow(
        system=spec.system,
        seconds=tuple(result.epoch_seconds),
        validation_loss=tuple(losses),
        t1=tuple(coefficient_of_determination(t1, final[0]) for t1, _ in predictions),
        t2=tuple(coefficient_of_determination(t2, final[1]) for _, t2 in predictions),
        t1_error=tuple(float(np.mean(np.abs(t1 / samples.t1 - 1.0))) for t1, _ in predictions),
        t2_error=tuple(float(np.mean(np.abs(t2 / samples.t2 - 1.0))) for _, t2 in predictions),
    )
