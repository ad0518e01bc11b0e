"""Pulses and pools as the arrays that `train_kernels` reads."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.reference import precession
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Pulse
from qmri_bids.units import GYROMAGNETIC_RATIO


def kernel_segments(pulse: Pulse) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the different segments of a pulse, shape (S, 3), and which are played: a symmetric pulse has half as many."""
    steps = [
        # Two amplitudes that differ by rounding are one.
        (round(2.0 * math.pi * GYROMAGNETIC_RATIO * each.amplitude, 9), each.phase, each.duration)
        for each in pulse.segments
    ]
    different = sorted(set(steps))
    return np.array(different), np.array([different.index(each) for each in steps])


def kernel_pools(
    model: PoolModel, t1: NDArray[np.float64], t2: NDArray[np.float64], field_strength: float
) -> tuple[NDArray[np.float64], ...]:
    """Return R1 and R2 [1/s], shape (P, V), shifts [rad/s], fractions and rates [1/s], shape (P,), water first.

    Parameters
    ----------
    model
        The pools.
    t1, t2
        Relaxation times of water [s], shape (V,).
    field_strength
        B0 [T].
    """
    pools = model.exchanging
    r1, one = 1.0 / t1, np.ones_like(t1)
    return (
        np.array([r1] + [r1 if pool.t1 is None else one / pool.t1 for pool in pools]),
        np.array([1.0 / t2] + [one / pool.t2 for pool in pools]),
        np.array([0.0] + [precession(pool, field_strength) for pool in pools]),
        np.array([1.0] + [pool.fraction for pool in pools]),
        np.array([0.0] + [pool.rate for pool in pools]),
    )


def kernel_line(model: PoolModel, away: NDArray[np.float64], field_strength: float) -> NDArray[np.float64]:
    """Return π g of a semisolid pool of z alone, any shape; 0 where the model has none.

    Parameters
    ----------
    model
        The pools.
    away
        Carrier less the frequency of water [rad/s].
    field_strength
        B0 [T].
    """
    pool = model.mt
    if pool is None or pool.lineshape is None:
        return np.zeros_like(away)
    line, _ = absorption(pool.lineshape, away - precession(pool, field_strength), t2=pool.t2)
    return math.pi * line
