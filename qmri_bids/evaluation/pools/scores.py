"""Errors of estimators of pools on sets of known truth, by tissue and parameter: as the maps are written, and held to a box.

A network or a dictionary can only answer within the ranges that it was made from, which lowers its error on a set from these
ranges. Every estimator is therefore also scored with its point estimates clipped into the box of the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.pools.estimate import ExchangeEstimate, ExchangeEstimator
from qmri_bids.evaluation.pools.sets import ExchangeSet
from qmri_bids.evaluation.scores import Score, coverage, normal_interval, rmse_over_bound, score
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.physics.saturation_bound import exchange_bound
from qmri_bids.priors.pools import EXCHANGE_PRIOR

ExchangeEstimators = Mapping[str, ExchangeEstimator]

WHOLE = "all"
"""Name of a set as a whole among its groups."""


@dataclass(frozen=True, kw_only=True)
class ExchangeRow:
    """Errors of one parameter in one group of voxels; None where there is nothing to score.

    Parameters
    ----------
    estimator, set_name, group, parameter
        What was scored.
    written
        The maps as they are written: nothing clipped, flagged voxels missing.
    clamped
        Point estimates of all voxels, clipped into the box of the prior.
    over_bound
        Root mean square error of the written map over the Cramér-Rao bound; None without noise.
    coverage_68, coverage_95
        Share of written voxels whose normal interval of this probability holds the truth.
    """

    estimator: str
    set_name: str
    group: str
    parameter: str
    written: Score | None
    clamped: Score | None
    over_bound: float | None
    coverage_68: float | None
    coverage_95: float | None


def serving(estimators: ExchangeEstimators, scan: ExchangeScan) -> dict[str, ExchangeEstimator]:
    """Return the estimators that serve a scan."""
    found = {}
    for name, estimator in estimators.items():
        try:
            estimator.check(scan)
        except ProtocolNotSupported:
            continue
        found[name] = estimator
    return found


def clamped(values: NDArray[np.float64], parameters: Sequence[str]) -> NDArray[np.float64]:
    """Return values (V, P) clipped into the box of the prior; NaN stays NaN."""
    return np.clip(values, *EXCHANGE_PRIOR.bounds(parameters))


def score_estimator(
    name: str,
    estimator: ExchangeEstimator,
    samples: ExchangeSet,
    *,
    set_name: str,
    noise_stdev: float,
    seed: int,
    threads: int = 1,
) -> list[ExchangeRow]:
    """Return a row for every parameter in the whole set and in each of its groups.

    Parameters
    ----------
    name, set_name
        What the rows call estimator and set.
    estimator
        One that serves the scan of the set.
    samples
        Voxels of known pools.
    noise_stdev
        Standard deviation of the noise of one image in units of M0.
    seed
        Seed of the noise.
    threads
        Threads of the simulation and the bound.
    """
    signal = samples.signal(noise_stdev=noise_stdev, seed=seed, threads=threads)
    estimate = estimator.estimate(signal, scan=samples.scan, known=samples.known)
    points = clamped(
        estimator.point(signal, scan=samples.scan, known=samples.known),
        samples.scan.parameters,
    )
    bound = None
    if noise_stdev > 0.0:
        bound = exchange_bound(samples.scan, samples.values, samples.known, noise_stdev=noise_stdev, threads=threads)
    groups = {WHOLE: np.ones(len(signal), dtype=np.bool_), **samples.groups}
    return [
        _row(name, set_name, group, place, inside, estimate=estimate, points=points, bound=bound, samples=samples)
        for group, inside in groups.items()
        if inside.any()
        for place in range(len(samples.scan.parameters))
    ]


def _row(
    name: str,
    set_name: str,
    group: str,
    place: int,
    inside: NDArray[np.bool_],
    *,
    estimate: ExchangeEstimate,
    points: NDArray[np.float64],
    bound: NDArray[np.float64] | None,
    samples: ExchangeSet,
) -> ExchangeRow:
    parameter = samples.scan.parameters[place]
    truth = samples.values[inside, place]
    values, stdev = estimate.values[parameter][inside], estimate.stdev[parameter][inside]
    found, calibrated = np.isfinite(values).any(), np.isfinite(values * stdev).any()
    covered = {
        probability: coverage(*normal_interval(values, stdev, probability=probability), truth) if calibrated else None
        for probability in (0.68, 0.95)
    }
    return ExchangeRow(
        estimator=name,
        set_name=set_name,
        group=group,
        parameter=parameter,
        written=score(values, truth) if found else None,
        clamped=score(points[inside, place], truth) if np.isfinite(points[inside, place]).any() else None,
        over_bound=rmse_over_bound(values, truth, bound[inside, place]) if found and bound is not None else None,
        coverage_68=covered[0.68],
        coverage_95=covered[0.95],
    )
