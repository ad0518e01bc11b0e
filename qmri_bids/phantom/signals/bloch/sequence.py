"""What is played and on what: RF pulses of any shape, trains of them with phase cycles, two pools of water, line widths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SINC_TIME_BANDWIDTH = 2.7
"""Time-bandwidth product of a sinc for which none is given."""
PULSE_STEPS = 32
"""Steps of constant B1 of which a smooth pulse is made."""
GAUSS_WIDTH = 1.0 / 6.0
"""Standard deviation of a Gaussian pulse over its duration: it is cut at three of them."""
SHAPES = ("rect", "sinc", "gauss")
"""Shapes that have a name."""


@dataclass(frozen=True, kw_only=True)
class RfPulse:
    """An excitation pulse of one phase: steps of equal length and constant B1.

    Parameters
    ----------
    duration
        Duration [s]; 0 for a rotation that takes no time.
    shape
        Relative B1 of the steps, in order; only its form counts, the sequence gives the flip angle.
    name
        What it is called.

    Raises
    ------
    ValueError
        If the duration is negative, or the steps turn nothing.

    Examples
    --------
    >>> RfPulse.rect(1e-3).mean_square(math.radians(15.0)) ** 0.5 / (2.0 * math.pi)  # doctest: +ELLIPSIS
    41.66...
    """

    duration: float
    shape: tuple[float, ...] = (1.0,)
    name: str = "given"

    def __post_init__(self) -> None:
        if not 0.0 <= self.duration < math.inf:
            raise ValueError(f"the duration of a pulse must be 0 s or more, found {self.duration}")
        if not self.shape or not abs(sum(self.shape)) > 1e-6 * sum(abs(step) for step in self.shape):
            raise ValueError("the steps of a pulse must add up to a flip angle, found a sum of 0")

    @classmethod
    def hard(cls) -> RfPulse:
        """Return a rotation that takes no time."""
        return cls(duration=0.0, name="hard")

    @classmethod
    def rect(cls, duration: float) -> RfPulse:
        """Return a pulse of constant B1."""
        return cls(duration=duration, name="rect")

    @classmethod
    def sinc(
        cls,
        duration: float,
        *,
        time_bandwidth: float = SINC_TIME_BANDWIDTH,
        hann: bool = True,
        steps: int = PULSE_STEPS,
    ) -> RfPulse:
        """Return sin(π b t)/(π b t) of time-bandwidth product b, t in durations from the middle, under a Hann window."""
        t = (np.arange(steps) + 0.5) / steps - 0.5
        samples = np.sinc(time_bandwidth * t) * (0.5 + 0.5 * np.cos(2.0 * np.pi * t) if hann else 1.0)
        return cls(duration=duration, shape=tuple(samples.tolist()), name=f"sinc, time-bandwidth {time_bandwidth:g}")

    @classmethod
    def gauss(cls, duration: float, *, steps: int = PULSE_STEPS) -> RfPulse:
        """Return a Gaussian pulse that is cut at three standard deviations."""
        t = (np.arange(steps) + 0.5) / steps - 0.5
        samples = np.exp(-0.5 * np.square(t / GAUSS_WIDTH))
        return cls(duration=duration, shape=tuple(samples.tolist()), name="gauss")

    @classmethod
    def named(cls, text: str) -> RfPulse:
        """Return the pulse that `SHAPE:MILLISECONDS` names, such as `sinc:1`.

        Raises
        ------
        ValueError
            If it names none.
        """
        shape, _, duration = text.partition(":")
        made = {"rect": cls.rect, "sinc": cls.sinc, "gauss": cls.gauss}
        try:
            milliseconds = float(duration)
        except ValueError:
            milliseconds = math.nan
        if shape not in made or not 0.0 < milliseconds < math.inf:
            raise ValueError(
                f"an excitation pulse is SHAPE:MILLISECONDS with one of {', '.join(SHAPES)}, such as sinc:1; found {text!r}"
            )
        return made[shape](1e-3 * milliseconds)

    def amplitudes(self, flip_angle: float) -> NDArray[np.float64]:
        """Return ω1 [rad/s] of the steps that turn by a flip angle [rad] on resonance; the angles themselves of a hard pulse."""
        steps = np.array(self.shape, dtype=np.float64)
        length = self.duration / len(steps) if self.duration > 0.0 else 1.0
        found: NDArray[np.float64] = steps * (flip_angle / (steps.sum() * length))
        return found

    def mean_square(self, flip_angle: float) -> float:
        """Return the mean of ω1² over the pulse [rad²/s²]."""
        return float(np.mean(np.square(self.amplitudes(flip_angle))))


@dataclass(frozen=True, kw_only=True)
class Approach:
    """How every cycle comes to the signal that counts, where that is not the steady state.

    Parameters
    ----------
    dummies
        Repetitions before the one whose echo counts: with centric order the dummy pulses, with linear order half a readout more.
    repetitions
        Repetitions of a cycle in all; None for one more than `dummies`.
    continued
        Whether a cycle starts with the magnetisation that the one before has left; else all start from equilibrium. The phase of
        the pulses starts from 0 in every cycle.
    """

    dummies: int
    repetitions: int | None = None
    continued: bool = True

    def __post_init__(self) -> None:
        if self.dummies < 0 or (self.repetitions is not None and self.repetitions <= self.dummies):
            raise ValueError(
                f"a cycle needs dummies of 0 or more and more repetitions than those, found {self.dummies} and {self.repetitions}"
            )


@dataclass(frozen=True, kw_only=True)
class PulseSequence:
    """Phase-cycled balanced SSFP.

    Parameters
    ----------
    repetition_time, echo_time
        Repetition time, and time of the echo from the middle of the pulse [s].
    flip_angle
        Nominal flip angle on resonance [rad].
    increments
        Growth of the phase of the pulses from one to the next in every cycle [rad].
    pulse
        The excitation pulse.
    approach
        How the cycles come to their signal; None for the exact steady state.

    Raises
    ------
    ValueError
        If the pulse does not fit between the echoes.
    """

    repetition_time: float
    echo_time: float
    flip_angle: float
    increments: tuple[float, ...]
    pulse: RfPulse
    approach: Approach | None = None

    def __post_init__(self) -> None:
        half = 0.5 * self.pulse.duration
        if not half <= self.echo_time <= self.repetition_time - half:
            raise ValueError(
                f"the echo must lie between two pulses of {1e3 * self.pulse.duration:g} ms, TR is "
                f"{1e3 * self.repetition_time:g} ms; found TE {1e3 * self.echo_time:g} ms"
            )


@dataclass(frozen=True, kw_only=True)
class TwoPools:
    """A semisolid pool that exchanges with water and is saturated by pulses: W(t) = π G(0) ω1(t)².

    Parameters
    ----------
    fraction
        F, equilibrium magnetisation of the semisolid pool over that of free water.
    exchange_rate
        kf, from free water to the semisolid pool [1/s]; back with kf/F.
    r1
        Longitudinal relaxation rate of the semisolid pool [1/s]; None for that of free water.
    line
        G(0), its line at resonance [s] (a number: it is the same at all offsets of water).
    """

    fraction: float
    exchange_rate: float
    r1: float | None = 1.0
    line: float = 14e-6

    def __post_init__(self) -> None:
        relaxes = self.r1 is None or self.r1 > 0.0
        if not (self.fraction > 0.0 and self.exchange_rate >= 0.0 and relaxes and self.line >= 0.0):
            raise ValueError(f"fraction and r1 must be above 0, exchange_rate and line 0 or more, found {self}")

    def free_t1(self, observed: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return T1 of free water [s] with which an inversion recovery finds `observed` [s]: the slow eigenvalue of both pools.

        λ = 1/T1 solves (R1f + kf - λ)(R1m + kr - λ) = kf kr (Gloor et al., MRM 60:691, 2008, and others).
        """
        if self.r1 is None:  # both pools recover alike, whatever they exchange
            return np.array(observed, dtype=np.float64)
        slow = 1.0 / np.asarray(observed, dtype=np.float64)
        back = self.exchange_rate / self.fraction
        free: NDArray[np.float64] = slow - self.exchange_rate + self.exchange_rate * back / (self.r1 + back - slow)
        return 1.0 / free


@dataclass(frozen=True, kw_only=True)
class Line:
    """Distribution of off-resonance within a voxel, symmetric about its own.

    Parameters
    ----------
    half_width
        Half the full width at half maximum [Hz].
    form
        `lorentzian` or `gaussian`.
    nodes
        Points of equal weight, in the middle of equal shares of the distribution. The far tails of a Lorentzian line are seen by
        few of them: the error is a few parts in `nodes` of the signal.
    """

    half_width: float
    form: str = "lorentzian"
    nodes: int = 128

    def __post_init__(self) -> None:
        if self.form not in ("lorentzian", "gaussian"):
            raise ValueError(f"the form of a line must be lorentzian or gaussian, found {self.form!r}")

    def offsets(self) -> NDArray[np.float64]:
        """Return the off-resonances [Hz] over which a signal is averaged, shape (nodes,)."""
        shares = (np.arange(self.nodes) + 0.5) / self.nodes
        if self.form == "lorentzian":
            tangent: NDArray[np.float64] = self.half_width * np.tan(np.pi * (shares - 0.5))
            return tangent
        from scipy.special import ndtri

        normal: NDArray[np.float64] = self.half_width / math.sqrt(2.0 * math.log(2.0)) * ndtri(shares)
        return normal
