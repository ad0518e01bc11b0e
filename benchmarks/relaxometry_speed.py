"""Time: throughput of the fit, closed MIRACLE against its search, a whole brain."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from relaxometry_common import SAMPLES, SEED, TIMES, create
from rows import AtLeast, Row

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.miracle import Miracle
from qmri_bids.estimation.bssfp.posterior.voxel import posterior
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.evaluation.sets import uniform_set
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.training.simulation import paper_protocol

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from golden_section import golden_section_miracle


def seconds(action: Callable[[], object], *, clock: Callable[[], float], repeats: int = 5) -> float:
    """Return the shortest of several runs, after one that compiles."""
    action()
    times = []
    for _ in range(repeats):
        start = clock()
        action()
        times.append(clock() - start)
    return min(times)


def cpu_seconds(action: Callable[[], object], *, repeats: int = 5) -> float:
    """Return the processor time of one thread: what a ratio of throughputs is made of, whatever else the machine does."""
    return seconds(action, clock=time.process_time, repeats=repeats)


def wall_seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return the time on the clock and, of all threads together, on the processor."""
    before = time.process_time()
    wall = seconds(action, clock=time.perf_counter, repeats=2)
    return wall, (time.process_time() - before) / 3.0


CHUNKS = (4_096, 16_384, 65_536)
"""Voxels that a network sees at a time; the fastest counts."""


def throughput() -> list[Row]:
    """From raw cycles to T1 and T2, N=12, one thread."""
    protocol = paper_protocol()
    truth = uniform_set(SAMPLES, protocol=protocol, seed=SEED)
    cycles = truth.cycles(snr=25.0, seed=SEED + 1).astype(np.complex64)

    def maximum_likelihood():
        fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment)
        return relaxation_times(fit.e2, fit.b, b1=truth.b1, protocol=protocol)

    network = create("pinn-complex-uniform")
    network.check(protocol)

    def complex_network(chunk: int):
        with torch.inference_mode():
            for begin in range(0, SAMPLES, chunk):
                part = torch.as_tensor(cycles[begin : begin + chunk])
                scale = torch.as_tensor(truth.b1[begin : begin + chunk], dtype=torch.float32)
                network.solve(part, scale, protocol)

    mine = SAMPLES / cpu_seconds(maximum_likelihood) / 1e6
    theirs = SAMPLES / min(cpu_seconds(partial(complex_network, chunk), repeats=3) for chunk in CHUNKS) / 1e6
    return [
        Row(
            figure="throughput, N=12, one thread: ML with start over the complex paper network",
            unit="×",
            bar=AtLeast(2.0),
            value=mine / theirs,
            baseline=f"{mine:.2f} against {theirs:.2f} M voxels/s",
        )
    ]


def miracle() -> list[Row]:
    """MIRACLE in closed form against the search that it replaces, both from raw cycles, one thread."""
    protocol = paper_protocol()
    truth = uniform_set(SAMPLES, protocol=protocol, seed=SEED)
    cycles = truth.cycles(snr=25.0, seed=SEED + 1)
    few = 5_000
    estimator = Miracle()

    def closed():
        point = estimator.natural(cycles, b1=truth.b1, protocol=protocol)
        return relaxation_times(point.e2, point.b, b1=truth.b1, protocol=protocol)

    def search():
        return golden_section_miracle(cycles[:few], b1=truth.b1[:few], protocol=protocol)

    fast, slow = SAMPLES / cpu_seconds(closed), few / cpu_seconds(search, repeats=3)
    rooted = np.isfinite(closed()[0][:few]) & (closed()[0][:few] < 10.0)
    rows = [
        Row(
            figure="closed MIRACLE over the golden-section search, speed",
            unit="×",
            bar=AtLeast(200.0),
            value=fast / slow,
            baseline=f"{fast / 1e6:.2f} against {slow / 1e6:.4f} M voxels/s",
        )
    ]
    for (name, _), one, other in zip(TIMES, closed(), search(), strict=True):
        gap = 1e3 * np.abs(one[:few] - other)[rooted]
        rows.append(
            Row(
                figure=f"closed MIRACLE against the golden-section search, largest difference in {name}",
                unit="ms",
                bar=0.05,
                value=float(gap.max()),
                baseline=f"median {np.median(gap):.1e}, over {100 * rooted.mean():.1f} % of {few} noisy voxels with a root",
            )
        )
    return rows


BRAIN_VOXELS = 700_000
CORES = 2


def brain() -> list[Row]:
    """A whole brain at 1.3 mm on two cores: flagship with refinement and covariance, posterior on top."""
    protocol = paper_protocol()
    truth = uniform_set(BRAIN_VOXELS, protocol=protocol, seed=SEED)
    cycles = truth.cycles(snr=25.0, seed=SEED + 1).astype(np.complex64)
    torch.set_num_threads(CORES)
    estimator = create("pinn", threads=CORES)
    known = KnownMaps(b1=truth.b1)
    maps, maps_cpu = wall_seconds(lambda: estimator.estimate(cycles, protocol=protocol, known=known))
    other = create("ml", threads=CORES)
    beside, beside_cpu = wall_seconds(lambda: other.estimate(cycles, protocol=protocol, known=known))
    torch.set_num_threads(1)
    fit = fit_natural(cycles, rf_phase_increment=protocol.rf_phase_increment, threads=CORES)
    noise = moderated_variance(fit.residual_sum, fit.freedom)
    on_top, on_top_cpu = wall_seconds(
        lambda: posterior(
            fit,
            variance=noise.variance,
            b1=truth.b1,
            protocol=protocol,
            prior=PRIORS["uniform"],
            freedom=noise.freedom,
            threads=CORES,
        )
    )
    published = "published, one thread: MIRACLE search 26, complex network 9"
    label = f"brain of {BRAIN_VOXELS // 1000} k voxels, N=12, {CORES} cores"
    return [
        Row(
            figure=f"{label}: flagship with refinement and sd",
            unit="s",
            bar=3.0,
            value=maps,
            baseline=f"{maps_cpu:.2f} of processor time; ml {beside:.2f}, {beside_cpu:.2f}; {published}",
        ),
        Row(
            figure=f"{label}: the same with a posterior",
            unit="s",
            bar=6.0,
            value=maps + on_top,
            baseline=f"posterior alone {on_top:.2f}, {on_top_cpu:.2f} of processor time",
        ),
    ]
