"""Figures of merit of estimates against their truth; errors are fractions, not percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import chisquare

Values = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Score:
    """Error of one parameter over a set.

    Parameters
    ----------
    mean_absolute_error
        Mean of |estimate/truth - 1| of single noise draws.
    bias
        Mean of estimate/truth - 1.
    median_bias
        Median of estimate/truth - 1.
    rmse
        Root mean square of estimate/truth - 1.
    missing
        Fraction of voxels without an estimate; they are left out of the other figures.
    """

    mean_absolute_error: float
    bias: float
    median_bias: float
    rmse: float
    missing: float


def score(estimate: Values, truth: Values) -> Score:
    """Return the errors of estimates against their truth, both of shape (V,).

    Raises
    ------
    ValueError
        If no estimate is finite.
    """
    found = np.isfinite(estimate)
    if not found.any():
        raise ValueError(f"none of {found.size} estimates is finite: there is nothing to score")
    error = estimate[found] / truth[found] - 1.0
    return Score(
        mean_absolute_error=float(np.mean(np.abs(error))),
        bias=float(np.mean(error)),
        median_bias=float(np.median(error)),
        rmse=float(np.sqrt(np.mean(error**2))),
        missing=float(np.mean(~found)),
    )


def rmse_over_bound(estimate: Values, truth: Values, bound: Values) -> float:
    """Return the root mean square error in units of each voxel's own Cramér-Rao standard deviation; 1 is the best unbiased.

    Parameters
    ----------
    estimate, truth, bound
        Estimate, truth and Cramér-Rao sd, same unit, shape (V,); voxels without an estimate (NaN) are left out.
    """
    found = np.isfinite(estimate)
    return float(np.sqrt(np.mean(((estimate[found] - truth[found]) / bound[found]) ** 2)))


def coefficient_of_determination(estimate: Values, truth: Values) -> float:
    """Return 1 - Σ(truth - estimate)²/Σ(truth - mean truth)² over the voxels with an estimate (Birk et al. 2025, Fig. 3)."""
    found = np.isfinite(estimate)
    target, residual = truth[found], truth[found] - estimate[found]
    return float(1.0 - np.sum(residual**2) / np.sum((target - target.mean()) ** 2))


def coverage(low: Values, high: Values, truth: Values) -> float:
    """Return the fraction of intervals [low, high] that hold the truth, among the voxels that have one."""
    found = np.isfinite(low) & np.isfinite(high)
    inside = (low <= truth) & (truth <= high)
    return float(np.mean(inside[found]))


@dataclass(frozen=True, kw_only=True)
class RankHistogram:
    """Where the truth lies in the stated distributions: flat if they are right (simulation-based calibration).

    A hump means that the stated spread is too wide, a bowl too narrow, a slope a bias (Talts et al. 2018, arXiv:1804.06788).

    Parameters
    ----------
    counts
        Voxels in bins of equal stated probability.
    p_value
        p-value of Pearson's χ² test against the flat histogram.
    """

    counts: tuple[int, ...]
    p_value: float

    @property
    def largest_deviation(self) -> float:
        """Largest |count/expected - 1| of a bin."""
        expected = sum(self.counts) / len(self.counts)
        return max(abs(count / expected - 1.0) for count in self.counts)


def rank_histogram(estimate: Values, stdev: Values, truth: Values, *, bins: int = 20) -> RankHistogram:
    """Return the histogram of the stated probability below the truth, for normal distributions of given mean and sd.

    Parameters
    ----------
    estimate, stdev, truth
        Estimate, its stated sd and the truth, same unit, shape (V,).
    bins
        Number of bins.
    """
    found = np.isfinite(estimate) & np.isfinite(stdev) & (stdev > 0.0)
    return rank_histogram_of(ndtr((truth[found] - estimate[found]) / stdev[found]), bins=bins)


def rank_histogram_of(probability: Values, *, bins: int = 20) -> RankHistogram:
    """Return the histogram of stated probabilities below the truth, in [0, 1], however they were obtained."""
    counts = np.histogram(probability, bins=bins, range=(0.0, 1.0))[0]
    if counts.sum() == 0:
        raise ValueError(f"none of {np.size(probability)} probabilities lies in [0, 1]: there is nothing to rank")
    return RankHistogram(counts=tuple(int(count) for count in counts), p_value=float(chisquare(counts).pvalue))


def normal_interval(estimate: Values, stdev: Values, *, probability: float) -> tuple[Values, Values]:
    """Return the central interval of a normal distribution that holds `probability`; 0.68 and 0.95 are the usual ones."""
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability must lie in (0, 1), found {probability}")
    half = float(ndtri(0.5 + 0.5 * probability))
    return estimate - half * stdev, estimate + half * stdev
