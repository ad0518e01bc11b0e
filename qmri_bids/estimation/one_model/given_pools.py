"""The semisolid pool of maps that another program, or an earlier call, has written.

Programs write one of two numbers: the pool size ratio F = M0m/M0f, or the macromolecular proton fraction MPF = M0m/(M0m + M0f),
which is F/(1 + F). What is not in the maps is taken from the literature with a standard deviation that holds what is found there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FRACTION_STDEV = 0.2
"""Relative standard deviation of a fraction that comes without one: what methods differ by in one tissue."""

RATE, RATE_STDEV = 30.0, 15.0
"""Rate from the semisolid pool to water where no map tells it, and its standard deviation [1/s]: what papers on brains differ by.
T1 hardly depends on it: twice the rate moves it by half a per cent."""

Measure = Literal["ratio", "share"]
"""What a map holds: F, or MPF."""

Values = NDArray[np.floating]


def ratio_of_share(share: Values) -> Values:
    """Return F = M0m/M0f of MPF = M0m/(M0m + M0f).

    Examples
    --------
    >>> float(ratio_of_share(np.array(0.2)))
    0.25
    """
    return share / (1.0 - share)


RATIOS: Mapping[Measure, tuple[Callable[[Values], Values], Callable[[Values], Values]]] = {
    "ratio": (np.copy, np.ones_like),
    "share": (ratio_of_share, lambda share: 1.0 / np.square(1.0 - share)),
}
"""F of what a map holds, and its derivative."""


@dataclass(frozen=True, kw_only=True)
class GivenPools:
    """Fraction and rate of the semisolid pool, of one shape; NaN where the maps hold none.

    Parameters
    ----------
    fraction, fraction_stdev
        F and its standard deviation.
    rate, rate_stdev
        Rate to water and its standard deviation [1/s].
    impossible
        Voxels whose value no pool can have; they are NaN.
    """

    fraction: Values
    fraction_stdev: Values
    rate: Values
    rate_stdev: Values
    impossible: int


def given_pools(
    stored: Values,
    *,
    measure: Measure,
    stdev: Values | None = None,
    rate: Values | None = None,
    rate_stdev: Values | None = None,
) -> GivenPools:
    """Return the semisolid pool of maps.

    Parameters
    ----------
    stored, stdev
        What `measure` says, as fractions of one, and its standard deviation; None for `FRACTION_STDEV` of it.
    measure
        Key of `RATIOS`.
    rate, rate_stdev
        Rate to water [1/s], None for `RATE`, and its standard deviation, None for one in the ratio of `RATE_STDEV`.

    Examples
    --------
    >>> found = given_pools(np.array([0.1, 1.2]), measure="share", stdev=np.array([0.0081, 0.01]))
    >>> found.fraction.round(3), found.fraction_stdev.round(3), found.rate, found.impossible
    (array([0.111,   nan]), array([0.01,  nan]), array([30., nan]), 1)
    """
    good = (stored > 0.0) & (stored < 1.0)
    held = np.where(good, stored, np.nan).astype(np.float64)
    ratio, slope = RATIOS[measure]
    fraction = ratio(held)
    # Where a map of standard deviations holds 0 it has no value.
    spread = FRACTION_STDEV * fraction if stdev is None else slope(held) * np.where(stdev > 0.0, stdev, np.nan)
    back = np.where(np.isfinite(held), RATE, np.nan) if rate is None else np.where(rate > 0.0, rate, np.nan)
    back_spread = RATE_STDEV / RATE * back if rate_stdev is None else np.where(rate_stdev > 0.0, rate_stdev, np.nan)
    return GivenPools(
        fraction=fraction,
        fraction_stdev=np.where(np.isfinite(held), spread, np.nan),
        rate=back,
        rate_stdev=np.where(np.isfinite(back), back_spread, np.nan),
        impossible=int(np.count_nonzero(np.isfinite(stored) & ~good)),
    )
