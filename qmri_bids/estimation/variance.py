"""Noise variance of every voxel, moderated by that of the whole scan.

A residual with few degrees of freedom (one for three phase cycles) says little of the noise of its own voxel. Empirical Bayes
takes the local variances as draws from a scaled inverse-χ² distribution with d0 degrees of freedom around s0², estimated from all
voxels, and shrinks each towards it: σ² = (d0 s0² + d s²)/(d0 + d). Homogeneous noise gives d0 = ∞, one variance for all; noise
that varies gives a small d0 and leaves each voxel its own.

Where the voxels of an image are known the level is that of the neighbourhood instead of the whole scan: parallel imaging lets the
noise vary smoothly by a factor of three, which residuals of neighbours tell better than one residual and one level for all.

Smyth, Stat Appl Genet Mol Biol 3:3 (2004), Eq. 1-8; here s0² and d0 come from quartiles instead of moments of log s², so that
voxels which the model does not describe do not enter (as Phipson et al., Ann Appl Stat 10:946, 2016, do by Winsorising).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma
from scipy.stats import chi2
from scipy.stats import f as f_distribution

FEWEST_VOXELS = 50
"""Residuals needed for quartiles; below, every voxel keeps its own variance."""

OUTLIER_PROBABILITY = 0.01
"""Probability that noise alone makes any voxel of the scan count as an outlier."""

NEIGHBOURHOOD = 3.0
"""Standard deviation [voxels] of the Gaussian in which residuals are pooled: some 1200 of them in the middle of an image, a few
hundred at its edge. Noise varies over the coils of an array, 5 to 10 cm."""

BELIEVED = (0.01, 0.90)
"""Probabilities under noise alone of the residuals between which they enter the level as they are; others enter as the nearer."""

SMALLEST_FREEDOM, LARGEST_FREEDOM = 0.2, 1e4
"""Range in which d0 is looked for; beyond its upper end the noise counts as homogeneous."""


@dataclass(frozen=True, kw_only=True)
class ModeratedVariance:
    """Variance of the noise with what is known of it.

    Parameters
    ----------
    variance
        Variance per channel (real or imaginary part of one cycle), shape (V,); NaN where the residual was.
    freedom
        Degrees of freedom of `variance`, d0 + d; infinite for homogeneous noise.
    prior_variance
        s0², the level of the scan; NaN where there were too few voxels for one.
    level
        Level around every voxel, shape (V,): `prior_variance` where neighbours are not known.
    prior_freedom
        d0; 0 where there were too few voxels.
    """

    variance: NDArray[np.float64]
    freedom: float
    prior_variance: float
    level: NDArray[np.float64]
    prior_freedom: float


def moderated_variance(
    residual_sum: NDArray[np.floating], freedom: int, *, inside: NDArray[np.bool_] | None = None
) -> ModeratedVariance:
    """Return the noise variance of every voxel, shrunk towards the level of the scan.

    Parameters
    ----------
    residual_sum
        Σ_j |S_j - model_j|² of each voxel, shape (V,); NaN and zero do not count towards the level.
    freedom
        Degrees of freedom d of the residual, 2N - 5.
    inside
        Where in the image the voxels lie, V of them True, in the order of its indices: the level is then that of the
        neighbourhood. None where that is not known, or where the level is one for all.

    Returns
    -------
    ModeratedVariance
        A voxel whose residual noise alone would not produce in the whole scan (F test, Bonferroni) is one that the model does not
        describe: it keeps its own, larger variance.

    Raises
    ------
    ValueError
        If the residual has no degree of freedom.
    """
    if freedom < 1:
        raise ValueError(f"freedom must be at least 1 (2N - 5 for N phase cycles, N ≥ 3), found {freedom}")
    variance = np.asarray(residual_sum, dtype=np.float64) / freedom
    counted = np.isfinite(variance) & (variance > 0.0)
    if np.count_nonzero(counted) < FEWEST_VOXELS:
        return ModeratedVariance(
            variance=variance,
            freedom=float(freedom),
            prior_variance=math.nan,
            level=np.full(len(variance), math.nan),
            prior_freedom=0.0,
        )
    level = np.ones(len(variance)) if inside is None else _neighbourhood_level(variance, counted, freedom, inside)
    variance = variance / level
    usable = variance[counted]
    low, middle, high = np.quantile(np.log(usable), (0.25, 0.5, 0.75))
    prior_freedom = _prior_freedom(high - low, freedom)
    prior_variance = math.exp(middle - _log_quantile(0.5, freedom, prior_freedom))
    if math.isinf(prior_freedom):
        moderated = np.where(np.isnan(variance), math.nan, prior_variance)
    else:
        moderated = (prior_freedom * prior_variance + freedom * variance) / (prior_freedom + freedom)
    limit = math.exp(_log_quantile(1.0 - OUTLIER_PROBABILITY / usable.size, freedom, prior_freedom))
    with np.errstate(invalid="ignore"):
        outlier = variance > limit * prior_variance
    return ModeratedVariance(
        variance=np.where(outlier, variance, moderated) * level,
        freedom=prior_freedom + freedom,
        prior_variance=prior_variance * float(np.median(level[counted])),
        level=prior_variance * level,
        prior_freedom=prior_freedom,
    )


def _neighbourhood_level(
    variance: NDArray[np.float64], counted: NDArray[np.bool_], freedom: int, inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the level of the noise around every voxel, shape (V,): a mean of log s² that misfits do not enter."""
    from scipy.ndimage import gaussian_filter

    weight = np.zeros(inside.shape)
    weight[inside] = counted
    logs = np.where(counted, np.log(np.where(counted, variance, 1.0)), 0.0)
    weight_around = gaussian_filter(weight, NEIGHBOURHOOD, mode="constant")
    share = np.maximum(weight_around, 1e-6)
    low, high = (_log_quantile(each, freedom, math.inf) for each in BELIEVED)
    expected = _believed_mean(freedom)
    level = np.full(len(logs), np.median(logs[counted]) - _log_quantile(0.5, freedom, math.inf))
    # The first round finds about where each neighbourhood is, the second what is believed there.
    for wide in (4.0, 0.0):
        believed = np.clip(logs - level, low - wide, high + wide) + level
        image = np.zeros(inside.shape)
        image[inside] = np.where(counted, believed, 0.0)
        smooth = gaussian_filter(image, NEIGHBOURHOOD, mode="constant") / share
        found = smooth[inside] - (expected if not wide else float(digamma(0.5 * freedom) - math.log(0.5 * freedom)))
        # Far from any residual there is no neighbourhood, and the level is that of the scan.
        level = np.where(weight_around[inside] > 1e-4, found, np.median(found[counted]))
    return np.exp(level)


