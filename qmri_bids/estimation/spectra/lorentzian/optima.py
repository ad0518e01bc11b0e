"""The fit of pools from several starts: the best optimum, which others fit as well, and what that means for the standard deviation.

Widths and positions lie within bounds. Within them they are not equally likely: the square of the distance from a centre,
`REACH` standard deviations being half the bounds, adds to the sum of squares, so that a spectrum that does not tell a width
keeps that of the image instead of running to a bound on noise, and the standard deviation of a height holds what is not known
of its width. The centre is the optimum of the mean spectrum of the image (from the whole image down to voxels as in IDEAL: Zhou
et al., Sci Rep 7:84, 2017), or the middle of the bounds where no image is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.lorentzian.fit import (
    BLOCK,
    FILLED,
    ITERATIONS,
    LorentzianFit,
    broad_lines,
    fit_voxels,
    repeated,
)
from qmri_bids.estimation.spectra.lorentzian.lines import super_lorentzian_table
from qmri_bids.estimation.spectra.lorentzian.pools import PARAMETERS, WATER, Bounded, LorentzianPool
from qmri_bids.system.blocks import run_blocks

AS_GOOD = 4.0
"""Optima whose sums of squares, over the variance, differ by no more than this compete: e² = 7 times less likely at the most."""

REACH = 3.0
"""Standard deviations from the middle of the bounds to either: what one expects lies within them 997 times of 1000."""

SAME_OPTIMUM = 1e-3
"""Points whose sums of squares, over the variance, differ by no more than this are one optimum."""

LARGER_NOISE = 3.0
"""The residual counts as noise where it is above that by so many of its standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where the fit of a voxel begins and what it may become.

    Parameters
    ----------
    pools
        Pools by name.
    starts
        Points from which it begins, shape (S, 1 + 3P), those of `LorentzianFit.parameters`.
    centre
        The most likely point within the bounds, shape (1 + 3P,).
    """

    pools: Mapping[str, LorentzianPool]
    starts: NDArray[np.float64]
    centre: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Optima:
    """Best optimum of V voxels.

    Parameters
    ----------
    fit
        That optimum. Its covariance holds the spread of optima that compete with it; `residual_sum` is that of the spectrum alone.
    noise
        Standard deviation of Z that was taken, shape (V,).
    unique
        Whether no height of a pool differs by more than its standard deviation between optima that compete, shape (V, P).
    """

    fit: LorentzianFit
    noise: NDArray[np.float64]
    unique: NDArray[np.bool_]


def bounds_of(pools: Mapping[str, LorentzianPool]) -> tuple[NDArray[np.float64], ...]:
    """Return start, lower and upper bounds of the parameters of a fit, shape (1 + 3P,) each; the baseline is 1."""
    rows = [Bounded(start=1.0, lower=1.0, upper=1.0)]
    rows += [getattr(pool, name) for pool in pools.values() for name in PARAMETERS]
    start, lower, upper = (np.array([getattr(row, name) for row in rows]) for name in ("start", "lower", "upper"))
    return start, lower, upper


def search_of(pools: Mapping[str, LorentzianPool], *, centre: NDArray[np.float64] | None = None) -> Search:
    """Return the starts: the centre, the middle of the bounds, and solutes narrow or wide in turns.

    Parameters
    ----------
    pools
        Pools by name.
    centre
        Optimum of the mean spectrum, shape (1 + 3P,); the middle of the bounds by default.
    """
    middle, lower, upper = bounds_of(pools)
    chosen = middle if centre is None else np.clip(centre, lower, upper)
    starts = [chosen] if centre is None else [chosen, middle]
    names = list(pools)
    for wide in _turns(pools):
        start = chosen.copy()
        for k, name in enumerate(names):
            if _is_solute(name, pools[name]):
                column = 2 + 3 * k
                start[column] = (upper if name in wide else lower)[column] ** 0.8 * middle[column] ** 0.2
                start[column - 1] = middle[column - 1]
        starts.append(start)
    return Search(pools=pools, starts=np.array(starts), centre=chosen)


def _is_solute(name: str, pool: LorentzianPool) -> bool:
    return name != WATER and not pool.semisolid


def _turns(pools: Mapping[str, LorentzianPool]) -> tuple[frozenset[str], ...]:
    """Return which solutes begin wide, the others narrow, in two turns: neighbours may take each other's place, and differ.

    Counted from the outermost on either side of water: amide in the first, amine and NOE in the second.
    """
    turns: tuple[set[str], ...] = (set(), set())
    solutes = sorted(
        (name for name, pool in pools.items() if _is_solute(name, pool)),
        key=lambda name: -abs(pools[name].position.start),
    )
    for first, sign in ((0, 1.0), (1, -1.0)):
        side = [name for name in solutes if sign * pools[name].position.start > 0.0]
        for place, name in enumerate(side):
            turns[(first + place) % 2].add(name)
    return tuple(frozenset(each) for each in turns)


def fit_optima(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    search: Search,
    noise: NDArray[np.floating] | float,
    water_shift: NDArray[np.floating] | None = None,
    iterations: int = ITERATIONS,
    threads: int = 1,
) -> Optima:
    """Fit pools to Z-spectra from several starts.

    Parameters
    ----------
    z, offsets, water_shift, iterations, threads
        Those of `fit.fit_lorentzian`.
    search
        Pools, starts and centre.
    noise
        Standard deviation of Z, shape (V,) or one for all.

    Raises
    ------
    ValueError
        If shapes do not belong together, or there are no more offsets than free parameters.
    """
    offsets = np.ascontiguousarray(offsets, dtype=np.float64)
    if z.ndim != 2 or offsets.shape != (z.shape[1],):
        raise ValueError(
            f"z must have shape (V, N) with one column an offset, found {z.shape} and {offsets.shape} offsets"
        )
    voxels = len(z)
    shift = np.zeros(voxels) if water_shift is None else np.ascontiguousarray(water_shift, dtype=np.float64)
    sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (voxels,))
    _, lower, upper = bounds_of(search.pools)
    size, moving = len(lower), upper > lower
    freedom = len(offsets) - int(np.count_nonzero(moving))
    if freedom < 1:
        raise ValueError(
            f"{len(offsets)} offsets cannot tell {len(offsets) - freedom} parameters; fit fewer pools or fix some"
        )
    scale, centre = _known(search, lower, upper)
    table, broad = super_lorentzian_table(), broad_lines(search.pools)
    fit = LorentzianFit(
        pools=tuple(search.pools),
        parameters=np.empty((voxels, size)),
        covariance=np.empty((voxels, size, size), dtype=np.float32),
        residual_sum=np.empty(voxels),
        signal_sum=np.nansum(np.square(z), axis=1, dtype=np.float64),
        at_bound=np.empty((voxels, size), dtype=np.bool_),
        converged=np.empty(voxels, dtype=np.bool_),
        fixed=~moving,
        freedom=freedom,
        broad=broad_lines(search.pools),
    )
    unique = np.ones((voxels, len(search.pools)), dtype=np.bool_)
    used_noise = np.empty(voxels)

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        data = np.ascontiguousarray(z[part], dtype=np.float64)
        number = len(data)
        variance = np.where(np.isfinite(sigma[part]), np.square(sigma[part]), 0.0)
        precision = variance[:, None] * scale
        found = []
        for start in search.starts:
            outputs = [np.empty_like(getattr(fit, name)[part]) for name in FILLED]
            fit_voxels(
                data, offsets, shift[part], repeated(start, number),
                lower, upper, broad, table, centre, precision, iterations, *outputs,
            )  # fmt: skip
            found.append(outputs)
        points, covariances, sums, held, converged = (np.stack(each) for each in zip(*found, strict=True))
        costs = sums + _distance(points, centre, precision)
        # Of points that are one optimum the converged one counts.
        costs += np.where(converged, 0.0, SAME_OPTIMUM * variance)
        costs[~np.isfinite(costs)] = math.inf
        best, rows = costs.argmin(axis=0), np.arange(number)
        for name, each in zip(FILLED, (points, covariances, sums, held, converged), strict=True):
            getattr(fit, name)[part] = each[best, rows]
        with np.errstate(all="ignore"):
            level = _level(fit.residual_sum[part], variance, freedom)
            weight = np.nan_to_num(np.exp(-0.5 * (costs - costs[best, rows]) / level))
        weight[(weight < math.exp(-0.5 * AS_GOOD)) | ~converged] = 0.0
        away = points - points[best, rows]
        heights = slice(1, None, 3)
        own = np.sqrt(np.einsum("vii->vi", fit.covariance[part])[:, heights] * level[:, None])
        unique[part] = ~((np.abs(away[:, :, heights]) > own) & (weight > 0.0)[:, :, None]).any(axis=0)
        _add_spread(fit.covariance[part], away, weight, level)
        used_noise[part] = np.sqrt(level)

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    return Optima(fit=fit, noise=used_noise, unique=unique)


def search_cost(fit: LorentzianFit, search: Search, *, noise: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Return what the fit makes least, shape (V,): the sum of squares of the spectrum and that of the distance from the centre.

    Parameters
    ----------
    fit
        Fit of V voxels by this search.
    search
        Pools and centre.
    noise
        Standard deviation of Z, shape (V,) or one for all.
    """
    _, lower, upper = bounds_of(search.pools)
    scale, centre = _known(search, lower, upper)
    sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (len(fit.residual_sum),))
    return fit.residual_sum + _distance(fit.parameters[None], centre, np.square(sigma)[:, None] * scale)[0]


