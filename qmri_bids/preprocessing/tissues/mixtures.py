"""T1 and T2 that phase-cycled bSSFP shows in a voxel of several tissues.

The signals of the tissues add up, and the fit finds the one tissue that is nearest to the sum. Fluid gives more than its share:
grey matter with 10 % of it shows 40 % more T2, and no more T1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol

TYPICAL_PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=float(np.deg2rad(15.0))
)
"""Where the acquisition is not known. From 15° to 30° and TR from 4.8 to 8 ms T2 of equal shares changes by a tenth."""

_OFFSETS = 24
"""Off-resonances over the band of 1/TR; the median over them is taken."""


def mixed_times(
    shares: NDArray[np.floating],
    *,
    t1: NDArray[np.floating],
    t2: NDArray[np.floating],
    m0: NDArray[np.floating],
    protocol: BssfpProtocol = TYPICAL_PROTOCOL,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return T1 and T2 [s] of mixtures at nominal B1, without noise, tissues at one frequency; shape (K,).

    Parameters
    ----------
    shares
        Volume of every tissue in every mixture, shape (K, P).
    t1, t2
        T1 and T2 of the tissues [s], shape (P,).
    m0
        Their equilibrium magnetisation by volume, in any unit, shape (P,).
    protocol
        The acquisition.

    Examples
    --------
    >>> shares = np.array([[1.0, 0.0], [0.9, 0.1]])
    >>> t1, t2 = mixed_times(shares, t1=np.array([1.4, 4.0]), t2=np.array([0.085, 1.5]), m0=np.array([0.8, 1.0]))
    >>> t1.round(1).tolist(), t2.round(2).tolist()
    ([1.4, 1.3], [0.08, 0.12])
    """
    from qmri_bids.estimation.base import KnownMaps
    from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood

    band = 1.0 / protocol.repetition_time
    offsets = band * ((np.arange(_OFFSETS) + 0.5) / _OFFSETS - 0.5)
    one = np.ones(_OFFSETS)
    tissues = np.stack(
        [
            signal(first * one, second * one, b1=one, off_resonance=offsets, protocol=protocol, m0=float(amount))
            for first, second, amount in zip(t1, t2, m0, strict=True)
        ]
    )
    cycles = np.einsum("kp,pon->kon", np.asarray(shares, dtype=float), tissues).astype(np.complex64)
    found = MaximumLikelihood().estimate(cycles, protocol=protocol, known=KnownMaps(b1=np.ones(cycles.shape[:2])))
    return tuple(np.nanmedian(found.values[name].astype(float), axis=1) for name in ("T1", "T2"))
