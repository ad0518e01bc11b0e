"""Training a relaxometry network in silico."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

from qmri_bids.networks.architecture import ComplexNetwork, ComplexNetworkConfig
from qmri_bids.networks.checkpoint import ModelCard
from qmri_bids.networks.features import signal_features
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.losses import LOSSES
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


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Simulated samples: true parameters, flip angle, the features of the noisy signal and the weight in the loss."""

    t1: torch.Tensor
    t2: torch.Tensor
    theta: torch.Tensor
    b1: torch.Tensor
    features: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A trained network with its card and the course of its loss."""

    network: ComplexNetwork
    card: ModelCard
    losses: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)


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


def network_config(spec: TrainingSpec) -> ComplexNetworkConfig:
    """Return the architecture for a training, its output range the prior's with a margin of a fifth on the log scale."""
    prior = PRIORS[spec.prior]
    tr = spec.protocol.repetition_time

    def log_range(bounds: tuple[float, float]) -> tuple[float, float]:
        return math.log(bounds[0] / tr) - 0.2, math.log(bounds[1] / tr) + 0.2

    return ComplexNetworkConfig(
        hidden=spec.hidden,
        log_t1_over_tr=log_range(prior.t1),
        log_t2_over_tr=log_range(prior.t2),
        flip_angle=(spec.b1[0] * spec.protocol.flip_angle, spec.b1[1] * spec.protocol.flip_angle),
    )


def train(
    spec: TrainingSpec,
    *,
    command: str = "",
    progress: Callable[[int, float, float], None] | None = None,
) -> TrainingResult:
    """Train a network on simulated signals.

    Parameters
    ----------
    spec
        What to train.
    command
        The command line, for the card.
    progress
        Called after every epoch with its number, mean loss and duration [s].

    Returns
    -------
    TrainingResult
        The network, its card (metrics measured on a separate noise-free set) and the losses.
    """
    torch.manual_seed(spec.seed)
    generator = torch.Generator().manual_seed(spec.seed)
    network = ComplexNetwork(network_config(spec))
    network.normalise_by(simulate(spec, 100_000, generator=torch.Generator().manual_seed(spec.seed + 2)).features)
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate, fused=True)
    steps = spec.epochs * math.ceil(spec.samples / spec.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps, eta_min=spec.learning_rate / 100.0)
    losses: list[float] = []
    durations: list[float] = []
    for epoch in range(spec.epochs):
        start = time.perf_counter()
        loss_function = LOSSES["supervised" if epoch < spec.warm_up else spec.loss]
        data = simulate(spec, spec.samples, generator=generator)
        total = torch.zeros(())
        for begin in range(0, spec.samples, spec.batch_size):
            part = Batch(**{key: value[begin : begin + spec.batch_size] for key, value in vars(data).items()})
            optimiser.zero_grad(set_to_none=True)
            loss = loss_function(network, part, spec.protocol)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach() * len(part.t1)
        losses.append(float(total) / spec.samples)
        durations.append(time.perf_counter() - start)
        if progress is not None:
            progress(epoch + 1, losses[-1], durations[-1])
    network.eval()
    return TrainingResult(
        network=network,
        card=_card(spec, network, losses, durations, command),
        losses=losses,
        epoch_seconds=durations,
    )


def validate(network: ComplexNetwork, spec: TrainingSpec, *, samples: int = 50_000) -> dict[str, float]:
    """Return mean absolute errors of T1 and T2 [%] and of θ [rad] on noise-free tissue signals over the whole circle."""
    tissue = TrainingSpec(
        name=spec.name, protocol=spec.protocol, prior="uniform", b1=(0.7, 1.3), snr=None, loss=spec.loss
    )
    data = simulate(tissue, samples, generator=torch.Generator().manual_seed(spec.seed + 1))
    with torch.no_grad():
        log_t1, log_t2, theta = network(data.features, data.b1 * spec.protocol.flip_angle)
    tr = spec.protocol.repetition_time
    turn = torch.remainder(theta - data.theta + math.pi, 2.0 * math.pi) - math.pi
    return {
        "T1_mean_absolute_error_percent": 100.0 * float((log_t1.exp() * tr / data.t1 - 1.0).abs().mean()),
        "T2_mean_absolute_error_percent": 100.0 * float((log_t2.exp() * tr / data.t2 - 1.0).abs().mean()),
        "theta_mean_absolute_error_rad": float(turn.abs().mean()),
    }


def _card(
    spec: TrainingSpec, network: ComplexNetwork, losses: list[float], durations: list[float], command: str
) -> ModelCard:
    prior = PRIORS[spec.prior]
    tr = spec.protocol.repetition_time
    return ModelCard(
        name=spec.name,
        description=(
            f"Complex {spec.loss} network of Birk et al. 2025 for {spec.protocol.number_of_cycles} evenly spaced "
            f"phase cycles, prior {spec.prior}, trained on simulated signals"
        ),
        architecture=network.config.to_dict(),
        number_of_cycles=spec.protocol.number_of_cycles,
        rf_phase_increment=spec.protocol.rf_phase_increment,
        flip_angle=network.config.flip_angle,
        t1_over_tr=(prior.t1[0] / tr, prior.t1[1] / tr),
        t2_over_tr=(prior.t2[0] / tr, prior.t2[1] / tr),
        training=asdict(spec)
        | {
            "command": command,
            "prior_source": prior.source,
            "torch": str(torch.__version__),
            "final_loss": losses[-1],
            "median_epoch_seconds": round(sorted(durations)[len(durations) // 2], 1),
        },
        metrics=validate(network, spec) | {"noise_free": True, "validation_prior": "uniform"},
    )
