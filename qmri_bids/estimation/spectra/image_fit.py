"""What the spectra of the whole image say before any voxel is fitted: the line of MT, and widths and positions to begin from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.correction import correct_shift
from qmri_bids.estimation.spectra.field_bounds import field_pools, field_sentence
from qmri_bids.estimation.spectra.lorentzian_pools import LorentzianPool
from qmri_bids.estimation.spectra.optima import Search, bounds_of, fit_optima, search_of
from qmri_bids.estimation.spectra.series import Spectra
from qmri_bids.physics.pools import Lineshape

STARTS = 20
"""Starts of the fit of the mean spectrum, drawn within the bounds, besides those of a voxel."""

FEWEST_VOXELS = 5
"""With fewer no mean is formed."""

LARGEST_HEIGHT = 0.2
"""Heights of solutes are drawn up to this."""

LINES: dict[Lineshape, str] = {
    Lineshape.SUPER_LORENTZIAN: "super-Lorentzian",
    Lineshape.LORENTZIAN: "Lorentzian",
}


def image_search(
    spectra: Spectra,
    *,
    offsets: NDArray[np.floating],
    water_shift: NDArray[np.floating],
    usable: NDArray[np.bool_],
    pools: Sequence[str],
    field_strength: float,
) -> tuple[Search, tuple[str, ...]]:
    """Return where the fit of every voxel begins, and what was decided.

    The line of MT is the one that leaves less of the mean spectrum: a Lorentzian one lacks the peak of tissue near water, which
    NOE then takes for its own.

    Parameters
    ----------
    spectra
        Some spectra of the image, V of them.
    offsets
        Their offsets [ppm], shape (N,).
    water_shift
        Shift of water [ppm], shape (V,).
    usable
        Where that is known, shape (V,).
    pools
        Names of the pools.
    field_strength
        B0 [T].
    """
    bounds = (field_sentence(field_strength),)
    given = {
        line: {name: pool for name, pool in field_pools(field_strength, mt_line=line).items() if name in pools}
        for line in LINES
    }
    given = {line: {name: each[name] for name in pools} for line, each in given.items()}
    mean = _mean(spectra, offsets, water_shift, usable)
    if mean is None:
        return search_of(given[Lineshape.SUPER_LORENTZIAN]), (
            *bounds,
            "Too few voxels have a spectrum for a mean one: the fit of every voxel begins in the middle of its bounds.",
        )
    found = {line: _fit_mean(mean, offsets, each) for line, each in given.items()} if "MT" in pools else {}
    if not found:
        only = Lineshape.LORENTZIAN
        found = {only: _fit_mean(mean, offsets, given[only])}
    best = min(found, key=lambda line: found[line].cost)
    sentences = [
        *bounds,
        "Where a spectrum does not tell a width or a position, it is that of the mean spectrum of the image.",
    ]
    if "MT" in pools:
        other = next(line for line in LINES if line is not best)
        sentences.append(
            f"The line of MT is {LINES[best]}: of the mean spectrum such a fit leaves {100.0 * found[best].left:.2g} % of full "
            f"signal, one with a {LINES[other]} line {100.0 * found[other].left:.2g} %."
        )
    return search_of(given[best], centre=found[best].point), tuple(sentences)


@dataclass(frozen=True)
class _Mean:
    """Optimum of a mean spectrum: parameters, sum of squares, and root mean square of what it leaves."""

    point: NDArray[np.float64]
    cost: float
    left: float


@dataclass(frozen=True)
class _Spectrum:
    """A mean spectrum, shape (N,), and its standard deviation."""

    values: NDArray[np.float64]
    stdev: float


def _mean(
    spectra: Spectra, offsets: NDArray[np.floating], water_shift: NDArray[np.floating], usable: NDArray[np.bool_]
) -> _Spectrum | None:
    good = usable & (spectra.status == Status.CONVERGED)
    if np.count_nonzero(good) < FEWEST_VOXELS:
        return None
    noise = spectra.stdev[good]
    values = correct_shift(spectra.values[good], offsets=offsets, water_shift=water_shift[good], noise=noise).values
    told = np.isfinite(values)
    number = told.sum(axis=0)
    mean = np.full(len(offsets), np.nan)
    mean[number > 0] = np.nansum(values, axis=0)[number > 0] / number[number > 0]
    return _Spectrum(mean, float(np.median(noise)) / float(np.sqrt(len(values))))


def _fit_mean(mean: _Spectrum, offsets: NDArray[np.floating], pools: Mapping[str, LorentzianPool]) -> _Mean:
    search = search_of(pools)
    middle, lower, upper = bounds_of(pools)
    share = np.random.default_rng(0).uniform(size=(STARTS, len(middle)))
    drawn = lower + share * (upper - lower)
    heights, widths = slice(1, None, 3), slice(2, None, 3)
    drawn[:, widths] = lower[widths] * (upper[widths] / lower[widths]) ** share[:, widths]
    drawn[:, heights] = lower[heights] + share[:, heights] * np.minimum(upper - lower, LARGEST_HEIGHT)[heights]
    if "water" in pools:
        column = 1 + 3 * list(pools).index("water")
        drawn[:, column] = 0.5 + 0.5 * share[:, column]
    whole = replace(search, starts=np.concatenate([search.starts, drawn]))
    fit = fit_optima(mean.values[None], offsets=offsets, search=whole, noise=mean.stdev).fit
    cost = float(fit.residual_sum[0])
    if not np.isfinite(cost):
        return _Mean(middle, np.inf, np.nan)
    return _Mean(fit.parameters[0], cost, float(np.sqrt(cost / np.isfinite(mean.values).sum())))