def _believed_mean(freedom: int) -> float:
    """Return the mean of log χ²(d)/d within the limits of `BELIEVED`, values beyond counted as the limits."""
    probability = (np.arange(2000) + 0.5) / 2000
    return float(np.mean(np.log(chi2.ppf(np.clip(probability, *BELIEVED), freedom) / freedom)))


def _log_quantile(probability: float, freedom: float, prior_freedom: float) -> float:
    """Return a quantile of log s²/s0²: of log F(d, d0), which for d0 = ∞ is log χ²(d)/d."""
    if math.isinf(prior_freedom):
        return float(np.log(chi2.ppf(probability, freedom) / freedom))
    return float(np.log(f_distribution.ppf(probability, freedom, prior_freedom)))


def _prior_freedom(spread: float, freedom: int) -> float:
    """Return the d0 at which log F(d, d0) has this interquartile range; infinite where the noise is no broader than χ²(d)."""

    def excess(log_prior: float) -> float:
        prior = math.exp(log_prior)
        return _log_quantile(0.75, freedom, prior) - _log_quantile(0.25, freedom, prior) - spread

    smallest, largest = math.log(SMALLEST_FREEDOM), math.log(LARGEST_FREEDOM)
    if excess(largest) >= 0.0:
        return math.inf
    if excess(smallest) <= 0.0:
        return SMALLEST_FREEDOM
    return math.exp(brentq(excess, smallest, largest, xtol=1e-3))
