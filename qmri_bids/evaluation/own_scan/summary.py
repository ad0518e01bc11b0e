"""Numbers of many voxels in a few: median with its uncertainty, quartiles, spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL_QUARTILES = 1.3489795
"""Distance of the quartiles of a normal distribution in standard deviations."""

MEDIAN_OVER_MEAN = math.sqrt(math.pi / 2.0)
"""Standard error of the median of normal numbers over that of their mean."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What numbers of voxels have in common.

    Parameters
    ----------
    median
        Their median.
    standard_error
        Of the median, from the distance of the quartiles, as if voxels did not depend on each other.
    lower_quartile, upper_quartile
        Quartiles.
    voxels
        How many have a finite number.
    """

    median: float
    standard_error: float
    lower_quartile: float
    upper_quartile: float
    voxels: int

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> Summary:
        """Return the summary of the finite ones of some values; NaN where there are none.

        Examples
        --------
        >>> Summary.of(np.array([1.0, 2.0, 3.0, np.nan])).median
        2.0
        """
        finite = np.asarray(values, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if not finite.size:
            return cls(
                median=math.nan, standard_error=math.nan, lower_quartile=math.nan, upper_quartile=math.nan, voxels=0
            )
        low, median, high = (float(each) for each in np.percentile(finite, (25.0, 50.0, 75.0)))
        error = MEDIAN_OVER_MEAN * (high - low) / NORMAL_QUARTILES / math.sqrt(finite.size)
        return cls(
            median=median, standard_error=error, lower_quartile=low, upper_quartile=high, voxels=int(finite.size)
        )

    @property
    def spread(self) -> float:
        """Standard deviation across voxels, from the distance of the quartiles: a few strange ones do not count."""
        return (self.upper_quartile - self.lower_quartile) / NORMAL_QUARTILES
