r"""Cramér-Rao bound of phase-cycled bSSFP: the smallest standard deviation that an unbiased estimator can have.

The noise is complex Gaussian, independent and equal in all cycles and in real and imaginary part. Unknown are T1, T2, θ, |M0| and
the phase of M0 (the receiver); B1 is known. With K = b tan(a/2) E2^{TE/TR - 1}, the amplitude of `bssfp.amplitude` written in
natural coordinates, the signal is S_j = M_0 K f_j(E_2, b, θ), and the derivatives follow by the chain rule through (E2, b):

.. math::
    \frac{\partial S}{\partial \ln T_1} = M_0 K \Big(\frac{f}{b} + f_b\Big)\frac{\partial b}{\partial \ln T_1},\quad
    \frac{\partial S}{\partial \ln T_2} = M_0 K \Big[\Big(\frac{f}{b} + f_b\Big)\frac{\partial b}{\partial E_2}
    + \Big(\frac{TE/TR - 1}{E_2} f + f_E\Big)\Big]\frac{\partial E_2}{\partial \ln T_2}

Source of the bound: Kay, Fundamentals of Statistical Signal Processing: Estimation Theory (1993), section 3.9.
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace, device

from qmri_bids.physics.bssfp import amplitude, natural_coordinates, profile
from qmri_bids.physics.protocol import BssfpProtocol

Array = Any
"""A NumPy array or a torch tensor."""

UNKNOWNS = ("T1", "T2", "M0", "off_resonance")


def cramer_rao_bound(
    t1: Array,
    t2: Array,
    *,
    b1: Array,
    off_resonance: Array,
    noise_stdev: Array | float,
    protocol: BssfpProtocol,
    m0: Array | float = 1.0,
) -> dict[str, Array]:
    """Return the smallest standard deviation of each map.

    Parameters
    ----------
    t1, t2
        True relaxation times [s], shape (...), double precision.
    b1
        Actual over nominal flip angle, shape (...).
    off_resonance
        ΔB0 [Hz], shape (...).
    noise_stdev
        Standard deviation of the noise in real and imaginary part each, in units of `m0`.
    protocol
        The acquisition, any increments.
    m0
        Equilibrium magnetisation.

    Returns
    -------
    dict
        `T1` [s], `T2` [s], `M0` [as m0] and `off_resonance` [Hz], each of shape (...).

    Examples
    --------
    >>> import numpy as np
    >>> protocol = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=np.deg2rad(15)
    ... )
    >>> bound = cramer_rao_bound(
    ...     np.array([0.939]),
    ...     np.array([0.062]),
    ...     b1=np.array([1.0]),
    ...     off_resonance=np.array([0.0]),
    ...     noise_stdev=0.002,
    ...     protocol=protocol,
    ... )
    >>> float(bound["T1"][0]) / 0.939 < 0.1
    True
    """
    covariance = relative_covariance(t1, t2, b1=b1, off_resonance=off_resonance, protocol=protocol)
    xp = array_namespace(covariance)
    level = noise_stdev / abs(m0) + xp.zeros_like(covariance[..., 0, 0])
    relative = xp.sqrt(xp.linalg.diagonal(covariance)) * level[..., None]
    return {
        "T1": relative[..., 0] * t1,
        "T2": relative[..., 1] * t2,
        "M0": relative[..., 2] * abs(m0),
        "off_resonance": relative[..., 3] / (2.0 * math.pi * protocol.repetition_time),
    }


def relative_covariance(t1: Array, t2: Array, *, b1: Array, off_resonance: Array, protocol: BssfpProtocol) -> Array:
    """Return the covariance of ln T1, ln T2, ln |M0|, θ and the phase of M0 at the bound, for noise of the size of M0.

    Parameters
    ----------
    t1, t2, b1, off_resonance, protocol
        As of `cramer_rao_bound`.

    Returns
    -------
    Array
        Shape (..., 5, 5); times the square of noise over M0 it is that of a scan.
    """
    xp = array_namespace(t1, t2, b1, off_resonance)
    tr = protocol.repetition_time
    zero = xp.zeros_like(t1 * b1 * off_resonance)
    t1, t2, b1 = t1 + zero, t2 + zero, b1 + zero
    theta = 2.0 * math.pi * tr * off_resonance + zero
    e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
    db_dt1, db_de2 = _slopes_of_b(t1, t2, b1, protocol)
    de2 = e2 * tr / t2
    increments = xp.asarray(protocol.rf_phase_increment, dtype=theta.dtype, device=device(theta))
    psi = theta[..., None] - increments
    cosine, sine = xp.cos(psi), xp.sin(psi)
    shape = profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment)
    turn = (cosine - 1j * sine) / (1.0 - b[..., None] * cosine)
    f_b = shape * cosine / (1.0 - b[..., None] * cosine)
    f_theta = 1j * e2[..., None] * turn - shape * (b[..., None] * sine / (1.0 - b[..., None] * cosine))
    along_b = shape / b[..., None] + f_b
    decay = (protocol.echo_time / tr - 1.0) / e2
    along_e2 = shape * decay[..., None] - turn
    columns = (
        along_b * db_dt1[..., None],
        (along_b * db_de2[..., None] + along_e2) * de2[..., None],
        shape,
        f_theta,
        1j * shape,
    )
    jacobian = xp.stack([xp.concat([xp.real(each), xp.imag(each)], axis=-1) for each in columns], axis=-1)
    information = xp.matrix_transpose(jacobian) @ jacobian
    scale = xp.abs(amplitude(t1, t2, b1=b1, off_resonance=zero, m0=1.0, protocol=protocol))
    return xp.linalg.inv(information) / (scale**2)[..., None, None]


def _slopes_of_b(t1: Array, t2: Array, b1: Array, protocol: BssfpProtocol) -> tuple[Array, Array]:
    """Return ∂b/∂ln T1 and ∂b/∂E2 of b = q/p."""
    xp = array_namespace(t1, t2, b1)
    tr = protocol.repetition_time
    e1, e2 = xp.exp(-tr / t1), xp.exp(-tr / t2)
    cosine = xp.cos(b1 * protocol.flip_angle)
    p = 1.0 - e1 * cosine - e2**2 * (e1 - cosine)
    b = e2 * (1.0 - e1) * (1.0 + cosine) / p
    by_e1 = (-e2 * (1.0 + cosine) + b * (cosine + e2**2)) / p
    by_e2 = ((1.0 - e1) * (1.0 + cosine) + 2.0 * b * e2 * (e1 - cosine)) / p
    return by_e1 * e1 * tr / t1, by_e2
