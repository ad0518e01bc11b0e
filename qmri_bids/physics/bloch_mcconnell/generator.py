"""Compiled generator of the Bloch-McConnell equations of eight voxels under constant RF, and the gradient through it.

Components are the transverse ones of the rotating pools (x0 y0 x1 y1 …), then z of all pools, water first, a semisolid pool of
z alone last. Gradients are kept in the order R1 of water (with the pools that follow it), R2 of water, B1, Δω0, fractions, rates.
"""

from __future__ import annotations

import math

from numba import njit
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.lane_kernels import LANES, doublings_for

R1, R2, B1, W0, POOLS = 0, 1, 2, 3, 4
"""Places in the gradient; fractions and then rates of the exchanging pools begin at `POOLS`."""


@njit(nogil=True, cache=True, error_model="numpy")
def generator(
    out: NDArray,
    pools: int,
    rotating: int,
    duration: float,
    amplitude: float,
    phase: float,
    carrier: float,
    line: NDArray,
    voxel: NDArray,
    r1: NDArray,
    r2: NDArray,
    shift: NDArray,
    fraction: NDArray,
    rate: NDArray,
) -> int:
    """Write the halved exponent of a segment to `out`; return how often it was halved.

    `voxel` holds B1 in row 0 and Δω0 in row 1; `line` π times the absorption line; `shift` the precession of the pools less Δω0.
    """
    n = pools + 2 * rotating
    row = (n + 1) * LANES
    out[:] = 0.0
    norm = 0.0
    cosine, sine = amplitude * math.cos(phase), amplitude * math.sin(phase)
    for lane in range(LANES):
        wx, wy = voxel[0, lane] * cosine, voxel[0, lane] * sine
        strength = abs(voxel[0, lane] * amplitude)
        leave_xy, leave_z = 0.0, 0.0
        for p in range(1, pools):
            into = fraction[p, lane] * rate[p, lane]
            leave_z += into
            if p < rotating:
                leave_xy += into
        for p in range(pools):
            z = 2 * rotating + p
            decay = leave_z if p == 0 else rate[p, lane]
            out[z * row + z * LANES + lane] = -(r1[p, lane] + decay)
            out[z * row + n * LANES + lane] = r1[p, lane] if p == 0 else fraction[p, lane] * r1[p, lane]
            if p > 0:
                out[2 * rotating * row + z * LANES + lane] = rate[p, lane]
                out[z * row + 2 * rotating * LANES + lane] = fraction[p, lane] * rate[p, lane]
            if p >= rotating:
                saturated = strength * strength * line[lane]
                out[z * row + z * LANES + lane] -= saturated
                norm = max(norm, saturated + r1[p, lane] + 2.0 * decay)
                continue
            x, y = 2 * p, 2 * p + 1
            decay = leave_xy if p == 0 else rate[p, lane]
            precession = shift[p] + voxel[1, lane] - carrier
            out[x * row + x * LANES + lane] = -(r2[p, lane] + decay)
            out[y * row + y * LANES + lane] = -(r2[p, lane] + decay)
            out[x * row + y * LANES + lane] = precession
            out[y * row + x * LANES + lane] = -precession
            out[x * row + z * LANES + lane] = -wy
            out[z * row + x * LANES + lane] = wy
            out[y * row + z * LANES + lane] = wx
            out[z * row + y * LANES + lane] = -wx
            if p > 0:
                out[x * LANES + lane] = rate[p, lane]
                out[row + y * LANES + lane] = rate[p, lane]
                out[x * row + lane] = fraction[p, lane] * rate[p, lane]
                out[y * row + LANES + lane] = fraction[p, lane] * rate[p, lane]
            # Bounds the sum of a row: exchange into a pool is part of what leaves another.
            norm = max(
                norm, r2[p, lane] + r1[p, lane] + decay + rate[p, lane] + leave_z + abs(precession) + 2.0 * strength
            )
    doublings = doublings_for(norm * duration)
    scale = duration * 0.5**doublings
    for e in range(out.size):
        out[e] *= scale
    return doublings


@njit(nogil=True, cache=True, error_model="numpy")
def add_gradient(
    slope: NDArray,
    pools: int,
    rotating: int,
    scale: float,
    amplitude: float,
    phase: float,
    line: NDArray,
    line_slope: NDArray,
    voxel: NDArray,
    r1: NDArray,
    fraction: NDArray,
    rate: NDArray,
    follows: NDArray,
    gradient: NDArray,
) -> None:
    """Add to the gradient, shape (places, LANES), what the adjoint `slope` of an exponent says of the rates in it."""
    n = pools + 2 * rotating
    row = (n + 1) * LANES
    cosine, sine = scale * amplitude * math.cos(phase), scale * amplitude * math.sin(phase)
    water = 2 * rotating
    for p in range(pools):
        z = water + p
        for lane in range(LANES):
            own = scale * slope[z * row + z * LANES + lane]
            constant = scale * slope[z * row + n * LANES + lane]
            if p == 0:
                gradient[R1, lane] += constant - own
            else:
                if follows[p]:
                    gradient[R1, lane] += fraction[p, lane] * constant - own
                into = scale * slope[water * row + z * LANES + lane] - own
                out_of = scale * (slope[z * row + water * LANES + lane] - slope[water * row + water * LANES + lane])
                gradient[POOLS + p - 1, lane] += r1[p, lane] * constant + rate[p, lane] * out_of
                gradient[POOLS + pools - 2 + p, lane] += into + fraction[p, lane] * out_of
            if p >= rotating:
                power = voxel[0, lane] * amplitude * amplitude
                gradient[B1, lane] -= own * 2.0 * power * line[lane]
                gradient[W0, lane] -= own * power * voxel[0, lane] * line_slope[lane]
        if p >= rotating:
            continue
        x, y = 2 * p, 2 * p + 1
        for lane in range(LANES):
            transverse = scale * (slope[x * row + x * LANES + lane] + slope[y * row + y * LANES + lane])
            gradient[W0, lane] += scale * (slope[x * row + y * LANES + lane] - slope[y * row + x * LANES + lane])
            gradient[B1, lane] += sine * (slope[z * row + x * LANES + lane] - slope[x * row + z * LANES + lane])
            gradient[B1, lane] += cosine * (slope[y * row + z * LANES + lane] - slope[z * row + y * LANES + lane])
            if p == 0:
                gradient[R2, lane] -= transverse
            else:
                into = scale * (slope[x * LANES + lane] + slope[row + y * LANES + lane]) - transverse
                out_of = scale * (slope[x * row + lane] + slope[y * row + LANES + lane])
                out_of -= scale * (slope[lane] + slope[row + LANES + lane])
                gradient[POOLS + p - 1, lane] += rate[p, lane] * out_of
                gradient[POOLS + pools - 2 + p, lane] += into + fraction[p, lane] * out_of
