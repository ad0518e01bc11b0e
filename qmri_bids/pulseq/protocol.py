"""A pulseq file of a CEST or MT preparation → `SaturationProtocol`, by the conventions of pulseq-CEST.

Source: Herz et al., MRM 86:1845 (2021). RF amplitudes are in Hz and become tesla by 42.5764 MHz/T, frequency offsets become ppm by
the field. A pulse reaches from its first to its last sample that is not zero; dead and ringdown times belong to the pauses, as they
are played. An ADC of a single sample in a block of its own stands for the readout of the scanner and takes no time.

What the format cannot say comes back as what it says: spin-lock tips that were meant for all pools come back for liquid ones
(`SpinLock.LIQUID_POOLS`), a spin-lock train without rule for its phases with `Carrier.STOPS`. Readouts are recognised as equal
pulses on resonance between crusher and ADC and after it; those with imaging gradients among them are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.refusal import refuse
from qmri_bids.physics.saturation import Readout, SaturatedImage, SaturationProtocol, Start
from qmri_bids.pulseq.definitions import Played, disagreements, field_of, numbers
from qmri_bids.pulseq.events import PlayedImage, played_images
from qmri_bids.pulseq.file import SeqFile, read_seq_file
from qmri_bids.pulseq.trains import PlayedTrain, played_train
from qmri_bids.units import ppm_to_hertz

FAR = 100.0
"""From this offset on an image can be meant to normalise the others [ppm]."""

SPECTRUM = 5
"""Images of one train from which on they sample a spectrum; fewer are a fingerprint."""


@dataclass(frozen=True, kw_only=True)
class SeqReading:
    """A protocol read from a pulseq file.

    Parameters
    ----------
    protocol
        One image for each ADC.
    warnings
        Definitions that disagree with the events, decisions and doubts, as sentences.
    sha256
        Of the file.
    """

    protocol: SaturationProtocol
    warnings: tuple[str, ...]
    sha256: str


def read_seq_protocol(
    path: Path,
    *,
    root: Path | None = None,
    field_strength: float | None = None,
    start: Start | None = None,
    readout: Readout | None = None,
) -> SeqReading:
    """Read the saturation protocol that a pulseq file plays.

    RF events count, not definitions: every definition that differs by more than 1 % is a warning.

    Parameters
    ----------
    path
        A text file of version 1.2 to 1.5.
    root
        Of the dataset, for messages.
    field_strength
        [T]; None: that of the definitions FREQ or B0.
    start
        None: from full relaxation as in all Z-spectra of the presets; from the image before where trains change from image to
        image, as fingerprints do.
    readout
        For files that leave the readout to the scanner; None: the excitations of the file, or none.

    Raises
    ------
    RefusedError
        If the file cannot be read, or the events of an image cannot be represented; the message names the block.
    """
    seq = read_seq_file(path, root=root)
    field, warnings = field_of(seq, field_strength=field_strength)
    images = played_images(seq, field_strength=field)
    trains = [played_train(image, file=seq.name) if image.pulses else None for image in images]
    if not any(trains):
        raise refuse(
            file=seq.name,
            key="[RF]",
            expected="RF of a saturation before an ADC",
            found="excitations of the readout alone",
            advice="Name the file of the sequence with saturation and readout.",
        )
    offsets = _offsets(seq, trains, field)
    m0, said = _m0(seq, offsets)
    played = []
    before = 0.0
    for image, train, offset, is_m0 in zip(images, trains, offsets, m0, strict=True):
        recovery = round((image.reads if train is None else train.begins) - before, 9)
        before = image.ends
        # The last spacing of a readout may be cut short by the next preparation.
        if not -1e-3 <= recovery < 1000.0:
            raise refuse(
                file=seq.name,
                key=f"block {image.block}",
                expected="a recovery of up to 1000 s before the saturation of its image",
                found=f"{recovery:g} s",
                advice="State the protocol in the sidecar and the _cestcontext.tsv instead.",
            )
        played.append(
            Played(
                image=SaturatedImage(
                    saturation=None if train is None else train.saturation,
                    offset=offset,
                    recovery=max(recovery, 0.0),
                    is_m0=is_m0,
                ),
                train=train,
            )
        )
    own = _readout(seq, images)
    chosen, decided = _start(seq, [each.image for each in played], start, own or readout)
    protocol = SaturationProtocol(
        field_strength=field, images=tuple(each.image for each in played), start=chosen, readout=own or readout
    )
    return SeqReading(
        protocol=protocol,
        warnings=(*seq.warnings, *warnings, *disagreements(seq, played), *said, *_notes(seq, trains), *decided),
        sha256=seq.sha256,
    )


def _offsets(seq: SeqFile, trains: Sequence[PlayedTrain | None], field: float) -> list[float | None]:
    """Return offsets [ppm]; one that `offsets_ppm` states is taken where the frequency as printed cannot tell them apart."""
    stated = list(numbers(seq, "offsets_ppm"))
    if len(stated) == sum(train is not None for train in trains):
        stated.reverse()
        stated = [0.0 if train is None else stated.pop() for train in trains]
    hertz = ppm_to_hertz(1.0, field)
    offsets: list[float | None] = []
    for index, train in enumerate(trains):
        if train is None:
            offsets.append(None)
            continue
        offset = train.frequency / hertz
        if len(stated) == len(trains):
            slack = 2.0 * train.frequency_precision + 1e-8 * abs(train.frequency) + 1e-6
            offset = stated[index] if abs(stated[index] * hertz - train.frequency) <= slack else offset
        offsets.append(offset)
    return offsets


def _m0(seq: SeqFile, offsets: Sequence[float | None]) -> tuple[list[bool], tuple[str, ...]]:
    """Return which images normalise the others, and how that was decided."""
    silent = [offset is None for offset in offsets]
    stated = numbers(seq, "M0_offset")
    doubts: tuple[str, ...] = ()
    if stated:
        near = [offset is not None and abs(offset - stated[0]) <= 0.01 * abs(stated[0]) for offset in offsets]
        if any(near):
            return [a or b for a, b in zip(silent, near, strict=True)], ()
        if not any(silent):
            doubts = (f"{seq.name}: definition M0_offset states {stated[0]:g} ppm, no event plays it.",)
    furthest = max((abs(offset) for offset in offsets if offset is not None), default=0.0)
    if furthest < FAR:
        return silent, doubts
    far = [offset is not None and abs(offset) > 0.999 * furthest for offset in offsets]
    note = f"{seq.name}: the {sum(far)} image(s) at the largest offset, {furthest:g} ppm, are taken to normalise the others."
    return [a or b for a, b in zip(silent, far, strict=True)], (*doubts, note)


def _readout(seq: SeqFile, images: Sequence[PlayedImage]) -> Readout | None:
    """Return the excitations of the file, which must be the same for all images."""
    first = images[0]
    if not any(image.readout for image in images):
        return None
    for image in images:
        same = len(image.readout) == len(first.readout) and abs(image.spacing - first.spacing) < 1e-6
        if not same or len(image.readout) < 2:
            raise refuse(
                file=seq.name,
                key=f"block {image.block}",
                expected=f"the readout of block {first.block}: {len(first.readout)} excitations, {first.spacing:g} s apart",
                found=f"{len(image.readout)}, {image.spacing:g} s apart",
                advice="State the protocol in the sidecar and the _cestcontext.tsv instead.",
            )
    turn = 2.0 * math.pi * abs(first.readout[0].envelope.area)
    return Readout(number=len(first.readout), flip_angle=turn, spacing=first.spacing)


def _start(
    seq: SeqFile, images: Sequence[SaturatedImage], start: Start | None, readout: Readout | None
) -> tuple[Start, tuple[str, ...]]:
    if start is not None:
        return start, ()
    # Free evolution after the train is the same whatever is locked.
    trains = [replace(image.saturation, spoiler=0.0) for image in images if image.saturation and not image.is_m0]
    if not trains or len(trains) / len(set(trains)) >= SPECTRUM or len(set(trains)) == 1:
        return Start.RELAXED, ()
    missing = "" if readout else "; its readout is left to the scanner and counts as none"
    return Start.PREVIOUS, (
        f"{seq.name}: {len(set(trains))} different trains in {len(trains)} images are read as a fingerprint, "
        f"each image from the state that the one before leaves{missing}.",
    )


def _notes(seq: SeqFile, trains: Sequence[PlayedTrain | None]) -> tuple[str, ...]:
    """Return what was decided about trains, each sentence once with its images."""
    images: dict[str, list[int]] = {}
    for number, train in enumerate(trains, start=1):
        for note in () if train is None else train.notes:
            images.setdefault(note, []).append(number)
    return tuple(f"{seq.name}: image {_ranges(found)}: {note}." for note, found in images.items())


def _ranges(found: Sequence[int]) -> str:
    """Return numbers in order as text, runs of them by their ends.

    Examples
    --------
    >>> _ranges([1, 2, 3, 7])
    '1-3, 7'
    """
    runs: list[list[int]] = []
    for number in found:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
