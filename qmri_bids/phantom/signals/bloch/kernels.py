"""Compiled maps of one repetition: water's x, y and z and the semisolid pool's z, carried by affine maps.

A column of a map is what becomes of a unit of one of them, the last column of nothing at all. Frame: it follows the phase of the
pulses, which turn z to x; positive off-resonance turns x to y.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

LONGEST_PART, TERMS = 0.15, 6
"""A series is used over times in which magnetisation turns by so much [rad], and with so many terms: the rest is 1e-10."""


@njit(nogil=True)
def _recovery(time: float, r1: float, kf: float, kr: float, r1m: float, f: float, out: NDArray) -> None:
    """Write the map of both z through free relaxation and exchange: e00, e01, e10, e11, c0, c1."""
    a, d = -(r1 + kf), -(r1m + kr)
    s = 0.5 * (a + d)
    q = math.sqrt(0.25 * (a - d) ** 2 + kf * kr)
    # From both eigenvalues: sinh and cosh of a long free time would overflow.
    low, high = math.exp((s - q) * time), math.exp((s + q) * time)
    cosh = 0.5 * (low + high)
    sinh = 0.5 * (high - low) / q if q * time > 1e-9 else time * math.exp(s * time)
    e00, e01 = cosh + sinh * (a - s), sinh * kr
    e10, e11 = sinh * kf, cosh + sinh * (d - s)
    # (E - 1) L^-1 b with b the recovery of both.
    below = a * d - kf * kr
    b0, b1 = r1, r1m * f
    u, v = (d * b0 - kr * b1) / below, (a * b1 - kf * b0) / below
    out[0], out[1], out[2], out[3] = e00, e01, e10, e11
    out[4] = (e00 - 1.0) * u + e01 * v
    out[5] = e10 * u + (e11 - 1.0) * v


@njit(nogil=True)
def _relax(state: NDArray, decay: float, cosine: float, sine: float, z: NDArray) -> None:
    """Let a map go on through transverse decay with precession and the recovery of both z."""
    for c in range(5):
        x, y, free, bound = state[0, c], state[1, c], state[2, c], state[3, c]
        state[0, c] = decay * (cosine * x - sine * y)
        state[1, c] = decay * (sine * x + cosine * y)
        state[2, c] = z[0] * free + z[1] * bound
        state[3, c] = z[2] * free + z[3] * bound
    state[2, 4] += z[4]
    state[3, 4] += z[5]


@njit(nogil=True)
def _step(state: NDArray, omega: float, strength: float, r1: float, r2: float, pools: NDArray, time: float) -> None:
    """Let a map go on under constant B1: the series of the exponential, over times in which its terms fall quickly."""
    kf, kr, r1m, f = pools[0], pools[1], pools[2], pools[3]
    lost = r1m + kr + math.pi * pools[4] * strength * strength
    norm = abs(omega) + abs(strength) + r1 + r2 + kf + kr + lost
    parts = int(norm * time / LONGEST_PART) + 1
    part = time / parts
    for _ in range(parts):
        for c in range(5):
            x, y, z, m = state[0, c], state[1, c], state[2, c], state[3, c]
            one = 1.0 if c == 4 else 0.0
            to_x, to_y, to_z, to_m = x, y, z, m
            for k in range(1, TERMS + 1):
                by = part / k
                x, y, z, m = (
                    by * (strength * z - r2 * x - omega * y),
                    by * (omega * x - r2 * y),
                    by * (r1 * one - strength * x - (r1 + kf) * z + kr * m),
                    by * (r1m * f * one + kf * z - lost * m),
                )
                one = 0.0
                to_x, to_y, to_z, to_m = to_x + x, to_y + y, to_z + z, to_m + m
            state[0, c], state[1, c], state[2, c], state[3, c] = to_x, to_y, to_z, to_m


@njit(nogil=True)
def _pulse(
    amplitudes: NDArray, duration: float, omega: float, b1: float, r1: float, r2: float, pools: NDArray, out: NDArray
) -> None:
    """Write the map of a pulse."""
    out[:] = 0.0
    for i in range(4):
        out[i, i] = 1.0
    if duration == 0.0:
        angle = b1 * amplitudes[0]
        out[0, 0] = out[2, 2] = math.cos(angle)
        out[0, 2], out[2, 0] = math.sin(angle), -math.sin(angle)
        return
    step = duration / len(amplitudes)
    for j in range(len(amplitudes)):
        _step(out, omega, b1 * amplitudes[j], r1, r2, pools, step)


@njit(nogil=True)
def _after(second: NDArray, first: NDArray, out: NDArray) -> None:
    """Write one map after another."""
    for i in range(4):
        for c in range(5):
            total = second[i, 4] if c == 4 else 0.0
            for k in range(4):
                total += second[i, k] * first[k, c]
            out[i, c] = total


@njit(nogil=True)
def _fixed(turn: NDArray, number: int, work: NDArray, state: NDArray) -> None:
    """Write the magnetisation that a map gives back, by elimination with pivots; `number` is 3 without a semisolid pool, else 4."""
    for i in range(number):
        for k in range(number):
            work[i, k] = (1.0 if i == k else 0.0) - turn[i, k]
        work[i, 4] = turn[i, 4]
    for i in range(number):
        best = i
        for k in range(i + 1, number):
            if abs(work[k, i]) > abs(work[best, i]):
                best = k
        for c in range(5):
            work[i, c], work[best, c] = work[best, c], work[i, c]
        for k in range(i + 1, number):
            factor = work[k, i] / work[i, i]
            for c in range(i, 5):
                work[k, c] -= factor * work[i, c]
    state[:] = 0.0
    for i in range(number - 1, -1, -1):
        total = work[i, 4]
        for k in range(i + 1, number):
            total -= work[i, k] * state[k]
        state[i] = total / work[i, i]


@njit(nogil=True)
def _repeat(turn: NDArray, times: int, power: NDArray, work: NDArray, state: NDArray, other: NDArray) -> None:
    """Let a magnetisation go through a map `times` times, by squaring."""
    power[:] = turn
    while times > 0:
        if times % 2 == 1:
            for i in range(4):
                total = power[i, 4]
                for k in range(4):
                    total += power[i, k] * state[k]
                other[i] = total
            state[:] = other
        _after(power, power, work)
        power[:] = work
        times //= 2


@njit(nogil=True)
def cycles_by_steps(
    t1: NDArray,
    t2: NDArray,
    b1: NDArray,
    frequency: NDArray,
    m0: NDArray,
    times: tuple[float, float, float],
    amplitudes: NDArray,
    increments: NDArray,
    pools: NDArray,
    drift: NDArray,
    gain: NDArray,
    approach: tuple[int, int, bool],
) -> NDArray:
    """Return the signals, shape (n, N).

    Parameters
    ----------
    t1, t2, b1, frequency, m0
        Relaxation times of free water [s], relative B1, off-resonance [Hz] and complex M0 of free water, shape (n,).
    times
        Repetition time, echo time and duration of the pulse [s].
    amplitudes
        ω1 of the steps of the pulse [rad/s]; the angle of a pulse without duration.
    increments, drift, gain
        Phase increment [rad], frequency added [Hz] and complex gain of every cycle, shape (N,).
    pools
        kf, kr, R1m, F, G(0); kf, kr, F and G(0) are 0 where there is no semisolid pool. R1m is NaN for that of free water.
    approach
        Dummies (-1 for the steady state), repetitions of a cycle, and whether cycles continue each other.
    """
    repetition_time, echo_time, duration = times
    dummies, repetitions, continued = approach
    number = len(increments)
    water = 4 if pools[3] > 0.0 else 3
    follows = math.isnan(pools[2])
    pools = pools.copy()
    out = np.empty((len(t1), number), dtype=np.complex128)
    pulse, work, turn, power = np.empty((4, 5)), np.empty((4, 5)), np.empty((4, 5)), np.empty((4, 5))
    pause = np.empty(6)
    state, other = np.empty(4), np.empty(4)
    for n in range(len(t1)):
        r1, r2 = 1.0 / t1[n], 1.0 / t2[n]
        if follows:
            pools[2] = r1
        free = repetition_time - duration
        _recovery(free, r1, pools[0], pools[1], pools[2], pools[3], pause)
        decay = math.exp(-free * r2)
        waited = echo_time - 0.5 * duration
        echo_decay = math.exp(-waited * r2)
        state[0], state[1], state[2], state[3] = 0.0, 0.0, 1.0, pools[3]
        for cycle in range(number):
            omega = 2.0 * math.pi * (frequency[n] + drift[cycle])
            if cycle == 0 or drift[cycle] != drift[cycle - 1]:
                _pulse(amplitudes, duration, omega, b1[n], r1, r2, pools, pulse)
            turn[:] = pulse
            angle = omega * free - increments[cycle]
            _relax(turn, decay, math.cos(angle), math.sin(angle), pause)
            if dummies < 0:
                _fixed(turn, water, work, state)
            else:
                if not continued:
                    state[0], state[1], state[2], state[3] = 0.0, 0.0, 1.0, pools[3]
                _repeat(turn, dummies, power, work, state, other)
            x, y = pulse[0, 4], pulse[1, 4]
            for k in range(4):
                x += pulse[0, k] * state[k]
                y += pulse[1, k] * state[k]
            phase = omega * waited
            echo = complex(x, y) * complex(math.cos(phase), math.sin(phase)) * echo_decay
            out[n, cycle] = gain[cycle] * m0[n] * echo
            if dummies >= 0 and continued:
                _repeat(turn, repetitions - dummies, power, work, state, other)
                # Out of the frame of the pulse that would come next, into that of the first pulse of the next cycle.
                phase = repetitions * increments[cycle]
                x, y = state[0], state[1]
                state[0] = math.cos(phase) * x - math.sin(phase) * y
                state[1] = math.sin(phase) * x + math.cos(phase) * y
    return out
