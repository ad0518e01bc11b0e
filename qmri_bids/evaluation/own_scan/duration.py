"""How long an estimator takes for the voxels of a scan, and would take for finer ones (Birk et al. 2025, Fig. S9)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qmri_bids.estimation.base import Estimator, KnownMaps
from qmri_bids.evaluation.own_scan.voxels import OwnScan

EDGES = (1.3, 1.0, 0.8, 0.6, 0.4)
"""Edges of voxels for which the time is told [mm]; the paper has 1.3, 0.8 and 0.4."""

SHARES = (1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0, 1.0)
"""Of the voxels that are drawn at most."""

MOST_VOXELS, FEWEST_VOXELS = 100_000, 20_000
"""Voxels that are drawn at most, and at least: a scan of fewer gives some of its own several times."""

REPEATS = 3
"""Measurements of each number of voxels."""


@dataclass(frozen=True, kw_only=True)
class DurationRow:
    """Time of one estimator.

    Parameters
    ----------
    estimator
        Its name.
    voxels, seconds
        Every measurement.
    start, start_stdev
        Time that does not depend on the voxels, with its standard deviation [s].
    slope, slope_stdev
        Time of a voxel, likewise [s].
    volume
        Of the brain [mm³].
    expected
        Time at each edge of a voxel [mm] with its standard deviation [s]: extrapolated, not measured.
    """

    estimator: str
    voxels: tuple[int, ...]
    seconds: tuple[float, ...]
    start: float
    start_stdev: float
    slope: float
    slope_stdev: float
    volume: float
    expected: Mapping[float, tuple[float, float]]


def durations(
    estimators: Mapping[str, Estimator],
    *,
    scan: OwnScan,
    volume: float,
    seed: int,
    edges: Sequence[float] = EDGES,
    most: int = MOST_VOXELS,
) -> list[DurationRow]:
    """Measure the time of growing numbers of voxels and extrapolate it.

    Parameters
    ----------
    estimators
        By name.
    scan
        The voxels; they are drawn without their places, so that nothing but the estimator is measured.
    volume
        Of the brain [mm³]: a finer scan holds this volume over the cube of its edge.
    seed
        Of the draws.
    edges
        Of the finer voxels [mm].
    most
        Voxels that are drawn at most.
    """
    rng = np.random.default_rng(seed)
    total = min(most, max(scan.number_of_voxels, FEWEST_VOXELS))
    order = np.resize(rng.permutation(scan.number_of_voxels), total)
    numbers = sorted({max(1, round(share * len(order))) for share in SHARES})
    rows = []
    for name, estimator in estimators.items():
        measured: list[tuple[int, float]] = []
        _seconds(estimator, scan, order[: numbers[0]])  # what is compiled or loaded at the first call does not count
        for _ in range(REPEATS):
            measured += [(number, _seconds(estimator, scan, order[:number])) for number in numbers]
        rows.append(_row(name, measured, volume=volume, edges=edges))
    return rows


def _seconds(estimator: Estimator, scan: OwnScan, chosen: np.ndarray) -> float:
    cycles, known = np.ascontiguousarray(scan.cycles[chosen]), KnownMaps(b1=scan.b1[chosen])
    began = time.perf_counter()
    estimator.estimate(cycles, protocol=scan.protocol, known=known)
    return time.perf_counter() - began


def _row(name: str, measured: Sequence[tuple[int, float]], *, volume: float, edges: Sequence[float]) -> DurationRow:
    """Return the line through the shortest times of each number, which other programs have disturbed least."""
    shortest = {number: min(second for each, second in measured if each == number) for number, _ in measured}
    numbers, seconds = (np.array(list(each), dtype=np.float64) for each in (shortest, shortest.values()))
    design = np.stack([np.ones_like(numbers), numbers], axis=1)
    weights = 1.0 / np.sqrt(numbers)  # their scatter grows with them
    whitened = design * weights[:, None]
    line, *_ = np.linalg.lstsq(whitened, seconds * weights, rcond=None)
    left = seconds * weights - whitened @ line
    level = float(left @ left) / max(1, len(numbers) - 2)
    covariance = level * np.linalg.pinv(whitened.T @ whitened)
    expected = {}
    for edge in edges:
        at = np.array([1.0, volume / edge**3])
        expected[edge] = (float(at @ line), math.sqrt(max(0.0, float(at @ covariance @ at))))
    return DurationRow(
        estimator=name,
        voxels=tuple(number for number, _ in measured),
        seconds=tuple(second for _, second in measured),
        start=float(line[0]),
        start_stdev=math.sqrt(max(0.0, float(covariance[0, 0]))),
        slope=float(line[1]),
        slope_stdev=math.sqrt(max(0.0, float(covariance[1, 1]))),
        volume=volume,
        expected=expected,
    )
