"""Accuracy of the estimators of pools: without noise, against the bound, against each other, coverage and bias by tissue."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from rows import AtMost, Row, Within

from qmri_bids.estimation.pool_estimators import DEFAULT_EXCHANGE_ESTIMATOR, EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeEstimate, ExchangeOptions
from qmri_bids.evaluation.pools.scores import clamped
from qmri_bids.evaluation.pools.sets import (
    USUAL_NOISE,
    ExchangeSet,
    box_set,
    tissue_set,
)
from qmri_bids.evaluation.scores import coverage, normal_interval, rmse_over_bound, score
from qmri_bids.physics.saturation_bound import exchange_bound

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from fingerprint_sets import brain_set, single_tissue_set

SEED = 7
SYMBOLS = {"MT.fraction": "fss", "MT.rate": "kssw", "amide.fraction": "fs", "amide.rate": "ksw"}
DEFAULT = DEFAULT_EXCHANGE_ESTIMATOR
SPREAD = ", B1 0.8-1.2, ΔB0 ± 40 Hz"

MANY = 8000
"""Voxels of coverage and of the sets on which estimators are compared: 95 ± 1 % needs a standard error of a quarter of that."""
ENOUGH = 4000
"""Voxels of a tissue for bias and bound."""


def create(name: str, **options):
    return EXCHANGE_ESTIMATORS[name].create(ExchangeOptions(**options))


def seen(samples: ExchangeSet) -> np.ndarray:
    return samples.signal(noise_stdev=USUAL_NOISE, seed=SEED + 1)


def clamped_errors(estimator, samples: ExchangeSet, signal: np.ndarray) -> dict[str, float]:
    """Return the mean error [%] of the clipped point estimates by parameter."""
    points = clamped(estimator.point(signal, scan=samples.scan, known=samples.known), samples.scan.parameters)
    return {
        name: 100.0 * score(points[:, place], samples.values[:, place]).mean_absolute_error
        for place, name in enumerate(samples.scan.parameters)
    }


def nominal(samples: ExchangeSet) -> ExchangeSet:
    """Return the voxels at B1 = 1 and ΔB0 = 0, where bounds are quoted."""
    number = len(samples.values)
    return replace(samples, known=replace(samples.known, b1=np.ones(number), off_resonance=np.zeros(number)))


@lru_cache(maxsize=8)
def written(name: str, tissue: str, number: int, at_nominal: bool = False) -> tuple[ExchangeSet, ExchangeEstimate]:
    """Return voxels of one tissue and what an estimator writes of them."""
    samples = single_tissue_set(number, SEED, tissue=tissue)
    samples = nominal(samples) if at_nominal else samples
    return samples, create(name).estimate(seen(samples), scan=samples.scan, known=samples.known)


def noise_free() -> list[Row]:
    """Maximum likelihood without noise: the worst voxel, where the bound is no larger than the value."""
    ml, rows = create("ml"), []
    for label, samples in (("WM, GM and lesion", brain_set(600, SEED)), ("box of the prior", box_set(2000, SEED))):
        bound = exchange_bound(samples.scan, samples.values, samples.known, noise_stdev=USUAL_NOISE)
        told = (bound <= samples.values).all(axis=1)
        chosen, known = samples.values[told], samples.known[told]
        signal = samples.signal(noise_stdev=0.0)[told]
        start = ml.start(signal, scan=samples.scan, known=known)
        found = ml.point(signal, scan=samples.scan, known=known)
        error = 100.0 * np.abs(found / chosen - 1.0)
        rows.append(
            Row(
                figure=f"ML noise-free, {label}: worst |error| of fss, kssw, fs, ksw",
                unit="%",
                bar=0.1,
                value=float(error.max()),
                baseline=f"{told.sum()} of {told.size} voxels have a bound below their value at noise of 1 %; the start was off "
                f"by {_list(100.0 * np.mean(np.abs(start / chosen - 1.0), axis=0))} % on average",
            )
        )
    return rows


def _list(values) -> str:
    return "/".join(f"{value:.1f}" for value in values)


def bound() -> list[Row]:
    """Maximum likelihood against the joint Cramér-Rao bound in white and grey matter.

    At B1 = 1 and ΔB0 = 0, where bounds are quoted; and over B1 0.8-1.2 and ΔB0 ± 40 Hz, where that of amide is larger.
    """
    rows = []
    for tissue in ("WM", "GM"):
        samples = single_tissue_set(ENOUGH, SEED, tissue=tissue)
        rows += _bound_rows(tissue, nominal(samples), where="", barred=True)
        rows += _bound_rows(tissue, samples, where=SPREAD, barred=False)
    return rows


def _bound_rows(tissue: str, samples: ExchangeSet, *, where: str, barred: bool) -> list[Row]:
    limit = exchange_bound(samples.scan, samples.values, samples.known, noise_stdev=USUAL_NOISE)
    found = create("ml").estimate(seen(samples), scan=samples.scan, known=samples.known)
    points = create("ml").point(seen(samples), scan=samples.scan, known=samples.known)
    rows = []
    for place, (name, symbol) in enumerate(SYMBOLS.items()):
        truth, own = samples.values[:, place], limit[:, place]
        missing = 100.0 * float(np.mean(~np.isfinite(found.values[name])))
        rows.append(
            Row(
                figure=f"ML, {tissue}, noise 1 %{where}: {symbol} RMSE of the map over the joint bound",
                unit="",
                bar=(1.10 if name.startswith("MT") else 1.15) if barred else None,
                value=rmse_over_bound(found.values[name], truth, own),
                baseline=f"bound {100.0 * float(np.mean(own / truth)):.1f} %; {missing:.2f} % flagged and left out; "
                f"plain least squares {rmse_over_bound(points[:, place], truth, own):.3f}, nothing left out",
            )
        )
    return rows


def errors() -> list[Row]:
    """The written map of the default beside clamped ML and the published baselines, on tissue and on the box of the prior.

    All are scored in the voxels in which the map has a value.
    """
    rows = []
    for label, make in (("tissue", tissue_set), ("box", box_set)):
        samples = make(MANY, SEED)
        signal = seen(samples)
        scan, known = samples.scan, samples.known
        written_map = create(DEFAULT).estimate(signal, scan=scan, known=known).values
        points = {DEFAULT: np.stack([written_map[name] for name in scan.parameters], axis=1)} | {
            name: create(name).point(signal, scan=scan, known=known)
            for name in ("ml", "dictionary", "supervised", "pinn-bare")
        }
        for place, symbol in enumerate(SYMBOLS.values()):
            given = np.isfinite(points[DEFAULT][:, place])
            found = {
                other: 100.0
                * score(
                    clamped(values[given], scan.parameters)[:, place], samples.values[given, place]
                ).mean_absolute_error
                for other, values in points.items()
            }
            share = f"{100.0 * given.mean():.1f} % of the voxels have a value"
            rows += _ratios(f"default, {label} set: {symbol} mean error, clamped", found, share)
    return rows


def _ratios(figure: str, found: Mapping[str, float], share: str) -> list[Row]:
    beside = ", ".join(f"{name} {error:.1f}" for name, error in found.items())
    return [
        Row(
            figure=f"{figure}, over that of {other}",
            unit="",
            bar=AtMost(bar),
            value=found[DEFAULT] / found[other],
            baseline=f"errors (%): {beside}; {share}",
        )
        for other, bar in (("ml", 1.0), ("dictionary", 0.999), ("supervised", 0.999))
    ]


def coverage_of_intervals() -> list[Row]:
    """Intervals of the default map that hold the truth."""
    return [
        row
        for where, at_nominal in ((SPREAD, False), (", B1 = 1, ΔB0 = 0", True))
        for tissue in ("WM", "GM")
        for row in _coverage_rows(tissue, where=where, at_nominal=at_nominal)
    ]


def _coverage_rows(tissue: str, *, where: str, at_nominal: bool) -> list[Row]:
    samples, found = written(DEFAULT, tissue, MANY, at_nominal)
    rows = []
    for place, (name, symbol) in enumerate(SYMBOLS.items()):
        values, stdev = found.values[name], found.stdev[name]
        flagged = 100.0 * float(np.mean(~np.isfinite(values)))
        for probability, bar in ((0.68, Within(66.0, 70.0)), (0.95, Within(94.0, 96.0))):
            # Intervals as the documentation states them: on the logarithm, value·exp(± z sd/value).
            interval = normal_interval(np.log(values), stdev / values, probability=probability)
            lopsided = normal_interval(values, stdev, probability=probability)
            rows.append(
                Row(
                    figure=f"default, {tissue}, noise 1 %{where}: coverage of the {100 * probability:g} % interval of {symbol}",
                    unit="%",
                    bar=bar,
                    value=100.0 * coverage(*interval, np.log(samples.values[:, place])),
                    baseline=f"value ± sd instead of the logarithm "
                    f"{100.0 * coverage(*lopsided, samples.values[:, place]):.1f}; {MANY} voxels, {flagged:.2f} % flagged",
                )
            )
    return rows


BIAS_BARS = {"MT.fraction": 3.0, "MT.rate": 5.0, "amide.fraction": 5.0, "amide.rate": 10.0}


def tissue_bias() -> list[Row]:
    """Bias of the default map by tissue; the lesion fills 1 % of any set that something could have been tuned on."""
    rows = []
    for tissue, number in (("WM", MANY), ("GM", MANY), ("lesion", ENOUGH)):
        samples, found = written(DEFAULT, tissue, number)
        points = create("ml").point(seen(samples), scan=samples.scan, known=samples.known)
        for place, (name, symbol) in enumerate(SYMBOLS.items()):
            truth = samples.values[:, place]
            mine, before = score(found.values[name], truth), score(points[:, place], truth)
            error = mine.rmse / np.sqrt(number * (1.0 - mine.missing))
            assert 100.0 * error < BIAS_BARS[name] / 4.0, "more voxels are needed to tell the bias"
            rows.append(
                Row(
                    figure=f"default, {tissue}, noise 1 %{SPREAD}: |bias| of the {symbol} map",
                    unit="%",
                    bar=BIAS_BARS[name],
                    value=100.0 * abs(mine.bias),
                    baseline=f"signed {100.0 * mine.bias:+.2f} ± {100.0 * error:.2f}, median {100.0 * mine.median_bias:+.2f}, "
                    f"{100.0 * mine.missing:.2f} % flagged; plain least squares {100.0 * before.bias:+.2f}",
                )
            )
    return rows
