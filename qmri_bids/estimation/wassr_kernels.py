"""Compiled search for the centre of symmetry of a spline."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)

SEARCH_POINTS = 33
"""Centres tried before the best of them is refined."""


@njit(nogil=True, cache=True, error_model="numpy")
def asymmetry(z: NDArray, offsets: NDArray, nodes: NDArray, expected: NDArray, centre: float) -> float:
    """Return the square of Z minus its mirror image about a centre, over what noise alone would leave.

    An image between two offsets holds less noise than one at an offset. Without the second sum that draws the centre to
    where images fall between.

    Parameters
    ----------
    z, offsets
        Data at increasing offsets, shape (N,).
    nodes
        Values and curvatures of their spline, shape (2N,).
    expected
        Sum of squares for noise of unit variance, at evenly spaced centres from the first offset to the last, shape (T,).
    centre
        In the unit of the offsets.
    """
    number = offsets.size
    total = 0.0
    place = number - 2
    for j in range(number):
        mirrored = 2.0 * centre - offsets[j]
        if mirrored < offsets[0] or mirrored > offsets[number - 1]:
            continue
        # Images come in falling order.
        while place > 0 and offsets[place] > mirrored:
            place -= 1
        step = offsets[place + 1] - offsets[place]
        after = (mirrored - offsets[place]) / step
        before = 1.0 - after
        bend = (before**3 - before) * nodes[number + place] + (after**3 - after) * nodes[number + place + 1]
        difference = z[j] - before * nodes[place] - after * nodes[place + 1] - bend * step * step / 6.0
        total += difference * difference
    scaled = (centre - offsets[0]) / (offsets[number - 1] - offsets[0]) * (expected.size - 1)
    if not (scaled >= 0.0 and scaled < expected.size - 1):
        return np.inf
    entry = int(scaled)
    noise = expected[entry] + (scaled - entry) * (expected[entry + 1] - expected[entry])
    return total / noise if noise > 0.0 else np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def find_centres(
    z: NDArray,
    offsets: NDArray,
    nodes: NDArray,
    expected: NDArray,
    reach: float,
    tolerance: float,
    centre: NDArray,
    inside: NDArray,
) -> None:
    """Find the centre of symmetry of every voxel within a reach of its start.

    Parameters
    ----------
    z, nodes
        Shapes (V, N), (V, 2N).
    offsets
        Increasing, shape (N,).
    expected
        As in `asymmetry`.
    reach, tolerance
        How far from the start to search, and how finely.
    centre
        Start, overwritten, shape (V,).
    inside
        Filled: whether the optimum is not at the edge of the search, shape (V,).
    """
    step = 2.0 * reach / (SEARCH_POINTS - 1)
    for voxel in range(z.shape[0]):
        start = centre[voxel]
        inside[voxel] = False
        if not np.isfinite(start):
            centre[voxel] = np.nan
            continue
        best, least = 0, np.inf
        for k in range(SEARCH_POINTS):
            cost = asymmetry(z[voxel], offsets, nodes[voxel], expected, start - reach + k * step)
            if cost < least:
                best, least = k, cost
        inside[voxel] = 0 < best < SEARCH_POINTS - 1
        low, high = start - reach + (best - 1) * step, start - reach + (best + 1) * step
        first, second = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        cost_first = asymmetry(z[voxel], offsets, nodes[voxel], expected, first)
        cost_second = asymmetry(z[voxel], offsets, nodes[voxel], expected, second)
        while high - low > tolerance:
            if cost_first < cost_second:
                high, second, cost_second = second, first, cost_first
                first = high - GOLDEN * (high - low)
                cost_first = asymmetry(z[voxel], offsets, nodes[voxel], expected, first)
            else:
                low, first, cost_first = first, second, cost_second
                second = low + GOLDEN * (high - low)
                cost_second = asymmetry(z[voxel], offsets, nodes[voxel], expected, second)
        centre[voxel] = 0.5 * (low + high)
