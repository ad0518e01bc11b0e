"""MIRACLE as an iterative search: a reference for the closed form.

Nguyen and Bieri, MRM 78:518 (2017) find T1 and T2 by golden-section searches on the magnitudes of F-1, F0 and F1. Here the search
over T2 is nested in that over T1 and both run to convergence, so that the result is the root itself: for each T1 the T2 that
reproduces |F-1|/|F0|, and among these pairs the one that reproduces |F1|/|F0|. About 1500 evaluations of the model a voxel.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import configurations
from qmri_bids.physics.protocol import BssfpProtocol

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
STEPS = 38
"""Of each search: they narrow a range to 1e-8 of its width."""
T1_RANGE = (0.005, 10.0)
T2_RANGE = (0.001, 5.0)


def golden_section_miracle(
    cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return T1 and T2 [s] by nested golden-section searches, one thread.

    Parameters
    ----------
    cycles
        Complex signal of evenly spaced cycles, shape (V, N).
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.

    Returns
    -------
    t1, t2
        Shape (V,). A voxel without a root within `T1_RANGE` and `T2_RANGE` ends at one of their edges or at the nearest miss.
    """
    modes = np.abs(configurations(cycles, rf_phase_increment=protocol.rf_phase_increment, orders=(-1, 0, 1)))
    flip_cosine = np.cos(b1 * protocol.flip_angle)
    return _search(
        modes[:, 0] / modes[:, 1], modes[:, 2] / modes[:, 1], flip_cosine, protocol.repetition_time, T1_RANGE, T2_RANGE
    )


@numba.njit(nogil=True, cache=True)
def _ratios(log_t1: float, log_t2: float, flip_cosine: float, repetition_time: float) -> tuple[float, float]:
    """Return |F-1|/|F0| and |F1|/|F0| of the model (Nguyen and Bieri 2017, with K cancelled)."""
    e1 = math.exp(-repetition_time / math.exp(log_t1))
    e2 = math.exp(-repetition_time / math.exp(log_t2))
    p = 1.0 - e1 * flip_cosine - e2 * e2 * (e1 - flip_cosine)
    q = e2 * (1.0 - e1) * (1.0 + flip_cosine)
    beta = (p - math.sqrt(p * p - q * q)) / q
    return abs(beta - e2) / (1.0 - e2 * beta), beta


@numba.njit(nogil=True, cache=True)
def _best_t2(log_t1: float, minus: float, flip_cosine: float, repetition_time: float, low: float, high: float) -> float:
    """Return the log T2 whose |F-1|/|F0| is nearest to `minus`, at this T1."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left = abs(_ratios(log_t1, left, flip_cosine, repetition_time)[0] - minus)
    at_right = abs(_ratios(log_t1, right, flip_cosine, repetition_time)[0] - minus)
    for _ in range(STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = abs(_ratios(log_t1, left, flip_cosine, repetition_time)[0] - minus)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = abs(_ratios(log_t1, right, flip_cosine, repetition_time)[0] - minus)
    return 0.5 * (low + high)


@numba.njit(nogil=True, cache=True)
def _miss(
    log_t1: float, minus: float, plus: float, flip_cosine: float, repetition_time: float, low: float, high: float
) -> float:
    """Return how far |F1|/|F0| is missed at this T1 and its best T2."""
    log_t2 = _best_t2(log_t1, minus, flip_cosine, repetition_time, low, high)
    return abs(_ratios(log_t1, log_t2, flip_cosine, repetition_time)[1] - plus)


@numba.njit(nogil=True, cache=True)
def _search(
    minus: NDArray[np.floating],
    plus: NDArray[np.floating],
    flip_cosine: NDArray[np.floating],
    repetition_time: float,
    t1_range: tuple[float, float],
    t2_range: tuple[float, float],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    t1, t2 = np.empty(minus.size), np.empty(minus.size)
    t2_low, t2_high = math.log(t2_range[0]), math.log(t2_range[1])
    for voxel in range(minus.size):
        r_minus, r_plus, c = minus[voxel], plus[voxel], flip_cosine[voxel]
        low, high = math.log(t1_range[0]), math.log(t1_range[1])
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        at_left = _miss(left, r_minus, r_plus, c, repetition_time, t2_low, t2_high)
        at_right = _miss(right, r_minus, r_plus, c, repetition_time, t2_low, t2_high)
        for _ in range(STEPS):
            if at_left < at_right:
                high, right, at_right = right, left, at_left
                left = high - GOLDEN * (high - low)
                at_left = _miss(left, r_minus, r_plus, c, repetition_time, t2_low, t2_high)
            else:
                low, left, at_left = left, right, at_right
                right = low + GOLDEN * (high - low)
                at_right = _miss(right, r_minus, r_plus, c, repetition_time, t2_low, t2_high)
        log_t1 = 0.5 * (low + high)
        t1[voxel] = math.exp(log_t1)
        t2[voxel] = math.exp(_best_t2(log_t1, r_minus, c, repetition_time, t2_low, t2_high))
    return t1, t2
