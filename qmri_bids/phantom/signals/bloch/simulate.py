"""Signals of phase-cycled balanced SSFP as the Bloch equations give them, step by step through finite pulses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qmri_bids.phantom.signals.bloch.kernels import cycles_by_steps
from qmri_bids.phantom.signals.bloch.sequence import Line, PulseSequence, TwoPools


def simulate_cycles(
    t1: ArrayLike,
    t2: ArrayLike,
    b1: ArrayLike,
    off_resonance: ArrayLike,
    m0: ArrayLike,
    *,
    sequence: PulseSequence,
    pools: TwoPools | None = None,
    drift: ArrayLike | None = None,
    gain: ArrayLike | None = None,
    line: Line | None = None,
) -> NDArray[np.complex128]:
    """Return the signal of phase-cycled balanced SSFP in every cycle, shape (n, N).

    Every TR is an affine map of magnetisation: the pulse in steps of constant B1, each the exponential of precession, relaxation,
    exchange and saturation together (as a series), then free precession. The steady state is the map's fixed point; a transient
    is its powers. The receiver follows the phase of the pulses; positive off-resonance lets the phase grow (e^{+iθ}). The limit of
    a pulse without duration is `steady_state.balanced_signal`.

    Parameters
    ----------
    t1, t2
        Relaxation times of free water [s], shape (n,) or a number, as the three that follow.
    b1
        Actual over nominal flip angle.
    off_resonance
        Off-resonance with chemical shift [Hz].
    m0
        Equilibrium magnetisation of free water with the phase of the receiver, complex.
    sequence
        What is played.
    pools
        The semisolid pool beside the water; None for water alone.
    drift, gain
        Off-resonance that every cycle adds [Hz], and its complex gain, shape (N,); None for 0 and 1.
    line
        Distribution of off-resonance over which the signal is averaged; None for one isochromat.

    Raises
    ------
    ValueError
        If shapes do not go together, or two pools meet a pulse without duration, whose power has no bound.

    Examples
    --------
    >>> from qmri_bids.phantom.signals.bloch.sequence import RfPulse
    >>> sequence = PulseSequence(
    ...     repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.2618, increments=(0.0, 3.1416), pulse=RfPulse.rect(1e-3)
    ... )
    >>> np.abs(simulate_cycles(0.94, 0.062, 1.0, 0.0, 1.0, sequence=sequence)).round(3)
    array([[0.019, 0.107]])
    """
    arrays = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(each, dtype=np.float64)) for each in (t1, t2, b1, off_resonance)),
        np.atleast_1d(np.asarray(m0, dtype=np.complex128)),
    )
    times1, times2, strength, frequency, magnetisation = (np.ascontiguousarray(each) for each in arrays)
    number = len(sequence.increments)
    added = np.zeros(number) if drift is None else np.asarray(drift, dtype=np.float64)
    factor = np.ones(number, dtype=np.complex128) if gain is None else np.asarray(gain, dtype=np.complex128)
    if times1.ndim != 1 or added.shape != (number,) or factor.shape != (number,):
        raise ValueError(
            f"expected voxels of shape (n,), drift and gain of shape ({number},), found {times1.shape}, {added.shape}, "
            f"{factor.shape}"
        )
    if pools is not None and sequence.pulse.duration == 0.0:
        raise ValueError("a semisolid pool needs a pulse that takes time, found a hard one")
    exchange = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    if pools is not None:
        back = pools.exchange_rate / pools.fraction
        r1m = np.nan if pools.r1 is None else pools.r1
        exchange = np.array([pools.exchange_rate, back, r1m, pools.fraction, pools.line])
    approach = sequence.approach
    steps = (-1, 0, False)
    if approach is not None:
        in_all = approach.dummies + 1 if approach.repetitions is None else approach.repetitions
        steps = (approach.dummies, in_all, approach.continued)
    offsets = np.zeros(1) if line is None else line.offsets()
    total = np.zeros((len(times1), number), dtype=np.complex128)
    for offset in offsets:
        total += cycles_by_steps(
            times1,
            times2,
            strength,
            frequency + offset,
            magnetisation,
            (sequence.repetition_time, sequence.echo_time, sequence.pulse.duration),
            sequence.pulse.amplitudes(sequence.flip_angle),
            np.array(sequence.increments, dtype=np.float64),
            exchange,
            added,
            factor,
            steps,
        )
    return total / len(offsets)


@dataclass(frozen=True, kw_only=True)
class Component:
    """One of several kinds of water in a voxel.

    Parameters
    ----------
    weight
        Its M0 over that of the voxel: a number or shape (n,).
    t1, t2
        Relaxation times [s]: a number or shape (n,).
    shift
        Frequency against that of the voxel [Hz].
    pools
        Its semisolid pool, if any.
    """

    weight: ArrayLike
    t1: ArrayLike
    t2: ArrayLike
    shift: float = 0.0
    pools: TwoPools | None = None


def simulate_mixture(
    components: Sequence[Component],
    *,
    b1: ArrayLike,
    off_resonance: ArrayLike,
    m0: ArrayLike,
    sequence: PulseSequence,
    drift: ArrayLike | None = None,
    gain: ArrayLike | None = None,
    line: Line | None = None,
) -> NDArray[np.complex128]:
    """Return the sum of what several kinds of water give that do not exchange, shape (n, N); see `simulate_cycles`."""
    parts = [
        simulate_cycles(
            part.t1,
            part.t2,
            b1,
            np.asarray(off_resonance, dtype=np.float64) + part.shift,
            np.asarray(m0) * np.asarray(part.weight),
            sequence=sequence,
            pools=part.pools,
            drift=drift,
            gain=gain,
            line=line,
        )
        for part in components
    ]
    return np.sum(np.broadcast_arrays(*parts), axis=0)
