"""Excitation pulses: their shape and duration, by name or by samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.choices import PULSE_SHAPES

SHAPES = PULSE_SHAPES

DEFAULT_TIME_BANDWIDTH = 2.7
"""Time-bandwidth product of a sinc for which none is stated."""

STEPS = 32
"""Steps of constant B1 in which a pulse is played: the profile of rect pulses of 1 ms is then exact to 1e-4 within ±300 Hz."""


SHORTEST = 1e-5
"""Duration [s] below which no scanner plays an excitation."""

MOST_STEPS, SAME_POWER = 2048, 0.01
"""Most steps in which samples are played, and the relative error of their power from which more steps are taken."""

LARGEST_PRODUCT = 30.0
"""Largest time-bandwidth product of a sinc that has a name."""

LEAST_TURN = 0.02
"""Sum of the steps over that of their sizes below which a pulse turns next to nothing: a flip angle would ask for any power."""


@dataclass(frozen=True, kw_only=True)
class ExcitationPulse:
    """A pulse of one phase, in steps of equal length and constant B1.

    Parameters
    ----------
    duration
        Duration [s].
    shape
        Relative B1 of the steps, in order; what they add up to is the flip angle.
    name
        What it is called in sentences, such as `sinc of 1 ms`.
    duration_stdev
        Standard deviation of the duration [s]; 0 where it is stated.

    Raises
    ------
    ValueError
        If the duration is not positive, or the steps turn nothing.

    Examples
    --------
    >>> pulse = ExcitationPulse.of("rect", 1e-3)
    >>> round(pulse.mean_square(math.radians(15.0)) ** 0.5 / (2.0 * math.pi), 2)
    41.67
    """

    duration: float
    shape: tuple[float, ...]
    name: str
    duration_stdev: float = 0.0

    def __post_init__(self) -> None:
        if not SHORTEST <= self.duration < 1.0:
            raise ValueError(
                f"the duration of an excitation pulse must lie in [{SHORTEST}, 1) s, found {self.duration}"
            )
        size = math.fsum(abs(step) for step in self.shape) if all(map(math.isfinite, self.shape)) else math.nan
        if not (size > 1e-100 and abs(math.fsum(self.shape)) > LEAST_TURN * size):
            raise ValueError("the samples of an excitation pulse must add up to a flip angle, found a sum of next to 0")
        if not 0.0 <= self.duration_stdev < math.inf:
            raise ValueError(f"duration_stdev must be 0 s or more, found {self.duration_stdev}")

    @classmethod
    def of(
        cls, shape: str, duration: float, *, time_bandwidth: float | None = None, duration_stdev: float = 0.0
    ) -> ExcitationPulse:
        """Return a pulse of one of `SHAPES`.

        Parameters
        ----------
        shape
            Its name.
        duration
            Duration [s].
        time_bandwidth
            Time-bandwidth product of a sinc; `DEFAULT_TIME_BANDWIDTH` by default. The sinc has as many zero crossings within the
            pulse.
        duration_stdev
            Standard deviation of the duration [s].

        Raises
        ------
        ValueError
            If there is no such shape, or a number has no meaning.
        """
        if shape not in SHAPES:
            raise ValueError(f"the shape of an excitation pulse must be one of {', '.join(SHAPES)}, found {shape!r}")
        time = (np.arange(STEPS) + 0.5) / STEPS - 0.5  # in durations
        if shape == "rect":
            samples = np.ones(STEPS)
        elif shape == "gauss":
            samples = np.exp(-0.5 * np.square(6.0 * time))
        else:
            product = DEFAULT_TIME_BANDWIDTH if time_bandwidth is None else time_bandwidth
            if not 0.0 < product <= LARGEST_PRODUCT:
                raise ValueError(f"a time-bandwidth product must lie in (0, {LARGEST_PRODUCT:g}], found {product}")
            steps = max(STEPS, math.ceil(6.0 * product))
            time = (np.arange(steps) + 0.5) / steps - 0.5
            samples = np.sinc(product * time) * np.square(np.cos(np.pi * time))
        return cls(
            duration=duration,
            shape=tuple(samples.tolist()),
            name=f"{shape} of {1e3 * duration:.3g} ms",
            duration_stdev=duration_stdev,
        )

    @classmethod
    def from_samples(
        cls, samples: NDArray[np.floating], duration: float, *, name: str, duration_stdev: float = 0.0
    ) -> ExcitationPulse:
        """Return a pulse of samples of relative B1 [any unit] at equal distances, averaged to steps that keep their power.

        Raises
        ------
        ValueError
            If there is no sample, or they turn nothing.
        """
        if np.iscomplexobj(samples):
            raise ValueError("the samples of a pulse must be real: its phase is one, found complex numbers")
        given = np.asarray(samples, dtype=np.float64)
        if given.ndim != 1 or not given.size:
            raise ValueError(f"the samples of a pulse must be a list of numbers, found shape {given.shape}")
        steps, whole = STEPS, given.size * math.ceil(STEPS / given.size)
        while True:
            # The area below the samples up to the edge of every step; its differences keep the flip angle to the last digit.
            area = np.concatenate([[0.0], np.cumsum(given)])
            edges = np.interp(np.linspace(0.0, given.size, steps + 1), np.arange(given.size + 1), area)
            shape = np.diff(edges)
            kept = np.mean(np.square(shape)) * (steps / given.size) ** 2
            if kept >= (1.0 - SAME_POWER) * np.mean(np.square(given)) or steps >= MOST_STEPS:
                break
            # A multiple of the samples keeps all; of very many of them a power of two keeps what it can.
            steps = whole if steps < whole <= MOST_STEPS else 2 * steps
        return cls(duration=duration, shape=tuple(shape.tolist()), name=name, duration_stdev=duration_stdev)

    def amplitudes(self, flip_angle: float) -> NDArray[np.float64]:
        """Return ω1 [rad/s] of the steps that turn by a flip angle [rad] on resonance, shape (steps,)."""
        steps = np.array(self.shape, dtype=np.float64)
        found: NDArray[np.float64] = steps * (flip_angle * len(steps) / (steps.sum() * self.duration))
        return found

    @property
    def form(self) -> str:
        """The name without the duration, such as `sinc`."""
        return self.name.rpartition(" of ")[0] or self.name

    def mean_square(self, flip_angle: float) -> float:
        """Return the mean of ω1² over the pulse [rad²/s²]."""
        return float(np.mean(np.square(self.amplitudes(flip_angle))))
