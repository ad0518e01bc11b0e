r"""Steady-state signal of phase-cycled balanced SSFP and its configurations.

One isochromat of M0, T1, T2 under pulses of flip angle a = B1·FA with repetition time TR and RF phase increment φ,
precessing by θ = 2π·ΔB0·TR between pulses; E1 = exp(-TR/T1), E2 = exp(-TR/T2), ψ = θ - φ:

.. math::
    S = M_0 \frac{(1 - E_1)\sin a\,(1 - E_2 e^{-i\psi})}{p - q\cos\psi}\,e^{-TE/T_2}\,e^{i\theta TE/TR},\quad
    p = 1 - E_1\cos a - E_2^2(E_1 - \cos a),\quad q = E_2(1 - E_1)(1 + \cos a)

Precession is positive (e^{+iθ}) and the receiver follows the phase of the pulses. Divided by its complex amplitude the
profile is (1 - E2 e^{-iψ})/(1 - b cos ψ) with b = q/p: E2, b and θ are its natural coordinates, free of TR, FA and B1.

All functions take NumPy arrays or torch tensors and return the same kind. Sources: Zur et al., MRM 16:444 (1990);
Nguyen and Bieri, MRM 78:518 (2017); Birk et al., Sci Rep 15:4825 (2025), Eq. 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace, device

from qmri_bids.physics.protocol import BssfpProtocol

Array = Any
"""A NumPy array or a torch tensor."""

ALIASING_FREE_CYCLES = 12
"""From this number of evenly spaced cycles on, aliasing of the three lowest configurations is below 1e-4 of |F0| in tissue."""


def _complex_phase(angle: Array) -> Array:
    """Return e^{i·angle} (torch has no exp of a Python complex times a real tensor of its own precision)."""
    xp = array_namespace(angle)
    return xp.cos(angle) + 1j * xp.sin(angle)


def natural_coordinates(t1: Array, t2: Array, *, b1: Array, protocol: BssfpProtocol) -> tuple[Array, Array]:
    """Return the shape parameters E2 and b of the profile.

    Parameters
    ----------
    t1, t2
        Relaxation times [s], any shape.
    b1
        Actual over nominal flip angle, broadcastable against `t1`.
    protocol
        The acquisition.

    Returns
    -------
    e2, b
        E2 = exp(-TR/T2) and b = q/p, both in (0, 1).
    """
    xp = array_namespace(t1, t2, b1)
    e1 = xp.exp(-protocol.repetition_time / t1)
    e2 = xp.exp(-protocol.repetition_time / t2)
    p, q = denominator(e1, e2, xp.cos(b1 * protocol.flip_angle))
    return e2, q / p


def denominator(e1: Array, e2: Array, cosine: Array) -> tuple[Array, Array]:
    """Return p and q of the denominator p - q cos ψ."""
    p = 1.0 - e1 * cosine - e2**2 * (e1 - cosine)
    q = e2 * (1.0 - e1) * (1.0 + cosine)
    return p, q


def relaxation_times(e2: Array, b: Array, *, b1: Array, protocol: BssfpProtocol) -> tuple[Array, Array]:
    """Return T1 and T2 of a profile of shape (E2, b): the inverse of `natural_coordinates`.

    Parameters
    ----------
    e2, b
        Shape parameters of the profile, any shape.
    b1
        Actual over nominal flip angle.
    protocol
        The acquisition.

    Returns
    -------
    t1, t2
        Relaxation times [s]. NaN where no T1 or T2 gives this shape (E1 or E2 outside (0, 1)): nothing is clamped.
    """
    xp = array_namespace(e2, b, b1)
    cosine = xp.cos(b1 * protocol.flip_angle)
    e1 = (b * (1.0 + e2**2 * cosine) - e2 * (1.0 + cosine)) / (b * (cosine + e2**2) - e2 * (1.0 + cosine))
    return _decay_time(e1, protocol), _decay_time(e2, protocol)


def _decay_time(factor: Array, protocol: BssfpProtocol) -> Array:
    """Return -TR/log(factor), NaN where the factor is not in (0, 1)."""
    xp = array_namespace(factor)
    valid = (factor > 0.0) & (factor < 1.0)
    safe = xp.where(valid, factor, xp.asarray(0.5, dtype=factor.dtype, device=device(factor)))
    nan = xp.asarray(math.nan, dtype=factor.dtype, device=device(factor))
    return xp.where(valid, -protocol.repetition_time / xp.log(safe), nan)


def profile(e2: Array, b: Array, theta: Array, *, rf_phase_increment: Sequence[float]) -> Array:
    """Return the profile of unit amplitude (1 - E2 e^{-iψ})/(1 - b cos ψ) at every increment.

    Parameters
    ----------
    e2, b, theta
        Natural coordinates; θ in rad, any common shape.
    rf_phase_increment
        Increments φ_j [rad], N of them.

    Returns
    -------
    Array
        The profile, complex, shape (..., N).
    """
    xp = array_namespace(e2, b, theta)
    increments = xp.asarray(rf_phase_increment, dtype=theta.dtype, device=device(theta))
    psi = theta[..., None] - increments
    return (1.0 - e2[..., None] * _complex_phase(-psi)) / (1.0 - b[..., None] * xp.cos(psi))


def amplitude(
    t1: Array, t2: Array, *, b1: Array, off_resonance: Array, m0: Array | float = 1.0, protocol: BssfpProtocol
) -> Array:
    """Return the complex amplitude that multiplies `profile`: M0 (1 - E1) sin a / p · e^{-TE/T2} e^{iθTE/TR}.

    Parameters
    ----------
    t1, t2
        Relaxation times [s].
    b1
        Actual over nominal flip angle.
    off_resonance
        ΔB0 [Hz].
    m0
        Equilibrium magnetisation, possibly complex (receiver phase).
    protocol
        The acquisition.

    Returns
    -------
    Array
        The signal, complex, in the common shape of the arguments.
    """
    xp = array_namespace(t1, t2, b1, off_resonance)
    flip_angle = b1 * protocol.flip_angle
    e1 = xp.exp(-protocol.repetition_time / t1)
    e2 = xp.exp(-protocol.repetition_time / t2)
    p, _ = denominator(e1, e2, xp.cos(flip_angle))
    decay = xp.exp(-protocol.echo_time / t2)
    return (
        m0
        * ((1.0 - e1) * xp.sin(flip_angle) / p * decay)
        * _complex_phase(2.0 * math.pi * protocol.echo_time * off_resonance)
    )


def signal(
    t1: Array,
    t2: Array,
    *,
    b1: Array,
    off_resonance: Array,
    protocol: BssfpProtocol,
    m0: Array | float = 1.0,
) -> Array:
    """Return the steady-state signal of every phase cycle.

    Parameters
    ----------
    t1, t2
        Relaxation times [s], any shape.
    b1
        Actual over nominal flip angle.
    off_resonance
        ΔB0 [Hz].
    protocol
        The acquisition, N cycles.
    m0
        Equilibrium magnetisation, possibly complex (receiver phase).

    Returns
    -------
    Array
        Complex signal, shape (..., N).

    Examples
    --------
    >>> import numpy as np
    >>> protocol = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=np.deg2rad(15)
    ... )
    >>> white_matter = signal(
    ...     np.array(0.939), np.array(0.062), b1=np.array(1.0), off_resonance=np.array(0.0), protocol=protocol
    ... )
    >>> white_matter.shape
    (12,)
    """
    e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
    xp = array_namespace(e2, b, off_resonance)
    theta = 2.0 * math.pi * protocol.repetition_time * off_resonance + xp.zeros_like(b)
    scale = amplitude(t1, t2, b1=b1, off_resonance=off_resonance, m0=m0, protocol=protocol)
    shape = profile(e2 + xp.zeros_like(theta), b, theta, rf_phase_increment=protocol.rf_phase_increment)
    return (scale + xp.zeros_like(shape[..., 0]))[..., None] * shape


def configurations(cycles: Array, *, rf_phase_increment: Sequence[float], orders: Sequence[int]) -> Array:
    """Return the SSFP configurations (modes) F_n = (1/N) Σ_j S_j e^{+inφ_j}.

    Parameters
    ----------
    cycles
        Complex signal of N cycles, shape (..., N).
    rf_phase_increment
        Increments φ_j [rad]; the sum is a Fourier coefficient only where they are evenly spaced.
    orders
        The orders n to compute.

    Returns
    -------
    Array
        The configurations, complex, shape (..., len(orders)), in the order asked for.

    Raises
    ------
    ValueError
        If the number of increments is not the number of cycles.
    """
    if cycles.shape[-1] != len(rf_phase_increment):
        raise ValueError(
            f"cycles has {cycles.shape[-1]} volumes on its last axis, rf_phase_increment {len(rf_phase_increment)}"
        )
    xp = array_namespace(cycles)
    real = xp.real(cycles).dtype
    phase = xp.asarray(
        [[order * increment for order in orders] for increment in rf_phase_increment],
        dtype=real,
        device=device(cycles),
    )
    transform = xp.astype(_complex_phase(phase) / len(rf_phase_increment), cycles.dtype)
    return cycles @ transform


def configuration_amplitudes(
    t1: Array, t2: Array, *, b1: Array, protocol: BssfpProtocol, orders: Sequence[int]
) -> Array:
    """Return the real amplitudes a_n of the configurations in the limit of infinitely many cycles, M0 = 1.

    F_n = a_n e^{inθ} e^{iθTE/TR}, a_n = K (β^|n| - E2 β^|n+1|) with s = sqrt(p² - q²), β = (p - s)/q and
    K = (1 - E1) sin a / s · e^{-TE/T2} (Zur et al. 1990; Nguyen and Bieri 2017).

    Parameters
    ----------
    t1, t2
        Relaxation times [s], any shape.
    b1
        Actual over nominal flip angle.
    protocol
        The acquisition; its increments are not used.
    orders
        The orders n.

    Returns
    -------
    Array
        The amplitudes, real, shape (..., len(orders)).
    """
    xp = array_namespace(t1, t2, b1)
    e1 = xp.exp(-protocol.repetition_time / t1)
    e2 = xp.exp(-protocol.repetition_time / t2)
    flip_angle = b1 * protocol.flip_angle
    p, q = denominator(e1, e2, xp.cos(flip_angle))
    s = xp.sqrt(p**2 - q**2)
    beta = (p - s) / q
    scale = (1.0 - e1) * xp.sin(flip_angle) / s * xp.exp(-protocol.echo_time / t2)
    return xp.stack([scale * (beta ** abs(n) - e2 * beta ** abs(n + 1)) for n in orders], axis=-1)
