"""Training a relaxometry network in silico."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

from qmri_bids.networks.architecture import ComplexNetwork, ComplexNetworkConfig
from qmri_bids.networks.checkpoint import ModelCard
from qmri_bids.training.losses import LOSSES
from qmri_bids.training.priors import PRIORS
from qmri_bids.training.simulation import Batch, TrainingSpec, simulate


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A trained network with its card and the course of its loss."""

    network: ComplexNetwork
    card: ModelCard
    losses: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)


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
