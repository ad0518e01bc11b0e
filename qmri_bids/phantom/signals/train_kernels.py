"""Compiled pulses and trains for tables of signals.

A pulse is the work of a train: here it is computed once for many phases that water may gain in the gaps.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.generator import generator
from qmri_bids.physics.bloch_mcconnell.lane_kernels import (
    LANES,
    MOST_DOUBLINGS,
    POLYNOMIAL_SLOTS,
    add_product,
    exponential,
)
from qmri_bids.physics.bloch_mcconnell.saturation_kernels import apply, turn

_SLOTS = POLYNOMIAL_SLOTS + 1 + MOST_DOUBLINGS


@njit(nogil=True, cache=True, error_model="numpy")
def _pulse(
    work: NDArray,
    kept: NDArray,
    whole: NDArray,
    spare: NDArray,
    segments: NDArray,
    pieces: NDArray,
    carrier: float,
    rotating: int,
    line: NDArray,
    voxel: NDArray,
    r1: NDArray,
    r2: NDArray,
    shifts: NDArray,
    fraction: NDArray,
    rate: NDArray,
) -> None:
    """Write the map of a pulse less one to `whole`; `kept` holds the maps of its different segments."""
    pools = len(shifts)
    n = pools + 2 * rotating
    for j in range(len(segments)):
        halved = generator(
            work[0], pools, rotating, segments[j, 2], segments[j, 0], segments[j, 1],
            carrier, line, voxel, r1, r2, shifts, fraction, rate,
        )  # fmt: skip
        kept[j] = work[exponential(work, n, 0, halved)]
    whole[:] = kept[pieces[0]]
    for place in range(1, len(pieces)):
        piece = kept[pieces[place]]
        for e in range(len(whole)):
            spare[e] = piece[e] + whole[e]
        add_product(piece, whole, spare, n, 0)
        whole[:] = spare


@njit(nogil=True, cache=True, error_model="numpy")
def pulse_maps(
    segments: NDArray,
    pieces: NDArray,
    carrier: float,
    b1: NDArray,
    w0: NDArray,
    r1_pools: NDArray,
    r2_pools: NDArray,
    shifts: NDArray,
    fractions: NDArray,
    rates: NDArray,
    rotating: int,
    lines: NDArray,
    out: NDArray,
) -> None:
    """Fill what a pulse does to longitudinal magnetisation: affine maps of z of all pools, water first.

    Parameters
    ----------
    segments, pieces, b1, r1_pools, r2_pools, shifts, fractions, rates
        Pulse, relative B1, and relaxation, shifts, fractions and rates of the pools: see `saturate`.
    carrier
        Carrier of the pulse less the nominal frequency of water [rad/s].
    w0
        Off-resonance [rad/s], shape (V,).
    rotating
        Number of pools with x and y: all, or all but the last.
    lines
        π times the absorption line of a last pool of z alone [s], shape (V,).
    out
        Maps of z, to be filled, shape (V, P, P + 1), the constant last.
    """
    pools, voxels = len(shifts), len(b1)
    n = pools + 2 * rotating
    size, row = n * (n + 1) * LANES, (n + 1) * LANES
    work, kept = np.zeros((_SLOTS, size)), np.zeros((len(segments), size))
    whole, spare = np.zeros(size), np.zeros(size)
    voxel, line = np.zeros((2, LANES)), np.zeros(LANES)
    r1, r2 = np.zeros((pools, LANES)), np.zeros((pools, LANES))
    fraction, rate = np.zeros((pools, LANES)), np.zeros((pools, LANES))
    for group in range(0, voxels, LANES):
        for lane in range(LANES):
            v = min(group + lane, voxels - 1)
            voxel[0, lane], voxel[1, lane], line[lane] = b1[v], w0[v], lines[v]
            r1[:, lane], r2[:, lane] = r1_pools[:, v], r2_pools[:, v]
            fraction[:, lane], rate[:, lane] = fractions, rates
        _pulse(
            work, kept, whole, spare, segments, pieces, carrier, rotating, line, voxel, r1, r2, shifts, fraction, rate
        )
        for lane in range(min(LANES, voxels - group)):
            for p in range(pools):
                for q in range(pools + 1):
                    place = (2 * rotating + p) * row + (2 * rotating + q) * LANES + lane
                    out[group + lane, p, q] = whole[place] + (1.0 if p == q else 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def saturate(
    segments: NDArray,
    pieces: NDArray,
    pulses: int,
    gap: float,
    spoiler: float,
    carrier: float,
    turns: NDArray,
    b1: NDArray,
    r1_pools: NDArray,
    r2_pools: NDArray,
    shifts: NDArray,
    fractions: NDArray,
    rates: NDArray,
    rotating: int,
    absorbed: float,
    out: NDArray,
) -> None:
    """Fill the Z of water after a train from full relaxation.

    Parameters
    ----------
    segments
        The different segments of the pulse: ω1 [rad/s], phase [rad], duration [s]; shape (S, 3).
    pieces
        Which of them are played in a pulse, in order.
    pulses, gap, spoiler
        Number of pulses, time between them and after the last [s].
    carrier
        Carrier less the frequency of water [rad/s].
    turns
        Precession of water over the gap [rad], shape (G,).
    b1
        Relative B1, shape (V,).
    r1_pools, r2_pools
        Relaxation rates of the pools [1/s], water first, shape (P, V).
    shifts, fractions, rates
        Offset from water [rad/s], fraction relative to water and exchange rate [1/s] of the pools, shape (P,).
    rotating
        Number of pools with x and y: all, or all but the last.
    absorbed
        π times the absorption line of a last pool of z alone [s].
    out
        Z of water, to be filled, shape (G, V).
    """
    pools, voxels = len(shifts), len(b1)
    n = pools + 2 * rotating
    water = 2 * rotating
    size, row = n * (n + 1) * LANES, (n + 1) * LANES
    work, gap_work, spoiler_work = np.zeros((_SLOTS, size)), np.zeros((_SLOTS, size)), np.zeros((_SLOTS, size))
    kept = np.zeros((len(segments), size))
    whole, after = np.zeros(size), np.zeros(size)
    state, other = np.zeros(row), np.zeros(row)
    voxel, line = np.zeros((2, LANES)), np.zeros(LANES)
    r1, r2 = np.zeros((pools, LANES)), np.zeros((pools, LANES))
    fraction, rate = np.zeros((pools, LANES)), np.zeros((pools, LANES))
    line[:] = absorbed
    for lane in range(LANES):
        fraction[:, lane] = fractions
        rate[:, lane] = rates
    for group in range(0, voxels, LANES):
        for lane in range(LANES):
            v = min(group + lane, voxels - 1)
            voxel[0, lane] = b1[v]
            r1[:, lane] = r1_pools[:, v]
            r2[:, lane] = r2_pools[:, v]
        _pulse(
            work, kept, whole, after, segments, pieces, carrier, rotating, line, voxel, r1, r2, shifts, fraction, rate
        )
        gap_slot, spoiler_slot = 0, 0
        if gap > 0.0:
            halved = generator(
                gap_work[0], pools, rotating, gap, 0.0, 0.0, 0.0, line, voxel, r1, r2, shifts, fraction, rate
            )
            gap_slot = exponential(gap_work, n, water, halved)
        if spoiler > 0.0:
            halved = generator(
                spoiler_work[0], pools, rotating, spoiler, 0.0, 0.0, 0.0, line, voxel, r1, r2, shifts, fraction, rate
            )
            spoiler_slot = exponential(spoiler_work, n, water, halved)
        for g in range(len(turns)):
            # Precession turns clockwise, and all pools alike: it may follow the gap's exchange.
            cosine, sine = math.cos(turns[g]), -math.sin(turns[g])
            state[:] = 0.0
            for lane in range(LANES):
                state[n * LANES + lane] = 1.0
                for p in range(pools):
                    state[(water + p) * LANES + lane] = fraction[p, lane]
            for pulse in range(pulses):
                apply(whole, state, other, n)
                state, other = other, state
                if pulse < pulses - 1 and gap > 0.0:
                    apply(gap_work[gap_slot], state, other, n)
                    state, other = other, state
                    turn(state, cosine, sine, rotating)
            if spoiler > 0.0:
                apply(spoiler_work[spoiler_slot], state, other, n)
                state, other = other, state
            for lane in range(min(LANES, voxels - group)):
                out[g, group + lane] = state[water * LANES + lane]


@njit(nogil=True, cache=True, error_model="numpy")
def _taps(place: float, weights: NDArray) -> int:
    """Write the four weights of the cubic B-spline at a place counted in nodes; return the first node."""
    first = math.floor(place)
    t = place - first
    s = 1.0 - t
    weights[0] = s * s * s / 6.0
    weights[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    weights[2] = (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0
    weights[3] = t * t * t / 6.0
    return int(first) - 1


@njit(nogil=True, cache=True, error_model="numpy")
def evaluate(coefficients: NDArray, x: NDArray, y: NDArray, w: NDArray, p: NDArray, q: NDArray, out: NDArray) -> None:
    """Fill Σ c(x, y, w)·(1, p, q, p², q², pq), c a cubic spline in three coordinates.

    Parameters
    ----------
    coefficients
        Coefficients of the B-splines, shape (X, Y, W, 6); y is periodic, or constant where Y is 1.
    x, y, w
        Coordinates counted in nodes, shape (n,): x in [1, X - 3), w in [1, W - 3), y any.
    p, q
        Coordinates of the quadratic, shape (n,).
    out
        Values, to be filled, shape (n,).
    """
    wx, wy, ww = np.empty(4), np.empty(4), np.empty(4)
    total = np.empty(6)
    period = coefficients.shape[1]
    turns = 4 if period > 1 else 1
    for n in range(len(x)):
        i = _taps(x[n], wx)
        j = _taps(y[n], wy) if period > 1 else 0
        if period == 1:
            wy[0] = 1.0
        k = _taps(w[n], ww)
        total[:] = 0.0
        for a in range(4):
            for b in range(turns):
                here = coefficients[i + a, (j + b) % period]
                for c in range(4):
                    weight = wx[a] * wy[b] * ww[c]
                    for e in range(6):
                        total[e] += weight * here[k + c, e]
        u, v = p[n], q[n]
        out[n] = total[0] + u * total[1] + v * total[2] + u * u * total[3] + v * v * total[4] + u * v * total[5]
