"""Training networks of pools in silico: with the physics loss, or supervised as the baseline that has none."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.networks.devices import PROCESSOR
from qmri_bids.networks.pools import ExchangeNetwork, ExchangeNetworkConfig
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.priors.pools import EXCHANGE_PRIOR
from qmri_bids.training.pools.misfit import Misfit, misfit_about

SPREAD_WEIGHT = 0.05
"""Weight in the loss of the likelihood of the network's errors."""

MARGIN = 1.0
"""How far beyond the logarithms of the prior the network can reach: estimates next to an edge are not cut."""

RANGES: dict[str, tuple[float, float]] = {"fraction": (1e-4, 0.05), "rate": (1.0, 1000.0)}
"""Lowest and highest fraction and exchange rate [1/s] of pools that the prior does not name."""


@dataclass(frozen=True, kw_only=True)
class ExchangeTrainingSpec:
    """How a network of pools is trained.

    Parameters
    ----------
    name
        Name of the weights.
    scan
        Series and pools.
    loss
        `physics`: misfit of the decoded signal; `supervised`: squared error of the parameters over their range.
    samples
        Voxels simulated.
    noise
        Range of the noise relative to M0, uniform in its logarithm.
    steps, expansions
        Steps of the optimiser between two expansions of the physics loss, and how many there are; the first is about the truth.
    batch_size, learning_rate, hidden, depth, seed
        Voxels a step, learning rate, width and number of the hidden layers, and seed of all draws.
    """

    name: str
    scan: ExchangeScan
    loss: Literal["physics", "supervised"] = "physics"
    samples: int = 120_000
    noise: tuple[float, float] = (0.002, 0.02)
    steps: int = 8000
    expansions: int = 4
    batch_size: int = 1024
    learning_rate: float = 1e-3
    hidden: int = 192
    depth: int = 3
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ExchangeSamples:
    """Simulated voxels.

    Parameters
    ----------
    values
        Parameters, shape (V, P).
    known
        Known maps of the voxels.
    clean
        Images without noise for M0 = 1, shape (V, N).
    noise
        Standard deviation of the noise each voxel is seen with, shape (V,).
    """

    values: NDArray[np.float64]
    known: KnownVoxels
    clean: NDArray[np.float64]
    noise: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExchangeTrainingResult:
    """A trained network, the mean loss of every thousand steps, and the duration [s]."""

    network: ExchangeNetwork
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


def ranges_of(scan: ExchangeScan) -> NDArray[np.float64]:
    """Return lowest and highest value of every parameter in training, shape (P, 2)."""
    return np.array(
        [EXCHANGE_PRIOR.ranges.get(name, RANGES[name.rpartition(".")[2]]) for name in scan.parameters], dtype=np.float64
    )


def draw_samples(
    scan: ExchangeScan,
    number: int,
    *,
    noise: tuple[float, float],
    seed: int,
    threads: int,
    logarithmic: float = 0.0,
) -> ExchangeSamples:
    """Return simulated voxels, uniform in the values of their parameters, or a share of them in the logarithms.

    Parameters
    ----------
    scan
        Series and pools.
    number
        Number of voxels.
    noise
        Range of the noise relative to M0.
    seed
        Seed of all draws.
    threads
        Threads to use; the result does not depend on it.
    logarithmic
        The share.
    """
    rng = np.random.default_rng(seed)
    low, high = ranges_of(scan).T
    unit = rng.uniform(size=(number, len(low)))
    in_logs = rng.uniform(size=number) < logarithmic
    values = np.where(in_logs[:, None], low * (high / low) ** unit, low + (high - low) * unit)
    known = KnownVoxels.of(EXCHANGE_PRIOR.draw(number, parameters=KNOWN, rng=rng))
    return ExchangeSamples(
        values=values,
        known=known,
        clean=exchange_signal(scan, values, known, threads=threads),
        noise=noise[0] * (noise[1] / noise[0]) ** rng.uniform(size=number),
    )


def known_features(known: KnownVoxels) -> torch.Tensor:
    """Return the maps as the network takes them, shape (V, 4)."""
    columns = [np.log(known.t1), np.log(known.t2), known.b1, known.off_resonance]
    return torch.as_tensor(np.column_stack(columns).astype(np.float32))


def new_network(
    scan: ExchangeScan, *, hidden: int, depth: int, low: NDArray[np.floating], high: NDArray[np.floating], seed: int
) -> ExchangeNetwork:
    """Return an untrained network whose logarithms lie between two bounds, shape (P,) each."""
    torch.manual_seed(seed)
    config = ExchangeNetworkConfig(
        series=tuple(protocol.number_of_images for protocol in scan.protocols),
        parameters=scan.parameters,
        hidden=hidden,
        depth=depth,
    )
    network = ExchangeNetwork(config)
    network.bound_by(torch.as_tensor(low, dtype=torch.float32), torch.as_tensor(high, dtype=torch.float32))
    return network


