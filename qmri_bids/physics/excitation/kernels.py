r"""The profile of phase-cycled bSSFP under pulses of any shape, as the ellipse that it is.

Whatever happens between two pulses, the increment φ enters by the phase of the frame alone. One TR takes the transverse
magnetisation m = mx + i·my at the beginning of a pulse to

.. math:: e^{i\varphi} m' = \alpha m + \beta m^* + \gamma,

with z at its steady state eliminated, which φ does not touch. The fixed point is

.. math::
    S(\varphi) \propto \frac{\gamma + (\beta\gamma^* - \alpha^*\gamma)\,e^{i\varphi}}
    {1 + |\alpha|^2 - |\beta|^2 - 2\,\mathrm{Re}(\alpha e^{-i\varphi})}
    = A\,\frac{1 - c\,e^{-i(\theta - \varphi)}}{1 - b\cos(\theta - \varphi)}

which is the profile of `physics.bssfp` but for c, which need not be real: for pulses that take no time c = E2.

The pulse is played in steps of constant B1: half of relaxation, an exact rotation about the effective field, the other half
(Strang, SIAM J Numer Anal 5:506, 1968); between pulses all is in closed form.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _relax(state: Floats, transverse: float, longitudinal: float) -> None:
    """Apply decay of x, y and recovery of z to the columns of a state (3, 4)."""
    for column in range(4):
        state[0, column] *= transverse
        state[1, column] *= transverse
        state[2, column] *= longitudinal
    state[2, 3] += 1.0 - longitudinal


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rotate(state: Floats, nutation: float, precession: float) -> None:
    """Rotate x, y, z about (nutation, 0, precession) [rad], so that m turns by e^{+i·precession}: columns of (3, 4)."""
    angle = math.sqrt(nutation * nutation + precession * precession)
    if angle == 0.0:
        return
    nx, nz = nutation / angle, precession / angle
    c, s = math.cos(angle), math.sin(angle)
    v = 1.0 - c
    for column in range(4):
        x, y, z = state[0, column], state[1, column], state[2, column]
        along = (nx * x + nz * z) * v
        state[0, column] = c * x - s * nz * y + nx * along
        state[1, column] = c * y + s * (nz * x - nx * z)
        state[2, column] = c * z + s * nx * y + nz * along


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ellipses(
    t1: Floats,
    t2: Floats,
    b1: Floats,
    off_resonance: Floats,
    pulse: Floats,
    duration: float,
    repetition_time: float,
    echo_time: float,
    out: NDArray[np.complex128],
) -> None:
    """Fill amplitude A for M0 = 1, c, b and e^{iθ} of V voxels, shape (4, V).

    Parameters
    ----------
    t1, t2, b1, off_resonance
        T1 and T2 [s], actual over nominal B1, off-resonance [Hz], shape (V,).
    pulse
        Nominal ω1 of its steps [rad/s], all of one length.
    duration, repetition_time, echo_time
        Of the pulse, from pulse to pulse, and from the middle of the pulse to the echo [s].
    """
    length = duration / len(pulse)
    state = np.empty((3, 4))
    for voxel in range(len(t1)):
        r1, r2 = 1.0 / t1[voxel], 1.0 / t2[voxel]
        omega = 2.0 * math.pi * off_resonance[voxel]
        for row in range(3):
            for column in range(4):
                state[row, column] = 1.0 if row == column else 0.0
        transverse, longitudinal = math.exp(-0.5 * r2 * length), math.exp(-0.5 * r1 * length)
        for step in range(len(pulse)):
            _relax(state, transverse, longitudinal)
            _rotate(state, pulse[step] * b1[voxel] * length, omega * length)
            _relax(state, transverse, longitudinal)
        free = repetition_time - duration
        _relax(state, math.exp(-r2 * free), math.exp(-r1 * free))
        _rotate(state, 0.0, omega * free)
        # z at its steady state: z (1 - A_zz) = A_z⊥ m + B_z.
        for row in range(2):
            share = state[row, 2] / (1.0 - state[2, 2])
            for column in (0, 1, 3):
                state[row, column] += share * state[2, column]
        xx, xy, yx, yy = state[0, 0], state[0, 1], state[1, 0], state[1, 1]
        alpha = complex(0.5 * (xx + yy), 0.5 * (yx - xy))
        beta = complex(0.5 * (xx - yy), 0.5 * (yx + xy))
        gamma = complex(state[0, 3], state[1, 3])
        size = abs(alpha)
        scale = 1.0 + size * size - abs(beta) ** 2
        turn = alpha / size
        rest = repetition_time - 0.5 * duration - echo_time
        grown = math.exp(r2 * rest) * complex(math.cos(omega * rest), -math.sin(omega * rest))
        out[0, voxel] = 1j * grown * gamma / scale  # pulses turn z towards -y, the receiver has their phase
        out[1, voxel] = (alpha.conjugate() - beta * gamma.conjugate() / gamma) * turn
        out[2, voxel] = 2.0 * size / scale
        out[3, voxel] = turn
