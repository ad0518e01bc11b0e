"""Sequences whose images people read, with their usual parameters by field, and how a person asks for others.

Imports nothing heavy: the command line reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qmri_bids.units import degrees_to_radians, milliseconds_to_seconds, radians_to_degrees, seconds_to_milliseconds

USUAL_FIELD = 3.0
"""Field [T] whose parameters serve where that of a scan is not known."""

LONGEST_TR = 60.0
"""What a repetition time [s] lies below; longer ones are a mistake of the unit."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A spin echo, with or without inversion, or an inversion-prepared train of spoiled gradient echoes.

    Parameters
    ----------
    name
        What the image is called.
    repetition_time, echo_time
        TR and TE [s]; TE of a train must lie within the distance of its echoes, and does not enter its signal, since T2* is not
        known.
    inversion_time
        Time from the inversion to the excitation of the centre of k-space [s]; None without inversion.
    flip_angle, echo_spacing, echoes
        Flip angle [rad], distance [s] and number of the gradient echoes of a train; None of a spin echo, which is one of 90° and
        180°. The centre of k-space is the middle of the train.

    Raises
    ------
    ValueError
        If the times do not fit into one another.
    """

    name: str
    repetition_time: float
    echo_time: float
    inversion_time: float | None = None
    flip_angle: float | None = None
    echo_spacing: float | None = None
    echoes: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.echo_time < self.repetition_time < LONGEST_TR:
            raise ValueError(
                f"{self.name}: expected 0 ≤ echo_time < repetition_time [s], found {self.echo_time} and {self.repetition_time}"
            )
        train = (self.flip_angle, self.echo_spacing, self.echoes)
        if any(value is None for value in train) and not all(value is None for value in train):
            raise ValueError(f"{self.name}: flip_angle, echo_spacing and echoes go together, found {train}")
        inversion, length = self.inversion_time, self.length
        after = 0.5 * length if self.is_train else self.echo_time
        if inversion is not None and not 0.5 * length < inversion < self.repetition_time - after:
            raise ValueError(
                f"{self.name}: inversion_time {inversion} s does not fit into a repetition of {self.repetition_time} s"
            )
        if self.is_train and inversion is None:
            raise ValueError(f"{self.name}: a train of gradient echoes needs an inversion_time, found none")
        if self.echo_spacing is not None and self.echo_time >= self.echo_spacing:
            raise ValueError(
                f"{self.name}: expected echo_time < echo_spacing [s], found {self.echo_time} and {self.echo_spacing}"
            )

    @property
    def is_train(self) -> bool:
        """Whether it is a train of gradient echoes."""
        return self.flip_angle is not None

    @property
    def length(self) -> float:
        """Duration of the train [s], 0 of a spin echo."""
        return 0.0 if self.echo_spacing is None or self.echoes is None else self.echo_spacing * self.echoes

    @property
    def sentence(self) -> str:
        """What was played, for sidecars and reports."""
        return f"{self.name} was computed for {self.parameters}."

    @property
    def parameters(self) -> str:
        """TR, TE where it enters the signal, and what else there is, in words."""
        parts = [f"TR {self.repetition_time:g} s"]
        if not self.is_train:
            parts.append(f"TE {seconds_to_milliseconds(self.echo_time):.4g} ms")
        if self.inversion_time is not None:
            parts.append(f"TI {self.inversion_time:g} s")
        if self.flip_angle is not None and self.echo_spacing is not None:
            parts.append(
                f"{self.echoes} gradient echoes of {radians_to_degrees(self.flip_angle):.4g}° every "
                f"{seconds_to_milliseconds(self.echo_spacing):.4g} ms without decay by T2*"
            )
        return ", ".join(parts)

    @property
    def kind(self) -> str:
        """The sequence in words."""
        if self.is_train:
            return "Inversion-prepared train of spoiled gradient echoes"
        return "Spin echo" if self.inversion_time is None else "Inversion recovery spin echo"


def _train(repetition_time: float, inversion_time: float, flip_angle: float, echo_time: float) -> dict[str, Any]:
    return {
        "repetition_time": repetition_time,
        "echo_time": echo_time,
        "inversion_time": inversion_time,
        "flip_angle": math.radians(flip_angle),
        "echo_spacing": 7e-3,
        "echoes": 176,
    }


def _spin_echo(repetition_time: float, echo_time: float, inversion_time: float | None = None) -> dict[str, Any]:
    return {"repetition_time": repetition_time, "echo_time": echo_time, "inversion_time": inversion_time}


FIELDS = (1.5, 3.0, 7.0)
"""Fields [T] whose parameters are known; another field takes those of the nearest, on a scale of ratios."""

_PRESETS: Mapping[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "T1w": (_train(2.4, 1.0, 8.0, 3.5e-3), _train(2.3, 0.9, 9.0, 2.9e-3), _train(2.5, 1.1, 7.0, 2.5e-3)),
    "T1wSE": (_spin_echo(0.5, 0.012), _spin_echo(0.6, 0.010), _spin_echo(0.8, 0.010)),
    "T2w": (_spin_echo(4.5, 0.1), _spin_echo(5.0, 0.09), _spin_echo(6.0, 0.06)),
    "PDw": (_spin_echo(4.5, 0.015), _spin_echo(5.0, 0.015), _spin_echo(6.0, 0.012)),
    "FLAIR": (_spin_echo(9.0, 0.12, 2.5), _spin_echo(9.0, 0.1, 2.5), _spin_echo(12.0, 0.08, 2.75)),
}
"""Parameters by field: T1w as in the protocols of the ADNI at 1.5 and 3 T (Jack et al., J Magn Reson Imaging 27:685, 2008), the
inversion of FLAIR such that water of 4.3 s has no signal, all others as clinics use them."""

PRESETS = tuple(_PRESETS)
"""Names of sequences whose parameters are known."""

SUFFIXES: Mapping[str, str] = {"T1wSE": "T1w"}
"""Suffix of the file where it is not the name of the sequence."""


def preset(name: str, *, field_strength: float | None = None) -> Contrast:
    """Return a sequence with its usual parameters.

    Parameters
    ----------
    name
        One of `PRESETS`.
    field_strength
        Field [T]; that of `USUAL_FIELD` where it is not known.

    Examples
    --------
    >>> preset("FLAIR").inversion_time, preset("T2w", field_strength=9.4).echo_time
    (2.5, 0.06)
    """
    field = USUAL_FIELD if field_strength is None else field_strength
    nearest = min(range(len(FIELDS)), key=lambda place: abs(math.log(FIELDS[place] / field)))
    return Contrast(name=name, **_PRESETS[name][nearest])


def _whole(number: float) -> int:
    """Return a whole number; ValueError if it is none."""
    if not number.is_integer():
        raise ValueError(f"expected a whole number, found {number}")
    return int(number)


_KEYS: Mapping[str, tuple[str, Any, str]] = {
    "tr": ("repetition_time", milliseconds_to_seconds, "ms"),
    "te": ("echo_time", milliseconds_to_seconds, "ms"),
    "ti": ("inversion_time", milliseconds_to_seconds, "ms"),
    "fa": ("flip_angle", degrees_to_radians, "degrees"),
    "esp": ("echo_spacing", milliseconds_to_seconds, "ms"),
    "echoes": ("echoes", _whole, ""),
}
_OF_TRAINS = ("fa", "esp", "echoes")


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """An image that a person asks for: a sequence, what of it is changed, and its own name.

    Parameters
    ----------
    preset
        One of `PRESETS`.
    label
        Letters and digits that tell it from another of the same sequence; empty without.
    changes
        Fields of `Contrast` with their values.
    """

    preset: str
    label: str = ""
    changes: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """What the image is called: `T2w`, or `late_T2w` with a label."""
        return f"{self.label}_{self.preset}" if self.label else self.preset

    @property
    def suffix(self) -> str:
        """Suffix of its file."""
        return SUFFIXES.get(self.preset, self.preset)

    @property
    def file(self) -> tuple[str, str]:
        """What tells its file: suffix and label, whose case some file systems do not know."""
        return self.suffix, f"{self.preset.removeprefix(self.suffix)}{self.label}".lower()

    def contrast(self, *, field_strength: float | None = None) -> Contrast:
        """Return the sequence at a field [T]."""
        usual = preset(self.preset, field_strength=field_strength)
        return replace(usual, name=self.name, **dict[str, Any](self.changes))


LONGEST_LABEL = 64
"""Letters of a label at most: names of files hold 255, and scan, session and space stand in them, too."""


def requested(text: str, *, field_strength: float | None = None) -> ImageRequest:
    """Return what `[LABEL=]SEQUENCE[:KEY=VALUE,…]` asks for; times in milliseconds, angles in degrees.

    Parameters
    ----------
    text
        As the command line takes it.
    field_strength
        Field [T] at whose usual parameters it must fit; at all of `FIELDS` where the field is not known yet.

    Raises
    ------
    ValueError
        If there is no such sequence, or its parameters do not fit into one another.

    Examples
    --------
    >>> requested("late=T2w:te=150").contrast().sentence
    'late_T2w was computed for TR 5 s, TE 150 ms.'
    """
    head, _, tail = str(text).partition(":")
    label, equals, name = head.rpartition("=")
    good = not equals or (label.isascii() and label.isalnum() and not label.lower().endswith("std"))
    if name not in PRESETS or not good:
        raise ValueError(
            f"expected one of {', '.join(PRESETS)}, as in T2w, T2w:te=80 or late=T2w:te=150 (a label of letters and digits that "
            f"does not end with std), found {text!r}"
        )
    if len(label) > LONGEST_LABEL:
        raise ValueError(
            f"expected a label of {LONGEST_LABEL} letters at most, found one of {len(label)} ({label[:12]}…)"
        )
    usual = preset(name)
    keys = [
        key
        for key in _KEYS
        if (usual.is_train or key not in _OF_TRAINS) and (usual.inversion_time is not None or key != "ti")
    ]
    changes: dict[str, float] = {}
    for part in tail.split(",") if tail else ():
        key, _, value = part.partition("=")
        if key not in keys:
            shown = ", ".join(f"{each} [{unit}]" if (unit := _KEYS[each][2]) else each for each in keys)
            advice = ": FLAIR is the spin echo after an inversion" if key == "ti" else ""
            raise ValueError(f"expected parameters {shown} of {name}, found {part!r} in {text!r}{advice}")
        field, convert, unit = _KEYS[key]
        number = "whole number" if convert is _whole else "number"
        if field in changes:
            raise ValueError(f"expected {key} once, found it twice in {text!r}")
        try:
            changes[field] = convert(float(value))
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"expected a {number}{f' of {unit}' if unit else ''} for {key}, found {part!r} in {text!r}"
            ) from error
        if not 0.0 < changes[field] < math.inf or (key == "fa" and changes[field] >= math.pi):
            raise ValueError(
                f"expected a positive number{f' of {unit}' if unit else ''} for {key}, found {part!r} in {text!r}"
            )
    _check_file(ImageRequest(preset=name, label=label), text)
    _check_echo_time(name, changes, text)
    found = ImageRequest(preset=name, label=label, changes=tuple(changes.items()))
    _check_times(found, text, fields=FIELDS if field_strength is None else (field_strength,))
    return found


def _check_file(request: ImageRequest, text: str) -> None:
    """Refuse a label with which an image would have the file of another sequence."""
    for other in PRESETS:
        if other != request.preset and ImageRequest(preset=other).file == request.file:
            raise ValueError(f"expected a label that no sequence has in its name, found that of {other} in {text!r}")


def _check_echo_time(name: str, changes: Mapping[str, float], text: str) -> None:
    """Refuse an echo time of a train that lies beyond the next excitation, at any of `FIELDS`."""
    for field_strength in FIELDS:
        usual = preset(name, field_strength=field_strength)
        te = changes.get("echo_time", usual.echo_time)
        spacing = changes.get("echo_spacing", usual.echo_spacing)
        if spacing is not None and te >= spacing:
            found = [f"{seconds_to_milliseconds(time):.4g} ms" for time in (te, spacing)]
            raise ValueError(
                f"expected te below esp, the distance of the echoes, found {' and '.join(found)} in {text!r}: give both"
            )


def _check_times(request: ImageRequest, text: str, *, fields: Sequence[float]) -> None:
    """Refuse times that do not fit into one another at a field, in the words and units in which they were typed."""
    known = {key: field for key, (field, _, unit) in _KEYS.items() if unit == "ms"}
    typed = {key for key, field in known.items() if field in dict(request.changes)}
    found = [vars(preset(request.preset, field_strength=each)) | dict(request.changes) for each in fields]

    def time(key: str) -> str:
        """Return a time as typed, or as it usually is at the fields."""
        if key in typed:
            return f"{key} of {seconds_to_milliseconds(found[0][known[key]]):g} ms"
        values = [
            f"{seconds_to_milliseconds(each[known[key]]):g} ms at {field:g} T"
            for each, field in zip(found, fields, strict=True)
        ]
        return f"{key} of {', '.join(dict.fromkeys(values))} (not given: as usual)"

    for each in found:
        tr, te, ti, spacing = (
            each[name] for name in ("repetition_time", "echo_time", "inversion_time", "echo_spacing")
        )
        if tr >= LONGEST_TR:
            raise ValueError(
                f"expected tr below {seconds_to_milliseconds(LONGEST_TR):g} ms, found {time('tr')} in {text!r}"
            )
        if te >= tr:
            raise ValueError(f"expected te below tr, found {time('te')} and {time('tr')} in {text!r}: give both")
        length = 0.0 if spacing is None else spacing * each["echoes"]
        if ti is not None and not 0.5 * length < ti < tr - (0.5 * length or te):
            if length:
                train = f"a train of {each['echoes']} × {seconds_to_milliseconds(spacing):g} ms whose middle is at ti"
                raise ValueError(
                    f"expected {train} to fit between inversion and tr, found {time('ti')} and {time('tr')} in {text!r}: give "
                    "ti and tr, or esp and echoes"
                )
            raise ValueError(
                f"expected ti and te to fit into tr, found {time('ti')}, {time('te')} and {time('tr')} in {text!r}: give all three"
            )


_FREE_LABELS = ("late", "second", "third")
"""Labels that a refusal proposes."""


def all_requested(texts: Sequence[str]) -> tuple[ImageRequest, ...]:
    """Return what several texts ask for.

    Raises
    ------
    ValueError
        If one is malformed, or two would be one file.
    """
    found = tuple(requested(text) for text in texts)
    for place, each in enumerate(found):
        if each.file in {other.file for other in found[:place]}:
            taken = {other.label.lower() for other in found}
            label = next(free for free in (*_FREE_LABELS, f"image{len(found)}") if free not in taken)
            head, colon, tail = str(texts[place]).partition(":")
            example = f"{label}={head.rpartition('=')[2]}{colon}{tail}"
            small = " but for capitals" if each.label not in {other.label for other in found[:place]} else ""
            raise ValueError(
                f"expected names that differ, found {each.name} twice{small}: give one a label of its own, as in {example}"
            )
    return found