def mixing_of(misfit: Misfit, *, noise: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Return the root of the mean spread that data and prior leave to the logarithms, shape (P, P).

    The network's outputs are multiplied by it: directions in which pools are well told apart move little, the others much.

    Parameters
    ----------
    misfit
        Misfit of V voxels, expanded to second order.
    noise
        Standard deviation of their noise, shape (V,).
    prior
        Spread of the logarithms, shape (P,).
    """
    information = (misfit.curvature / noise[:, None, None].square()).double()
    matrix = torch.quantile(information.flatten(1), 0.5, dim=0).reshape(information.shape[1:])
    values, vectors = torch.linalg.eigh(0.5 * (matrix + matrix.T))
    # The median of matrices need not be one of a sum of squares.
    matrix = vectors @ torch.diag(values.clamp_min(0.0)) @ vectors.T + torch.diag(prior.double() ** -2)
    # Far smaller than the prior would make the first steps too short.
    return torch.linalg.cholesky(torch.linalg.inv(matrix) + 0.1 * torch.diag(prior.double() ** 2)).float()


def spread_loss(error: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Return the negative log likelihood of errors that were made, for logarithms of their standard deviations (B, P)."""
    return (0.5 * error.detach().square() * torch.exp(-2.0 * spread) + spread).mean()


LOGARITHMIC = {"physics": 0.5, "supervised": 0.0}
"""Share of samples that are uniform in the logarithms, by loss: the physics loss asks for no prior, and small pools are to be
learned as well as large ones; a supervised network is the posterior mean under the prior that it was trained on."""


def _physics_loss(
    x: torch.Tensor, truth: torch.Tensor, misfits: torch.Tensor, span: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    # The logarithm lets voxels of little noise weigh no more than others.
    return torch.log1p(misfits / x.shape[1]).mean(), x - truth


def _supervised_loss(
    x: torch.Tensor, truth: torch.Tensor, misfits: torch.Tensor, span: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    values, true = torch.exp(x), torch.exp(truth)
    return ((values - true) / span).square().mean(), true / values - 1.0


LOSSES = {"physics": _physics_loss, "supervised": _supervised_loss}
"""From logarithms, their truth, the misfits over the variance of the noise and the ranges to the loss, and to relative errors."""


def train_exchange(
    spec: ExchangeTrainingSpec,
    *,
    threads: int = 1,
    device: torch.device = PROCESSOR,
    progress: Callable[[str], None] | None = None,
) -> ExchangeTrainingResult:
    """Train a network of pools on simulated voxels, whose noise is drawn anew at every step.

    Parameters
    ----------
    spec
        What to train.
    threads
        Threads of the forward model; the optimiser uses those of torch.
    device
        Device of the network, which comes back on the processor; draws are the same on every device, and the forward model stays on
        the processor.
    progress
        Called with a line of text every thousand steps.
    """
    start = time.perf_counter()
    scan = spec.scan
    samples = draw_samples(
        scan,
        spec.samples,
        noise=spec.noise,
        seed=spec.seed,
        threads=threads,
        logarithmic=LOGARITHMIC[spec.loss],
    )
    truth, clean, noise = (
        torch.as_tensor(each.astype(np.float32)).to(device)
        for each in (np.log(samples.values), samples.clean, samples.noise)
    )
    known = known_features(samples.known).to(device)
    ranges = ranges_of(scan)
    span = torch.as_tensor((ranges[:, 1] - ranges[:, 0]).astype(np.float32)).to(device)
    low, high = np.log(ranges[:, 0]) - MARGIN, np.log(ranges[:, 1]) + MARGIN
    network = new_network(scan, hidden=spec.hidden, depth=spec.depth, low=low, high=high, seed=spec.seed).to(device)
    generator = torch.Generator().manual_seed(spec.seed)

    def seen(chosen: torch.Tensor) -> torch.Tensor:
        pure = clean[chosen]
        return pure + noise[chosen, None] * torch.randn(pure.shape, generator=generator).to(device)

    def misfit_at(logs: torch.Tensor) -> Misfit:
        at = logs.cpu().numpy()
        return misfit_about(at, data=samples.clean, scan=scan, known=samples.known, threads=threads).to(device)

    misfit = misfit_at(truth)
    everything = torch.arange(spec.samples, device=device)
    network.scale_by(
        seen(everything),
        known,
        clean=clean,
        centre=truth.mean(dim=0),
        mixing=mixing_of(misfit, noise=noise, prior=truth.std(dim=0)),
    )
    total = spec.steps * spec.expansions
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=total, eta_min=spec.learning_rate / 100.0)
    losses: list[float] = []
    running = 0.0
    for step in range(1, total + 1):
        chosen = torch.randint(spec.samples, (spec.batch_size,), generator=generator).to(device)
        x, spread = network(seen(chosen), known[chosen])
        misfits = misfit.at(x, chosen).clamp_min(0.0) / noise[chosen].square()
        loss, error = LOSSES[spec.loss](x, truth[chosen], misfits, span)
        loss = loss + SPREAD_WEIGHT * spread_loss(error, spread)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running += loss.item()
        if step % 1000 == 0:
            losses.append(running / 1000.0)
            running = 0.0
            if progress is not None:
                progress(f"step {step}/{total}  loss {losses[-1]:.4g}  {time.perf_counter() - start:.0f} s")
        if spec.loss == "physics" and step % spec.steps == 0 and step < total:
            with torch.no_grad():
                points = torch.cat([network(seen(part), known[part])[0] for part in everything.split(16_384)])
            misfit = misfit_at(points)
            if progress is not None:
                level = float(torch.log1p(misfit.constant / noise.square() / len(scan.parameters)).mean())
                progress(f"physics loss of the decoded predictions {level:.4g}")
    network.eval().to(PROCESSOR)
    if not all(math.isfinite(loss) for loss in losses):
        raise FloatingPointError(f"training of {spec.name} has diverged: losses {losses[-3:]}")
    return ExchangeTrainingResult(network=network, losses=losses, seconds=time.perf_counter() - start)
