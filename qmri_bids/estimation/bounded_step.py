"""Compiled parts that the bounded Levenberg-Marquardt fits share: solution on the free parameters, and covariance.

A parameter that lies on a bound and whose descent direction points outward is held there (the active set of a projected Newton
method: Bertsekas, SIAM J Control Optim 20:221, 1982); all others move together, and a step is cut at the bounds.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

PIVOT = 1e-13
"""A pivot of the scaled information below this counts as zero: the parameter is told by the others."""


@njit(nogil=True, cache=True, error_model="numpy")
def find_free(
    parameters: NDArray,
    lower: NDArray,
    upper: NDArray,
    information: NDArray,
    descent: NDArray,
    free: NDArray,
    active: NDArray,
) -> int:
    """Write the indices of the parameters that may move and mark those that their bounds hold; return how many are free.

    Parameters
    ----------
    parameters, lower, upper
        Point and box, shape (n,). Equal bounds fix a parameter.
    information
        JᵀJ, shape (n, n). A parameter without any, such as the width of a pool of zero amplitude, cannot move.
    descent
        Jᵀ(data - model), shape (n,).
    free
        Indices of the parameters that may move, to be filled, shape (n,).
    active
        Whether a bound, or the lack of information, holds the parameter, shape (n,); never for a fixed one.
    """
    number = 0
    for k in range(parameters.size):
        active[k] = False
        if not upper[k] > lower[k]:
            continue
        if not information[k, k] > 0.0:
            active[k] = True
            continue
        if (parameters[k] <= lower[k] and descent[k] < 0.0) or (parameters[k] >= upper[k] and descent[k] > 0.0):
            active[k] = True
            continue
        free[number] = k
        number += 1
    return number


@njit(nogil=True, cache=True, error_model="numpy")
def factorise(
    information: NDArray, free: NDArray, number: int, damping: float, factor: NDArray, scale: NDArray
) -> bool:
    """Write the Cholesky factor of the free block, scaled to a unit diagonal and with `damping` added to that.

    Parameters
    ----------
    information
        JᵀJ, symmetric, lower triangle read, shape (n, n).
    free, number
        Indices of the block, and how many.
    damping
        Damping of Marquardt, relative to the diagonal.
    factor, scale
        Lower triangle of the factor, and square root of the diagonal of the information, to be filled.

    Returns
    -------
    bool
        Whether the block is positive definite.
    """
    for a in range(number):
        diagonal = information[free[a], free[a]]
        if not diagonal > 0.0:
            return False
        scale[a] = math.sqrt(diagonal)
    for a in range(number):
        for b in range(a + 1):
            total = information[free[a], free[b]] / (scale[a] * scale[b])
            if a == b:
                total += damping
            for k in range(b):
                total -= factor[a, k] * factor[b, k]
            if a == b:
                if not total > PIVOT:
                    return False
                factor[a, a] = math.sqrt(total)
            else:
                factor[a, b] = total / factor[b, b]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def solve_factored(factor: NDArray, scale: NDArray, number: int, right: NDArray) -> None:
    """Solve in place for a right-hand side of the free block, shape (number,)."""
    for a in range(number):
        total = right[a] / scale[a]
        for k in range(a):
            total -= factor[a, k] * right[k]
        right[a] = total / factor[a, a]
    for a in range(number - 1, -1, -1):
        total = right[a]
        for k in range(a + 1, number):
            total -= factor[k, a] * right[k]
        right[a] = total / factor[a, a]
    for a in range(number):
        right[a] /= scale[a]


@njit(nogil=True, cache=True, error_model="numpy")
def write_covariance(
    information: NDArray, free: NDArray, number: int, factor: NDArray, scale: NDArray, column: NDArray, out: NDArray
) -> bool:
    """Write the inverse of the information of the free parameters; zero for those that are held, infinite if singular."""
    out[:] = 0.0
    if not factorise(information, free, number, 0.0, factor, scale):
        for a in range(number):
            out[free[a], free[a]] = np.inf
        return False
    for a in range(number):
        column[:number] = 0.0
        column[a] = 1.0
        solve_factored(factor, scale, number, column)
        for b in range(number):
            out[free[b], free[a]] = column[b]
    return True
