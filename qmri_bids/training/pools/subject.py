"""Train by fit: a network of pools trained on one subject, with the Bloch-McConnell equations in its loss and no other teacher.

After Finkelstein et al., Commun Phys 8:164 (2025), where each step decodes the predictions of its voxels. Here the misfit is
expanded about the predictions (`misfit`) and used for some hundred steps; B0 is an input; no value is taken from a batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.networks.devices import PROCESSOR
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.training.pools.misfit import misfit_about
from qmri_bids.training.pools.specification import ExchangeTrainingResult, known_features, mixing_of, new_network

SMOOTHEST = 10_000
"""Voxels that tell the shapes of the signals."""


@dataclass(frozen=True, kw_only=True)
class SubjectTrainingSpec:
    """How a network is trained on a subject.

    Parameters
    ----------
    samples
        Voxels drawn from the subject.
    warm_up
        Steps towards the start before the physics loss begins.
    steps, expansions
        Steps between two expansions of the physics loss, and how many there are.
    batch_size, learning_rate, hidden, depth, seed
        Voxels a step, learning rate, width and number of the hidden layers, and seed of all draws.
    """

    samples: int = 30_000
    warm_up: int = 1000
    steps: int = 1000
    expansions: int = 4
    batch_size: int = 1024
    learning_rate: float = 2e-3
    hidden: int = 192
    depth: int = 3
    seed: int = 0


def train_on_subject(
    signal: NDArray[np.floating],
    *,
    scan: ExchangeScan,
    known: KnownVoxels,
    start: NDArray[np.floating],
    bounds: tuple[NDArray[np.floating], NDArray[np.floating]],
    spec: SubjectTrainingSpec,
    threads: int = 1,
    device: torch.device = PROCESSOR,
    progress: Callable[[str], None] | None = None,
) -> ExchangeTrainingResult:
    """Train a network on the voxels of a subject.

    Parameters
    ----------
    signal
        Images of all series, M0 about 1, shape (V, N), finite.
    scan
        Series and pools.
    known
        Maps of the voxels.
    start
        Rough fractions and rates with which the first expansion begins, shape (V, P).
    bounds
        Lowest and highest value of every parameter, shape (P,) each.
    spec
        How the network is trained.
    threads
        Threads of the forward model.
    device
        Device of the network, which comes back on the processor; draws are the same on every device, and the forward model stays on
        the processor.
    progress
        Called with a line of text at every expansion.
    """
    began = time.perf_counter()
    rng = np.random.default_rng(spec.seed)
    chosen = rng.permutation(len(signal))[: spec.samples]
    data, maps = np.asarray(signal, dtype=np.float64)[chosen], known[chosen]
    images, features = torch.as_tensor(data.astype(np.float32)).to(device), known_features(maps).to(device)
    rough = torch.as_tensor(np.log(np.asarray(start)[chosen]).astype(np.float32)).to(device)
    network = new_network(
        scan, hidden=spec.hidden, depth=spec.depth, low=np.log(bounds[0]), high=np.log(bounds[1]), seed=spec.seed
    ).to(device)
    misfit = misfit_about(rough.cpu().numpy(), data=data, scan=scan, known=maps, threads=threads).to(device)
    freedom = scan.number_of_images - len(scan.parameters) - len(scan.protocols)
    # The start is rough: the quieter voxels are those where it is good.
    noise = torch.sqrt(torch.quantile(misfit.constant, 0.25) / freedom)
    network.scale_by(
        images,
        features,
        clean=images[:SMOOTHEST],
        centre=rough.mean(dim=0),
        mixing=mixing_of(misfit, noise=noise.expand(len(data)), prior=rough.std(dim=0).clamp_min(0.1)),
    )
    total = spec.warm_up + spec.steps * spec.expansions
    optimiser = torch.optim.Adam(
        [*network.trunk.parameters(), *network.value.parameters()], lr=spec.learning_rate, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=total, eta_min=spec.learning_rate / 100.0)
    generator = torch.Generator().manual_seed(spec.seed)
    whiten = torch.linalg.inv(network.mixing)
    losses: list[float] = []

    def descend(steps: int, loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> float:
        running = 0.0
        for _ in range(steps):
            part = torch.randint(len(data), (spec.batch_size,), generator=generator).to(device)
            loss = loss_of(network(images[part], features[part])[0], part)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            running += loss.item()
        return running / max(1, steps)

    descend(spec.warm_up, lambda x, part: ((x - rough[part]) @ whiten.T).square().mean())
    for expansion in range(1, spec.expansions + 1):
        with torch.no_grad():
            points = torch.cat([network(images[part], features[part])[0] for part in _parts(len(data))])
        misfit = misfit_about(points.cpu().numpy(), data=data, scan=scan, known=maps, threads=threads).to(device)
        decoded = float(torch.log1p(misfit.constant / noise.square() / freedom).mean())
        if progress is not None:
            progress(f"train-by-fit {expansion}/{spec.expansions}: physics loss {decoded:.4f}")

        def physics(x: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
            # Voxels that the pools do not describe must not outweigh the others, and the expansion does not hold far away.
            level = misfit.at(x, part).clamp_min(0.0) / noise.square() / freedom  # noqa: B023
            away = ((x - misfit.centre[part]) @ whiten.T).square().mean(dim=1)  # noqa: B023
            return (torch.log1p(level) + 0.01 * away / expansion).mean()  # noqa: B023

        losses.append(descend(spec.steps, physics))
    network.eval().to(PROCESSOR)
    if not math.isfinite(losses[-1]):
        raise FloatingPointError(f"training on the subject has diverged: losses {losses}")
    return ExchangeTrainingResult(network=network, losses=losses, seconds=time.perf_counter() - began)


def _parts(number: int) -> list[slice]:
    return [slice(begin, begin + 16_384) for begin in range(0, number, 16_384)]
