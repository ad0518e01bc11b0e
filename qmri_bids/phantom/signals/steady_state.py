r"""Steady states of pulse trains, written for the phantom alone: what is judged by it shares none of this.

Balanced SSFP in the form of Freeman and Hill (J Magn Reson 4:366, 1971) and Ganter (MRM 56:687, 2006), for pulses of flip angle a
whose phase grows by φ from pulse to pulse, and spins that precess by θ between two pulses, ψ = θ - φ:

.. math::
    S = M_0 \frac{(1 - E_1)\sin a\,(1 - E_2 e^{-i\psi})}{(1 - E_1\cos a)(1 - E_2\cos\psi) - E_2 (E_1 - \cos a)(E_2 - \cos\psi)}
        \,e^{-TE/T_2}\,e^{i\theta TE/TR}

The receiver follows the phase of the pulses. Off-resonance and chemical shift both precess, during TR and until TE.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True)
def balanced_signal(
    t1: NDArray[np.float32],
    t2: NDArray[np.float32],
    b1: NDArray[np.float32],
    frequency: NDArray[np.float32],
    m0: NDArray[np.complex64],
    repetition_time: float,
    echo_time: float,
    flip_angle: float,
    increments: NDArray[np.float64],
) -> NDArray[np.complex64]:
    """Return the signal of phase-cycled balanced SSFP, shape (n, N).

    Parameters
    ----------
    t1, t2
        Relaxation times [s], shape (n,).
    b1
        Actual over nominal flip angle.
    frequency
        Off-resonance with chemical shift [Hz].
    m0
        Equilibrium magnetisation with the phase of the receiver.
    repetition_time, echo_time
        Repetition time and echo time [s].
    flip_angle
        Nominal flip angle [rad].
    increments
        Growth of the phase of the pulses from one to the next in every cycle [rad], shape (N,).
    """
    cycles = len(increments)
    out = np.empty((len(t1), cycles), dtype=np.complex64)
    cosines, sines = np.cos(increments), np.sin(increments)
    for n in range(len(t1)):
        e1 = math.exp(-repetition_time / t1[n])
        e2 = math.exp(-repetition_time / t2[n])
        angle = flip_angle * b1[n]
        cos_a = math.cos(angle)
        turn = 2.0 * math.pi * frequency[n]
        cos_theta, sin_theta = math.cos(turn * repetition_time), math.sin(turn * repetition_time)
        echo = math.exp(-echo_time / t2[n])
        scale = (1.0 - e1) * math.sin(angle) * echo * m0[n]
        scale *= complex(math.cos(turn * echo_time), math.sin(turn * echo_time))
        for cycle in range(cycles):
            cos_psi = cos_theta * cosines[cycle] + sin_theta * sines[cycle]
            sin_psi = sin_theta * cosines[cycle] - cos_theta * sines[cycle]
            below = (1.0 - e1 * cos_a) * (1.0 - e2 * cos_psi) - e2 * (e1 - cos_a) * (e2 - cos_psi)
            out[n, cycle] = scale * complex(1.0 - e2 * cos_psi, e2 * sin_psi) / below
    return out


def spoiled_echo(flip_angle: NDArray[np.floating], *, t1: NDArray[np.floating], repetition_time: float) -> NDArray:
    """Return the signal of a spoiled gradient echo at TE = 0, M0 = 1 (Ernst and Anderson, Rev Sci Instrum 37:93, 1966).

    Parameters
    ----------
    flip_angle
        Actual flip angle [rad].
    t1, repetition_time
        T1 and repetition time [s].
    """
    e1 = np.exp(-repetition_time / t1)
    return np.sin(flip_angle) * (1.0 - e1) / (1.0 - np.cos(flip_angle) * e1)


def interleaved_echoes(
    flip_angle: NDArray[np.floating], *, t1: NDArray[np.floating], repetition_times: tuple[float, float]
) -> tuple[NDArray, NDArray]:
    """Return both signals of actual flip-angle imaging, M0 = 1 (Yarnykh, MRM 57:192, 2007).

    Pulses of one flip angle follow each other after TR1 and TR2 in turn; the first signal is that of the pulse before TR1. Found
    from the longitudinal magnetisation that two pulses and two pauses give back.
    """
    cosine = np.cos(flip_angle)
    first, second = (np.exp(-time / t1) for time in repetition_times)
    # m before the pulse of TR1: m = 1 - E2 + E2 cos a (1 - E1 + E1 cos a m).
    before = (1.0 - second + second * cosine * (1.0 - first)) / (1.0 - first * second * cosine**2)
    after = 1.0 - first + first * cosine * before
    return np.sin(flip_angle) * before, np.sin(flip_angle) * after
