r"""bSSFP without bands from the phase cycles themselves: geometric solution, and root of the mean square.

The profile is an ellipse, and cycles half a turn apart lie on a line through one point, the magnetisation without bands. Two such
lines meet there (Xiang and Hoff, Magn Reson Med 71:927, 2014); of more, the point is taken that is nearest to all by least squares,

.. math::
    \min_M \sum_i w_i\,(n_i\cdot(M - a_i))^2,\quad w_i = \frac{1}{(1 - t_i)^2 + t_i^2}

with n the normal of a line, a and b its cycles and M = a + t (b - a): the weights are those of noise in both cycles. The root of
the mean square has bands that are weaker than those of a cycle (Bangerter et al., Magn Reson Med 51:1038, 2004).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.units import degrees_to_radians

Values = NDArray[Any]

HALF_A_TURN = degrees_to_radians(3.0)
"""By how much the increments of a pair may miss half a turn [rad]: a frequency that drifted moves them against each other."""

LEAST_CROSSING = degrees_to_radians(20.0)
"""Increment [rad] by which two pairs must differ at least, modulo half a turn: lines that nearly coincide meet anywhere."""


def opposite_pairs(rf_phase_increment: Sequence[float]) -> tuple[tuple[int, int], ...]:
    """Return pairs of cycles half a turn apart, each cycle once.

    Parameters
    ----------
    rf_phase_increment
        Increments [rad].

    Examples
    --------
    >>> opposite_pairs([0.0, math.pi / 2, math.pi, 3 * math.pi / 2])
    ((0, 2), (1, 3))
    """
    phases = list(rf_phase_increment)
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for one, first in enumerate(phases):
        for two in range(one + 1, len(phases)):
            away = abs(abs(math.remainder(first - phases[two], 2.0 * math.pi)) - math.pi)
            if away <= HALF_A_TURN and not {one, two} & taken:
                found.append((one, two))
                taken |= {one, two}
    return tuple(found)


def crossing_pairs(rf_phase_increment: Sequence[float]) -> tuple[tuple[int, int], ...]:
    """Return the opposite pairs where at least two of them lie on lines of different directions; none otherwise.

    Parameters
    ----------
    rf_phase_increment
        Increments [rad].

    Examples
    --------
    >>> crossing_pairs([0.0, math.pi, 0.0, math.pi, math.pi / 2])
    ()
    """
    pairs = opposite_pairs(rf_phase_increment)
    firsts = [rf_phase_increment[pair[0]] for pair in pairs]
    apart = max((abs(math.remainder(one - two, math.pi)) for one in firsts for two in firsts), default=0.0)
    return pairs if apart >= LEAST_CROSSING - 1e-9 else ()


def geometric_solution(
    cycles: NDArray[np.complexfloating], *, rf_phase_increment: Sequence[float], noise: Values | None = None
) -> tuple[Values, Values]:
    """Return the magnitude of the point on which lines through opposite cycles meet, and its standard deviation, shape (...).

    Parameters
    ----------
    cycles
        Complex signal, shape (..., N).
    rf_phase_increment
        Increments [rad], N.
    noise
        Standard deviation of the noise in real and imaginary part of a cycle, shape (...); NaN without.

    Raises
    ------
    ValueError
        If there are no two pairs of cycles half a turn apart, the increments of one 20 degrees or more from those of the other.
    """
    pairs = crossing_pairs(rf_phase_increment)
    if not pairs:
        shown = ", ".join(f"{math.degrees(each):.4g}" for each in rf_phase_increment)
        raise ValueError(
            "rf_phase_increment: expected two pairs of cycles half a turn apart, one 20 degrees or more from the other, for method "
            f"'geometric', found none in {shown} degrees"
        )
    first, second = (cycles[..., [pair[end] for pair in pairs]].astype(np.complex128) for end in (0, 1))
    along = second - first
    with np.errstate(all="ignore"):
        normal = 1j * along / np.abs(along)
        distance = _dot(normal, first)
        weight = np.ones(first.shape)
        for _ in range(2):
            point, inverse = _nearest(normal, distance, weight)
            place = _dot(point[..., None] - first, along) / np.abs(along) ** 2
            own = (1.0 - place) ** 2 + place**2
            weight = 1.0 / own
        size = np.abs(point)
        if noise is None:
            return size, np.full(size.shape, math.nan)
        # The lines move along their normals by noise of variance `own`; the weights hold still.
        xx, xy, yy = inverse
        towards = point / size
        gain = (xx * towards.real + xy * towards.imag)[..., None] * normal.real
        gain += (xy * towards.real + yy * towards.imag)[..., None] * normal.imag
        return size, np.asarray(noise) * np.sqrt(np.sum((weight * gain) ** 2 * own, axis=-1))


def _dot(one: Values, two: Values) -> Values:
    """Return the scalar product of vectors in the complex plane."""
    return one.real * two.real + one.imag * two.imag


def _nearest(normal: Values, distance: Values, weight: Values) -> tuple[Values, tuple[Values, Values, Values]]:
    """Return the point nearest to lines, and the inverse of the normal matrix: its elements xx, xy, yy."""
    xx = np.sum(weight * normal.real**2, axis=-1)
    xy = np.sum(weight * normal.real * normal.imag, axis=-1)
    yy = np.sum(weight * normal.imag**2, axis=-1)
    x = np.sum(weight * normal.real * distance, axis=-1)
    y = np.sum(weight * normal.imag * distance, axis=-1)
    determinant = xx * yy - xy**2
    inverse = yy / determinant, -xy / determinant, xx / determinant
    return (inverse[0] * x + inverse[1] * y) + 1j * (inverse[1] * x + inverse[2] * y), inverse


def root_of_squares(cycles: NDArray[np.complexfloating], *, noise: Values | None = None) -> tuple[Values, Values]:
    """Return the root of the mean square of the cycles, and its standard deviation, shape (...).

    Parameters
    ----------
    cycles
        Complex signal, shape (..., N).
    noise
        Standard deviation of the noise in real and imaginary part of a cycle, shape (...); NaN without.
    """
    size = np.sqrt(np.mean(np.abs(cycles) ** 2, axis=-1, dtype=np.float64))
    if noise is None:
        return size, np.full(size.shape, math.nan)
    return size, np.asarray(noise) / math.sqrt(cycles.shape[-1])
