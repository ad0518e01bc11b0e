"""Compiled steps of a saturation train on the magnetisation of eight voxels, with their adjoints, and what lies between images."""

from __future__ import annotations

import math

from numba import njit
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.lane_kernels import LANES, lane_dot


@njit(nogil=True, cache=True, error_model="numpy")
def apply(f: NDArray, state: NDArray, out: NDArray, n: int) -> None:
    """Write (1 + F) state to `out`; states have n + 1 components, the last 1."""
    row = (n + 1) * LANES
    out[:] = state
    for i in range(n):
        lane_dot(f, i * row, LANES, state, 0, LANES, n + 1, out, i * LANES)


@njit(nogil=True, cache=True, error_model="numpy")
def apply_adjoint(f: NDArray, slope: NDArray, out: NDArray, n: int) -> None:
    """Write (1 + F)ᵀ slope to `out`, without the constant."""
    row = (n + 1) * LANES
    out[:] = slope
    for k in range(n):
        lane_dot(f, k * LANES, row, slope, 0, LANES, n, out, k * LANES)


@njit(nogil=True, cache=True, error_model="numpy")
def tip(state: NDArray, cosine: NDArray, sine: NDArray, sign: float, rotating: int, tipped: int) -> None:
    """Rotate the tipped pools from z towards x."""
    for p in range(tipped):
        x, z = 2 * p * LANES, (2 * rotating + p) * LANES
        for lane in range(LANES):
            across, along = state[x + lane], state[z + lane]
            s = sign * sine[lane]
            state[x + lane] = cosine[lane] * across + s * along
            state[z + lane] = cosine[lane] * along - s * across


@njit(nogil=True, cache=True, error_model="numpy")
def add_tip_slope(
    slope: NDArray, after: NDArray, sign: float, rotating: int, tipped: int, angle_slope: NDArray
) -> None:
    """Add the derivative in the angle, from the state after the rotation and the adjoint there."""
    for p in range(tipped):
        x, z = 2 * p * LANES, (2 * rotating + p) * LANES
        for lane in range(LANES):
            angle_slope[lane] += sign * (slope[x + lane] * after[z + lane] - slope[z + lane] * after[x + lane])


@njit(nogil=True, cache=True, error_model="numpy")
def turn(state: NDArray, cosine: float, sine: float, rotating: int) -> None:
    """Turn all transverse magnetisation by the phase that the carrier gains on water."""
    for p in range(rotating):
        for e in range(2 * p * LANES, (2 * p + 1) * LANES):
            x, y = state[e], state[e + LANES]
            state[e] = cosine * x - sine * y
            state[e + LANES] = sine * x + cosine * y


@njit(nogil=True, cache=True, error_model="numpy")
def between_images(
    flips: int,
    flip_angle: float,
    spacing: float,
    scales: bool,
    recovery: float,
    r1: float,
    b1: float,
    out: NDArray,
) -> None:
    """Write a, b and their derivatives in R1 and B1 of the map Z → a Z + b from one image to the next saturation."""
    out[:] = 0.0
    out[0] = 1.0
    if flips > 0:
        strength = b1 if scales else 1.0
        cosine = math.cos(strength * flip_angle)
        relaxed = math.exp(-r1 * spacing)
        shrink = cosine * relaxed
        power = shrink**flips
        d_power = flips * shrink ** (flips - 1)
        share = 1.0 / (1.0 - shrink)
        sum_ = (1.0 - power) * share
        d_sum = (sum_ - d_power) * share
        d_relaxed = -spacing * relaxed
        d_cosine = -flip_angle * math.sin(strength * flip_angle) if scales else 0.0
        out[0] = power
        out[1] = (1.0 - relaxed) * sum_
        out[2] = d_power * cosine * d_relaxed
        out[3] = -d_relaxed * sum_ + (1.0 - relaxed) * d_sum * cosine * d_relaxed
        out[4] = d_power * relaxed * d_cosine
        out[5] = (1.0 - relaxed) * d_sum * relaxed * d_cosine
    decay = math.exp(-r1 * recovery)
    d_decay = -recovery * decay
    out[2] = out[2] * decay + out[0] * d_decay
    out[3] = out[3] * decay + (out[1] - 1.0) * d_decay
    out[0] *= decay
    out[1] = 1.0 + (out[1] - 1.0) * decay
    out[4] *= decay
    out[5] *= decay
