"""Axes of the pictures of a group: from numbers to places, with limits that one far value does not squeeze."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH = 8.0
"""Robust standard deviations from the median to which an axis reaches: values beyond are drawn at its end, as arrows."""

MAD_TO_SD = 1.4826

_MARGIN = 0.06


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis of a picture.

    Parameters
    ----------
    low, high
        Its limits.
    start, end
        Where they lie in the picture.
    before, after
        Where values below and above the limits are drawn.
    """

    low: float
    high: float
    start: float
    end: float
    before: float
    after: float

    def at(self, value: float) -> float:
        """Return where a value lies; one beyond the limits lies beside the axis."""
        if side := self.side(value):
            return self.after if side > 0 else self.before
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def side(self, value: float) -> int:
        """Return -1 for a value below the axis, 1 for one above, 0 for one on it."""
        return int(value > self.high) - int(value < self.low)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Three to six round numbers on the axis."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / 4.0))
        step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if span / (power * factor) <= 5.0)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return tuple(step * (first + number) for number in range(count))


def robust_axis(values: NDArray[np.float64], *, start: float, end: float, gutter: float = 0.0) -> Axis:
    """Return an axis on which the bulk of the values can be told apart, whatever the farthest is.

    Parameters
    ----------
    values
        Finite numbers, shape (N,), at least one.
    start, end
        Where the picture begins and ends.
    gutter
        Room that is left on a side for values beyond the axis, where there are any.

    Examples
    --------
    >>> axis = robust_axis(np.array([1.0, 2.0, 3.0, 4.0, 1e6]), start=0.0, end=100.0, gutter=20.0)
    >>> axis.high < 5.0, axis.side(1e6), axis.end, axis.at(1e6)
    (True, 1, 80.0, 100.0)
    """
    farthest = max(abs(float(values.min())), abs(float(values.max())))
    middle = float(np.median(values))
    spread = MAD_TO_SD * float(np.median(np.abs(values - middle)))
    inner = values
    if spread > 1e-9 * farthest:
        inner = values[np.abs(values - middle) <= REACH * spread]
    low, high = float(inner.min()), float(inner.max())
    margin = _MARGIN * (high - low)
    if margin <= 1e-12 * max(abs(low), abs(high), 1e-300):
        margin = 0.02 * abs(high) or 0.5
    low, high = low - margin, high + margin
    below, above = bool((values < low).any()), bool((values > high).any())
    return Axis(
        low=low,
        high=high,
        start=start + gutter * below,
        end=end - gutter * above,
        before=start,
        after=end,
    )


def number_text(value: float) -> str:
    """Return a number with four digits, for a picture or a label.

    Examples
    --------
    >>> number_text(902.04), number_text(-0.00012), number_text(12345.0)
    ('902', '−0.00012', '12345')
    """
    text = f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")
