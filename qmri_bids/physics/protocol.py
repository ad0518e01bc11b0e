"""Acquisition protocols as frozen data, in SI units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, kw_only=True)
class BssfpProtocol:
    """A phase-cycled balanced SSFP acquisition.

    Parameters
    ----------
    repetition_time
        Time between excitations TR [s].
    echo_time
        Time from excitation to echo TE [s].
    flip_angle
        Nominal flip angle [rad].
    rf_phase_increment
        Increment of the RF phase from pulse to pulse, one for every cycle, in the order of the volumes [rad].
        Absolute: 0 means that all pulses have the same phase.
    field_strength
        Static field B0 [T], where known.

    Raises
    ------
    ValueError
        If a value has no physical meaning or fewer than three cycles are given.

    Examples
    --------
    >>> protocol = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=4, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.2618
    ... )
    >>> [round(increment, 3) for increment in protocol.rf_phase_increment]
    [0.785, 2.356, 3.927, 5.498]
    """

    repetition_time: float
    echo_time: float
    flip_angle: float
    rf_phase_increment: tuple[float, ...]
    field_strength: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.repetition_time < 1.0:
            raise ValueError(f"repetition_time must lie in (0, 1) s, found {self.repetition_time}")
        if not 0.0 <= self.echo_time < self.repetition_time:
            raise ValueError(
                f"echo_time must lie in [0, repetition_time = {self.repetition_time}) s, found {self.echo_time}"
            )
        if not 0.0 < self.flip_angle < math.pi:
            raise ValueError(f"flip_angle must lie in (0, π) rad, found {self.flip_angle}")
        if len(self.rf_phase_increment) < 3:
            raise ValueError(
                "rf_phase_increment needs at least 3 cycles to determine T1, T2 and off-resonance, "
                f"found {len(self.rf_phase_increment)}"
            )
        if not all(math.isfinite(increment) for increment in self.rf_phase_increment):
            raise ValueError(f"rf_phase_increment must be finite, found {self.rf_phase_increment}")

    @classmethod
    def evenly_spaced(
        cls,
        *,
        number_of_cycles: int,
        repetition_time: float,
        echo_time: float,
        flip_angle: float,
        field_strength: float | None = None,
    ) -> BssfpProtocol:
        """Return a protocol with the increments φ_j = π(2j - 1)/N (Birk et al. 2025, Data acquisition)."""
        increments = half_bin_increments(number_of_cycles)
        return cls(
            repetition_time=repetition_time,
            echo_time=echo_time,
            flip_angle=flip_angle,
            rf_phase_increment=increments,
            field_strength=field_strength,
        )

    @property
    def number_of_cycles(self) -> int:
        """Number of phase cycles N."""
        return len(self.rf_phase_increment)

    @property
    def is_evenly_spaced(self) -> bool:
        """Whether the increments sample the circle evenly, in any order: the condition for a discrete Fourier transform."""
        return evenly_spaced_increments(self.rf_phase_increment)


def half_bin_increments(number: int) -> tuple[float, ...]:
    """Return the increments π(2j - 1)/N [rad] (Birk et al. 2025, Data acquisition)."""
    return tuple(math.pi * (2 * j - 1) / number for j in range(1, number + 1))


def evenly_spaced_increments(increments: Sequence[float]) -> bool:
    """Return whether increments [rad] sample the circle evenly, in any order."""
    turn = 2.0 * math.pi
    ordered = sorted(increment % turn for increment in increments)
    gaps = [after - before for before, after in pairwise(ordered)]
    gaps.append(ordered[0] + turn - ordered[-1])
    return all(abs(gap - turn / len(ordered)) < 1e-3 for gap in gaps)
