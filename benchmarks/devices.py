"""Networks on a CUDA device beside the processor: how far their results differ, and how long both take.

Runs only where torch sees a CUDA device: `python benchmarks/devices.py`. Nothing of it needs files or the engine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qmri_bids.estimation.base import EstimatorOptions, KnownMaps
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.fit import bounds_of
from qmri_bids.networks.devices import resolve_device
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.loop import train
from qmri_bids.training.missing import spec_for
from qmri_bids.training.pools.specification import ExchangeTrainingSpec, train_exchange
from qmri_bids.training.pools.subject import SubjectTrainingSpec, train_on_subject

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from fingerprint_sets import brain_set

PROTOCOL = BssfpProtocol.evenly_spaced(number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26)
RELAXOMETRY = ("pinn", "pinn-bare", "pinn-complex-uniform", "svnn-magnitude-uniform")
THREADS = 4


def main() -> None:
    device = str(resolve_device("cuda"))
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}; auto gives {resolve_device('auto')}")
    torch.set_num_threads(THREADS)
    relaxometry(device)
    pools(device)
    trainings(device)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    found = function()
    return found, time.perf_counter() - start


def compare(name: str, one: dict[str, Any], other: dict[str, Any], *, seconds: tuple[float, float]) -> None:
    """Print the largest and the 99.9th percentile of the relative differences."""
    parts = []
    for key, values in one.items():
        both = np.isfinite(values) & np.isfinite(other[key])
        change = np.abs(values - other[key])[both] / np.maximum(np.abs(values[both]), 1e-9)
        lost = int(np.count_nonzero(np.isfinite(values) != np.isfinite(other[key])))
        parts.append(f"{key}: {change.max():.1e} (p99.9 {np.quantile(change, 0.999):.1e}), {lost} voxels in one alone")
    print(f"{name}: cpu {seconds[0]:.2f} s, cuda {seconds[1]:.2f} s; {'; '.join(parts)}", flush=True)


def relaxometry(device: str, *, number: int = 200_000) -> None:
    rng = np.random.default_rng(0)
    t1, t2 = rng.uniform(0.4, 2.5, number), rng.uniform(0.03, 0.15, number)
    b1, field = rng.uniform(0.8, 1.2, number), rng.uniform(-50.0, 50.0, number)
    cycles = signal(t1, t2, b1=b1, off_resonance=field, protocol=PROTOCOL)
    noise = rng.standard_normal((*cycles.shape, 2)) @ np.array([1.0, 1j]) * 0.02 * np.abs(cycles).mean()
    cycles = (cycles + noise).astype(np.complex64)
    for name in RELAXOMETRY:
        found, seconds = [], []
        for where in ("cpu", device):
            estimator = ESTIMATORS[name].create(EstimatorOptions(threads=THREADS, device=where))
            estimator.estimate(cycles[:1000], protocol=PROTOCOL, known=KnownMaps(b1=b1[:1000]))  # compiles, warms up
            estimate, took = timed(
                lambda made=estimator: made.estimate(cycles, protocol=PROTOCOL, known=KnownMaps(b1=b1))
            )
            found.append({"T1": estimate.values["T1"], "T2": estimate.values["T2"], "sd of T1": estimate.stdev["T1"]})
            seconds.append(took)
        compare(name, found[0], found[1], seconds=(seconds[0], seconds[1]))


def pools(device: str, *, number: int = 20_000) -> None:
    samples = brain_set(number, 0)
    images = samples.signal(threads=THREADS)
    for name in ("pinn-bare", "pinn"):
        found, seconds = [], []
        for where in ("cpu", device):
            estimator = EXCHANGE_ESTIMATORS[name].create(ExchangeOptions(threads=THREADS, device=where))
            estimator.estimate(images[:500], scan=samples.scan, known=samples.known[slice(0, 500)])
            estimate, took = timed(lambda made=estimator: made.estimate(images, scan=samples.scan, known=samples.known))
            found.append(dict(estimate.values))
            seconds.append(took)
        compare(f"pools, {name}", found[0], found[1], seconds=(seconds[0], seconds[1]))


def trainings(device: str) -> None:
    samples = brain_set(5000, 1)
    images, bounds = samples.signal(threads=THREADS), bounds_of(samples.scan)
    subject = SubjectTrainingSpec(samples=4000, warm_up=300, steps=300, expansions=2)
    exchange = ExchangeTrainingSpec(name="test", scan=samples.scan, samples=4000, steps=500, expansions=2)
    paper = replace(spec_for(PROTOCOL, "pinn-complex-uniform"), samples=50_000, epochs=3)
    ways: dict[str, Callable[[torch.device], Any]] = {
        "train by fit": lambda where: train_on_subject(
            images,
            scan=samples.scan,
            known=samples.known,
            start=np.clip(np.full_like(samples.values, 1.0) * samples.values.mean(axis=0), *bounds),
            bounds=bounds,
            spec=subject,
            threads=THREADS,
            device=where,
        ),
        "pools in silico": lambda where: train_exchange(exchange, threads=THREADS, device=where),
        "relaxometry in silico": lambda where: train(paper, device=where),
    }
    for name, way in ways.items():
        for where in ("cpu", device):
            result, took = timed(lambda run=way, at=where: run(torch.device(at)))
            places = {str(each.device) for each in result.network.parameters()}
            print(f"training, {name}, {where}: {took:.1f} s, losses {result.losses}, network on {places}", flush=True)


if __name__ == "__main__":
    main()
