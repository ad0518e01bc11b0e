"""Compiled fit of tissue and fluid in one voxel.

The profile of the voxel is that of tissue plus β times that of fluid, whose shape (E2, b) is known; both precess by the same θ and
have the phase of the amplitude A. As in `profile_kernels`, A is profiled out; the iteration moves logit E2, logit b, θ and β.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bssfp.profile_kernels import (
    LARGEST_LAST_STEP,
    LARGEST_STEP,
    LIMIT,
    RELATIVE_STEP,
    STEP_TO_STDEV,
    moved_logit,
)

_FAST = {"contract", "reassoc", "nsz", "arcp"}

UNKNOWNS = 4
"""E2, b and θ of the tissue, and β."""

COLUMNS = 7
"""Profile, its slopes by the unknowns, and by E2 and b of the fluid."""


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _columns(
    cosine: NDArray, sine: NDArray, e: float, b: float, theta: float, beta: float, ef: float, bf: float, out: NDArray
) -> None:
    """Write the profile and its slopes by E2, b, θ, β and by E2 and b of the fluid, shape (7, N)."""
    c, s = math.cos(theta), math.sin(theta)
    for j in range(cosine.size):
        cos_psi = c * cosine[j] + s * sine[j]
        sin_psi = s * cosine[j] - c * sine[j]
        turn = complex(cos_psi, -sin_psi)
        inverse = 1.0 / (1.0 - b * cos_psi)
        below = 1.0 / (1.0 - bf * cos_psi)
        p = (1.0 - e * turn) * inverse
        q = (1.0 - ef * turn) * below
        slope_p = 1j * e * turn * inverse - p * b * sin_psi * inverse
        slope_q = 1j * ef * turn * below - q * bf * sin_psi * below
        out[0, j] = p + beta * q
        out[1, j] = -turn * inverse
        out[2, j] = p * cos_psi * inverse
        out[3, j] = slope_p + beta * slope_q
        out[4, j] = q
        out[5, j] = -beta * turn * below
        out[6, j] = beta * q * cos_psi * below


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _equations(signal: NDArray, columns: NDArray, matrix: NDArray, descent: NDArray, shares: NDArray) -> tuple:
    """Write the reduced information of all slopes, the descent and the shares of the amplitude; return A and |A|²G."""
    number = signal.size
    g = 0.0
    projected = 0j
    for j in range(number):
        f = columns[0, j]
        g += f.real * f.real + f.imag * f.imag
        projected += f.conjugate() * signal[j]
    amplitude = projected / g
    power = amplitude.real**2 + amplitude.imag**2
    for k in range(COLUMNS - 1):
        share = 0j
        along = 0j
        for j in range(number):
            share += columns[0, j].conjugate() * columns[k + 1, j]
            along += columns[k + 1, j].conjugate() * signal[j]
        shares[k] = share / g
        # Re conj(A) (h_k - conj(G_0k) A)
        if k < UNKNOWNS:
            descent[k] = (amplitude.conjugate() * along).real - power * share.real
    for k in range(COLUMNS - 1):
        for m in range(k, COLUMNS - 1):
            total = 0.0
            for j in range(number):
                x, y = columns[k + 1, j], columns[m + 1, j]
                total += x.real * y.real + x.imag * y.imag
            x, y = shares[k], shares[m]
            matrix[k, m] = power * (total - g * (x.real * y.real + x.imag * y.imag))
            matrix[m, k] = matrix[k, m]
    return amplitude, power * g


@njit(nogil=True, cache=True, error_model="numpy")
def _factor(matrix: NDArray, scale: NDArray, damping: float, lower: NDArray) -> bool:
    """Write the Cholesky factor of the scaled and damped information; return whether it was positive definite."""
    for row in range(UNKNOWNS):
        for column in range(row + 1):
            value = matrix[row, column] * scale[row] * scale[column]
            if row == column:
                value *= 1.0 + damping
            limit = 1e-13 * value
            for k in range(column):
                value -= lower[row, k] * lower[column, k]
            if row == column:
                if not value > limit:
                    return False
                lower[row, row] = math.sqrt(value)
            else:
                lower[row, column] = value / lower[column, column]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _solve(lower: NDArray, vector: NDArray) -> None:
    """Solve in place with a Cholesky factor."""
    for row in range(UNKNOWNS):
        for k in range(row):
            vector[row] -= lower[row, k] * vector[k]
        vector[row] /= lower[row, row]
    for row in range(UNKNOWNS - 1, -1, -1):
        for k in range(row + 1, UNKNOWNS):
            vector[row] -= lower[k, row] * vector[k]
        vector[row] /= lower[row, row]


@njit(nogil=True, cache=True, error_model="numpy")
def fit_mixed_voxels(
    cycles: NDArray,
    cosine: NDArray,
    sine: NDArray,
    fluid_e2: NDArray,
    fluid_b: NDArray,
    iterations: int,
    e2: NDArray,
    b: NDArray,
    theta: NDArray,
    beta: NDArray,
    amplitude: NDArray,
    covariance: NDArray,
    by_fluid: NDArray,
    residual_sum: NDArray,
    converged: NDArray,
) -> None:
    """Fit tissue and fluid in every voxel; `e2`, `b`, `theta`, `beta` hold the start and are overwritten.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    cosine, sine
        Cosine and sine of the increments, shape (N,).
    fluid_e2, fluid_b
        E2 and b of fluid, shape (V,).
    iterations
        Most evaluations after the first.
    e2, b, theta, beta
        Natural coordinates of the tissue, and amplitude of fluid over that of tissue, shape (V,).
    amplitude, covariance, by_fluid, residual_sum, converged
        Fields of `fluid.fit.MixedFit`, to be filled.
    """
    number = cycles.shape[1]
    freedom = max(2 * number - 6, 1)
    signal = np.empty(number, dtype=np.complex128)
    columns, new_columns = np.empty((COLUMNS, number), dtype=np.complex128), np.empty((COLUMNS, number), np.complex128)
    matrix, new_matrix = np.empty((COLUMNS - 1, COLUMNS - 1)), np.empty((COLUMNS - 1, COLUMNS - 1))
    descent, new_descent = np.empty(UNKNOWNS), np.empty(UNKNOWNS)
    shares, new_shares = np.empty(COLUMNS - 1, dtype=np.complex128), np.empty(COLUMNS - 1, dtype=np.complex128)
    lower, step, scale = np.zeros((UNKNOWNS, UNKNOWNS)), np.empty(UNKNOWNS), np.ones(UNKNOWNS)
    for voxel in range(cycles.shape[0]):
        energy = 0.0
        for j in range(number):
            signal[j] = cycles[voxel, j]
            energy += signal[j].real ** 2 + signal[j].imag ** 2
        inverse = 1.0 / math.sqrt(energy)
        for j in range(number):
            signal[j] *= inverse
        e, w, t, f = e2[voxel], b[voxel], theta[voxel], beta[voxel]
        ef, bf = fluid_e2[voxel], fluid_b[voxel]
        _columns(cosine, sine, e, w, t, f, ef, bf, columns)
        scaled, explained = _equations(signal, columns, matrix, descent, shares)
        residual = 1.0 - explained
        damping = 1e-3
        settled = False
        for _ in range(iterations):
            scale[0], scale[1] = e * (1.0 - e), w * (1.0 - w)
            if not _factor(matrix, scale, damping, lower):
                if damping > 1e6:
                    break
                damping = 10.0 * damping + 1e-3
                continue
            for k in range(UNKNOWNS):
                step[k] = descent[k] * scale[k]
            _solve(lower, step)
            decrement = 0.0
            for k in range(UNKNOWNS):
                decrement += step[k] * descent[k] * scale[k]
            longest = max(abs(step[0]), abs(step[1]), abs(step[2]), abs(step[3]) / (0.2 + abs(f)))
            if longest > LARGEST_STEP:
                for k in range(UNKNOWNS):
                    step[k] *= LARGEST_STEP / longest
            new_e, new_w, new_t, new_f = moved_logit(e, step[0]), moved_logit(w, step[1]), t + step[2], f + step[3]
            small = decrement < STEP_TO_STDEV**2 * max(residual, 0.0) / freedom or longest < RELATIVE_STEP
            if small and damping < 0.1 and longest < LARGEST_LAST_STEP:
                settled = True
                break
            _columns(cosine, sine, new_e, new_w, new_t, new_f, ef, bf, new_columns)
            new_scaled, new_explained = _equations(signal, new_columns, new_matrix, new_descent, new_shares)
            new_residual = 1.0 - new_explained
            if new_residual <= residual + 1e-15:
                e, w, t, f = new_e, new_w, new_t, new_f
                scaled, residual = new_scaled, new_residual
                columns, new_columns = new_columns, columns
                matrix, new_matrix = new_matrix, matrix
                descent, new_descent = new_descent, descent
                shares, new_shares = new_shares, shares
                damping *= 0.1
            else:
                damping = max(10.0 * damping, 1e-3)
                if damping > 1e8:
                    break
        inside = e > 2.0 * LIMIT and e < 1.0 - 2.0 * LIMIT and w > 2.0 * LIMIT and w < 1.0 - 2.0 * LIMIT
        e2[voxel], b[voxel], beta[voxel] = e, w, f
        theta[voxel] = math.atan2(math.sin(t), math.cos(t))
        amplitude[voxel] = scaled / inverse
        residual_sum[voxel] = max(residual, 0.0) * energy
        scale[0] = scale[1] = 1.0
        regular = _factor(matrix, scale, 0.0, lower)
        converged[voxel] = settled and inside and regular
        if not regular:
            covariance[voxel] = np.inf
            by_fluid[voxel] = np.inf
            continue
        for k in range(UNKNOWNS):
            step[:] = 0.0
            step[k] = 1.0
            _solve(lower, step)
            for m in range(UNKNOWNS):
                covariance[voxel, k, m] = step[m] / energy
        variance = 1.0 / ((1.0 - residual) * energy)
        for m in range(UNKNOWNS):
            cross = 0.0
            for k in range(UNKNOWNS):
                cross -= shares[k].real * covariance[voxel, k, m]
            covariance[voxel, UNKNOWNS, m] = cross
            covariance[voxel, m, UNKNOWNS] = cross
            variance -= shares[m].real * cross
        covariance[voxel, UNKNOWNS, UNKNOWNS] = variance
        # What moves the fluid's shape moves the optimum so that the model stays where it was.
        for column in range(2):
            for k in range(UNKNOWNS):
                step[k] = -matrix[k, UNKNOWNS + column]
            _solve(lower, step)
            moved = -shares[UNKNOWNS + column].real
            for k in range(UNKNOWNS):
                by_fluid[voxel, k, column] = step[k]
                moved -= shares[k].real * step[k]
            by_fluid[voxel, UNKNOWNS, column] = moved


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def score_voxels(
    cycles: NDArray,
    cosine: NDArray,
    sine: NDArray,
    fluid_e2: NDArray,
    fluid_b: NDArray,
    e2: NDArray,
    b: NDArray,
    theta: NDArray,
    score: NDArray,
    stdev: NDArray,
) -> None:
    """Write what the residual of a fit of tissue alone says of fluid, to first order.

    Parameters
    ----------
    cycles, cosine, sine, fluid_e2, fluid_b
        See `fit_mixed_voxels`.
    e2, b, theta
        Optimum of the fit of tissue alone, shape (V,).
    score
        β to first order, shape (V,).
    stdev
        Its standard deviation for noise of unit standard deviation, shape (V,).
    """
    number = cycles.shape[1]
    signal = np.empty(number, dtype=np.complex128)
    columns = np.empty((COLUMNS, number), dtype=np.complex128)
    matrix, descent = np.empty((COLUMNS - 1, COLUMNS - 1)), np.empty(UNKNOWNS)
    shares = np.empty(COLUMNS - 1, dtype=np.complex128)
    lower, step, scale = np.zeros((UNKNOWNS, UNKNOWNS)), np.empty(UNKNOWNS), np.ones(UNKNOWNS)
    for voxel in range(cycles.shape[0]):
        for j in range(number):
            signal[j] = cycles[voxel, j]
        _columns(cosine, sine, e2[voxel], b[voxel], theta[voxel], 0.0, fluid_e2[voxel], fluid_b[voxel], columns)
        _equations(signal, columns, matrix, descent, shares)
        if not _factor(matrix, scale, 0.0, lower):
            score[voxel] = stdev[voxel] = np.nan
            continue
        # The last pivot is what the fluid adds beyond the tangent space of tissue.
        last = lower[3, 3]
        step[:] = descent
        for row in range(UNKNOWNS):
            for k in range(row):
                step[row] -= lower[row, k] * step[k]
            step[row] /= lower[row, row]
        score[voxel] = step[3] / last
        stdev[voxel] = 1.0 / last
