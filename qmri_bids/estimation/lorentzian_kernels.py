"""Compiled Levenberg-Marquardt fit of a sum of Lorentzian pools within a box, voxel by voxel.

The iteration moves the logarithm of the widths: a valley in which a line grows wider and flatter is straighter in it.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bounded_step import factorise, find_free, solve_factored, write_covariance

STEP_TO_STDEV = 0.01
"""Converged when the predicted gain says that the point is within this fraction of a standard deviation of the optimum, or …"""

RELATIVE_GAIN = 1e-18
"""… when it is this small against the energy of the spectrum: noise-free data have no standard deviation."""

LARGEST_DAMPING = 1e9

SMALL_DAMPING = 1e-3
"""Below it a step is as good as undamped."""

LARGEST_STEP = 1.0
"""Largest step of the logarithm of a width."""

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def evaluate(
    offsets: NDArray, z: NDArray, weight: NDArray, parameters: NDArray, jacobian: NDArray, residual: NDArray
) -> float:
    """Write Jacobian and residual of the model, return the sum of squares of the residual.

    Parameters
    ----------
    offsets, z
        Offsets [ppm] and Z, shape (N,).
    weight
        One where the offset counts, zero where not, shape (N,).
    parameters
        Baseline, then amplitude, width [ppm] and position [ppm] of each pool, shape (1 + 3P,).
    jacobian
        Filled, with respect to the logarithm of the widths, shape (1 + 3P, N).
    residual
        Filled with z - model, shape (N,).
    """
    number = offsets.size
    for j in range(number):
        jacobian[0, j] = weight[j]
        residual[j] = z[j] - parameters[0]
    for k in range(1, parameters.size, 3):
        amplitude, width, position = parameters[k], parameters[k + 1], parameters[k + 2]
        square = 0.25 * width * width
        by_position = 2.0 * amplitude / square
        for j in range(number):
            distance = offsets[j] - position
            line = square / (square + distance * distance)
            residual[j] += amplitude * line
            jacobian[k, j] = -weight[j] * line
            jacobian[k + 1, j] = -weight[j] * 2.0 * amplitude * line * (1.0 - line)
            jacobian[k + 2, j] = -weight[j] * by_position * distance * line * line
    total = 0.0
    for j in range(number):
        residual[j] *= weight[j]
        total += residual[j] * residual[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def normal_equations(jacobian: NDArray, residual: NDArray, information: NDArray, descent: NDArray) -> None:
    """Write JᵀJ (lower triangle) and Jᵀr."""
    number = residual.size
    for a in range(jacobian.shape[0]):
        total = 0.0
        for j in range(number):
            total += jacobian[a, j] * residual[j]
        descent[a] = total
        for b in range(a + 1):
            total = 0.0
            for j in range(number):
                total += jacobian[a, j] * jacobian[b, j]
            information[a, b] = total


@njit(nogil=True, cache=True, error_model="numpy")
def fit_voxels(
    z: NDArray,
    offsets: NDArray,
    shift: NDArray,
    start: NDArray,
    lower: NDArray,
    upper: NDArray,
    iterations: int,
    parameters: NDArray,
    covariance: NDArray,
    residual_sum: NDArray,
    active: NDArray,
    converged: NDArray,
) -> None:
    """Fit every voxel.

    Parameters
    ----------
    z
        Z-spectra, shape (V, N). An offset with NaN is left out.
    offsets
        Offsets [ppm], shape (N,).
    shift
        Shift of water, taken off the offsets [ppm], shape (V,).
    start, lower, upper
        Start and box, shape (n,), n = 1 + 3P.
    iterations
        Most evaluations after the first.
    parameters, covariance, residual_sum, active, converged
        Filled: shapes (V, n), (V, n, n), (V,), (V, n), (V,). NaN and not converged where
        no more offsets are finite than parameters free.
    """
    number, size = offsets.size, start.size
    x, y, weight = np.empty(number), np.empty(number), np.empty(number)
    old_j, old_r = np.empty((size, number)), np.empty(number)
    new_j, new_r = np.empty((size, number)), np.empty(number)
    information, factor = np.empty((size, size)), np.empty((size, size))
    descent, scale, step = np.empty(size), np.empty(size), np.empty(size)
    point, new_point = np.empty(size), np.empty(size)
    free, held = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.bool_)
    for voxel in range(z.shape[0]):
        used, needed = 0, 0
        for k in range(size):
            needed += upper[k] > lower[k]
        energy = 0.0
        for j in range(number):
            x[j] = offsets[j] - shift[voxel]
            y[j], weight[j] = 0.0, 0.0
            if np.isfinite(z[voxel, j]):
                y[j], weight[j] = z[voxel, j], 1.0
                energy += y[j] * y[j]
                used += 1
        if used <= needed or not np.isfinite(shift[voxel]) or not energy > 0.0:
            parameters[voxel] = np.nan
            covariance[voxel] = np.nan
            residual_sum[voxel] = np.nan
            active[voxel] = False
            converged[voxel] = False
            continue
        point[:] = start
        cost = evaluate(x, y, weight, point, old_j, old_r)
        normal_equations(old_j, old_r, information, descent)
        damping, growth = 1e-2, 2.0
        settled = False
        for _ in range(iterations):
            count = find_free(point, lower, upper, information, descent, free, held)
            if not factorise(information, free, count, damping, factor, scale):
                damping = 10.0 * damping + 1e-10
                if damping > LARGEST_DAMPING:
                    break
                continue
            for a in range(count):
                step[a] = descent[free[a]]
            solve_factored(factor, scale, count, step)
            gain = 0.0
            for a in range(count):
                gain += step[a] * (descent[free[a]] + damping * scale[a] * scale[a] * step[a])
            new_point[:] = point
            for a in range(count):
                k = free[a]
                growing = math.exp(min(max(step[a], -LARGEST_STEP), LARGEST_STEP))
                moved = point[k] * growing if k % 3 == 2 else point[k] + step[a]
                new_point[k] = min(max(moved, lower[k]), upper[k])
            limit = max(STEP_TO_STDEV * STEP_TO_STDEV * cost / max(used - count, 1), RELATIVE_GAIN * energy)
            small = gain < limit
            if small and damping > SMALL_DAMPING and factorise(information, free, count, 0.0, factor, scale):
                # Only an undamped step tells how far the optimum is.
                for a in range(count):
                    step[a] = descent[free[a]]
                solve_factored(factor, scale, count, step)
                undamped_gain = 0.0
                for a in range(count):
                    undamped_gain += step[a] * descent[free[a]]
                small = undamped_gain < limit
            new_cost = evaluate(x, y, weight, new_point, new_j, new_r)
            if small:
                if new_cost <= cost:
                    point[:] = new_point
                    cost = new_cost
                    normal_equations(new_j, new_r, information, descent)
                settled = True
                break
            if new_cost <= cost:
                ratio = (cost - new_cost) / max(gain, 1e-300)
                point[:] = new_point
                cost = new_cost
                old_j, new_j = new_j, old_j
                old_r, new_r = new_r, old_r
                normal_equations(old_j, old_r, information, descent)
                # Nielsen's rule (IMM-REP-1999-05): damping follows how well the quadratic model predicted.
                damping *= max(0.1, 1.0 - (2.0 * ratio - 1.0) ** 3)
                growth = 2.0
            else:
                damping *= growth
                growth *= 2.0
            if damping > LARGEST_DAMPING:
                break
        count = find_free(point, lower, upper, information, descent, free, held)
        active[voxel] = held
        regular = write_covariance(information, free, count, factor, scale, step, covariance[voxel])
        for k in range(2, size, 3):
            for a in range(size):
                covariance[voxel, k, a] *= point[k]
                covariance[voxel, a, k] *= point[k]
        parameters[voxel] = point
        residual_sum[voxel] = cost
        converged[voxel] = settled and regular
