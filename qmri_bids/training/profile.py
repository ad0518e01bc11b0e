"""Training the protocol-free network in silico.

Repetition time, flip angle, T1 and T2 are drawn together and only their E2 and b are kept: the network never learns a protocol.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from qmri_bids.networks.profile import (
    FEWEST_CYCLES,
    MOST_CYCLES,
    CanonicalFeatures,
    NaturalNetwork,
    NaturalNetworkConfig,
    canonical_features,
    log_rate,
)
from qmri_bids.physics.bssfp import denominator, profile
from qmri_bids.physics.protocol import half_bin_increments

DENSE_CYCLES = 16
"""Cycles at which the physics loss compares profiles, whatever N the network saw."""


@dataclass(frozen=True, kw_only=True)
class NaturalTrainingSpec:
    """All that determines a training of the protocol-free network.

    Parameters
    ----------
    name
        Name of the network, file stem of its weights.
    repetition_time, flip_angle
        Ranges from which the protocol of every sample is drawn, log-uniformly [s], [rad]; the flip angle is the actual one.
    t1, t2
        Ranges of the relaxation times [s]: half of the samples log-uniformly over them.
    tissue_t1, tissue_t2
        Ranges of tissue [s]: the other half uniformly over them.
    snr
        Range of the ratio of the root mean square of the cycles to the noise, log-uniformly; one channel has the √2-th part.
    steps, batch_size, learning_rate
        Adam with a cosine schedule from `learning_rate` to a hundredth of it.
    warm_up
        Steps at the beginning with the supervised loss.
    hidden, depth
        Architecture.
    seed
        Seed of weights, samples and noise.
    """

    name: str = "pinn_natural"
    repetition_time: tuple[float, float] = (3e-3, 12e-3)
    flip_angle: tuple[float, float] = (math.radians(4.0), math.radians(75.0))
    t1: tuple[float, float] = (0.050, 6.0)
    t2: tuple[float, float] = (0.002, 3.0)
    tissue_t1: tuple[float, float] = (0.300, 2.300)
    tissue_t2: tuple[float, float] = (0.015, 0.135)
    snr: tuple[float, float] = (5.0, 300.0)
    steps: int = 40_000
    batch_size: int = 2048
    learning_rate: float = 2e-3
    warm_up: int = 3_000
    hidden: int = 128
    depth: int = 3
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class NaturalBatch:
    """Samples of several numbers of cycles.

    Parameters
    ----------
    seen
        What the network sees of the noisy cycles.
    number_of_cycles
        N of every sample.
    e2, b, theta
        Truth, θ in the canonical frame of `seen` [rad].
    weight
        Precision, with a mean of 1.
    """

    seen: torch.Tensor
    number_of_cycles: torch.Tensor
    e2: torch.Tensor
    b: torch.Tensor
    theta: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class NaturalTrainingResult:
    """A trained network, its loss in bins of a thousand steps and the duration [s]."""

    network: NaturalNetwork
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


def draw_natural(
    spec: NaturalTrainingSpec, number: int, *, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return E2 and b of random tissue under random protocols, shape (number,) each."""

    def uniform(bounds: tuple[float, float]) -> torch.Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(number, generator=generator, dtype=torch.float64)

    def log_uniform(bounds: tuple[float, float]) -> torch.Tensor:
        return torch.exp(uniform((math.log(bounds[0]), math.log(bounds[1]))))

    tr, cosine = log_uniform(spec.repetition_time), torch.cos(log_uniform(spec.flip_angle))
    tissue = torch.rand(number, generator=generator) < 0.5
    t1 = torch.where(tissue, uniform(spec.tissue_t1), log_uniform(spec.t1))
    t2 = torch.where(tissue, uniform(spec.tissue_t2), log_uniform(spec.t2))
    e1, e2 = torch.exp(-tr / t1), torch.exp(-tr / torch.minimum(t1, t2))
    p, q = denominator(e1, e2, cosine)
    return e2.float(), (q / p).float()


