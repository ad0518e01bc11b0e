"""Compiled quadrature of the posterior of (T1, T2), voxel by voxel.

The likelihood is taken as elliptical in u = (-log E2)^¼ = (TR/T2)^¼ and w = (b/(1 - b))^¼. Powers and logarithms were compared for
the first, and a root between logarithm and square root held the stated probability of the intervals best; the second is of the same
kind without a logarithm, and the intervals of the pair are tested down to four cycles. Both are cheap on a grid in log T1, log T2:
with c = cos(B1·FA) and, of T1 alone, A = (1 - E1)(1 + c), B = 1 - E1 c, D = E1 - c,

    b/(1 - b) = q/(p - q) = E2 A / ((1 - E2)(B + E2 D)).

The grid of a voxel consists of equal cells of log T1 and log T2. It spans what the ellipse of a given radius about the
maximum-likelihood point and the support of the prior have in common, so that the edges of a support are edges of cells.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

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
def _marginal(mass: NDArray, time: NDArray, low: float, high: float, levels: NDArray, out: NDArray) -> None:
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
        Of T1 and T2, shape (V, 2, 2 + levels); not written where there is no posterior.
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
            _marginal(mass_1, time[0], window[0], window[1], levels, moments[v, 0])
            _marginal(mass_2, time[1], window[2], window[3], levels, moments[v, 1])
