"""Saturation protocols as frozen data: what is played before each image, and how one image leads to the next.

SI units, save that offsets are in ppm of the field, as pools state their shifts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class SpinLock(StrEnum):
    """Ideal tips by atan(ω1/Δω) onto the effective field before each pulse and back after it, exact in every voxel."""

    NONE = "none"
    ALL_POOLS = "all pools"
    """Every pool with transverse magnetisation is tipped: the assumption of published fingerprinting."""
    LIQUID_POOLS = "liquid pools"
    """The semisolid pool is left out: what a tip of 1 ms comes close to."""


class Carrier(StrEnum):
    """What the phase of the RF does in the gaps of a train."""

    RUNS = "runs"
    """It goes on at the offset, as of an oscillator that is never switched off."""
    STOPS = "stops"
    """It advances during pulses only and stands still, relative to water, in gaps: the convention of pulseq-CEST."""


class Start(StrEnum):
    """From which state each image is saturated; the pools stand in equilibrium with one another."""

    RELAXED = "relaxed"
    PREVIOUS = "previous"
    """From the image before it through readout and recovery; the first from full relaxation."""
    STEADY_STATE = "steady state"
    """Each image repeated with its readout and recovery until nothing changes."""


@dataclass(frozen=True, kw_only=True)
class RfSegment:
    """RF of constant amplitude and phase.

    Parameters
    ----------
    amplitude
        B1 [T].
    duration
        Duration [s].
    phase
        Phase in the frame that turns with the carrier [rad].

    Raises
    ------
    ValueError
        If amplitude or duration is negative, zero in the case of the duration, or not finite.
    """

    amplitude: float
    duration: float
    phase: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amplitude) and 0.0 <= self.amplitude < 1e-3):
            raise ValueError(f"amplitude must lie in [0, 1e-3) T, found {self.amplitude}: is it in µT?")
        if not 0.0 < self.duration < 100.0:
            raise ValueError(f"duration of an RF segment must lie in (0, 100) s, found {self.duration}: is it in ms?")
        if not math.isfinite(self.phase):
            raise ValueError(f"phase must be finite [rad], found {self.phase}")


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """A pulse of piecewise-constant RF.

    Parameters
    ----------
    segments
        Segments in order of play; at least one.

    Raises
    ------
    ValueError
        If there is no segment.
    """

    segments: tuple[RfSegment, ...]

    def __post_init__(self) -> None:
        if not self.segments:
            raise ValueError(
                "a pulse needs at least one RF segment, found none; an image without RF has saturation=None"
            )

    @classmethod
    def block(cls, *, amplitude: float, duration: float) -> Pulse:
        """Return a pulse of constant amplitude [T] over a duration [s]."""
        return cls(segments=(RfSegment(amplitude=amplitude, duration=duration),))

    @classmethod
    def shaped(cls, shape: np.ndarray, *, mean_amplitude: float, duration: float) -> Pulse:
        """Return a pulse of equal steps.

        Parameters
        ----------
        shape
            Relative amplitudes at the middle of the steps; negative ones have phase π.
        mean_amplitude
            Mean B1 over the pulse [T]: flip angle over γ times duration.
        duration
            Duration [s].

        Raises
        ------
        ValueError
            If the mean of the shape is not positive.
        """
        mean = float(np.mean(shape))
        if not mean > 0.0:
            raise ValueError(f"shape must have a positive mean to be scaled to mean_amplitude, found {mean}")
        step = duration / len(shape)
        return cls(
            segments=tuple(
                RfSegment(
                    amplitude=abs(float(each)) * mean_amplitude / mean,
                    duration=step,
                    phase=0.0 if each >= 0.0 else math.pi,
                )
                for each in shape
            )
        )

    @classmethod
    def sinc_gauss(cls, *, mean_amplitude: float, duration: float, steps: int = 200) -> Pulse:
        """Return the sinc of time-bandwidth product 2 under a window 0.85 + 0.15 cos(2πt/duration), t from the centre."""
        t = (np.arange(steps) + 0.5) / steps - 0.5
        shape = np.sinc(2.0 * t) * (0.85 + 0.15 * np.cos(2.0 * math.pi * t))
        return cls.shaped(shape, mean_amplitude=mean_amplitude, duration=duration)

    @classmethod
    def gauss(cls, *, mean_amplitude: float, duration: float, steps: int = 128) -> Pulse:
        """Return exp(-π(0.2 t/duration)²) under a window 0.5 + 0.5 cos(2πt/duration), t from the centre."""
        t = (np.arange(steps) + 0.5) / steps - 0.5
        shape = np.exp(-math.pi * (0.2 * t) ** 2) * (0.5 + 0.5 * np.cos(2.0 * math.pi * t))
        return cls.shaped(shape, mean_amplitude=mean_amplitude, duration=duration)

    @property
    def duration(self) -> float:
        """Duration [s]."""
        return math.fsum(segment.duration for segment in self.segments)

    @property
    def power(self) -> float:
        """Integral of B1² over the pulse [T² s]."""
        return math.fsum(segment.amplitude**2 * segment.duration for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class Saturation:
    """A train of equal pulses, then a crusher.

    Parameters
    ----------
    pulse
        What is repeated.
    number
        How often.
    gap
        Time between pulses [s]; none follows the last.
    spin_lock
        Ideal tips around every pulse.
    carrier
        What the phase of the RF does in the gaps.
    spoiler
        Free evolution between the last pulse and the crusher, which leaves no transverse magnetisation [s].

    Raises
    ------
    ValueError
        If a value has no physical meaning, or tips are asked for around anything but a block of phase 0.
    """

    pulse: Pulse
    number: int = 1
    gap: float = 0.0
    spin_lock: SpinLock = SpinLock.NONE
    carrier: Carrier = Carrier.STOPS
    spoiler: float = 0.0

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"number of pulses must be at least 1, found {self.number}")
        if not 0.0 <= self.gap < 100.0:
            raise ValueError(f"gap must lie in [0, 100) s, found {self.gap}")
        if not 0.0 <= self.spoiler < 1.0:
            raise ValueError(f"spoiler must lie in [0, 1) s, found {self.spoiler}")
        first = self.pulse.segments[0]
        if self.spin_lock is not SpinLock.NONE and (len(self.pulse.segments) > 1 or first.phase != 0.0):
            raise ValueError(
                "spin-lock tips lead onto one effective field: they need a pulse of one segment of phase 0, "
                f"found {len(self.pulse.segments)} segments, the first of phase {first.phase}"
            )

    @property
    def duration(self) -> float:
        """From the first pulse to the end of the last [s]."""
        return self.number * (self.pulse.duration + self.gap) - self.gap

    @property
    def duty_cycle(self) -> float:
        """Pulse over pulse and gap."""
        return self.pulse.duration / (self.pulse.duration + self.gap)

    @property
    def b1_rms(self) -> float:
        """Root mean square of B1 over pulse and gap [T]: the amplitude of continuous RF of the same power."""
        return math.sqrt(self.pulse.power / (self.pulse.duration + self.gap))


@dataclass(frozen=True, kw_only=True)
class SaturatedImage:
    """One image of a protocol.

    Parameters
    ----------
    saturation
        What is played before it; None for an image without RF.
    offset
        Frequency offset of the carrier from water [ppm], positive downfield; None without saturation.
    recovery
        Free recovery before the saturation [s].
    is_m0
        Whether the image normalises the others.

    Raises
    ------
    ValueError
        If saturation and offset are not given together, or a value is not finite.
    """

    saturation: Saturation | None
    offset: float | None
    recovery: float = 0.0
    is_m0: bool = False

    def __post_init__(self) -> None:
        if (self.saturation is None) != (self.offset is None):
            raise ValueError(
                f"saturation and offset go together, found saturation {self.saturation} and offset {self.offset} ppm"
            )
        if self.offset is not None and not math.isfinite(self.offset):
            raise ValueError(f"offset must be finite [ppm], found {self.offset}")
        if not 0.0 <= self.recovery < 1000.0:
            raise ValueError(f"recovery must lie in [0, 1000) s, found {self.recovery}")


@dataclass(frozen=True, kw_only=True)
class Readout:
    """A train of spoiled excitations on water, which relaxes with its T1 alone in between.

    Parameters
    ----------
    number
        Number of excitations.
    flip_angle
        Flip angle of an excitation [rad].
    spacing
        Time between them, and from the last to the recovery [s].
    scales_with_b1
        Whether a voxel's B1 scales the flip angle.

    Raises
    ------
    ValueError
        If a value has no physical meaning.
    """

    number: int
    flip_angle: float
    spacing: float
    scales_with_b1: bool = True

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"number of excitations must be at least 1, found {self.number}")
        if not 0.0 < self.flip_angle < math.pi:
            raise ValueError(f"flip_angle must lie in (0, π) rad, found {self.flip_angle}")
        if not 0.0 < self.spacing < 10.0:
            raise ValueError(f"spacing must lie in (0, 10) s, found {self.spacing}")


@dataclass(frozen=True, kw_only=True)
class SaturationProtocol:
    """A series of saturated images.

    Parameters
    ----------
    field_strength
        B0 [T]; offsets and shifts in ppm refer to it.
    images
        Images in order of acquisition.
    start
        State from which each image is saturated.
    readout
        What each image does to the magnetisation of the next; without it only the recovery stands between images.

    Raises
    ------
    ValueError
        If there is no image, or the field is not that of a magnet.

    Examples
    --------
    >>> block = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=2.0))
    >>> protocol = SaturationProtocol(
    ...     field_strength=3.0, images=tuple(SaturatedImage(saturation=block, offset=each) for each in (-3.5, 3.5))
    ... )
    >>> protocol.number_of_images, protocol.offsets
    (2, (-3.5, 3.5))
    """

    field_strength: float
    images: tuple[SaturatedImage, ...]
    start: Start = Start.RELAXED
    readout: Readout | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError("a saturation protocol needs at least one image, found none")
        if not 0.0 < self.field_strength < 30.0:
            raise ValueError(f"field_strength must lie in (0, 30) T, found {self.field_strength}: is it in MHz?")

    @property
    def number_of_images(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def offsets(self) -> tuple[float | None, ...]:
        """Offsets [ppm], None for images without RF."""
        return tuple(image.offset for image in self.images)

    @property
    def m0_images(self) -> tuple[int, ...]:
        """Indices of the images that normalise the others."""
        return tuple(index for index, image in enumerate(self.images) if image.is_m0)

    def reference_offsets(self, roles: Sequence[str]) -> tuple[float, ...]:
        """Return the offsets [ppm], increasing, at which images of role `m0` are saturated nevertheless; none where RF is off."""
        return tuple(
            sorted(
                {
                    image.offset
                    for image, role in zip(self.images, roles, strict=True)
                    if role == "m0" and image.saturation is not None and image.offset is not None
                }
            )
        )