def _known(
    search: Search, lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inverse variances and centres of logarithms of widths and of positions; zero for heights."""
    scale, centre = np.zeros(len(lower)), np.zeros(len(lower))
    for k in range(2, len(lower), 3):
        centre[k], centre[k + 1] = math.log(search.centre[k]), search.centre[k + 1]
        for column, reach in ((k, math.log(upper[k] / lower[k])), (k + 1, upper[k + 1] - lower[k + 1])):
            scale[column] = (2.0 * REACH / reach) ** 2 if reach > 0.0 else 0.0
    return scale, centre


def _distance(
    points: NDArray[np.float64], centre: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what the distance from the centre adds to the sum of squares, shape (S, V)."""
    away = points - centre
    away[:, :, 2::3] = np.log(points[:, :, 2::3]) - centre[2::3]
    return np.einsum("vk,svk->sv", precision, np.square(away))


def _level(residual_sum: NDArray[np.float64], variance: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """Return the variance that counts: the known one, or that of the residual where it is clearly larger, shape (V,)."""
    left = residual_sum / freedom
    return np.where(left > variance * (1.0 + LARGER_NOISE * math.sqrt(2.0 / freedom)), left, variance)


def _add_spread(
    covariance: NDArray[np.float32], away: NDArray[np.float64], weight: NDArray[np.float64], level: NDArray[np.float64]
) -> None:
    """Add the spread of the optima, each by its likelihood, to the covariance for unit noise in place."""
    total = weight.sum(axis=0)
    several = np.flatnonzero((weight > 0.0).sum(axis=0) > 1)
    if not len(several):
        return
    share = weight[:, several] / total[several] / level[several]
    moved = away[:, several]
    covariance[several] += np.einsum("sv,svi,svj->vij", share, moved, moved).astype(np.float32)
