"""Posterior of T1 and T2 under an explicit prior, by quadrature.

Point, covariance and noise of the maximum-likelihood fit in natural coordinates are, to a good approximation, sufficient: in
coordinates close to (E2, b) the likelihood is Gaussian, or Student's t where the noise variance is itself an estimate, and B1, TR
and flip angle enter exactly. Any prior can follow without training.

A prior pulls. What comes out is to be named after its prior and is no replacement for the maximum-likelihood map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.bssfp.profile_fit import NaturalFit
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.system.blocks import run_blocks

ELLIPSE_ROWS = 9
"""Values of T2 at which the extent of the ellipse along T1 is sought."""

LARGEST_EXPONENT = 40.0
"""Twice the negative logarithm of the likelihood is cut here: e^-20 stands for everything less likely."""

FAR = 1e30
"""Stands for an infinite squared distance where infinities are assumed away."""

MEAN, STDEV, QUANTILES = 0, 1, 2
"""Columns of the moments of a marginal: mean, standard deviation, then the quantiles."""

_FAST = {"contract", "reassoc", "nsz", "arcp", "nnan"}


@njit(nogil=True, cache=True, error_model="numpy")
def _log_t1(e2: float, w: float, cosine: float, repetition_time: float) -> float:
    """Return log T1 of the point (E2, w): infinite where the point lies beyond T1 = 0 or T1 = ∞."""
    if w <= 0.0:
        return math.inf
    odds = w**4
    b = odds / (1.0 + odds)
    difference = e2 * (1.0 + cosine) - b * (1.0 + e2 * e2 * cosine)
    if difference <= 0.0:
        return -math.inf
    e1 = difference / (e2 * (1.0 + cosine) - b * (cosine + e2 * e2))
    return math.log(-repetition_time / math.log(e1)) if e1 < 1.0 else math.inf


@njit(nogil=True, cache=True, error_model="numpy")
def _window(
    point: NDArray, cosine: float, repetition_time: float, radius: float, support: NDArray, window: NDArray
) -> bool:
    """Write the ranges of log T1 and log T2 that ellipse and support share; False where they share nothing."""
    u_hat, w_hat, var_u, cov_uw, var_w = point[0], point[1], point[2], point[3], point[4]
    reach = radius * math.sqrt(var_u)
    u_low = max(u_hat - reach, (repetition_time / math.exp(support[3])) ** 0.25)
    u_high = min(u_hat + reach, (repetition_time / math.exp(support[2])) ** 0.25)
    if not u_low < u_high:
        return False
    slope = cov_uw / var_u
    conditional = math.sqrt(var_w - slope * cov_uw)
    low, high = math.inf, -math.inf
    for row in range(ELLIPSE_ROWS):
        u = u_low + (u_high - u_low) * row / (ELLIPSE_ROWS - 1)
        left = radius * radius - (u - u_hat) ** 2 / var_u
        half = conditional * math.sqrt(max(left, 0.0))
        centre = w_hat + slope * (u - u_hat)
        e2 = math.exp(-(u**4))
        low = min(low, _log_t1(e2, centre + half, cosine, repetition_time))
        high = max(high, _log_t1(e2, centre - half, cosine, repetition_time))
    window[0], window[1] = max(low, support[0]), min(high, support[1])
    window[2] = max(math.log(repetition_time) - 4.0 * math.log(u_high), support[2])
    window[3] = min(math.log(repetition_time) - 4.0 * math.log(u_low), support[3])
    return window[0] < window[1] and window[2] < window[3]


@njit(nogil=True, cache=True, error_model="numpy")
def _axis(low: float, high: float, edge: float, step: float, last: int, time: NDArray, place: NDArray) -> None:
    """Write the centres [s] of the cells of an axis and their place in the table of the prior, in table cells."""
    cells = time.size
    width = (high - low) / cells
    ratio = math.exp(width)
    value = math.exp(low + 0.5 * width)
    for j in range(cells):
        time[j] = value
        value *= ratio
        place[j] = min(max((low + (j + 0.5) * width - edge) / step, 0.0), last - 1e-9)


@njit(nogil=True, cache=True, error_model="numpy")
def _marginal_moments(mass: NDArray, time: NDArray, low: float, high: float, levels: NDArray, out: NDArray) -> None:
    """Write mean, standard deviation and quantiles of the masses of the cells of one axis."""
    total = mean = 0.0
    for j in range(mass.size):
        total += mass[j]
        mean += mass[j] * time[j]
    mean /= total
    square = 0.0
    for j in range(mass.size):
        square += mass[j] * (time[j] - mean) ** 2
    out[MEAN], out[STDEV] = mean, math.sqrt(square / total)
    width = (high - low) / mass.size
    level = 0
    below = 0.0
    for j in range(mass.size):
        above = below + mass[j] / total
        while level < levels.size and above >= levels[level]:
            out[QUANTILES + level] = math.exp(low + width * (j + (levels[level] - below) / (above - below)))
            level += 1
        below = above


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _squared_distances(
    point: NDArray, precision: NDArray, u: float, e2: float, columns: NDArray, square: NDArray
) -> None:
    """Write the squared distance of the cells of one row from the maximum-likelihood point.

    With r the ratio of the odds b/(1 - b) and s = r^¼ the difference w - ŵ is ŵ (r - 1)/((s + 1)(s² + 1)). Only r - 1 cancels;
    it is taken in double precision, all else in single, so that a narrow likelihood is resolved as well as a wide one.
    """
    du = u - point[0]
    w_hat = np.float32(point[1])
    constant = np.float32(precision[0] * du * du)
    linear = np.float32(2.0 * precision[1] * du)
    curvature = np.float32(precision[2])
    factor = e2 / ((1.0 - e2) * point[1] ** 4)
    one = np.float32(1.0)
    for j in range(square.size):
        denominator = columns[1, j] + e2 * columns[2, j]
        excess = np.float32(factor * columns[0, j] - denominator) / np.float32(denominator)
        half = math.sqrt(one + excess)
        dw = w_hat * excess / ((math.sqrt(half) + one) * (half + one))
        square[j] = max(constant + dw * (linear + curvature * dw), np.float32(0.0))


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _student_exponents(freedom: float, square: NDArray, exponent: NDArray) -> None:
    """Write (ν + 2) log(1 + square/ν): twice the negative logarithm of Student's t in two dimensions.

    With t the eighth root of 1 + x, log(1 + x) = 16 artanh z where z = (t - 1)/(t + 1) is small: four terms suffice. The factors of
    t⁸ - 1 = x give z without cancellation, and without a call the loop runs in vector lanes.
    """
    one = np.float32(1.0)
    inverse, factor = np.float32(1.0 / freedom), np.float32(16.0 * (freedom + 2.0))
    for j in range(square.size):
        x = square[j] * inverse
        half = math.sqrt(one + x)
        quarter = math.sqrt(half)
        eighth = math.sqrt(quarter) + one
        z = x / ((half + one) * (quarter + one) * eighth * eighth)
        y = z * z
        exponent[j] = factor * z * (one + y * (np.float32(1 / 3) + y * (np.float32(1 / 5) + y * np.float32(1 / 7))))


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _blend(lower: NDArray, upper: NDArray, part: float, weight: float, out: NDArray) -> None:
    """Write the table of the prior between two of its rows, times the weight of the row."""
    first, second = np.float32((1.0 - part) * weight), np.float32(part * weight)
    for k in range(out.size):
        out[k] = first * lower[k] + second * upper[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _look_up(table: NDArray, place: NDArray, part: NDArray, weight: NDArray, out: NDArray) -> None:
    """Write the prior mass of the cells of one row by linear interpolation along T1."""
    for j in range(out.size):
        left = table[place[j]]
        out[j] = (left + part[j] * (table[place[j] + np.uint64(1)] - left)) * weight[j]


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _add_masses(exponent: NDArray, prior: NDArray, row: NDArray, mass: NDArray) -> float:
    """Add the masses exp(-exponent/2)·prior of one row; return their sum."""
    one = np.float32(1.0)
    for j in range(mass.size):
        # The exponential from a short series squared six times, to 1e-5: without a call the loop runs in vector lanes.
        x = min(exponent[j], np.float32(LARGEST_EXPONENT)) * np.float32(-1.0 / 128.0)
        value = one + x * (one + x * (np.float32(1 / 2) + x * (np.float32(1 / 6) + x * np.float32(1 / 24))))
        value *= value
        value *= value
        value *= value
        value *= value
        value *= value
        value *= value
        row[j] = value * prior[j]
    total = 0.0
    for j in range(mass.size):
        mass[j] += row[j]
        total += row[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _keep_nearest(square: NDArray, prior: NDArray, nearest: NDArray) -> None:
    """Keep the smallest squared distance of each column where the prior is positive."""
    for j in range(square.size):
        candidate = square[j] if prior[j] > np.float32(0.0) else np.float32(FAR)
        nearest[j] = min(nearest[j], candidate)


@njit(nogil=True, cache=True, error_model="numpy")
def integrate(
    points: NDArray,
    cosine: NDArray,
    repetition_time: float,
    radius: float,
    farthest: float,
    freedom: float,
    prior: NDArray,
    support: NDArray,
    levels: NDArray,
    cells: int,
    moments: NDArray,
    distance: NDArray,
) -> None:
    """Write the moments of both marginals of every voxel.

    Parameters
    ----------
    points
        û, ŵ and their variances and covariance (uu, uw, ww), shape (V, 5); NaN in a voxel to be passed over.
    cosine
        cos(B1·FA), shape (V,).
    repetition_time
        TR [s].
    radius
        Extent of the grid in standard deviations.
    farthest
        Squared distance of the support from the point above which there is no posterior.
    freedom
        Degrees of freedom of Student's t; infinite for a Gaussian.
    prior
        Density at equal steps of log T2 (rows) and log T1 (columns), from edge to edge of the support.
    support
        Logarithms of the edges: T1 low, T1 high, T2 low, T2 high.
    levels
        Probabilities of the quantiles, ascending.
    cells
        Cells on each axis.
    moments
        Mean [s], standard deviation [s] and quantiles [s] of T1 and T2, shape (V, 2, 2 + levels); not written where there is no
        posterior.
    distance
        Squared distance from the point to the support, shape (V,); infinite where it is beyond the grid.
    """
    window, precision, time = np.empty(4), np.empty(3), np.empty((2, cells))
    place, columns, mass_2 = np.empty((2, cells)), np.empty((3, cells)), np.empty(cells)
    table = np.empty(prior.shape[1], dtype=np.float32)
    node = np.empty(cells, dtype=np.uint64)
    part = np.empty(cells, dtype=np.float32)
    weight = np.empty(cells, dtype=np.float32)
    mass = np.empty(cells, dtype=np.float32)
    row = np.empty(cells, dtype=np.float32)
    square = np.empty(cells, dtype=np.float32)
    nearest = np.empty(cells, dtype=np.float32)
    mass_1 = np.empty(cells, dtype=np.float32)
    last_1, last_2 = prior.shape[1] - 1, prior.shape[0] - 1
    step_1, step_2 = (support[1] - support[0]) / last_1, (support[3] - support[2]) / last_2
    exponent = square if math.isinf(freedom) else np.empty(cells, dtype=np.float32)
    for v in range(len(points)):
        point, c = points[v], cosine[v]
        distance[v] = math.inf
        if not math.isfinite(point[0] + c):
            continue
        if not _window(point, c, repetition_time, radius, support, window):
            continue
        determinant = point[2] * point[4] - point[3] * point[3]
        precision[0], precision[1], precision[2] = (
            point[4] / determinant,
            -point[3] / determinant,
            point[2] / determinant,
        )
        _axis(window[0], window[1], support[0], step_1, last_1, time[0], place[0])
        _axis(window[2], window[3], support[2], step_2, last_2, time[1], place[1])
        for j in range(cells):
            e1 = math.exp(-repetition_time / time[0, j])
            columns[0, j] = (1.0 - e1) * (1.0 + c)
            columns[1, j] = 1.0 - e1 * c
            columns[2, j] = e1 - c
            weight[j] = time[0, j]
            node[j] = np.uint64(place[0, j])
            part[j] = place[0, j] - node[j]
        mass_1[:] = 0.0
        nearest[:] = FAR
        for i in range(cells):
            below = int(place[1, i])
            _blend(prior[below], prior[below + 1], place[1, i] - below, time[1, i], table)
            _look_up(table, node, part, weight, mass)
            ratio = repetition_time / time[1, i]
            _squared_distances(point, precision, math.sqrt(math.sqrt(ratio)), math.exp(-ratio), columns, square)
            if not math.isinf(freedom):
                _student_exponents(freedom, square, exponent)
            mass_2[i] = _add_masses(exponent, mass, row, mass_1)
            _keep_nearest(square, mass, nearest)
        distance[v] = nearest.min()
        if distance[v] <= farthest:
            _marginal_moments(mass_1, time[0], window[0], window[1], levels, moments[v, 0])
            _marginal_moments(mass_2, time[1], window[2], window[3], levels, moments[v, 1])


LEVELS = (0.025, 0.16, 0.84, 0.975)
"""Probabilities of the quantiles: the ends of the central 95 % and 68 % intervals."""

CELLS = 36
"""Cells of the grid on each axis."""

PRIOR_NODES = 96
"""Nodes on each axis of the table into which a prior is sampled."""

OUTSIDE_PROBABILITY = 1e-3
"""A voxel of the support would be refused this often, at most, because its fit lies too far outside the support."""

BLOCK = 4096
"""Voxels handed to a thread at a time."""


class PriorDensity(Protocol):
    """What the quadrature asks of a prior; see `qmri_bids.priors.relaxation`."""

    @property
    def t1(self) -> tuple[float, float]:
        """Support of T1 (low, high) [s]."""
        ...

    @property
    def t2(self) -> tuple[float, float]:
        """Support of T2 (low, high) [s]."""
        ...

    def density(self, t1: NDArray, t2: NDArray) -> NDArray:
        """Return the density per unit T1 and T2, normalised or not."""
        ...


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """Posterior of one relaxation time, V voxels, all in [s]; NaN where there is none.

    Parameters
    ----------
    mean, stdev
        Mean and standard deviation, shape (V,).
    interval_68, interval_95
        Lower and upper end of the central intervals, shape (V, 2).
    """

    mean: NDArray[np.float64]
    stdev: NDArray[np.float64]
    interval_68: NDArray[np.float64]
    interval_95: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Posterior of T1 and T2 of V voxels under one prior.

    Parameters
    ----------
    t1, t2
        The marginals.
    distance
        Distance from the maximum-likelihood point to the support of the prior in standard deviations, shape (V,): 0 inside (to the
        resolution of the grid), infinite where it is beyond the grid or not known.
    status
        CONVERGED; OUT_OF_RANGE where the likelihood lies outside the support; NOT_CONVERGED where the fit has no point or no
        covariance; INVALID_INPUT where B1 or the variance is not a positive number. uint8, shape (V,).
    """

    t1: Marginal
    t2: Marginal
    distance: NDArray[np.float64]
    status: NDArray[np.uint8]


