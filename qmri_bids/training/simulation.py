"""What is trained and on what: the specification, and samples simulated from a prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from qmri_bids.networks.features import signal_features
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.priors import PRIORS

NOISE_REFERENCE = 0.074
"""Mean |F0| in brain tissue for M0 = 1: the signal in the SNR of Birk et al. 2025; sd a channel = 0.074/(√2·SNR)."""

FULL_PRECISION_SNR = 100.0
"""SNR beyond which a sample no longer gains weight in the loss: the accuracy asked of the network."""


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """All that determines a training.

    Parameters
    ----------
    name
        Name of the network, file stem of its weights.
    protocol
        Acquisition; TR only sets the unit of time of the prior.
    loss
        Key of `LOSSES`.
    prior
        Key of `PRIORS`.
    b1
        Range of actual over nominal flip angle, drawn uniformly.
    snr
        Range of the signal-to-noise ratio, drawn log-uniformly; None for noise-free training.
    samples
        Samples an epoch; every epoch draws new ones.
    epochs, batch_size, learning_rate
        Adam with a cosine schedule from `learning_rate` to a hundredth of it.
    warm_up
        First epochs that use the supervised loss whatever `loss` is: the physics loss alone is nearly flat along T1 far from
        the solution and takes many times the epochs to get there.
    hidden
        Width of the hidden layers.
    seed
        Seed of weights, samples and noise.
    """

    name: str
    protocol: BssfpProtocol
    loss: str = "physics"
    prior: str = "log-uniform"
    b1: tuple[float, float] = (0.6, 1.4)
    snr: tuple[float, float] | None = (5.0, 300.0)
    samples: int = 400_000
    epochs: int = 100
    batch_size: int = 512
    learning_rate: float = 2e-3
    warm_up: int = 3
    hidden: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("samples", "epochs", "batch_size", "hidden", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.snr is not None and not 0.0 < self.snr[0] <= self.snr[1]:
            raise ValueError(f"snr must be a range (low, high) with 0 < low ≤ high, found {self.snr}")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Simulated samples: true parameters, flip angle, the features of the noisy signal and the weight in the loss."""

    t1: torch.Tensor
    t2: torch.Tensor
    theta: torch.Tensor
    b1: torch.Tensor
    features: torch.Tensor
    weight: torch.Tensor


def simulate(spec: TrainingSpec, number: int, *, generator: torch.Generator) -> Batch:
    """Draw parameters from the prior and simulate noisy signals; θ covers the whole circle."""
    t1, t2 = PRIORS[spec.prior].draw(number, generator=generator)
    theta = 2.0 * math.pi * torch.rand(number, generator=generator) - math.pi
    b1 = spec.b1[0] + (spec.b1[1] - spec.b1[0]) * torch.rand(number, generator=generator)
    cycles = signal(
        t1,
        t2,
        b1=b1,
        off_resonance=theta / (2.0 * math.pi * spec.protocol.repetition_time),
        protocol=spec.protocol,
    )
    weight = torch.ones(number)
    if spec.snr is not None:
        low, high = math.log(spec.snr[0]), math.log(spec.snr[1])
        snr = torch.exp(low + (high - low) * torch.rand(number, generator=generator))
        noise = torch.randn((*cycles.shape, 2), generator=generator)
        cycles = cycles + torch.view_as_complex(noise) * (NOISE_REFERENCE / (math.sqrt(2.0) * snr))[:, None]
        # As in a likelihood: a sample counts by its precision, or the noisy ones would drown the accuracy of the others.
        weight = 1.0 / (snr.pow(-2) + FULL_PRECISION_SNR**-2)
        weight = weight / weight.mean()
    features = signal_features(cycles, rf_phase_increment=spec.protocol.rf_phase_increment)
    return Batch(t1=t1, t2=t2, theta=theta, b1=b1, features=features, weight=weight)
