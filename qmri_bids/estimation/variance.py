"""Noise variance of every voxel, moderated by that of the whole scan.

A residual with few degrees of freedom (one for three phase cycles) says little of the noise of its own voxel. Empirical Bayes
takes the local variances as draws from a scaled inverse-χ² distribution with d0 degrees of freedom around s0², estimated from all
voxels, and shrinks each towards it: σ² = (d0 s0² + d s²)/(d0 + d). Homogeneous noise gives d0 = ∞, one variance for all; noise
that varies gives a small d0 and leaves each voxel its own.

Smyth, Stat Appl Genet Mol Biol 3:3 (2004), Eq. 1-8; here s0² and d0 come from quartiles instead of moments of log s², so that
voxels which the model does not describe do not enter (as Phipson et al., Ann Appl Stat 10:946, 2016, do by Winsorising).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2
from scipy.stats import f as f_distribution

FEWEST_VOXELS = 50
"""Residuals needed for quartiles; below, every voxel keeps its own variance."""

OUTLIER_PROBABILITY = 0.01
"""Probability that noise alone makes any voxel of the scan count as an outlier."""

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
    prior_freedom
        d0; 0 where there were too few voxels.
    """

    variance: NDArray[np.float64]
    freedom: float
    prior_variance: float
    prior_freedom: float


def moderated_variance(residual_sum: NDArray[np.floating], freedom: int) -> ModeratedVariance:
    """Return the noise variance of every voxel, shrunk towards the level of the scan.

    Parameters
    ----------
    residual_sum
        Σ_j |S_j - model_j|² of each voxel, shape (V,); NaN and zero do not count towards the level.
    freedom
        Degrees of freedom d of the residual, 2N - 5.

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
    usable = variance[np.isfinite(variance) & (variance > 0.0)]
    if usable.size < FEWEST_VOXELS:
        return ModeratedVariance(variance=variance, freedom=float(freedom), prior_variance=math.nan, prior_freedom=0.0)
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
        variance=np.where(outlier, variance, moderated),
        freedom=prior_freedom + freedom,
        prior_variance=prior_variance,
        prior_freedom=prior_freedom,
    )


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
