"""Signals of the scans that measure the transmit field: spoiled gradient echoes in steady state, with one TR or two in turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def spoiled_signal(flip_angle: Array | float, *, t1: Array | float, repetition_time: float) -> Array:
    """Return the steady state of an ideally spoiled gradient echo, M0 = 1 (Ernst and Anderson, Rev Sci Instrum 37:93, 1966).

    Parameters
    ----------
    flip_angle
        Actual flip angle [rad], shape (...).
    t1
        T1 [s], shape (...).
    repetition_time
        Time from one excitation to the next [s].

    Examples
    --------
    >>> float(np.round(spoiled_signal(np.pi / 2.0, t1=1.0, repetition_time=100.0), 6))
    1.0
    """
    e1 = np.exp(-repetition_time / np.asarray(t1))
    signal: Array = np.sin(flip_angle) * (1.0 - e1) / (1.0 - e1 * np.cos(flip_angle))
    return signal


def afi_signals(
    flip_angle: Array | float, *, t1: Array | float, repetition_times: tuple[float, float]
) -> tuple[Array, Array]:
    """Return both signals of actual flip-angle imaging in steady state, M0 = 1 (Yarnykh, MRM 57:192, 2007, equations 3-5).

    Parameters
    ----------
    flip_angle
        Actual flip angle [rad], shape (...).
    t1
        T1 [s], shape (...).
    repetition_times
        Delay after the first pulse and after the second [s].

    Returns
    -------
    first, second
        Signal after the first pulse (which follows the second delay) and after the second, ideally spoiled, shape (...).
    """
    e1, e2 = (np.exp(-delay / np.asarray(t1)) for delay in repetition_times)
    cosine = np.cos(flip_angle)
    scale = np.sin(flip_angle) / (1.0 - e1 * e2 * cosine**2)
    first: Array = scale * (1.0 - e2 + (1.0 - e1) * e2 * cosine)
    second: Array = scale * (1.0 - e1 + (1.0 - e2) * e1 * cosine)
    return first, second
