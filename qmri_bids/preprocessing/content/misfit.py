"""What the signal of balanced SSFP, which needs no T1, T2 or B1, leaves unexplained in phase cycles.

Divided by (1 - b cos ψ) a profile is M (1 - E2 e^{-iψ}), ψ = θ - φ (see `physics.bssfp`), so that

    S = m0 + m1 e^{iφ} + S (c cos φ + s sin φ)

with two complex and two real unknowns in every voxel. What they leave unexplained, the misfit, is noise where the cycles are
what their metadata say, and several times as much where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Increments = Sequence[float] | NDArray[np.floating]
"""RF phase increment of every cycle [rad]."""

UNKNOWNS = 6
"""Real unknowns of a profile: two complex amplitudes and the two components of b."""

FEWEST_CYCLES, FEWEST_WITHOUT_ONE = 4, 6
"""Cycles from which a profile has fewer unknowns than values, and from which it is known without one of them, too."""

VOXELS = 1000
"""Voxels that are looked at: medians over them vary by 3 %."""

BRIGHT = 0.15
"""Share of the brightest (99.5th percentile) above which a voxel is looked at; air lies below."""

ROUNDS = 3
"""Of the weighting by the denominator, after which the fit is one of the signal itself."""

SMALLEST_DENOMINATOR = 0.02


def bright_voxels(cycles: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """Return voxels with signal, shape (V, N): those of the object, chosen evenly, the same every time.

    The median over the cycles tells them, so that one odd cycle does not matter.
    """
    flat = cycles.reshape(-1, cycles.shape[3])
    typical = np.median(np.abs(flat), axis=1)
    chosen = np.flatnonzero(typical > BRIGHT * np.percentile(typical, 99.5))
    if len(chosen) > VOXELS:
        chosen = np.random.default_rng(0).choice(chosen, VOXELS, replace=False)
    return flat[chosen].astype(np.complex128)


def profile_misfit(signal: NDArray[np.complexfloating], rf_phase_increment: Increments) -> float:
    """Return what the signal of bSSFP leaves unexplained in cycles of these increments, relative to the signal.

    Parameters
    ----------
    signal
        Shape (V, N), N ≥ 4; of either sense of precession.
    rf_phase_increment
        Shape (N,) [rad].

    Examples
    --------
    >>> from qmri_bids.physics.bssfp import profile
    >>> increments = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
    >>> signal = profile(np.array([0.94]), np.array([0.7]), np.array([1.0]), rf_phase_increment=increments)
    >>> round(profile_misfit(signal, increments), 6), profile_misfit(signal, 0.9 * increments) > 0.02
    (0.0, True)
    """
    return min(misfit_of_cycles(each, rf_phase_increment)[0] for each in (signal, signal.conj()))


def misfit_of_cycles(
    signal: NDArray[np.complexfloating], rf_phase_increment: Increments, *, without: int | None = None
) -> tuple[float, NDArray[np.complex128]]:
    """Return the misfit of the cycles that are used, median over the voxels, and all cycles as they predict them."""
    used = [index for index in range(signal.shape[1]) if index != without]
    predicted = _fit(signal, np.asarray(rf_phase_increment, dtype=float), used)
    left = np.sqrt(np.mean(np.abs(signal - predicted)[:, used] ** 2, axis=1))
    # A median, so that one cycle that is far too bright does not make everything else look small.
    return float(np.median(left / np.median(np.abs(signal), axis=1))), predicted


def _fit(
    signal: NDArray[np.complexfloating], increments: NDArray[np.float64], used: Sequence[int]
) -> NDArray[np.complex128]:
    """Return the profiles that fit some of the cycles, for all cycles, shape (V, N)."""
    voxels, number = signal.shape
    turned = np.exp(1j * increments)
    fixed = np.stack([np.ones(number), np.full(number, 1j), turned, 1j * turned], axis=-1)
    own = signal[..., None] * np.stack([np.cos(increments), np.sin(increments)], axis=-1)
    design = np.concatenate([np.broadcast_to(fixed, (voxels, number, 4)), own], axis=-1)
    weight = np.ones((voxels, number))
    for _ in range(ROUNDS):
        # Dividing by the denominator turns an error of the equation into one of the signal.
        weighted, target = design * weight[..., None], signal * weight
        rows = np.concatenate([weighted[:, used].real, weighted[:, used].imag], axis=1)
        values = np.concatenate([target[:, used].real, target[:, used].imag], axis=1)
        turned_over = np.swapaxes(rows, 1, 2)
        normal = turned_over @ rows
        scale = np.trace(normal, axis1=1, axis2=2)[:, None, None] / UNKNOWNS
        normal += np.maximum(1e-9 * scale, np.finfo(float).tiny) * np.eye(UNKNOWNS)
        found = np.linalg.solve(normal, turned_over @ values[..., None])[..., 0]
        denominator = 1.0 - found[:, 4:5] * np.cos(increments) - found[:, 5:6] * np.sin(increments)
        denominator = np.where(np.abs(denominator) < SMALLEST_DENOMINATOR, SMALLEST_DENOMINATOR, denominator)
        weight = 1.0 / np.abs(denominator)
    amplitude = found[:, 0:1] + 1j * found[:, 1:2] + (found[:, 2:3] + 1j * found[:, 3:4]) * turned
    return amplitude / denominator