def posterior(
    fit: NaturalFit,
    *,
    variance: NDArray[np.floating],
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    prior: PriorDensity,
    freedom: float = math.inf,
    threads: int = 1,
) -> Posterior:
    """Return the posterior of T1 and T2.

    Parameters
    ----------
    fit
        Maximum-likelihood fit of V voxels.
    variance
        Noise variance of each of real and imaginary part of a cycle, shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.
    prior
        The prior.
    freedom
        Degrees of freedom behind `variance`; infinite where it is known. The likelihood is Student's t of so many.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Posterior
        A voxel whose likelihood lies outside the support has NaN and a status: nothing is squeezed in.

    Raises
    ------
    ValueError
        If shapes do not belong together or the freedom is not positive.
    """
    voxels = len(fit.e2)
    for name, values in (("variance", variance), ("b1", b1)):
        if values.shape != (voxels,):
            raise ValueError(f"{name} must have shape ({voxels},) as the fit has, found {values.shape}")
    if not freedom > 0.0:
        raise ValueError(f"freedom must be positive (infinite where the variance is known), found {freedom}")
    known = np.isfinite(variance) & (variance > 0.0) & np.isfinite(b1) & (b1 > 0.0)
    points = _elliptical_points(fit, variance)
    fitted = np.isfinite(points).all(axis=1) & fit.converged
    points[~(known & fitted)] = math.nan
    cosine = np.cos(np.asarray(b1, dtype=np.float64) * protocol.flip_angle)
    farthest = _squared_radius(OUTSIDE_PROBABILITY, freedom)
    # The grid reaches beyond the farthest point that is accepted, so that its posterior is not cut off.
    radius = max(math.sqrt(_squared_radius(1e-7, math.inf)), 1.3 * math.sqrt(farthest))
    support = np.log(np.array([*prior.t1, *prior.t2], dtype=np.float64))
    table = _tabulate(prior)
    levels = np.array(LEVELS)
    moments = np.full((voxels, 2, QUANTILES + len(LEVELS)), math.nan)
    distance = np.empty(voxels)

    def integrate_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        integrate(
            points[part],
            cosine[part],
            float(protocol.repetition_time),
            radius,
            farthest,
            freedom,
            table,
            support,
            levels,
            CELLS,
            moments[part],
            distance[part],
        )

    run_blocks(integrate_block, voxels, block=BLOCK, threads=threads)
    status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
    status[distance > farthest] = Status.OUT_OF_RANGE
    status[~fitted] = Status.NOT_CONVERGED
    status[~known] = Status.INVALID_INPUT
    return Posterior(
        t1=_marginal(moments[:, 0]), t2=_marginal(moments[:, 1]), distance=np.sqrt(distance), status=status
    )


