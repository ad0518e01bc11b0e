"""What a pulseq file plays, image by image: saturation, readout excitations, and the times between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from qmri_bids.bids.refusal import refuse
from qmri_bids.pulseq.file import SeqFile
from qmri_bids.pulseq.shapes import Envelope
from qmri_bids.units import GYROMAGNETIC_RATIO

NEAR = 0.1
"""Excitations follow a crusher, and each other, within this time [s]; a saturation follows after recovery, if at all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlayedPulse:
    """RF on the clock of the sequence.

    Parameters
    ----------
    block
        Number of its block.
    start, end
        First and last sample that are not zero [s].
    envelope
        Its amplitude and phase.
    frequency, frequency_precision
        Offset [Hz].
    phase, phase_precision
        At `start` [rad].
    gradient
        Whether a gradient is on.
    """

    block: int
    start: float
    end: float
    envelope: Envelope
    frequency: float
    frequency_precision: float
    phase: float
    phase_precision: float
    gradient: bool


@dataclass(kw_only=True)
class PlayedImage:
    """What belongs to one image.

    Parameters
    ----------
    block
        Number of the block of its first ADC.
    pulses
        Of the saturation.
    acquired, done
        When the ADC begins and ends [s].
    readout
        Excitations.
    crushers
        Gradients without RF: start [s] and block.
    """

    block: int
    pulses: list[PlayedPulse]
    acquired: float
    done: float
    readout: list[PlayedPulse] = field(default_factory=list)
    crushers: list[tuple[float, int]] = field(default_factory=list)

    @property
    def reads(self) -> float:
        """When the magnetisation is read [s]."""
        return self.readout[0].start if self.readout else self.acquired

    @property
    def spacing(self) -> float:
        """Time between excitations, 0 if there is at most one [s]."""
        return round((self.readout[-1].start - self.readout[0].start) / max(len(self.readout) - 1, 1), 9)

    @property
    def ends(self) -> float:
        """When the recovery for the next image begins [s]."""
        return max(self.done, self.readout[-1].start + self.spacing) if self.readout else self.done


_Item = tuple[Literal["rf", "crusher", "adc"], float, float, int, PlayedPulse | None]


def _timeline(seq: SeqFile, field_strength: float) -> Iterator[_Item]:
    """Yield kind, start, end and block of all that matters; an ADC of one sample alone takes no time: it stands for a readout."""
    clock, larmor = 0.0, 1e-6 * GYROMAGNETIC_RATIO * field_strength
    for block in seq.blocks:
        duration = block.duration
        if block.rf is not None and len(block.rf.envelope.amplitude):
            rf, frequency = block.rf, block.rf.frequency + block.rf.frequency_ppm * larmor
            start = clock + rf.lead
            pulse = PlayedPulse(
                block=block.number,
                start=start,
                end=start + rf.envelope.duration,
                envelope=rf.envelope,
                frequency=frequency,
                frequency_precision=rf.frequency_precision,
                # That of the file holds at the first sample, which may be silent.
                phase=rf.phase + rf.phase_ppm * larmor + 2.0 * math.pi * frequency * rf.envelope.lead,
                phase_precision=rf.phase_precision,
                gradient=block.gradient,
            )
            yield "rf", pulse.start, pulse.end, block.number, pulse
        elif block.gradient and not block.samples:
            yield "crusher", clock, clock + duration, block.number, None
        if block.samples:
            alone = block.samples == 1 and block.rf is None and not block.gradient
            duration = 0.0 if alone else duration
            yield "adc", clock, clock + duration, block.number, None
        clock += duration


def played_images(seq: SeqFile, *, field_strength: float) -> list[PlayedImage]:
    """Return the images of a sequence, one for each ADC that follows a saturation, a recovery or another readout.

    Excitations on resonance between the last gradient and the ADC, and equal ones that go on after it, are the readout.

    Raises
    ------
    RefusedError
        If nothing is acquired, nothing transmitted, or excitations differ.
    """
    items = list(_timeline(seq, field_strength))
    for kind, what in (("adc", "an ADC event: one for each image"), ("rf", "an RF event with an amplitude")):
        if not any(item[0] == kind for item in items):
            raise refuse(
                file=seq.name,
                key=f"[{kind.upper()}]",
                expected=what,
                found="none in any block",
                advice="Name the file of the sequence with saturation and readout.",
            )
    excitation = _excitation(items)
    images: list[PlayedImage] = []
    pulses: list[PlayedPulse] = []
    pending: list[PlayedPulse] = []
    crushers: list[tuple[float, int]] = []
    for kind, start, end, number, pulse in items:
        last = images[-1].readout[-1] if images and images[-1].readout and not (pulses or pending) else None
        if kind == "rf" and pulse is not None:
            if excitation is None or pulse.frequency != 0.0 or not pulse.envelope.equals(excitation.envelope):
                pulses += [*pending, pulse]
                pending = []
            elif last is not None and start - last.start < NEAR and not crushers:
                images[-1].readout.append(pulse)
            else:
                pending.append(pulse)
        elif kind == "crusher":
            pulses += pending
            pending = []
            crushers.append((start, number))
        elif last is not None and start - last.start < NEAR:
            continue  # one more line of the same readout
        else:
            images.append(
                PlayedImage(
                    block=number,
                    pulses=pulses,
                    acquired=start,
                    done=end,
                    readout=pending,
                    crushers=crushers,
                )
            )
            pulses, pending, crushers = [], [], []
    return images


def _excitation(items: list[_Item]) -> PlayedPulse | None:
    """Return the pulse that the readouts repeat, None if the file leaves them to the scanner."""
    found: list[PlayedPulse] = []
    crushed: float | None = None
    since: list[PlayedPulse] = []
    for kind, start, end, _, pulse in items:
        if kind == "crusher":
            crushed, since = end, []
        elif kind == "rf" and pulse is not None and crushed is not None:
            if not since and start - crushed > NEAR:
                crushed = None
            else:
                since.append(pulse)
        elif kind == "adc":
            found += since
            crushed, since = None, []
    if not found or any(pulse.frequency != 0.0 or not pulse.envelope.equals(found[0].envelope) for pulse in found):
        return None
    return found[0]
