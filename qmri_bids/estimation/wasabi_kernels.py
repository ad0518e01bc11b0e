"""Compiled WASABI fit: a dictionary of B1 and off-resonance for the start, then Levenberg-Marquardt within a box.

Z is the modulus of c - d·g, g the fringe of `physics.wasabi`. With a sign for every offset it is linear in c and d; the dictionary
takes those of a few ratios c/d and projects c and d out, the iteration those of its own point.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bounded_step import factorise, find_free, solve_factored, write_covariance

STEP_TO_STDEV = 0.01
"""Converged when the predicted gain says that the point is within this fraction of a standard deviation of the optimum, or …"""

RELATIVE_GAIN = 1e-20
"""… when it is this small against the energy of the signal: noise-free data have no standard deviation."""

LARGEST_DAMPING = 1e9

STARTS = 5
"""Parts of the range of off-resonance, from the best entry of each of which the iteration is begun; the best end is kept."""

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def evaluate(
    offsets: NDArray,
    z: NDArray,
    nutation: float,
    duration: float,
    parameters: NDArray,
    jacobian: NDArray,
    residual: NDArray,
) -> float:
    """Write Jacobian and residual of the model at (off-resonance [Hz], B1, c, d), return the sum of squares of the residual."""
    shift, b1, c, d = parameters[0], parameters[1], parameters[2], parameters[3]
    power = (b1 * nutation) ** 2
    total = 0.0
    for j in range(offsets.size):
        detuning = offsets[j] - shift
        square = power + detuning * detuning
        frequency = math.sqrt(square)
        sine, cosine = math.sin(math.pi * duration * frequency), math.cos(math.pi * duration * frequency)
        share = power / square
        wave = sine * sine
        fringe = share * wave
        # By the squares of effective frequency and of nutation.
        wave_by_square = math.pi * duration * sine * cosine / frequency
        by_square = share * (wave_by_square - wave / square)
        level = c - d * fringe
        sign = 1.0 if level >= 0.0 else -1.0
        residual[j] = z[j] - sign * level
        jacobian[0, j] = sign * 2.0 * d * detuning * by_square
        jacobian[1, j] = -sign * d * 2.0 * b1 * nutation * nutation * (by_square + wave / square)
        jacobian[2, j] = sign
        jacobian[3, j] = -sign * fringe
        total += residual[j] * residual[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def search(z: NDArray, signs: NDArray, signed_fringes: NDArray, sums: NDArray, best: NDArray, level: NDArray) -> None:
    """Find in each of S parts of the dictionary the entry that leaves the least residual, c and d projected out.

    Parameters
    ----------
    z
        One signal, shape (N,).
    signs, signed_fringes
        Of every entry of one dictionary, in the order of off-resonance, shape (K, N).
    sums
        Σ g and Σ g² of every entry, shape (K, 2).
    best, level
        Filled: index, -1 where a part has none, and (c, d); shapes (S,), (S, 2).
    """
    number, entries, parts = z.size, signs.shape[0], best.size
    for part in range(parts):
        best[part] = -1
        least = np.inf
        for k in range(part * entries // parts, (part + 1) * entries // parts):
            plain = 0.0
            fringed = 0.0
            for j in range(number):
                plain += signs[k, j] * z[j]
                fringed += signed_fringes[k, j] * z[j]
            total, square = sums[k, 0], sums[k, 1]
            determinant = number * square - total * total
            if not determinant > 1e-9 * number * square:
                continue
            c = (square * plain - total * fringed) / determinant
            d = (total * plain - number * fringed) / determinant
            if not (c > 0.0 and d > 0.0):
                continue
            residual = -(c * plain - d * fringed)
            if residual < least:
                best[part], least = k, residual
                level[part, 0], level[part, 1] = c, d


@njit(nogil=True, cache=True, error_model="numpy")
def fit_voxels(
    z: NDArray,
    offsets: NDArray,
    nutation: float,
    duration: float,
    grid: NDArray,
    signs: NDArray,
    signed_fringes: NDArray,
    sums: NDArray,
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
        Signal, shape (V, N).
    offsets, nutation, duration
        Offsets [Hz], nominal nutation frequency [Hz], duration of the pulse [s].
    grid
        Off-resonance [Hz] and B1 of the entries of the dictionary, shape (K, 2).
    signs, signed_fringes, sums
        As in `search`, of every ratio c/d, shapes (R, K, N), (R, K, N), (K, 2).
    lower, upper
        Box of (off-resonance, B1, c, d), shape (4,).
    iterations
        Most evaluations after the first, of each start.
    parameters, covariance, residual_sum, active, converged
        Filled: shapes (V, 4), (V, 4, 4), (V,), (V, 4), (V,). NaN and not converged where the signal is not finite or zero.
    """
    number = offsets.size
    old_j, old_r, new_j, new_r = np.empty((4, number)), np.empty(number), np.empty((4, number)), np.empty(number)
    information, factor = np.empty((4, 4)), np.empty((4, 4))
    descent, scale, step = np.empty(4), np.empty(4), np.empty(4)
    point, new_point = np.empty(4), np.empty(4)
    free, held = np.empty(4, dtype=np.int64), np.empty(4, dtype=np.bool_)
    best, level = np.empty(STARTS, dtype=np.int64), np.empty((STARTS, 2))
    for voxel in range(z.shape[0]):
        data = z[voxel]
        energy = 0.0
        for j in range(number):
            energy += data[j] * data[j]
        parameters[voxel] = np.nan
        covariance[voxel] = np.nan
        residual_sum[voxel] = np.nan
        active[voxel] = False
        converged[voxel] = False
        if not (energy > 0.0 and energy < np.inf):
            continue
        for trial in range(STARTS * signs.shape[0]):
            ratio, place = divmod(trial, STARTS)
            if place == 0:
                search(data, signs[ratio], signed_fringes[ratio], sums, best, level)
            if best[place] < 0:
                continue
            point[0], point[1] = grid[best[place], 0], grid[best[place], 1]
            point[2], point[3] = level[place, 0], level[place, 1]
            for k in range(4):
                point[k] = min(max(point[k], lower[k]), upper[k])
            cost = evaluate(offsets, data, nutation, duration, point, old_j, old_r)
            damping, growth = 1e-3, 2.0
            settled = False
            fresh = True
            for _ in range(iterations):
                if fresh:
                    for a in range(4):
                        descent[a] = np.dot(old_j[a], old_r)
                        for b in range(a + 1):
                            information[a, b] = np.dot(old_j[a], old_j[b])
                    fresh = False
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
                new_point[:] = point
                for a in range(count):
                    k = free[a]
                    gain += step[a] * (descent[k] + damping * scale[a] * scale[a] * step[a])
                    new_point[k] = min(max(point[k] + step[a], lower[k]), upper[k])
                limit = max(STEP_TO_STDEV * STEP_TO_STDEV * cost / max(number - count, 1), RELATIVE_GAIN * energy)
                new_cost = evaluate(offsets, data, nutation, duration, new_point, new_j, new_r)
                # 1e-15: rounding of a sum; without it a step at the optimum is refused for ever.
                better = new_cost <= cost + 1e-15 * energy
                if better:
                    fidelity = (cost - new_cost) / max(gain, 1e-300)
                    point[:] = new_point
                    cost = new_cost
                    old_j, new_j = new_j, old_j
                    old_r, new_r = new_r, old_r
                    fresh = True
                    damping *= max(0.1, 1.0 - (2.0 * fidelity - 1.0) ** 3)
                    growth = 2.0
                if gain < limit and (damping < 0.1 or not better):
                    settled = True
                    break
                if not better:
                    damping *= growth
                    growth *= 2.0
                    if damping > LARGEST_DAMPING:
                        break
            if cost >= residual_sum[voxel]:
                continue
            evaluate(offsets, data, nutation, duration, point, old_j, old_r)
            for a in range(4):
                descent[a] = np.dot(old_j[a], old_r)
                for b in range(a + 1):
                    information[a, b] = np.dot(old_j[a], old_j[b])
            count = find_free(point, lower, upper, information, descent, free, held)
            regular = write_covariance(information, free, count, factor, scale, step, covariance[voxel])
            parameters[voxel] = point
            active[voxel] = held
            residual_sum[voxel] = cost
            converged[voxel] = settled and regular
