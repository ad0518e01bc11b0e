"""MPRAGE and spin echo by the Bloch equations, step by step, for tests of images in closed form."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

X, Y, Z = np.eye(3)


def turned(m: NDArray[np.float64], angle: float, axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors (…, 3) turned about an axis (Rodrigues)."""
    along = (m @ axis)[..., None] * axis
    return along + math.cos(angle) * (m - along) + math.sin(angle) * np.cross(axis, m)


def relaxed(m: NDArray[np.float64], time: float, *, t1: float, t2: float) -> NDArray[np.float64]:
    """Return vectors (…, 3) after a time."""
    decay = np.array([math.exp(-time / t2), math.exp(-time / t2), math.exp(-time / t1)])
    return m * decay + (1.0 - decay[2]) * Z


def spoiled(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return m * Z


def mprage(*, t1: float, t2: float, tr: float, ti: float, flip_angle: float, spacing: float, echoes: int) -> float:
    """Return the signal at the middle of the train once repetitions are alike."""
    m, signal = Z.copy(), 0.0
    before = ti - echoes // 2 * spacing
    for _ in range(40):
        m = relaxed(spoiled(turned(m, math.pi, X)), before, t1=t1, t2=t2)
        for echo in range(echoes):
            m = turned(m, flip_angle, X)
            signal = math.hypot(m[0], m[1]) if echo == echoes // 2 else signal
            m = spoiled(relaxed(m, spacing, t1=t1, t2=t2))
        m = relaxed(m, tr - before - echoes * spacing, t1=t1, t2=t2)
    return signal


def spin_echo(*, t1: float, t2: float, tr: float, te: float, ti: float | None = None) -> float:
    """Return the echo of isochromats over two turns once repetitions are alike."""
    turns = np.linspace(0.0, 4.0 * math.pi, 48, endpoint=False)
    m, signal = np.tile(Z, (48, 1)), 0.0

    def free(m: NDArray[np.float64], time: float) -> NDArray[np.float64]:
        moved = np.stack([turned(each, angle, Z) for each, angle in zip(m, turns, strict=True)])
        return relaxed(moved, time, t1=t1, t2=t2)

    for _ in range(12):
        if ti is not None:
            m = spoiled(relaxed(spoiled(turned(m, math.pi, X)), ti, t1=t1, t2=t2))
        m = free(turned(m, 0.5 * math.pi, X), 0.5 * te)
        m = free(turned(m, math.pi, Y), 0.5 * te)
        signal = math.hypot(*m[:, :2].mean(axis=0))
        m = spoiled(relaxed(m, tr - te - (ti or 0.0), t1=t1, t2=t2))
    return signal
