"""What the definitions of a pulseq file state, against what its events play: the events count, and a difference is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qmri_bids.bids.refusal import refuse
from qmri_bids.physics.saturation import SaturatedImage
from qmri_bids.pulseq.file import SeqFile
from qmri_bids.pulseq.trains import PlayedTrain
from qmri_bids.units import GYROMAGNETIC_RATIO

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
    return (*found, *_offsets(seq, played))


def _offsets(seq: SeqFile, played: Sequence[Played]) -> list[str]:
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
