"""B0 from the direct saturation of water (WASSR) by maximum symmetry (Kim et al., Magn Reson Med 61:1441, 2009)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.spectra.lorentzian.maps import masked
from qmri_bids.estimation.spectra.spline import (
    SplineOperator,
    SplineRows,
    cross_validated_smoothing,
    spline_operator,
    take,
)
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.system.blocks import run_blocks

BLOCK = 4096
"""Voxels handed to a thread at a time."""

REACH = 4.0
"""Search for the centre goes this many median spacings of the offsets from the centroid of the dip."""

CROSS_VALIDATED = 1000
"""Voxels, about, that choose the smoothing of all: slopes of a spline through noise are noise, and tell no centre."""

TABLE_STEPS = 32
"""Centres for every offset at which the noise of the asymmetry is tabulated."""

MINIMUM_DEPTH = 6.0
"""A dip must be this many standard deviations of the noise deep: noise alone spans four over two dozen offsets."""

ROUNDING = 1e-9
"""A dip less deep than this against the signal is rounding."""

FEWEST_IMAGES = 0.5
"""Share of the offsets whose mirror image must have been measured."""

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)

SEARCH_POINTS = 33
"""Centres tried before the best of them is refined."""


LARGEST_GAP = 4.0
"""Distance between neighbouring offsets, in typical spacings, in which no centre is believed: the dip there was not sampled."""


def fit_wassr(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    noise: NDArray[np.floating] | float | None = None,
    threads: int = 1,
) -> Estimate:
    """Map B0 as the centre about which the spectrum is its own mirror image.

    Parameters
    ----------
    z
        Spectra around water, of weak saturation, shape (V, N); any scale.
    offsets
        Offsets [Hz], shape (N,), N ≥ 8, all different.
    noise
        Standard deviation of z, shape (V,) or one for all; by default from the asymmetry that is left, moderated over all voxels.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Estimate
        `off_resonance` [Hz], shape (V,). The residual is that asymmetry relative to the signal. NOT_CONVERGED where no optimum
        lies near the dip, LOW_SIGNAL where there is no dip, OUT_OF_RANGE where it is so far off that fewer than half of the
        offsets have an image, or lies in a gap between offsets.

    Raises
    ------
    ValueError
        If shapes do not belong together or offsets are too few.

    Examples
    --------
    >>> offsets = np.linspace(-100.0, 100.0, 21)
    >>> z = 1.0 - 0.8 / (1.0 + ((offsets - 13.0) / 25.0) ** 2)
    >>> found = fit_wassr(z[None], offsets=offsets)
    >>> bool(abs(found.values["off_resonance"][0] - 13.0) < 0.2)
    True
    """
    measured = np.asarray(offsets, dtype=np.float64)
    if z.ndim != 2 or measured.shape != (z.shape[1],) or len(measured) < 8:
        raise ValueError(
            f"z must have shape (V, N) with N ≥ 8, one column an offset, found {z.shape} and {measured.shape} offsets"
        )
    voxels = len(z)
    if noise is not None and np.shape(noise) not in ((), (voxels,)):
        raise ValueError(f"noise must be one number or of shape ({voxels},), found shape {np.shape(noise)}")
    operator = spline_operator(measured, smoothing=_smoothing(z, measured))
    spacing = float(np.median(np.diff(operator.offsets)))
    expected = _expected(operator)
    centre, inside = np.empty(voxels), np.empty(voxels, dtype=np.bool_)
    gain, local, share, asymmetry, depth, level = (np.empty(voxels) for _ in range(6))

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        nodes = operator.nodes(z[part])
        data = np.ascontiguousarray(nodes[:, : len(measured)])
        level[part] = data.max(axis=1)
        depth[part] = level[part] - data.min(axis=1)
        centre[part] = _dip(data, operator.offsets)
        find_centres(
            data, operator.offsets, nodes, expected, REACH * spacing, 1e-6 * spacing, centre[part], inside[part]
        )
        gain[part], local[part], share[part], asymmetry[part] = _spread(data, operator, nodes, centre[part])

    with np.errstate(all="ignore"):
        run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
        status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
        status[~(share >= FEWEST_IMAGES)] = Status.OUT_OF_RANGE
        after = np.clip(np.searchsorted(operator.offsets, centre), 1, len(measured) - 1)
        status[np.diff(operator.offsets)[after - 1] > LARGEST_GAP * spacing] = Status.OUT_OF_RANGE
        status[~inside | ~np.isfinite(gain)] = Status.NOT_CONVERGED
        status[~(depth > ROUNDING * np.abs(level))] = Status.LOW_SIGNAL
        status[~np.isfinite(depth)] = Status.INVALID_INPUT
        good = status == Status.CONVERGED
        # Every pair of images is met twice, so that half of the differences are free, less one for the centre.
        freedom = max(len(measured) // 2 - 1, 1)
        if noise is None:
            sigma = np.sqrt(moderated_variance(np.where(good, local * freedom, math.nan), freedom).variance)
        else:
            sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (voxels,))
        stdev = gain * sigma
        status[good & ~(depth > MINIMUM_DEPTH * sigma)] = Status.LOW_SIGNAL
        good = status == Status.CONVERGED
    return Estimate(
        values={"off_resonance": masked(centre, good)},
        stdev={"off_resonance": masked(stdev, good)},
        residual=masked(asymmetry, good),
        status=status,
    )


def _smoothing(z: NDArray[np.floating], offsets: NDArray[np.float64]) -> float:
    """Return the smoothing of one voxel in every few; none where no voxel is finite, for all of those fail."""
    some = z[:: max(len(z) // CROSS_VALIDATED, 1)]
    return cross_validated_smoothing(some, offsets=offsets) if np.isfinite(some).all(axis=1).any() else 0.0


def _dip(data: NDArray[np.float64], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centroid of the lower half of the dip, shape (V,); NaN where a value is not finite or all are equal."""
    top, bottom = data.max(axis=1, keepdims=True), data.min(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        depth = np.maximum(0.5 * (top + bottom) - data, 0.0) * np.gradient(offsets)
        return depth @ offsets / depth.sum(axis=1)


def _differences(
    operator: SplineOperator, centre: NDArray[np.float64]
) -> tuple[SplineRows, NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows of the images (V, N), and rows and weights (V, N, 5) of Z minus its image."""
    rows = operator.rows(2.0 * centre[:, None] - operator.offsets)
    own = np.broadcast_to(np.arange(len(operator.offsets)), rows.inside.shape)[..., None]
    places = np.concatenate([own, rows.rows], axis=-1)
    return rows, places, np.concatenate([np.ones(own.shape), -rows.weights], axis=-1)


def _expected(operator: SplineOperator) -> NDArray[np.float64]:
    """Return the sum of squared differences that unit noise leaves, at TABLE_STEPS centres for every offset."""
    centres = np.linspace(operator.offsets[0], operator.offsets[-1], TABLE_STEPS * len(operator.offsets))
    rows, places, weights = _differences(operator, centres)
    return np.where(rows.inside, operator.squared_norm(places, weights), 0.0).sum(axis=1)


def _spread(
    data: NDArray[np.float64], operator: SplineOperator, nodes: NDArray[np.float64], centre: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return at the centres: their standard deviation for unit noise, the noise variance, the share of images, the residual.

    The centre moves by -Σ q r/Σ q² when the differences r = z - image change, q being their slopes: its variance is that of
    Σ q r, in which data enter both themselves and through the spline.
    """
    number = data.shape[1]
    usable = np.isfinite(centre)
    rows, places, weights = _differences(operator, np.where(usable, centre, operator.offsets[0]))
    difference = np.where(rows.inside, data - take(nodes, rows.rows, rows.weights), 0.0)
    slope = np.where(rows.inside, -2.0 * take(nodes, rows.rows, rows.slopes), 0.0)
    expected = np.where(rows.inside, operator.squared_norm(places, weights), 0.0).sum(axis=1)
    combined = np.zeros((len(data), 2 * number))
    voxels = np.arange(len(data))
    for j in range(number):
        for k in range(places.shape[-1]):
            combined[voxels, places[:, j, k]] += slope[:, j] * weights[:, j, k]
    total = np.square(slope).sum(axis=1)
    with np.errstate(all="ignore"):
        gain = np.sqrt(np.square(combined @ operator.matrix).sum(axis=1)) / total
        square = np.square(difference).sum(axis=1)
        residual = np.sqrt(square / np.where(rows.inside, np.square(data), 0.0).sum(axis=1))
        return gain, square / expected, rows.inside.mean(axis=1), residual


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
        Centre in the unit of the offsets.
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
        Z, and values and curvatures of its spline, shapes (V, N), (V, 2N).
    offsets
        Offsets, increasing, shape (N,).
    expected
        Sum of squares for noise of unit variance, at evenly spaced centres from the first offset to the last, shape (T,).
    reach, tolerance
        How far from the start to search, and how finely.
    centre
        Start, overwritten, shape (V,).
    inside
        Whether the optimum is not at the edge of the search, to be filled, shape (V,).
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
