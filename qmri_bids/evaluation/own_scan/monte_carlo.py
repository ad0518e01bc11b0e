"""Noise added to a scan, and what becomes of its estimates (Birk et al. 2025, Figs. S5 to S7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Estimator
from qmri_bids.evaluation.own_scan.differences import PARAMETERS
from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.evaluation.own_scan.voxels import OwnScan

LEAST_SHARE = 0.9
"""Share of the draws in which a voxel must have a value to be counted: the others are a choice by their noise."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What the draws of one estimator have in common, voxel by voxel.

    Parameters
    ----------
    mean, stdev
        Mean and standard deviation over the draws by parameter [s], shape (V,); NaN with fewer values than `LEAST_SHARE`.
    before
        The estimate without added noise.
    """

    mean: Mapping[str, Values]
    stdev: Mapping[str, Values]
    before: Estimate


@dataclass(frozen=True, kw_only=True)
class MonteCarloRow:
    """One parameter of one estimator in one tissue.

    Parameters
    ----------
    estimator, parameter, tissue
        What is summarised.
    drawn
        Standard deviation over the draws, as a fraction of the estimate without added noise.
    stated
        Stated standard deviation of that estimate, likewise.
    ratio
        The first over the second and over the factor of the added noise: 1 where the stated one holds.
    shift
        Mean over the draws minus the estimate without added noise, as a fraction of it: what noise adds in bias.
    """

    estimator: str
    parameter: str
    tissue: str
    drawn: Summary
    stated: Summary
    ratio: Summary
    shift: Summary


def add_noise(
    estimators: Mapping[str, Estimator], *, scan: OwnScan, noise: NDArray[np.floating], draws: int, seed: int
) -> dict[str, Draws]:
    """Estimate again and again from cycles with added noise, all estimators from the same draws.

    Parameters
    ----------
    estimators
        By name.
    scan
        The voxels.
    noise
        Standard deviation of the Gaussian noise that is added to real and imaginary part of every cycle, shape (V,).
    draws
        How often, at least 3.
    seed
        Of the noise.

    Raises
    ------
    ValueError
        If there are fewer than 3 draws.
    """
    if draws < 3:
        raise ValueError(f"draws: expected 3 or more, a standard deviation needs them, found {draws}")
    rng = np.random.default_rng(seed)
    before = {
        name: estimator.estimate(scan.cycles, protocol=scan.protocol, known=scan.known)
        for name, estimator in estimators.items()
    }
    sums = {name: {each: _Sums.zero(scan.number_of_voxels) for each in PARAMETERS} for name in estimators}
    for _ in range(draws):
        parts = rng.standard_normal((2, *scan.cycles.shape)) * np.asarray(noise)[:, None]
        cycles = (scan.cycles + parts[0] + 1j * parts[1]).astype(scan.cycles.dtype)
        for name, estimator in estimators.items():
            found = estimator.estimate(cycles, protocol=scan.protocol, known=scan.known)
            for parameter in PARAMETERS:
                sums[name][parameter].add(found.values[parameter], about=before[name].values[parameter])
    return {
        name: Draws(
            mean={each: own[each].mean(before[name].values[each], draws=draws) for each in PARAMETERS},
            stdev={each: own[each].stdev(draws=draws) for each in PARAMETERS},
            before=before[name],
        )
        for name, own in sums.items()
    }


@dataclass(kw_only=True)
class _Sums:
    """Sums of deviations from a centre: their squares do not cancel as those of the values would."""

    count: NDArray[np.int64]
    first: Values
    second: Values

    @classmethod
    def zero(cls, voxels: int) -> _Sums:
        return cls(count=np.zeros(voxels, dtype=np.int64), first=np.zeros(voxels), second=np.zeros(voxels))

    def add(self, values: NDArray[np.floating], *, about: NDArray[np.floating]) -> None:
        away = np.asarray(values, dtype=np.float64) - np.asarray(about, dtype=np.float64)
        there = np.isfinite(away)
        self.count += there
        self.first += np.where(there, away, 0.0)
        self.second += np.where(there, away**2, 0.0)

    def mean(self, about: NDArray[np.floating], *, draws: int) -> Values:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._if_enough(np.asarray(about, dtype=np.float64) + self.first / self.count, draws)

    def stdev(self, *, draws: int) -> Values:
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (self.second - self.first**2 / self.count) / (self.count - 1)
            return self._if_enough(np.sqrt(variance), draws)

    def _if_enough(self, values: Values, draws: int) -> Values:
        return np.where(self.count >= max(2.0, LEAST_SHARE * draws), values, np.nan)


def monte_carlo_rows(drawn: Mapping[str, Draws], *, scan: OwnScan, factor: float) -> list[MonteCarloRow]:
    """Return what was drawn beside what was stated, by estimator, parameter and tissue.

    Parameters
    ----------
    drawn
        From `add_noise`.
    scan
        The voxels.
    factor
        Added noise over that of the scan.
    """
    rows = []
    for name, found in drawn.items():
        for parameter in PARAMETERS:
            value = np.asarray(found.before.values[parameter], dtype=np.float64)
            stated = np.asarray(found.before.stdev.get(parameter, np.full(len(value), np.nan)), dtype=np.float64)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = found.stdev[parameter] / stated / factor
            for tissue, chosen in scan.tissue.items():
                rows.append(
                    MonteCarloRow(
                        estimator=name,
                        parameter=parameter,
                        tissue=tissue,
                        drawn=Summary.of((found.stdev[parameter] / value)[chosen]),
                        stated=Summary.of((stated / value)[chosen]),
                        ratio=Summary.of(ratio[chosen]),
                        shift=Summary.of((found.mean[parameter] / value - 1.0)[chosen]),
                    )
                )
    return rows
