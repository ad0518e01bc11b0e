"""What is said of a trained network of pools: its scan, its coverage, its figures; and whether it serves another scan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.networks.checkpoint import ModelCard
from qmri_bids.networks.pools import ExchangeNetwork
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.priors.pools import EXCHANGE_PRIOR
from qmri_bids.training.pools.specification import ExchangeTrainingSpec, draw_samples, known_features, ranges_of
from qmri_bids.training.pools.subject import SubjectTrainingSpec

PROBES: Mapping[str, tuple[float, ...]] = {
    "fraction": (0.12, 0.05, 0.2),
    "solute": (2e-3, 4e-3, 1e-3),
    "rate": (30.0, 60.0, 15.0),
    "solute rate": (150.0, 300.0, 60.0),
    "t1": (1.0, 1.5, 0.8),
    "t2": (0.06, 0.09, 0.05),
    "b1": (1.0, 0.8, 1.2),
    "off_resonance": (0.0, 40.0, -60.0),
}
"""Reference voxels, as columns."""

SAME_SIGNAL = 5e-3
"""Largest difference of a signal, in units of M0, between two scans that are the same: half of the usual noise."""

SIMILAR_SIGNAL = 0.02
"""The same between scans of which one begins a refinement as well as the other."""

VALIDATION = 4000


def probe_signals(scan: ExchangeScan) -> NDArray[np.float64]:
    """Return the signals of the reference voxels, shape (3, N)."""
    semisolid = None if scan.model.mt is None else scan.model.mt.name
    columns = []
    for parameter in scan.parameters:
        pool, _, quantity = parameter.rpartition(".")
        solute = {"fraction": "solute", "rate": "solute rate"}[quantity]
        columns.append(PROBES[quantity if pool == semisolid else solute])
    known = KnownVoxels.of({name: np.array(PROBES[name]) for name in KNOWN})
    return exchange_signal(scan, np.array(columns).T, known)


def is_same_scan(card: ModelCard, scan: ExchangeScan, *, within: float = SAME_SIGNAL) -> bool:
    """Whether a network was trained for the signals that a scan gives, within a difference in units of M0."""
    architecture = card.architecture
    series = [protocol.number_of_images for protocol in scan.protocols]
    if list(architecture["parameters"]) != list(scan.parameters) or list(architecture["series"]) != series:
        return False
    return bool(np.abs(probe_signals(scan) - np.array(card.coverage["probe_signals"])).max() <= within)


def covers(
    card: ModelCard, values: NDArray[np.floating], known: KnownVoxels, *, scan: ExchangeScan
) -> NDArray[np.bool_]:
    """Return whether estimates (V, P) and known maps lie within what the training covered, shape (V, P).

    A tenth beyond a range of pools is let pass: what noise carries there is no other tissue.
    """
    inside = np.ones(len(values), dtype=np.bool_)
    for name in KNOWN:
        low, high = card.coverage[name]
        inside &= (getattr(known, name) >= low) & (getattr(known, name) <= high)
    low, high = np.array([card.coverage[name] for name in scan.parameters]).T
    return inside[:, None] & (values >= low / 1.1) & (values <= high * 1.1)


def validate_exchange(network: ExchangeNetwork, scan: ExchangeScan, *, seed: int = 1) -> dict[str, dict[str, float]]:
    """Return median relative errors [%] on voxels of the uniform prior, without noise and with 1 % of M0."""
    samples = draw_samples(scan, VALIDATION, noise=(0.01, 0.01), seed=seed, threads=1)
    draw = np.random.default_rng(seed).standard_normal(samples.clean.shape)
    metrics = {}
    for name, noise in (("noise_free", 0.0), ("noise_1_percent", 0.01)):
        images = torch.as_tensor((samples.clean + noise * draw).astype(np.float32))
        with torch.inference_mode():
            logs, _ = network(images, known_features(samples.known))
        error = 100.0 * np.abs(np.exp(logs.double().numpy()) / samples.values - 1.0)
        metrics[name] = {
            f"{parameter}_median_error_percent": round(float(np.median(error[:, place])), 2)
            for place, parameter in enumerate(scan.parameters)
        }
    return metrics


def exchange_card(
    network: ExchangeNetwork, spec: ExchangeTrainingSpec, *, losses: list[float], seconds: float, command: str
) -> ModelCard:
    """Return the model card of a network that was trained in silico.

    Parameters
    ----------
    network, spec
        What was trained, and how.
    losses
        Mean loss of every thousand steps.
    seconds
        Duration of the training.
    command
        The command line.
    """
    kind = {"physics": "Physics-informed", "supervised": "Supervised"}[spec.loss]
    return ModelCard(
        name=spec.name,
        kind="exchange",
        description=f"{kind} network for fraction and exchange rate of {' and '.join(spec.scan.pools)}",
        architecture=network.config.to_dict(),
        coverage=coverage_of(spec.scan),
        training=_without_scan(spec)
        | {
            "command": command,
            "seconds": round(seconds, 1),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "first_losses": [round(each, 5) for each in losses[:3]],
            "last_losses": [round(each, 5) for each in losses[-3:]],
        },
        metrics=validate_exchange(network, spec.scan),
    )


def subject_card(
    network: ExchangeNetwork, spec: SubjectTrainingSpec, *, scan: ExchangeScan, losses: list[float], seconds: float
) -> ModelCard:
    """Return the model card of a network that was trained on a subject; its name tells scans apart.

    Parameters
    ----------
    network, spec, scan
        What was trained, how, and on what.
    losses
        Mean loss of every expansion.
    seconds
        Duration of the training.
    """
    coverage = coverage_of(scan)
    digest = hashlib.sha256(json.dumps(coverage, sort_keys=True).encode()).hexdigest()
    return ModelCard(
        name=f"train-by-fit_{digest[:12]}",
        kind="exchange",
        description=f"Network for fraction and exchange rate of {' and '.join(scan.pools)}, trained on one subject",
        architecture=network.config.to_dict(),
        coverage=coverage,
        training=asdict(spec)
        | {
            "loss": "train-by-fit",
            "command": "trained on a subject",
            "seconds": round(seconds, 1),
            "torch": torch.__version__,
            "losses": [round(each, 5) for each in losses],
        },
        metrics={},
    )


def coverage_of(scan: ExchangeScan) -> dict[str, Any]:
    """Return what a card says of the scan and of the ranges of a training."""
    ranges = {name: list(map(float, each)) for name, each in zip(scan.parameters, ranges_of(scan), strict=True)}
    return {
        **ranges,
        **{name: list(EXCHANGE_PRIOR.ranges[name]) for name in KNOWN},
        "field_strength": scan.protocols[0].field_strength,
        "probe_signals": [[round(float(each), 5) for each in row] for row in probe_signals(scan)],
    }


def _without_scan(spec: ExchangeTrainingSpec) -> dict[str, Any]:
    return {key: value for key, value in asdict(spec).items() if key not in ("scan", "name")}
