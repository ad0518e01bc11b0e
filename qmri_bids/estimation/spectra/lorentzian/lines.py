"""Lines of the pools of a fit: Lorentzian, and the super-Lorentzian one of semisolid tissue, as functions of offset over width."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import brentq

from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import Lineshape

NODES = 1024
"""Nodes of the table; a cubic between them is within 1e-6 of the line."""

REFERENCE_T2 = 1e-5
"""T2 at which the line is continued through its divergence from 1 kHz inwards [s].

At others it is continued from 1 kHz · 10 µs/T2, so that all have one shape."""


@lru_cache(maxsize=1)
def super_lorentzian_table() -> NDArray[np.float64]:
    """Return the super-Lorentzian line, 1 at its centre, and its derivative by u = x/(1 + x) at even steps of u from 0 to 1.

    x is the distance from the centre over the full width at half maximum. Shape (T, 2).
    """
    u = np.linspace(0.0, 1.0, NODES)
    x = u[:-1] / (1.0 - u[:-1])
    width = 2.0 * half_width()
    top = float(_line(np.zeros(1))[0][0])
    line, slope = (each / top for each in _line(x * width))
    table = np.zeros((NODES, 2))
    table[:-1, 0] = line
    table[:-1, 1] = slope * width * (1.0 + x) ** 2
    table[0, 1] = 0.0
    return table


def _line(offset: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return absorption(Lineshape.SUPER_LORENTZIAN, offset, t2=REFERENCE_T2)


@lru_cache(maxsize=1)
def half_width() -> float:
    """Return half the width at half maximum of the line of `REFERENCE_T2` [rad/s]."""
    top = float(_line(np.zeros(1))[0][0])
    return float(brentq(lambda offset: _line(np.array([offset]))[0][0] - 0.5 * top, 1.0, 1e7, xtol=1e-3))


@njit(nogil=True, cache=True, error_model="numpy")
def from_table(table: NDArray, x: float) -> tuple[float, float]:
    """Return the line and its derivative at x ≥ 0, the distance from the centre over the full width at half maximum."""
    u = x / (1.0 + x)
    steps = table.shape[0] - 1
    scaled = u * steps
    place = min(int(scaled), steps - 1)
    t = scaled - place
    step = 1.0 / steps
    a, b = table[place, 0], table[place + 1, 0]
    da, db = table[place, 1] * step, table[place + 1, 1] * step
    c, d = 3.0 * (b - a) - 2.0 * da - db, 2.0 * (a - b) + da + db
    value = a + t * (da + t * (c + t * d))
    slope = (da + t * (2.0 * c + 3.0 * t * d)) * steps
    return value, slope * (1.0 - u) * (1.0 - u)


@njit(nogil=True, cache=True, error_model="numpy")
def _table_lines(table: NDArray, x: NDArray, line: NDArray, slope: NDArray) -> None:
    for k in range(x.size):
        line[k], slope[k] = from_table(table, x[k])


def lines(
    offsets: NDArray[np.floating],
    width: NDArray[np.floating],
    position: NDArray[np.floating],
    broad: Sequence[bool] | NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the lines of P pools, 1 at their centres, and their derivatives by the logarithm of the width and by the position.

    Parameters
    ----------
    offsets
        Offsets [ppm], shape (N,) or (V, N).
    width, position
        Full width at half maximum and centre [ppm], shape (V, P).
    broad
        Whether the line of a pool is super-Lorentzian.

    Returns
    -------
    line, by_width, by_position
        Shape (V, N, P); the last [1/ppm].
    """
    scaled = (np.asarray(offsets, dtype=np.float64)[..., :, None] - position[:, None, :]) / width[:, None, :]
    line = 1.0 / (1.0 + 4.0 * scaled**2)
    slope = -8.0 * scaled * line**2
    for pool in np.flatnonzero(broad):
        x = np.ascontiguousarray(np.abs(scaled[..., pool]))
        value, derivative = np.empty_like(x), np.empty_like(x)
        _table_lines(super_lorentzian_table(), x.ravel(), value.ravel(), derivative.ravel())
        line[..., pool], slope[..., pool] = value, derivative * np.sign(scaled[..., pool])
    return line, -slope * scaled, -slope / width[:, None, :]


def spectrum(
    parameters: NDArray[np.float64], offsets: NDArray[np.float64], *, broad: Sequence[bool] | NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return spectra that are sums of lines at offsets (N,) or (V, N) from water, and their derivatives.

    Parameters
    ----------
    parameters
        Baseline, then height, width [ppm] and position [ppm] of each pool, shape (V, 1 + 3P).
    offsets
        Offsets [ppm].
    broad
        Whether the line of a pool is super-Lorentzian, shape (P,).

    Returns
    -------
    values, by_parameters, by_offset
        Shape (V, N), (V, N, 1 + 3P) and (V, N).
    """
    amplitude, width, position = (parameters[:, first::3] for first in (1, 2, 3))
    line, by_width, by_position = lines(offsets, width, position, broad)
    height = amplitude[:, None, :]
    gradient = np.empty((*line.shape[:2], parameters.shape[1]))
    gradient[:, :, 0] = 1.0
    gradient[:, :, 1::3] = -line
    gradient[:, :, 2::3] = -height * by_width / width[:, None, :]
    gradient[:, :, 3::3] = -height * by_position
    return parameters[:, :1] - (height * line).sum(axis=2), gradient, -gradient[:, :, 3::3].sum(axis=2)
