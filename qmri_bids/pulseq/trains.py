"""Pulses of one image of a pulseq file → `Saturation`: a train of equal pulses, a spin-lock train, or one pulse that holds all.

Phases are compared as pulseq defines them: RF turns as exp(i(2π f t + φ)), t from the start of the pulse, at rest relative to water
between pulses. `RfSegment.phase` turns the other way, as the precession of the Bloch equations does.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.physics.saturation import Carrier, Pulse, RfSegment, Saturation, SpinLock
from qmri_bids.pulseq.events import PlayedImage, PlayedPulse
from qmri_bids.pulseq.shapes import Envelope
from qmri_bids.units import GYROMAGNETIC_RATIO

FEW_STEPS = 1000
"""Shapes of up to so many steps are kept as they are."""

STEPS = (200, 400, 800, 1600, 3200)
"""Of the others the first is taken that keeps the power to 0.1 %: phase modulation needs more than an envelope."""

MOST_SEGMENTS = 20_000
"""Of one image; more would take minutes to simulate."""

ANGLE_TOLERANCE = 0.1
"""How far a tip may be from the effective field [rad]."""


@dataclass(frozen=True, kw_only=True)
class PlayedTrain:
    """The saturation of one image, and what its definitions would state of it.

    Parameters
    ----------
    saturation
        As simulated.
    frequency, frequency_precision
        Offset of the carrier [Hz].
    begins, ends
        First and last moment of RF; tips of a spin lock belong to the time around it [s].
    number
        Pulses that were played.
    pulse_duration
        Of the first of them [s].
    gaps
        Between pulses [s].
    mean_amplitude, peak_amplitude
        Of the first pulse [T].
    notes
        Decisions, as sentences without a subject.
    """

    saturation: Saturation
    frequency: float
    frequency_precision: float
    begins: float
    ends: float
    number: int
    pulse_duration: float
    gaps: tuple[float, ...]
    mean_amplitude: float
    peak_amplitude: float
    notes: tuple[str, ...]

    @property
    def duration(self) -> float:
        """From the first pulse to the last [s]."""
        return self.number * self.pulse_duration + math.fsum(self.gaps)


def played_train(image: PlayedImage, *, file: str) -> PlayedTrain:
    """Return the saturation that the pulses of an image play.

    Raises
    ------
    RefusedError
        If a gradient is on during or between them, frequencies differ, or tips do not lead onto the effective field.
    """
    pulses = image.pulses
    for pulse in pulses:
        if pulse.gradient:
            raise _unfit(file, pulse.block, "RF of a saturation without a gradient", "a gradient in the same block")
    between = [number for start, number in image.crushers if pulses[0].start < start < pulses[-1].start]
    if between:
        raise _unfit(file, between[0], "free evolution between the pulses of a train", "a gradient")
    locked = _locked(pulses, file=file)
    notes = []
    if locked is not None:
        tip = max(pulses[0].envelope.duration, pulses[2].envelope.duration)
        notes.append(
            f"tips of {1e3 * tip:g} ms around each pulse are read as ideal tips of all pools but the semisolid one"
        )
        pulses = locked
    odd = next((each for each in pulses if abs(each.frequency - pulses[0].frequency) > _step(pulses[0])), None)
    if odd is not None:
        raise _unfit(
            file,
            odd.block,
            f"one frequency in the saturation of an image, {pulses[0].frequency:g} Hz as in block {pulses[0].block}",
            f"{odd.frequency:g} Hz",
        )
    gaps = [round(after.start - before.end, 9) for before, after in pairwise(pulses)]
    equal = all(pulse.envelope.equals(pulses[0].envelope) for pulse in pulses) and np.ptp(gaps or [0.0]) < 1e-8
    carrier = _carrier(pulses)
    spoiler = round(image.reads - pulses[-1].end, 9)
    shape, note = _compact(pulses[0].envelope, file=file, block=pulses[0].block)
    notes += note
    try:
        if locked is not None:
            if not equal:
                raise _unfit(file, pulses[0].block, "a spin-lock train of equal pulses and gaps", "different ones")
            saturation = Saturation(
                pulse=Pulse(segments=_segments(shape, turn=-cmath.phase(shape.amplitude[0]))),
                number=len(pulses),
                gap=max(gaps[0], 0.0) if gaps else 0.0,
                spin_lock=SpinLock.LIQUID_POOLS,
                # Phases matter little where the magnetisation waits along z; each pulse often starts anew.
                carrier=carrier or Carrier.STOPS,
                spoiler=spoiler,
            )
        elif equal and carrier is not None:
            saturation = Saturation(
                pulse=Pulse(segments=_segments(shape)),
                number=len(pulses),
                gap=max(gaps[0], 0.0) if gaps else 0.0,
                carrier=carrier,
                spoiler=spoiler,
            )
        else:
            saturation = Saturation(pulse=_whole(pulses, file=file), spoiler=spoiler)
            what = "phases" if equal else "pulses or gaps"
            notes.append(
                f"its {what} differ from pulse to pulse: the train is kept as one pulse of "
                f"{len(saturation.pulse.segments)} segments, pauses among them"
            )
    except ValueError as error:
        raise _unfit(file, pulses[0].block, "a saturation that can be simulated", str(error)) from error
    first = pulses[0].envelope
    return PlayedTrain(
        saturation=saturation,
        frequency=pulses[0].frequency,
        frequency_precision=pulses[0].frequency_precision,
        begins=pulses[0].start,
        ends=pulses[-1].end,
        number=len(pulses),
        pulse_duration=first.duration,
        gaps=tuple(gaps),
        mean_amplitude=abs(first.area) / first.duration / GYROMAGNETIC_RATIO,
        peak_amplitude=float(np.abs(first.amplitude).max()) / GYROMAGNETIC_RATIO,
        notes=tuple(notes),
    )


def _unfit(file: str, block: int, expected: str, found: str) -> RefusedError:
    return refuse(
        file=file,
        key=f"block {block}",
        expected=expected,
        found=found,
        advice="State the protocol in the sidecar and the _cestcontext.tsv instead.",
    )


def _step(pulse: PlayedPulse) -> float:
    return 2.0 * pulse.frequency_precision + 1e-6


def _wrapped(angle: float) -> float:
    return math.remainder(angle, 2.0 * math.pi)


def _locked(pulses: list[PlayedPulse], *, file: str) -> list[PlayedPulse] | None:
    """Return the pulses of a spin-lock train without their tips, None if it is no such train.

    A tip is a short block on resonance by atan(ω1/Δω), a quarter turn behind the phase with which the pulse starts, and back a
    quarter turn ahead of the phase with which it ends.
    """
    if len(pulses) % 3 or not pulses:
        return None
    locks = pulses[1::3]
    for tip in (*pulses[0::3], *pulses[2::3]):
        if (
            tip.frequency != 0.0
            or len(tip.envelope.amplitude) > 1
            or tip.envelope.duration > 0.2 * locks[0].envelope.duration
        ):
            return None
    if any(len(lock.envelope.amplitude) > 1 for lock in locks):
        return None
    for down, lock, up in zip(pulses[0::3], locks, pulses[2::3], strict=True):
        strength = lock.envelope.amplitude[0]
        on = lock.phase + cmath.phase(strength)
        off = on + 2.0 * math.pi * lock.frequency * lock.envelope.duration
        resonant = abs(lock.frequency) <= _step(lock)
        angle = 0.5 * math.pi if resonant else math.atan(abs(strength) / lock.frequency)
        slack = ANGLE_TOLERANCE + 2.0 * math.pi * lock.frequency_precision * lock.envelope.duration + up.phase_precision
        ends = {"down": (down, on - 0.5 * math.pi), "up": (up, off + 0.5 * math.pi)}
        for name, (tip, phase) in ends.items():
            flip = 2.0 * math.pi * tip.envelope.area * cmath.exp(1j * (tip.phase - phase))
            # On resonance spins may be locked along either end of the field.
            miss = min(abs(flip - angle), abs(flip + angle)) if resonant else abs(flip - angle)
            if miss > slack * abs(angle):
                raise _unfit(
                    file,
                    tip.block,
                    f"a tip {name} of {math.degrees(angle):.2f}° between water and the effective field of block {lock.block}",
                    f"{math.degrees(abs(flip)):.2f}°, {math.degrees(_wrapped(cmath.phase(flip))):.0f}° from its direction",
                )
    return locks


def _carrier(pulses: list[PlayedPulse]) -> Carrier | None:
    """Return what the phase does between pulses, None if it follows neither rule."""
    fits = {Carrier.STOPS: True, Carrier.RUNS: True}
    for before, after in pairwise(pulses):
        gained = after.phase - before.phase
        for carrier, time in ((Carrier.STOPS, before.envelope.duration), (Carrier.RUNS, after.start - before.start)):
            # Printing, and writers that count samples above zero by a rule of their own.
            slack = 0.01 + before.phase_precision + after.phase_precision
            slack += 2.0 * math.pi * (before.frequency_precision * time + abs(before.frequency) * 2e-6)
            fits[carrier] &= abs(_wrapped(gained - 2.0 * math.pi * before.frequency * time)) <= slack
    return next((carrier for carrier, fit in fits.items() if fit), None)


def _compact(shape: Envelope, *, file: str, block: int) -> tuple[Envelope, list[str]]:
    """Return a shape of few steps, and a note if it has become one."""
    if len(shape.amplitude) <= FEW_STEPS:
        return shape, []
    for steps in STEPS:
        averaged = shape.averaged(steps)
        if abs(averaged.power / shape.power - 1.0) < 1e-3:
            return averaged, [f"its RF shape of {len(shape.amplitude)} steps is averaged to {steps}"]
    raise _unfit(
        file, block, f"an RF shape whose mean over {STEPS[-1]} steps keeps its power", "faster modulation than that"
    )


def _segments(shape: Envelope, *, turn: float = 0.0) -> tuple[RfSegment, ...]:
    segments = []
    for amplitude, duration in zip(shape.amplitude.tolist(), shape.durations.tolist(), strict=True):
        phase = _wrapped(-cmath.phase(amplitude) - turn)
        # Signs are exact: 0 or π.
        phase = 0.0 if abs(phase) < 1e-9 else math.pi if math.pi - abs(phase) < 1e-9 else phase
        segments.append(RfSegment(amplitude=abs(amplitude) / GYROMAGNETIC_RATIO, duration=duration, phase=phase))
    return tuple(segments)


def _whole(pulses: list[PlayedPulse], *, file: str) -> Pulse:
    """Return all pulses and the pauses between them as segments in the frame of a carrier that never stops."""
    shapes: dict[int, Envelope] = {}
    segments: list[RfSegment] = []
    first = pulses[0]
    for before, pulse in zip([None, *pulses], pulses, strict=False):
        shape = shapes.setdefault(id(pulse.envelope), _compact(pulse.envelope, file=file, block=pulse.block)[0])
        gap = 0.0 if before is None else round(pulse.start - before.end, 9)
        if gap > 0.0:
            segments.append(RfSegment(amplitude=0.0, duration=gap))
        phase = pulse.phase - first.phase - 2.0 * math.pi * first.frequency * (pulse.start - first.start)
        segments += _segments(shape, turn=phase)
    if len(segments) > MOST_SEGMENTS:
        raise _unfit(
            file, first.block, f"at most {MOST_SEGMENTS} segments of RF in an image", f"{len(segments)} different ones"
        )
    return Pulse(segments=tuple(segments))
