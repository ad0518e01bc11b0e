"""Experiments in silico: error tables, tissues, noise, off-resonance, the T1-T2 plane, calibration.

Every function takes estimators by name and returns frozen rows that JSON can hold. An estimator that does not serve a protocol has
no row there. Errors are fractions. Unless stated, estimates are clamped to the range of the published networks (`clamping`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimator, KnownMaps, NaturalPoint, ProtocolNotSupported
from qmri_bids.evaluation.scores import (
    RankHistogram,
    Score,
    coefficient_of_determination,
    coverage,
    normal_interval,
    rank_histogram,
    score,
)
from qmri_bids.evaluation.sets import PAPER_T1, PAPER_T2, SimulatedSet, circle_set, tissue_set, uniform_set
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.simulation import paper_protocol


def clamped_times(
    point: NaturalPoint,
    *,
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    t1: tuple[float, float] = PAPER_T1,
    t2: tuple[float, float] = PAPER_T2,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return T1 and T2 [s] of natural coordinates, clamped to ranges.

    Parameters
    ----------
    point
        Estimates, shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.
    t1, t2
        Ranges (low, high) [s].

    Returns
    -------
    t1, t2
        Relaxation times [s], shape (V,), within the ranges; NaN only where the point itself is not finite.
    """
    e2, b = np.asarray(point.e2, dtype=float), np.asarray(point.b, dtype=float)
    cosine = np.cos(b1 * protocol.flip_angle)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        highest_b = e2 * (1.0 + cosine) / (1.0 + e2**2 * cosine)
        e1 = (b * (1.0 + e2**2 * cosine) - e2 * (1.0 + cosine)) / (b * (cosine + e2**2) - e2 * (1.0 + cosine))
        e1 = np.where(b <= 0.0, 1.0, np.where(b >= highest_b, 0.0, e1))
    finite = np.isfinite(e2) & np.isfinite(b)
    return (
        np.where(finite, _clamped_time(e1, t1, protocol), np.nan),
        np.where(finite, _clamped_time(e2, t2, protocol), np.nan),
    )


def _clamped_time(
    factor: NDArray[np.floating], bounds: tuple[float, float], protocol: BssfpProtocol
) -> NDArray[np.floating]:
    """Return -TR/log(factor) within bounds: the decay factor grows with the time, so its bounds are those of the time."""
    lowest, highest = np.exp(-protocol.repetition_time / np.asarray(bounds))
    return np.clip(-protocol.repetition_time / np.log(np.clip(factor, lowest, highest)), *bounds)


Estimators = Mapping[str, Estimator]


def serving(estimators: Estimators, protocol: BssfpProtocol) -> dict[str, Estimator]:
    """Return the estimators that serve a protocol."""
    found = {}
    for name, estimator in estimators.items():
        try:
            estimator.check(protocol)
        except ProtocolNotSupported:
            continue
        found[name] = estimator
    return found