def simulate_natural(
    spec: NaturalTrainingSpec, numbers: Sequence[int], *, generator: torch.Generator, samples: int
) -> NaturalBatch:
    """Simulate noisy profiles, the same number of samples for each N in `numbers`."""
    each = samples // len(numbers)
    e2, b = draw_natural(spec, each * len(numbers), generator=generator)
    theta = 2.0 * math.pi * torch.rand(len(e2), generator=generator) - math.pi
    low, high = (math.log(bound) for bound in spec.snr)
    snr = torch.exp(low + (high - low) * torch.rand(len(e2), generator=generator))
    seen: list[CanonicalFeatures] = []
    for index, number in enumerate(numbers):
        part = slice(index * each, (index + 1) * each)
        increments = half_bin_increments(number)
        cycles = profile(e2[part], b[part], theta[part], rf_phase_increment=increments)
        noise = cycles.abs().square().mean(dim=1).sqrt() / (math.sqrt(2.0) * snr[part])
        cycles = cycles + noise[:, None] * torch.view_as_complex(torch.randn((*cycles.shape, 2), generator=generator))
        seen.append(canonical_features(cycles, rf_phase_increment=increments))
    canonical = theta - torch.cat([one.shift for one in seen])
    canonical = torch.where(torch.cat([one.mirrored for one in seen]), -canonical, canonical)
    weight = 1.0 / (snr.pow(-2) + spec.snr[1] ** -2)
    return NaturalBatch(
        seen=torch.cat([one.features for one in seen]),
        number_of_cycles=torch.repeat_interleave(torch.tensor(list(numbers)), each),
        e2=e2,
        b=b,
        theta=canonical,
        weight=weight / weight.mean(),
    )


def physics_loss(network: NaturalNetwork, batch: NaturalBatch) -> torch.Tensor:
    """Weighted squared distance of the predicted profile from the true one, its complex amplitude profiled out."""
    rate, logit, theta = network(batch.seen, batch.number_of_cycles)
    dense = half_bin_increments(DENSE_CYCLES)
    truth = profile(batch.e2, batch.b, batch.theta, rf_phase_increment=dense)
    found = profile(torch.exp(-torch.exp(rate)), torch.sigmoid(logit), theta, rf_phase_increment=dense)
    amplitude = (found.conj() * truth).sum(dim=1) / found.abs().square().sum(dim=1)
    distance = (truth - amplitude[:, None] * found).abs().square().sum(dim=1)
    return (batch.weight * distance / truth.abs().square().sum(dim=1)).mean()


def supervised_loss(network: NaturalNetwork, batch: NaturalBatch) -> torch.Tensor:
    """Weighted squared error of the scaled natural coordinates."""
    rate, logit, theta = network(batch.seen, batch.number_of_cycles)
    error_rate = (rate - log_rate(batch.e2)) / network.output_scale[0]
    error_logit = (logit - torch.logit(batch.b)) / network.output_scale[1]
    error = error_rate.square() + error_logit.square() + 1.0 - torch.cos(theta - batch.theta)
    return (batch.weight * error).mean()


def train_natural(
    spec: NaturalTrainingSpec, *, progress: Callable[[int, float, float, NaturalNetwork], None] | None = None
) -> NaturalTrainingResult:
    """Train the protocol-free network on simulated profiles.

    Parameters
    ----------
    spec
        What to train.
    progress
        Called every thousand steps with the step, the mean loss, the time since the start [s] and the network.
    """
    torch.manual_seed(spec.seed)
    generator = torch.Generator().manual_seed(spec.seed)
    network = NaturalNetwork(NaturalNetworkConfig(hidden=spec.hidden, depth=spec.depth))
    everything = tuple(range(FEWEST_CYCLES, MOST_CYCLES + 1))
    start_set = simulate_natural(spec, everything, generator=generator, samples=160_000)
    network.normalise_by(start_set.seen, torch.stack([log_rate(start_set.e2), torch.logit(start_set.b)], dim=1))
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=spec.steps, eta_min=spec.learning_rate / 100.0
    )
    start = time.perf_counter()
    losses: list[float] = []
    total = 0.0
    for step in range(1, spec.steps + 1):
        # Few cycles alias and are harder: they are drawn more often than many.
        drawn = [
            *torch.randint(FEWEST_CYCLES, MOST_CYCLES + 1, (5,), generator=generator).tolist(),
            *torch.randint(FEWEST_CYCLES, 9, (3,), generator=generator).tolist(),
        ]
        batch = simulate_natural(spec, drawn, generator=generator, samples=spec.batch_size)
        loss = (supervised_loss if step <= spec.warm_up else physics_loss)(network, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % 1000 == 0:
            losses.append(total / 1000.0)
            total = 0.0
            if progress is not None:
                progress(step, losses[-1], time.perf_counter() - start, network)
    network.eval()
    return NaturalTrainingResult(network=network, losses=losses, seconds=time.perf_counter() - start)
