"""A linear solution for the natural coordinates: exact without noise for any three or more different increments.

Multiplied by its denominator the profile S_j (1 - b cos ψ_j) = A (1 - E2 e^{-iψ_j}) is linear in its unknowns: with
w = (b/2) e^{iθ} and C = A E2 e^{-iθ}

    S_j = w e^{-iφ_j} S_j + w* e^{iφ_j} S_j + A - C e^{iφ_j}.

Two functionals that vanish on 1 and on e^{iφ} leave two complex equations for w; then A and C follow by least squares. For
evenly spaced increments the two are the modes F_1 and F_-2, and the equations the recurrence F_m = w F_{m-1} + w* F_{m+1}, free of
aliasing. Other functionals would add equations of more noise than signal, and their noise, being in the regressors, biases w
towards zero.
Björk et al., MRM 72:880 (2014) linearise the same profile with all cycles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from qmri_bids.estimation.base import NaturalPoint, ProtocolNotSupported
from qmri_bids.physics.protocol import BssfpProtocol

Array = Any
"""A NumPy array or a torch tensor."""

ADMISSIBLE_E2 = (0.01, 0.9995)
ADMISSIBLE_B = (0.01, 0.995)
"""Where an iteration may start; a linear solution beyond is brought to the edge."""

MIDDLE = (0.9, 0.7, 0.0)
"""E2, b and θ of a start where the equations are singular."""


def different_increments(protocol: BssfpProtocol) -> int:
    """Return how many increments differ modulo 2π."""
    turn = 2.0 * math.pi
    ordered = sorted(increment % turn for increment in protocol.rf_phase_increment)
    following = [*ordered[1:], ordered[0] + turn]
    return sum(after - before > 1e-3 for before, after in zip(ordered, following, strict=True))


def check_increments(protocol: BssfpProtocol, *, name: str) -> None:
    """Raise `ProtocolNotSupported` if fewer than three increments differ modulo 2π.

    Parameters
    ----------
    protocol
        The acquisition.
    name
        The estimator, for the message.
    """
    different = different_increments(protocol)
    if different < 3:
        degrees = ", ".join(f"{math.degrees(each):.1f}" for each in protocol.rf_phase_increment)
        raise ProtocolNotSupported(
            expected=f"at least 3 different RF phase increments (estimator {name})",
            found=f"{different} in {degrees}°",
            advice="Check RFPhaseIncrement in the sidecars: no estimator separates T1, T2 and off-resonance here.",
        )


def linear_functionals(rf_phase_increment: Sequence[float]) -> NDArray[np.complex128]:
    """Return what the linear solution needs of the cycles, as a matrix: every row a functional.

    Parameters
    ----------
    rf_phase_increment
        Increments φ_j [rad], N of them.

    Returns
    -------
    ndarray
        The functionals, shape (12, N): the two for w, then those for A and -C; each on S, e^{-iφ}S and e^{iφ}S in turn.
    """
    phi = np.asarray(rf_phase_increment, dtype=np.float64)
    basis = np.exp(1j * np.outer(phi, (0, 1)))
    inverse = np.linalg.pinv(basis)
    modes = np.exp(1j * np.outer(phi, (-1, 2)))
    modes = modes - basis @ (inverse @ modes)
    left, weight, _ = np.linalg.svd(modes, full_matrices=False)
    # Of three cycles one functional is left: the other is zero and adds an empty equation.
    annihilating = (left * (weight > 1e-6 * weight[0])).conj().T
    rows = np.concatenate([annihilating, inverse])
    factors = np.exp(1j * np.outer((0, -1, 1), phi))
    return (rows[:, None, :] * factors).reshape(12, len(phi))


def solve_functionals(values: Array) -> tuple[Array, Array, Array]:
    """Return E2, b and θ from the values of the functionals; differentiable, nothing clamped.

    Parameters
    ----------
    values
        Values of `linear_functionals` applied to the cycles, complex, shape (12, ...).

    Returns
    -------
    e2, b, theta
        Natural coordinates, shape (...), θ in rad; not finite where the equations are singular.
    """
    xp = array_namespace(values)
    xx = xy = yy = xr = yr = 0.0
    for row in (0, 3):
        right, before, after = values[row], values[row + 1], values[row + 2]
        x, y = before + after, 1j * (before - after)
        xx = xx + _product(x, x)
        yy = yy + _product(y, y)
        xy = xy + _product(x, y)
        xr = xr + _product(x, right)
        yr = yr + _product(y, right)
    determinant = xx * yy - xy * xy
    w = (yy * xr - xy * yr) / determinant + 1j * ((xx * yr - xy * xr) / determinant)
    amplitude = values[6] - w * values[7] - xp.conj(w) * values[8]
    minus_c = values[9] - w * values[10] - xp.conj(w) * values[11]
    half = xp.abs(w)
    e2 = -xp.real(minus_c * w / (half * amplitude))
    return e2, 2.0 * half, xp.atan2(xp.imag(w), xp.real(w))


def _product(x: Array, y: Array) -> Array:
    """Return Re(x* y)."""
    xp = array_namespace(x, y)
    return xp.real(x) * xp.real(y) + xp.imag(x) * xp.imag(y)


def linear_start(cycles: NDArray[np.complexfloating], *, rf_phase_increment: Sequence[float]) -> NaturalPoint:
    """Return an admissible point from which to start an iteration.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    rf_phase_increment
        Increments φ_j [rad], any three or more different ones.

    Returns
    -------
    NaturalPoint
        The linear solution, brought inside `ADMISSIBLE_E2` and `ADMISSIBLE_B`: a start, not an estimate. `MIDDLE` where the
        equations are singular.
    """
    functionals = linear_functionals(rf_phase_increment).astype(np.result_type(cycles.dtype, np.complex64))
    with np.errstate(all="ignore"):
        values = functionals @ cycles.T
        values /= np.sqrt(np.sum(values.real**2 + values.imag**2, axis=0))
        e2, b, theta = (np.asarray(each, dtype=np.float64) for each in solve_functionals(values))
    return admissible(NaturalPoint(e2=e2, b=b, theta=theta))


def admissible(point: NaturalPoint) -> NaturalPoint:
    """Return the nearest admissible start of a point, `MIDDLE` where it is not finite; shape (V,), double precision."""
    finite = np.isfinite(point.e2) & np.isfinite(point.b) & np.isfinite(point.theta)
    return NaturalPoint(
        e2=np.clip(np.where(finite, point.e2, MIDDLE[0]), *ADMISSIBLE_E2).astype(np.float64),
        b=np.clip(np.where(finite, point.b, MIDDLE[1]), *ADMISSIBLE_B).astype(np.float64),
        theta=np.where(finite, point.theta, MIDDLE[2]).astype(np.float64),
    )
