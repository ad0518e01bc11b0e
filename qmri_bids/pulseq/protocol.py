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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qmri_bids.bids.refusal import refuse
from qmri_bids.physics.saturation import Readout, SaturatedImage, SaturationProtocol, Start
from qmri_bids.pulseq.events import PlayedImage, played_images
from qmri_bids.pulseq.file import SeqFile, read_seq_file
from qmri_bids.pulseq.trains import PlayedTrain, played_train
from qmri_bids.units import GYROMAGNETIC_RATIO, ppm_to_hertz

TOLERANCE = 0.01
"""Relative difference from which on a definition disagrees."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """An image with what was played before it.

    Parameters
    ----------
    image
        Of the protocol.
    train
        None without RF.
    """

    image: SaturatedImage
    train: PlayedTrain | None


def numbers(seq: SeqFile, *names: str) -> tuple[float, ...]:
    """Return the numbers of the first definition that is there under one of these names, in any case; none if it is not."""
    for name in names:
        for key, value in seq.definitions.items():
            if key.lower() == name.lower() and not isinstance(value, str):
                return value
    return ()


def field_of(seq: SeqFile, *, field_strength: float | None) -> tuple[float, tuple[str, ...]]:
    """Return B0 [T] and doubts about it: the argument if given, else FREQ, by which writers turn ppm into Hz, else B0.

    Raises
    ------
    RefusedError
        If there is none, or it is not that of a magnet.
    """
    stated = {}
    if frequency := numbers(seq, "FREQ"):
        # In MHz, or in Hz as some writers have it.
        stated["FREQ"] = frequency[0] * (1e6 if frequency[0] < 1e5 else 1.0) / GYROMAGNETIC_RATIO
    if b0 := numbers(seq, "B0"):
        stated["B0"] = b0[0]
    chosen = ("the argument", field_strength) if field_strength is not None else next(iter(stated.items()), None)
    if chosen is None or chosen[1] is None or not 0.0 < chosen[1] < 30.0:
        raise refuse(
            file=seq.name,
            key="definition B0",
            expected="the field in tesla in B0, the Larmor frequency in MHz in FREQ, or MagneticFieldStrength in the sidecar",
            found="nothing" if chosen is None else f"{chosen[1]} T",
            advice="Add MagneticFieldStrength to the sidecar.",
        )
    name, value = chosen
    warnings = tuple(
        f"{seq.name}: definition {key} states a field of {other:.5g} T, {name} {value:.5g} T; the latter is used."
        for key, other in stated.items()
        if abs(other / value - 1.0) > TOLERANCE
    )
    return round(value, 9), warnings


_Quantity = Callable[[Played, PlayedTrain], float]


# Names, unit, power of ten of the unit, quantity, and which images it is about.
_TRAIN: tuple[tuple[tuple[str, ...], str, float, _Quantity], ...] = (
    (("n_pulses",), "", 1.0, lambda _, train: train.number),
    (("tp",), "s", 1.0, lambda _, train: train.pulse_duration),
    (("Tsat",), "s", 1.0, lambda _, train: train.duration),
    (("B1", "B1pa"), "µT", 1e6, lambda _, train: train.mean_amplitude),
    (("B1peak",), "µT", 1e6, lambda _, train: train.peak_amplitude),
    (("B1cwpe", "B1rms"), "µT", 1e6, lambda _, train: train.saturation.b1_rms),
    (
        ("DCsat", "DC"),
        "",
        1.0,
        lambda _, train: (
            train.pulse_duration / (train.pulse_duration + (float(np.mean(train.gaps)) if train.gaps else 0.0))
        ),
    ),
)


def disagreements(seq: SeqFile, played: Sequence[Played]) -> tuple[str, ...]:
    """Return a sentence for every definition that differs from what is played by more than 1 %.

    A list may have an entry for every image or for every image with RF.
    """
    trains = [(each, each.train) for each in played if each.train is not None]
    found: list[str] = []
    for names, unit, scale, quantity in _TRAIN:
        values = [scale * quantity(each, train) for each, train in trains]
        for name in names:
            found += _compare(seq, name, unit, values, len(played))
    gaps = [gap for _, train in trains for gap in sorted(set(train.gaps))]
    stated = numbers(seq, "td")
    if stated and not gaps and stated[0] != 0.0:
        found.append(_sentence(seq, "td", f"{stated[0]:.6g} s", "no gap"))
    elif stated and any(min(abs(gap - each) for each in stated) > TOLERANCE * gap for gap in gaps):
        found.append(_sentence(seq, "td", _list(stated, "s"), _list(gaps, "s")))
    for name, wanted in (("Trec", False), ("Trec_M0", True)):
        values = [each.image.recovery for each in played if each.image.is_m0 is wanted]
        if values:
            found += _compare(seq, name, "s", values, len(played))
    if (stated := numbers(seq, "num_meas")) and stated[0] != len(played):
        found.append(_sentence(seq, "num_meas", f"{stated[0]:g}", f"{len(played)} images"))
    return (*found, *_defined_offsets(seq, played))


def _defined_offsets(seq: SeqFile, played: Sequence[Played]) -> list[str]:
    stated = numbers(seq, "offsets_ppm")
    offsets = [each.image.offset for each in played]
    if not stated:
        return []
    saturated = [offset for offset in offsets if offset is not None]
    if len(stated) == len(offsets):
        pairs = [(a, b) for a, b in zip(stated, offsets, strict=True) if b is not None]
    elif len(stated) == len(saturated):
        pairs = list(zip(stated, saturated, strict=True))
    else:
        return [_sentence(seq, "offsets_ppm", f"{len(stated)} offsets", f"{len(saturated)} images with RF")]
    wrong = [(a, b) for a, b in pairs if abs(a - b) > max(TOLERANCE * abs(b), 0.01)]
    if not wrong:
        return []
    text = f" in {len(wrong)} of {len(pairs)} images"
    return [_sentence(seq, "offsets_ppm", f"{wrong[0][0]:.6g} ppm", f"{wrong[0][1]:.6g} ppm", text)]


def _compare(seq: SeqFile, name: str, unit: str, values: Sequence[float], images: int) -> list[str]:
    stated = numbers(seq, name)
    if not stated or not values:
        return []
    if len(stated) not in (1, len(values)):
        if len(stated) == images:
            return []
        return [_sentence(seq, name, f"{len(stated)} values", f"{len(values)} images that it is about")]
    pairs = list(zip(stated * (len(values) if len(stated) == 1 else 1), values, strict=True))
    wrong = [(a, b) for a, b in pairs if not math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-9)]
    if not wrong:
        return []
    return [
        _sentence(
            seq,
            name,
            _list([a for a, _ in wrong], unit),
            _list([b for _, b in wrong], unit),
            "" if len(wrong) == len(values) else f" in {len(wrong)} of {len(values)} images",
        )
    ]


def _list(values: Sequence[float], unit: str) -> str:
    distinct = list(dict.fromkeys(f"{value:.4g}" for value in values))
    shown = ", ".join(distinct[:4]) + (", …" if len(distinct) > 4 else "")
    return f"{shown} {unit}".strip()


def _sentence(seq: SeqFile, name: str, stated: str, played: str, where: str = "") -> str:
    return f"{seq.name}: definition {name} states {stated}, its events play {played}{where}; what is played counts."


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
