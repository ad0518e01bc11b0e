"""Phase cycles as pulses without duration would have given them.

A pulse that takes time lets the profile of a voxel depend on its true off-resonance, of which the fit of hard pulses knows nothing:
T1 is off by +3 % on resonance and by -25 % at 300 Hz for 1 ms of constant B1. All estimators, networks and the two-pool fits beside
fluid are made for hard pulses. So the cycles are changed instead of the estimators: each is multiplied by what hard pulses would
give over what this pulse gives, both computed at the voxel's own T1, T2, B1 and off-resonance, which are found by turns. Where it
has settled, the fit of hard pulses returns these very values.

Bieri and Scheffler, MRM 62:1232 (2009), change T2 on resonance; off resonance nothing of that kind holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import signal as hard_signal
from qmri_bids.physics.excitation.profile import check_pulse, pulsed_profile
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol

ROUNDS = 3
"""Fits by turns; a fourth changes no T1 by more than 0.1 % within ±300 Hz for pulses of 1 ms."""

FARTHEST = 0.5
"""Off-resonance times duration up to which the model was tested: beyond, a pulse selects what it excites."""

LARGEST_FACTOR = 5.0
"""Change of one cycle beyond which a voxel is not described: such a pulse hardly excites it."""

BLOCK = 65_536
"""Voxels whose signals under both pulses are in memory at a time."""

FitTimes = Callable[[NDArray[np.complexfloating]], tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]
"""Fits cycles (V, N) by hard pulses: T1 [s], T2 [s] and off-resonance [Hz] modulo 1/TR."""


@dataclass(frozen=True, kw_only=True)
class HardCycles:
    """Phase cycles without the duration of the pulses.

    Parameters
    ----------
    cycles
        The cycles, shape (V, N); unchanged where `changed` is False.
    changed
        Where a fit told what to change, shape (V,).
    outside
        Where the off-resonance is too large for the pulse, shape (V,): `FARTHEST`.
    t1_before, t1_after
        Median T1 [s] of the voxels that were changed, of fits before and after.
    """

    cycles: NDArray[np.complex64]
    changed: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    t1_before: float
    t1_after: float


def as_by_hard_pulses(
    cycles: NDArray[np.complexfloating],
    *,
    fit: FitTimes,
    b1: NDArray[np.floating],
    off_resonance: NDArray[np.floating],
    pulse: ExcitationPulse,
    protocol: BssfpProtocol,
    threads: int = 1,
) -> HardCycles:
    """Return phase cycles as hard pulses would have given them.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    fit
        Fits them by hard pulses.
    b1
        Actual over nominal flip angle, shape (V,).
    off_resonance
        True off-resonance [Hz], shape (V,), from whatever source: it says in which period of 1/TR a voxel is. NaN where it is not
        known.
    pulse
        The excitation pulse.
    protocol
        The acquisition.
    threads
        Threads to use; the result does not depend on it.

    Raises
    ------
    ValueError
        If the pulse does not fit between two echoes.
    """
    check_pulse(pulse, protocol)
    period = 1.0 / protocol.repetition_time
    changed = np.asarray(cycles, dtype=np.complex64)
    known = np.isfinite(off_resonance) & np.isfinite(b1) & (b1 > 0.0)
    known &= np.isfinite(cycles).all(axis=1)
    good = np.zeros(len(known), dtype=np.bool_)
    first, t2, theta_offset = fit(changed)
    t1 = first
    for _ in range(ROUNDS):
        offset = theta_offset + period * np.round((off_resonance - theta_offset) / period)
        good = (
            known
            & np.isfinite(t1)
            & np.isfinite(t2)
            & np.isfinite(offset)
            & (np.abs(offset) * pulse.duration <= FARTHEST)
        )
        factor = hard_over_pulsed(
            t1[good], t2[good], b1=b1[good], off_resonance=offset[good], pulse=pulse, protocol=protocol, threads=threads
        )
        size = np.abs(factor)
        held = (
            np.isfinite(size).all(axis=1)
            & (size < LARGEST_FACTOR).all(axis=1)
            & (size > 1.0 / LARGEST_FACTOR).all(axis=1)
        )
        good[good] = held
        changed = np.array(cycles, dtype=np.complex64)
        changed[good] *= factor[held]
        t1, t2, theta_offset = fit(changed)
    far = known & ~(np.abs(off_resonance) * pulse.duration <= FARTHEST)
    some = good & np.isfinite(t1)
    return HardCycles(
        cycles=changed,
        changed=good,
        outside=far,
        t1_before=float(np.median(first[some])) if some.any() else np.nan,
        t1_after=float(np.median(t1[some])) if some.any() else np.nan,
    )


def hard_over_pulsed(
    t1: NDArray[np.float64],
    t2: NDArray[np.float64],
    *,
    b1: NDArray[np.floating],
    off_resonance: NDArray[np.float64],
    pulse: ExcitationPulse,
    protocol: BssfpProtocol,
    threads: int = 1,
) -> NDArray[np.complex64]:
    """Return the signal under hard pulses over that under the pulse, shape (V, N).

    Parameters
    ----------
    t1, t2
        Relaxation times [s], shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    off_resonance
        True off-resonance [Hz], shape (V,).
    pulse
        The excitation pulse.
    protocol
        The acquisition.
    threads
        Threads to use; the result does not depend on it.
    """
    found = np.empty((len(t1), protocol.number_of_cycles), dtype=np.complex64)
    for begin in range(0, len(t1), BLOCK):  # all voxels at once would take ten times the memory of the cycles
        part = slice(begin, begin + BLOCK)
        times, strength, offset = (t1[part], t2[part]), np.asarray(b1[part], dtype=np.float64), off_resonance[part]
        with np.errstate(all="ignore"):
            hard = hard_signal(*times, b1=strength, off_resonance=offset, protocol=protocol)
            pulsed = pulsed_profile(
                *times, b1=strength, off_resonance=offset, pulse=pulse, protocol=protocol, threads=threads
            )
            found[part] = hard / pulsed.signal(protocol.rf_phase_increment)
    return found
