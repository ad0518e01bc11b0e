"""Training a relaxometry network in silico."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from qmri_bids.networks.architecture import PaperNetwork, PaperNetworkConfig
from qmri_bids.networks.checkpoint import ModelCard
from qmri_bids.networks.devices import PROCESSOR
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.training.losses import LOSSES
from qmri_bids.training.simulation import Batch, TrainingSpec, simulate

RANGE_MARGIN = 0.05
"""By how much the outputs reach beyond the prior on the log scale: enough to tell a value at the edge from one beyond it."""

VALIDATION_SNR: dict[str, float | None] = {"noise_free": None, "snr_25": 25.0, "snr_10": 10.0}


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A trained network with its card and the course of its loss."""

    network: PaperNetwork
    card: ModelCard
    losses: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)


def network_config(spec: TrainingSpec) -> PaperNetworkConfig:
    """Return the architecture for a training, its output range the prior's with a small margin."""
    prior = PRIORS[spec.prior]
    tr = spec.protocol.repetition_time

    def log_range(bounds: tuple[float, float]) -> tuple[float, float]:
        return math.log(bounds[0] / tr) - RANGE_MARGIN, math.log(bounds[1] / tr) + RANGE_MARGIN

    return PaperNetworkConfig(
        inputs=spec.parts.inputs,
        hidden=spec.parts.hidden,
        log_t1_over_tr=log_range(prior.t1),
        log_t2_over_tr=log_range(prior.t2),
        flip_angle=(spec.b1[0] * spec.protocol.flip_angle, spec.b1[1] * spec.protocol.flip_angle),
    )


def train(
    spec: TrainingSpec,
    *,
    command: str = "",
    device: torch.device = PROCESSOR,
    progress: Callable[[int, float, float], None] | None = None,
    inspect: Callable[[int, PaperNetwork], None] | None = None,
) -> TrainingResult:
    """Train a network on simulated signals.

    Parameters
    ----------
    spec
        What to train.
    command
        The command line, for the card.
    device
        Device of the network, which comes back on the processor; signals are simulated there, the same for every device.
    progress
        Function that is called after every epoch with its number, mean loss and duration [s].
    inspect
        Function that is called after every epoch with its number and the network as it is.

    Returns
    -------
    TrainingResult
        The network, its card (metrics measured on separate sets) and the losses.
    """
    generator = torch.Generator().manual_seed(spec.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = PaperNetwork(network_config(spec))
    first = simulate(spec, min(spec.samples, 100_000), generator=torch.Generator().manual_seed(spec.seed + 2))
    network.normalise_by(first.features)
    network.to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate, fused=True)
    steps = spec.epochs * math.ceil(spec.samples / spec.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps, eta_min=spec.learning_rate / 100.0)
    losses: list[float] = []
    durations: list[float] = []
    for epoch in range(spec.epochs):
        start = time.perf_counter()
        loss_function = LOSSES["supervised" if epoch < spec.warm_up else spec.parts.loss]
        data = simulate(spec, spec.samples, generator=generator).to(device)
        total = torch.zeros((), device=device)
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
        if inspect is not None:
            inspect(epoch + 1, network)
    network.eval().to(PROCESSOR)
    return TrainingResult(
        network=network,
        card=_card(spec, network, losses, durations, command),
        losses=losses,
        epoch_seconds=durations,
    )


def validate(network: PaperNetwork, spec: TrainingSpec, *, samples: int = 100_000) -> dict[str, dict[str, float]]:
    """Return mean absolute errors of T1 and T2 [%] and of θ [rad], one noise draw a voxel, over the whole circle of θ.

    Tissue values (prior "uniform") and B1 from 0.7 to 1.3 whatever the training was; estimates beyond the range of the training
    prior are clamped to it.
    """
    prior = PRIORS[spec.prior]
    tr = spec.protocol.repetition_time
    metrics = {}
    for name, snr in VALIDATION_SNR.items():
        tissue = replace(spec, prior="uniform", beyond=0.0, b1=(0.7, 1.3), snr=None if snr is None else (snr, snr))
        data = simulate(tissue, samples, generator=torch.Generator().manual_seed(spec.seed + 1))
        with torch.no_grad():
            log_t1, log_t2, theta = network(data.features, data.b1 * spec.protocol.flip_angle, data.measured_theta)
        t1, t2 = (log_t1.exp() * tr).clamp(*prior.t1), (log_t2.exp() * tr).clamp(*prior.t2)
        turn = torch.remainder(theta - data.theta + math.pi, 2.0 * math.pi) - math.pi
        metrics[name] = {
            "T1_mean_absolute_error_percent": 100.0 * float((t1 / data.t1 - 1.0).abs().mean()),
            "T2_mean_absolute_error_percent": 100.0 * float((t2 / data.t2 - 1.0).abs().mean()),
            "theta_mean_absolute_error_rad": float(turn.abs().mean()),
        }
    return metrics


def _card(
    spec: TrainingSpec, network: PaperNetwork, losses: list[float], durations: list[float], command: str
) -> ModelCard:
    prior = PRIORS[spec.prior]
    tr = spec.protocol.repetition_time
    metrics: dict[str, Any] = {"validation": "prior uniform, B1 0.7-1.3, all θ, one noise draw a voxel, clamped"}
    return ModelCard(
        name=spec.name,
        kind="paper",
        description=(
            f"{spec.parts.summary} (Birk et al. 2025) for {spec.protocol.number_of_cycles} evenly spaced phase cycles, "
            f"prior {spec.prior}, trained on simulated signals"
        ),
        architecture=network.config.to_dict(),
        coverage={
            "number_of_cycles": spec.protocol.number_of_cycles,
            "flip_angle": network.config.flip_angle,
            "t1_over_tr": (prior.t1[0] / tr, prior.t1[1] / tr),
            "t2_over_tr": (prior.t2[0] / tr, prior.t2[1] / tr),
        },
        training=asdict(spec)
        | {
            "command": command,
            "prior_source": prior.source,
            "torch": str(torch.__version__),
            "final_loss": losses[-1],
            "seconds": round(sum(durations)),
        },
        metrics=metrics | validate(network, spec),
    )
