"""What the spectra of the whole image say before any voxel is fitted: the line of MT, and widths and positions to begin from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.correction import correct_shift
from qmri_bids.estimation.spectra.lorentzian.lines import lines
from qmri_bids.estimation.spectra.lorentzian.optima import Search, bounds_of, fit_optima, search_of
from qmri_bids.estimation.spectra.lorentzian.pools import (
    SHIPPED_LINES,
    WATER,
    LineModel,
    LorentzianPool,
    field_pools,
    field_sentence,
)
from qmri_bids.estimation.spectra.series import Spectra
from qmri_bids.physics.pools import Lineshape

STARTS = 20
"""Starts of the fit of the mean spectrum, drawn within the bounds, besides those of a voxel."""

FEWEST_VOXELS = 5
"""With fewer no mean is formed."""

LARGEST_HEIGHT = 0.2
"""Heights of solutes are drawn up to this."""

TISSUE = Lineshape.SUPER_LORENTZIAN
"""Line of the semisolid pool of tissue (Morrison et al., J Magn Reson B 108:103, 1995)."""

FAR = 5.0
"""From here outwards [ppm] a spectrum tells the line of MT."""

FEWEST_FAR = 4
"""Offsets needed there."""

CLEARLY = 2.0
"""A Lorentzian line must leave so many times less: of simulated tissue it leaves 0.7 to 4 times as much, of a pool that is
Lorentzian indeed 3 to 9 times less."""

DECISIVE = 10.0
"""A difference of BIC beyond this counts as very strong evidence (Kass and Raftery, J Am Stat Assoc 90:773, 1995)."""

LEAST_LEFT = 1e-5
"""Root mean square below which what is left of a mean spectrum counts as nothing."""

LINES: dict[Lineshape, str] = {
    Lineshape.SUPER_LORENTZIAN: "super-Lorentzian",
    Lineshape.LORENTZIAN: "Lorentzian",
}


def image_search(
    spectra: Spectra,
    *,
    offsets: NDArray[np.floating],
    water_shift: NDArray[np.floating],
    pools: Sequence[str],
    field_strength: float,
    model: LineModel = SHIPPED_LINES,
    counted: NDArray[np.bool_] | None = None,
) -> tuple[Search, tuple[str, ...]]:
    """Return where the fit of every voxel begins, and what was decided.

    The line of MT is super-Lorentzian unless a Lorentzian one clearly leaves less of the mean spectrum far from water. Near water
    either fits, since NOE takes what is missing: with a Lorentzian line the peak of MT of tissue.

    Parameters
    ----------
    spectra
        Some spectra of the image, V of them.
    offsets
        Their offsets [ppm], shape (N,).
    water_shift
        Shift of water [ppm], shape (V,); NaN where it is not known.
    pools
        Names of the pools.
    field_strength
        B0 [T].
    model
        The set of lines that holds them.
    counted
        Offsets of the mean spectrum that count, shape (N,); all by default.
    """
    bounds = (field_sentence(field_strength, model=model),)
    at_field = {line: field_pools(field_strength, mt_line=line, model=model) for line in LINES}
    given = {line: {name: each[name] for name in pools} for line, each in at_field.items()}
    # Of a pool with one line both are the same.
    either = next(
        (name for name in pools if given[TISSUE][name].line is not given[Lineshape.LORENTZIAN][name].line), None
    )
    mean = _mean(spectra, offsets, water_shift, counted)
    if mean is None:
        return search_of(given[TISSUE]), (
            *bounds,
            "Too few voxels have a spectrum for a mean one: the fit of every voxel begins in the middle of its bounds.",
        )
    found = {line: _fit_mean(mean, offsets, each) for line, each in given.items() if either or line is TISSUE}
    best, said = (
        _line_of_mt({line: each.left_far for line, each in found.items()}, name=either) if either else (TISSUE, ())
    )
    return search_of(given[best], centre=found[best].point), (
        *bounds,
        "Where a spectrum does not tell a width or a position, it is that of the mean spectrum of the image.",
        *said,
        *_what_solutes_explain(mean, offsets, given[best], found[best]),
    )


def _what_solutes_explain(
    mean: _Spectrum, offsets: NDArray[np.floating], pools: Mapping[str, LorentzianPool], whole: _Mean
) -> tuple[str, ...]:
    """Return which solutes the mean spectrum tells: how much lower its information criterion is with each than without.

    What is left of a mean over thousands of voxels is no noise but what the lines do not describe: its variance is unknown, and
    BIC = n ln(Σ residual²/n) + k ln n (Schwarz, Ann Stat 6:461, 1978).
    """
    solutes = [name for name, pool in pools.items() if name != WATER and not pool.semisolid]
    gains = {}
    for name in solutes:
        others = {other: pool for other, pool in pools.items() if other != name}
        gains[name] = _fit_mean(mean, offsets, others).criterion - whole.criterion
    gains = {name: gain for name, gain in gains.items() if np.isfinite(gain)}
    if not gains:
        return ()
    told = [name for name, gain in gains.items() if gain > DECISIVE]
    shown = [f"{name} ({gains[name]:.0f})" for name in told]
    sentence = f"The mean spectrum tells {', '.join(shown) if told else 'none of the solutes'}"
    sentence += ": so much lower is its BIC with the pool than without." if told else "."
    for name in (name for name in gains if name not in told):
        gain = gains[name]
        how = f"lower by {gain:.1f}, less than the {DECISIVE:g} asked for" if gain > 0.0 else f"higher by {-gain:.1f}"
        sentence += (
            f" With {name} it is {how}: its height may be that of what other lines leave; it was fitted all the same."
        )
    return (sentence,)


def _line_of_mt(left: Mapping[Lineshape, float], *, name: str) -> tuple[Lineshape, tuple[str, ...]]:
    """Return the line of MT by what fits of the mean spectrum leave far from water."""
    tissue, other = left[TISSUE], left[Lineshape.LORENTZIAN]
    if not np.isfinite(tissue + other):
        return TISSUE, (
            f"No {FEWEST_FAR} offsets lie {FAR:g} ppm or more from water, which would tell the line of {name}: it is the "
            "super-Lorentzian one of tissue.",
        )
    best = Lineshape.LORENTZIAN if tissue > CLEARLY * other else TISSUE
    return best, (
        f"The line of {name} is {LINES[best]}: {FAR:g} ppm and more from water a super-Lorentzian one leaves "
        f"{100.0 * tissue:.2g} % of full signal of the mean spectrum, a Lorentzian one {100.0 * other:.2g} % (taken where that is "
        f"{CLEARLY:g} times less).",
    )


@dataclass(frozen=True)
class _Mean:
    """Optimum of a mean spectrum: its parameters, root mean square of what it leaves far from water, NaN if not told, and BIC."""

    point: NDArray[np.float64]
    left_far: float
    criterion: float


@dataclass(frozen=True)
class _Spectrum:
    """A mean spectrum, shape (N,), and its standard deviation."""

    values: NDArray[np.float64]
    stdev: float


def _mean(
    spectra: Spectra,
    offsets: NDArray[np.floating],
    water_shift: NDArray[np.floating],
    counted: NDArray[np.bool_] | None,
) -> _Spectrum | None:
    good = np.isfinite(water_shift) & (spectra.status == Status.CONVERGED)
    if np.count_nonzero(good) < FEWEST_VOXELS:
        return None
    noise = spectra.stdev[good]
    values = correct_shift(spectra.values[good], offsets=offsets, water_shift=water_shift[good], noise=noise).values
    told = np.isfinite(values)
    number = told.sum(axis=0)
    mean = np.full(len(offsets), np.nan)
    mean[number > 0] = np.nansum(values, axis=0)[number > 0] / number[number > 0]
    if counted is not None:
        mean[~counted] = np.nan
    return _Spectrum(mean, float(np.median(noise)) / float(np.sqrt(len(values))))


def _fit_mean(mean: _Spectrum, offsets: NDArray[np.floating], pools: Mapping[str, LorentzianPool]) -> _Mean:
    search = search_of(pools)
    whole = replace(search, starts=np.concatenate([search.starts, drawn_starts(pools, STARTS, seed=0)]))
    fit = fit_optima(mean.values[None], offsets=offsets, search=whole, noise=mean.stdev).fit
    if not np.isfinite(fit.residual_sum[0]):
        return _Mean(search.centre, np.nan, np.nan)
    point = fit.parameters
    shapes, _, _ = lines(offsets, point[:, 2::3], point[:, 3::3], fit.broad)
    left = mean.values - (point[0, 0] - shapes[0] @ point[0, 1::3])
    far = left[(np.abs(offsets) >= FAR) & np.isfinite(left)]
    number = int(np.count_nonzero(np.isfinite(mean.values)))
    variance = max(float(fit.residual_sum[0]) / number, mean.stdev**2, LEAST_LEFT**2)
    free = int(np.count_nonzero(~fit.fixed))
    return _Mean(
        point=point[0],
        left_far=float(np.sqrt(np.mean(np.square(far)))) if len(far) >= FEWEST_FAR else np.nan,
        criterion=number * float(np.log(variance)) + free * float(np.log(number)),
    )


def drawn_starts(pools: Mapping[str, LorentzianPool], number: int, *, seed: int) -> NDArray[np.float64]:
    """Return starts drawn within the bounds, shape (number, 1 + 3P): widths evenly in their logarithm, water high."""
    _, lower, upper = bounds_of(pools)
    share = np.random.default_rng(seed).uniform(size=(number, len(lower)))
    drawn = lower + share * (upper - lower)
    heights, widths = slice(1, None, 3), slice(2, None, 3)
    drawn[:, widths] = lower[widths] * (upper[widths] / lower[widths]) ** share[:, widths]
    drawn[:, heights] = lower[heights] + share[:, heights] * np.minimum(upper - lower, LARGEST_HEIGHT)[heights]
    if "water" in pools:
        column = 1 + 3 * list(pools).index("water")
        drawn[:, column] = 0.5 + 0.5 * share[:, column]
    return drawn
