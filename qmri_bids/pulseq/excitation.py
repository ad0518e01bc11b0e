"""The excitation pulse of a pulseq file: the RF after which echoes are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.physics.excitation.pulse import STEPS, ExcitationPulse
from qmri_bids.pulseq.file import RfEvent, SeqBlock, SeqFile, read_seq_file
from qmri_bids.units import seconds_to_milliseconds

SAME_SHAPE = 1e-3
"""Difference of two shapes, relative to their mean B1, below which they are one; and imaginary part of a shape of one phase."""

ADVICE = "Name the sequence that was played, or state the pulse by --excitation-pulse."


@dataclass(frozen=True, kw_only=True)
class SeqExcitation:
    """The excitation that a file repeats.

    Parameters
    ----------
    pulse
        Its shape and duration.
    flip_angle
        What the last one turns by on resonance [rad].
    warnings
        Doubts about the file, as sentences.
    """

    pulse: ExcitationPulse
    flip_angle: float
    warnings: tuple[str, ...]


def read_excitation(path: Path, *, root: Path) -> SeqExcitation:
    """Return the excitation pulse of a pulseq file.

    An excitation is the last RF before an ADC; in a file without ADC all RF is. They may differ in phase and strength (pulses of
    half the angle lead to the steady state), not in shape or duration.

    Parameters
    ----------
    path
        The file.
    root
        The dataset, for messages.

    Raises
    ------
    RefusedError
        If the file cannot be read, has no RF, or its excitations are not of one shape, duration and phase, or are off resonance
        without a gradient.
    """
    seq = read_seq_file(path, root=root)
    blocks = _excitations(seq)
    if not blocks:
        raise _bad(seq, expected="excitation pulses", found="no RF")
    shapes: dict[int, NDArray[np.float64]] = {}
    first: tuple[SeqBlock, RfEvent] | None = None
    last: RfEvent | None = None
    for block in blocks:
        last = event = block.rf
        if event is None or id(event) in shapes:
            continue
        shapes[id(event)] = shape = _shape(seq, block, event)
        if first is None:
            first = block, event
        elif (
            not math.isclose(event.envelope.duration, first[1].envelope.duration, rel_tol=SAME_SHAPE)
            or np.abs(shape - shapes[id(first[1])]).max() > SAME_SHAPE
        ):
            raise _bad(
                seq,
                expected="excitations of one shape and duration (phase and strength may differ)",
                found=f"{_told(*first)} and {_told(block, event)}, which differ",
            )
    assert first is not None
    assert last is not None
    duration = first[1].envelope.duration
    pulse = ExcitationPulse(
        duration=duration,
        shape=tuple(shapes[id(first[1])].tolist()),
        name=f"{path.name} of {seconds_to_milliseconds(duration):.3g} ms",
    )
    return SeqExcitation(pulse=pulse, flip_angle=2.0 * math.pi * abs(last.envelope.area), warnings=seq.warnings)


def _excitations(seq: SeqFile) -> list[SeqBlock]:
    """Return the blocks of the last RF before every ADC, of all RF where there is no ADC."""
    sounding = [block for block in seq.blocks if block.rf is not None and len(block.rf.envelope.amplitude)]
    if not any(block.samples for block in seq.blocks):
        return sounding
    found: list[SeqBlock] = []
    last: SeqBlock | None = None
    for block in seq.blocks:
        if block.rf is not None and len(block.rf.envelope.amplitude):
            last = block
        if block.samples and last is not None:
            found.append(last)
            last = None
    return found


def _shape(seq: SeqFile, block: SeqBlock, event: RfEvent) -> NDArray[np.float64]:
    """Return the B1 of `STEPS` equal steps over its mean, shape (STEPS,)."""
    if (event.frequency or event.frequency_ppm) and not block.gradient:
        raise _bad(
            seq,
            expected="excitations on resonance, or beside a gradient that selects a slab",
            found=f"{_told(block, event)} at {event.frequency:g} Hz",
        )
    amplitude = event.envelope.averaged(STEPS).amplitude
    mean = complex(amplitude.mean())
    if abs(mean) <= SAME_SHAPE * float(np.abs(amplitude).mean()):
        raise _bad(seq, expected="excitations that turn", found=f"{_told(block, event)} with a sum of 0")
    relative = amplitude / mean
    if np.abs(relative.imag).max() > SAME_SHAPE * np.abs(relative).max():
        raise _bad(
            seq,
            expected="excitations of one phase each",
            found=f"{_told(block, event)}, whose phase changes within it (adiabatic or composite)",
        )
    found: NDArray[np.float64] = relative.real
    return found


def _told(block: SeqBlock, event: RfEvent) -> str:
    return f"the RF of block {block.number} of {seconds_to_milliseconds(event.envelope.duration):g} ms"


def _bad(seq: SeqFile, *, expected: str, found: str) -> RefusedError:
    return refuse(file=seq.name, key="[RF]", expected=expected, found=found, advice=ADVICE)