def _elliptical_points(fit: NaturalFit, variance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return û, ŵ and their variances and covariance, shape (V, 5)."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rate = -np.log(fit.e2)
        u = np.sqrt(np.sqrt(rate))
        w = np.sqrt(np.sqrt(fit.b / (1.0 - fit.b)))
        du = -0.25 * u / (rate * fit.e2)
        dw = 0.25 * w / (fit.b * (1.0 - fit.b))
        scaled = fit.covariance[:, :2, :2] * np.asarray(variance, dtype=np.float64)[:, None, None]
        points = np.stack([u, w, scaled[:, 0, 0] * du**2, scaled[:, 0, 1] * du * dw, scaled[:, 1, 1] * dw**2], axis=1)
        definite = (points[:, 2] > 0.0) & (points[:, 2] * points[:, 4] > points[:, 3] ** 2)
    points[~definite] = math.nan
    return points


def _squared_radius(probability: float, freedom: float) -> float:
    """Return the squared distance that a draw of the bivariate likelihood exceeds with this probability."""
    if math.isinf(freedom):
        return -2.0 * math.log(probability)
    return freedom * (probability ** (-2.0 / freedom) - 1.0)


def _tabulate(prior: PriorDensity) -> NDArray[np.float32]:
    """Return the density on a grid from edge to edge of the support, T2 along rows, relative to its maximum."""
    t1 = np.geomspace(*prior.t1, PRIOR_NODES)
    t2 = np.geomspace(*prior.t2, PRIOR_NODES)
    table = np.ascontiguousarray(prior.density(t1[None, :], t2[:, None]), dtype=np.float64)
    largest = table.max()
    if table.shape != (PRIOR_NODES, PRIOR_NODES) or not (np.isfinite(table).all() and largest > 0.0):
        raise ValueError(
            "the density of a prior must be finite and somewhere positive on its support "
            f"T1 {prior.t1} s, T2 {prior.t2} s, found shape {table.shape}, largest value {largest}"
        )
    return (table / largest).astype(np.float32)


def _marginal(moments: NDArray[np.float64]) -> Marginal:
    outer_low, inner_low, inner_high, outer_high = moments[:, QUANTILES:].T
    return Marginal(
        mean=moments[:, MEAN],
        stdev=moments[:, STDEV],
        interval_68=np.stack([inner_low, inner_high], axis=1),
        interval_95=np.stack([outer_low, outer_high], axis=1),
    )