def clamped_estimate(
    estimator: Estimator, samples: SimulatedSet, *, snr: float, seed: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return clamped T1 and T2 [s] of one noise draw a voxel, shape (V,)."""
    cycles = samples.cycles(snr=snr, seed=seed)
    point = estimator.natural(cycles, b1=samples.b1, protocol=samples.protocol)
    return clamped_times(point, b1=samples.b1, protocol=samples.protocol)


@dataclass(frozen=True, kw_only=True)
class AccuracyRow:
    """Errors of single noise draws over one set."""

    estimator: str
    number_of_cycles: int
    snr: float
    t1: Score
    t2: Score


def accuracy_table(
    estimators: Estimators, *, conditions: Sequence[tuple[int, float]], samples: int, seed: int
) -> list[AccuracyRow]:
    """Return errors over the uniform set at pairs of number of cycles and SNR, all θ, B1 0.7-1.3."""
    rows = []
    for number_of_cycles, snr in conditions:
        truth = uniform_set(samples, protocol=paper_protocol(number_of_cycles), seed=seed)
        for name, estimator in serving(estimators, truth.protocol).items():
            t1, t2 = clamped_estimate(estimator, truth, snr=snr, seed=seed + 1)
            rows.append(
                AccuracyRow(
                    estimator=name,
                    number_of_cycles=number_of_cycles,
                    snr=snr,
                    t1=score(t1, truth.t1),
                    t2=score(t2, truth.t2),
                )
            )
    return rows


@dataclass(frozen=True, kw_only=True)
class TissueRow:
    """Errors of the maps as written (nothing clamped; flagged voxels are missing) in one tissue."""

    estimator: str
    tissue: str
    snr: float
    t1: Score | None
    t2: Score | None


def tissue_table(
    estimators: Estimators, *, snr: float, samples: int, seed: int, number_of_cycles: int = 12
) -> list[TissueRow]:
    """Return errors by tissue over the tissue-and-lesion set; None where an estimator flags all voxels of a tissue."""
    truth = tissue_set(samples, protocol=paper_protocol(number_of_cycles), seed=seed)
    cycles = truth.cycles(snr=snr, seed=seed + 1)
    rows = []
    for name, estimator in serving(estimators, truth.protocol).items():
        found = estimator.estimate(cycles, protocol=truth.protocol, known=KnownMaps(b1=truth.b1))
        for tissue, inside in truth.groups.items():
            scores = {}
            for parameter, true in (("T1", truth.t1), ("T2", truth.t2)):
                values = np.asarray(found.values[parameter], dtype=float)[inside]
                scores[parameter] = score(values, true[inside]) if np.isfinite(values).any() else None
            rows.append(TissueRow(estimator=name, tissue=tissue, snr=snr, t1=scores["T1"], t2=scores["T2"]))
    return rows


@dataclass(frozen=True, kw_only=True)
class NoiseRow:
    """Coefficient of determination at one SNR: of single noise draws, and of the mean over draws, which hides the noise."""

    estimator: str
    set_name: str
    snr: float
    t1_single: float
    t2_single: float
    t1_mean: float
    t2_mean: float


def noise_dependence(
    estimators: Estimators, *, sets: Mapping[str, SimulatedSet], snrs: Sequence[float], draws: int, seed: int
) -> list[NoiseRow]:
    """Return the coefficient of determination against SNR (Birk et al. 2025, Fig. 3)."""
    rows = []
    for set_name, truth in sets.items():
        for name, estimator in serving(estimators, truth.protocol).items():
            for snr in snrs:
                found = [clamped_estimate(estimator, truth, snr=snr, seed=seed + draw) for draw in range(draws)]
                t1, t2 = (np.stack(each) for each in zip(*found, strict=True))
                rows.append(
                    NoiseRow(
                        estimator=name,
                        set_name=set_name,
                        snr=snr,
                        t1_single=coefficient_of_determination(t1.ravel(), np.tile(truth.t1, draws)),
                        t2_single=coefficient_of_determination(t2.ravel(), np.tile(truth.t2, draws)),
                        t1_mean=coefficient_of_determination(t1.mean(axis=0), truth.t1),
                        t2_mean=coefficient_of_determination(t2.mean(axis=0), truth.t2),
                    )
                )
    return rows


@dataclass(frozen=True, kw_only=True)
class CircleRow:
    """Relative errors [fraction] of white matter without noise, over θ [rad] in (-π, π)."""

    estimator: str
    number_of_cycles: int
    theta: tuple[float, ...]
    t1: tuple[float, ...]
    t2: tuple[float, ...]


def off_resonance_dependence(
    estimators: Estimators, *, numbers_of_cycles: Sequence[int] = (12, 6, 4), points: int = 361
) -> list[CircleRow]:
    """Return the noise-free error over the whole circle of θ (Birk et al. 2025, Fig. 5)."""
    rows = []
    for number_of_cycles in numbers_of_cycles:
        truth = circle_set(points, tissue="WM", protocol=paper_protocol(number_of_cycles))
        for name, estimator in serving(estimators, truth.protocol).items():
            t1, t2 = clamped_estimate(estimator, truth, snr=np.inf, seed=0)
            rows.append(
                CircleRow(
                    estimator=name,
                    number_of_cycles=number_of_cycles,
                    theta=tuple(truth.theta.tolist()),
                    t1=tuple((t1 / truth.t1 - 1.0).tolist()),
                    t2=tuple((t2 / truth.t2 - 1.0).tolist()),
                )
            )
    return rows


@dataclass(frozen=True, kw_only=True)
class PlaneRow:
    """Error over the plane of T1 and T2, as nested tuples (T1, T2): of the mean over noise draws, and of a single draw.

    `t1_bias` and `t2_bias` are what Birk et al. 2025 show in Fig. 2; `t1_error` and `t2_error` are mean |error| of single draws.
    """

    estimator: str
    snr: float
    t1_bias: tuple[tuple[float, ...], ...]
    t2_bias: tuple[tuple[float, ...], ...]
    t1_error: tuple[tuple[float, ...], ...]
    t2_error: tuple[tuple[float, ...], ...]


def plane_error(estimators: Estimators, *, grid: SimulatedSet, snr: float, draws: int, seed: int) -> list[PlaneRow]:
    """Return errors over a grid of T1 and T2 (Birk et al. 2025, Fig. 2); `grid` is a square `grid_set`."""
    side = round(grid.t1.size**0.5)
    rows = []
    for name, estimator in serving(estimators, grid.protocol).items():
        sums = {key: np.zeros(grid.t1.size) for key in ("t1_bias", "t2_bias", "t1_error", "t2_error")}
        for draw in range(draws):
            t1, t2 = clamped_estimate(estimator, grid, snr=snr, seed=seed + draw)
            for key, found, true in (("t1", t1, grid.t1), ("t2", t2, grid.t2)):
                error = found / true - 1.0
                sums[f"{key}_bias"] += error / draws
                sums[f"{key}_error"] += np.abs(error) / draws
        planes = {key: tuple(map(tuple, total.reshape(side, side).tolist())) for key, total in sums.items()}
        rows.append(PlaneRow(estimator=name, snr=snr, **planes))
    return rows


@dataclass(frozen=True, kw_only=True)
class CalibrationRow:
    """Whether the stated intervals hold what they state, for one parameter.

    Parameters
    ----------
    coverage_68, coverage_95
        Fraction of truths within the central 68 % and 95 % intervals of the stated normal distribution.
    ranks
        Histogram of the stated probability below the truth.
    missing
        Fraction of voxels without an interval.
    """

    estimator: str
    parameter: str
    number_of_cycles: int
    snr: float
    coverage_68: float
    coverage_95: float
    ranks: RankHistogram
    missing: float


def calibration_table(
    estimators: Estimators, *, conditions: Sequence[tuple[int, float]], samples: int, seed: int
) -> list[CalibrationRow]:
    """Return coverage and rank histograms of the stated sd over the uniform set, at pairs of number of cycles and SNR."""
    rows = []
    for number_of_cycles, snr in conditions:
        truth = uniform_set(samples, protocol=paper_protocol(number_of_cycles), seed=seed)
        cycles = truth.cycles(snr=snr, seed=seed + 1)
        true = {"T1": truth.t1, "T2": truth.t2, "off_resonance": truth.off_resonance}
        # Off-resonance is known up to whole turns between pulses.
        period = 1.0 / truth.protocol.repetition_time
        for name, estimator in serving(estimators, truth.protocol).items():
            found = estimator.estimate(cycles, protocol=truth.protocol, known=KnownMaps(b1=truth.b1))
            for parameter, target in true.items():
                value = np.asarray(found.values[parameter], dtype=float)
                stdev = np.asarray(found.stdev[parameter], dtype=float)
                if parameter == "off_resonance":
                    value = value - period * np.round((value - target) / period)
                share = {
                    level: coverage(*normal_interval(value, stdev, probability=level), target) for level in (0.68, 0.95)
                }
                rows.append(
                    CalibrationRow(
                        estimator=name,
                        parameter=parameter,
                        number_of_cycles=number_of_cycles,
                        snr=snr,
                        coverage_68=share[0.68],
                        coverage_95=share[0.95],
                        ranks=rank_histogram(value, stdev, target),
                        missing=float(np.mean(~np.isfinite(value) | ~np.isfinite(stdev))),
                    )
                )
    return rows
