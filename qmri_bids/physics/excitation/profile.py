"""Profiles of phase-cycled bSSFP under pulses that take time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.excitation.kernels import ellipses
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.system.blocks import run_blocks

BLOCK = 4096
"""Voxels that a thread works on at a time."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PulsedProfile:
    """S = A (1 - c e^{-i(θ - φ)}) / (1 - b cos(θ - φ)): profiles of V voxels, shape (V,) each.

    Parameters
    ----------
    amplitude
        A for an M0 of 1, complex.
    c
        E2 for pulses that take no time; complex else.
    b
        Depth of the denominator.
    theta
        Precession between pulses as the profile has it [rad], in (-π, π].
    """

    amplitude: NDArray[np.complex128]
    c: NDArray[np.complex128]
    b: Values
    theta: Values

    def __getitem__(self, chosen: slice | NDArray[Any]) -> PulsedProfile:
        """Return some of the voxels."""
        return PulsedProfile(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    def signal(self, rf_phase_increment: Sequence[float]) -> NDArray[np.complex128]:
        """Return the signal at N increments [rad], shape (V, N)."""
        psi = self.theta[:, None] - np.asarray(rf_phase_increment)
        turn = np.cos(psi) - 1j * np.sin(psi)
        with np.errstate(invalid="ignore"):  # a voxel without a profile has no signal
            found: NDArray[np.complex128] = (
                self.amplitude[:, None] * (1.0 - self.c[:, None] * turn) / (1.0 - self.b[:, None] * turn.real)
            )
        return found


def pulsed_profile(
    t1: NDArray[np.floating],
    t2: NDArray[np.floating],
    *,
    b1: NDArray[np.floating],
    off_resonance: NDArray[np.floating],
    pulse: ExcitationPulse,
    protocol: BssfpProtocol,
    threads: int = 1,
) -> PulsedProfile:
    """Return the profile of phase-cycled bSSFP under a pulse that takes time; see `kernels`.

    Parameters
    ----------
    t1, t2
        Relaxation times of water [s], shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    off_resonance
        True off-resonance [Hz], shape (V,): not modulo 1/TR, of which a pulse knows nothing.
    pulse
        The excitation pulse.
    protocol
        The acquisition; its increments are not used.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    PulsedProfile
        NaN where an argument is NaN.

    Raises
    ------
    ValueError
        If the pulse does not fit between two echoes.

    Examples
    --------
    >>> protocol = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.2618
    ... )
    >>> one = np.ones(1)
    >>> found = pulsed_profile(
    ...     0.94 * one,
    ...     0.062 * one,
    ...     b1=one,
    ...     off_resonance=100.0 * one,
    ...     pulse=ExcitationPulse.of("rect", 1e-3),
    ...     protocol=protocol,
    ... )
    >>> abs(found.c).round(4), np.angle(found.c).round(3)
    (array([0.9255]), array([0.012]))
    """
    check_pulse(pulse, protocol)
    number = len(t1)
    water = [np.ascontiguousarray(np.broadcast_to(each, (number,)), dtype=np.float64) for each in (t1, t2, b1)]
    offset = np.ascontiguousarray(np.broadcast_to(off_resonance, (number,)), dtype=np.float64)
    out = np.empty((4, number), dtype=np.complex128)
    steps = pulse.amplitudes(protocol.flip_angle)

    def fill(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        ellipses(
            water[0][part],
            water[1][part],
            water[2][part],
            offset[part],
            steps,
            pulse.duration,
            protocol.repetition_time,
            protocol.echo_time,
            out[:, part],
        )

    run_blocks(fill, number, block=BLOCK, threads=threads)
    return PulsedProfile(amplitude=out[0], c=out[1], b=out[2].real.copy(), theta=np.angle(out[3]))


def check_pulse(pulse: ExcitationPulse, protocol: BssfpProtocol) -> None:
    """Raise `ValueError` unless a pulse fits between two echoes."""
    half = 0.5 * pulse.duration
    if not half <= protocol.echo_time <= protocol.repetition_time - half:
        raise ValueError(
            f"an excitation pulse of {1e3 * pulse.duration:g} ms does not fit between echoes at "
            f"{1e3 * protocol.echo_time:g} ms of {1e3 * protocol.repetition_time:g} ms"
        )
