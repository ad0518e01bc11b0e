"""Actual flip-angle scans (TB1AFI): two images of one steady state with the repetition times TR1 and TR2 in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import decisions_on, texts
from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.estimation.b1_maps import actual_flip_angle, afi_bias
from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.methods.pairs import (
    Pair,
    PairKind,
    check_median,
    entity,
    error_in_head,
    read_pair,
    stated_scale,
)
from qmri_bids.scans.b1.methods.values import DECIDED, angle_source, nominal_flip_angle
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.units import radians_to_degrees

ROLES = ("tr1", "tr2")
KEYS = ("RepetitionTimeExcitation", "RepetitionTimePreparation", "RepetitionTime")
"""Where repetition times are looked for: a number for each image, or both as a list."""

LARGEST_TIME = 5.0
"""A repetition time above this is in milliseconds [s]."""

OPTION = "--b1-afi-tr"
_ADVICE = f"Give both with {OPTION} TR1 TR2 (seconds): the delays after the first and after the second pulse."
LARGEST_BIAS = 0.02
"""Relative error of B1 in grey matter above which the first order in TR/T1 is a warning."""
TYPICAL_T1 = {"white matter": 0.9, "grey matter": 1.4}
"""Round values at 3 T [s], for what the first order in TR/T1 costs."""


def split_role(label: str) -> tuple[str, str]:
    """Split an acquisition label in its own part and the role `tr1` or `tr2` that ends it.

    Examples
    --------
    >>> split_role("headtr1"), split_role("tr2"), split_role("head")
    (('head', 'tr1'), ('', 'tr2'), ('head', ''))
    """
    for role in ROLES:
        if label.lower().endswith(role):
            return label[: -len(role)], role
    return label, ""


def _role(path: Path) -> str:
    role = split_role(entity(path, "acq"))[1]
    return f"acq-{role}" if role else ""


_KIND = PairKind(
    role=_role,
    names=("acq-tr1", "acq-tr2"),
    advice="Add the image of the other repetition time, or run with --no-b1.",
)


def read_afi(paths: Sequence[Path], root: Path, options: FindOptions) -> B1Run:
    """Check the images of an actual flip-angle scan.

    Raises
    ------
    RefusedError
        If an image is missing, the grids differ, or the repetition times are missing, equal or in another unit.
    """
    pair = read_pair(paths, root=root, kind=_KIND, added=options.metadata)
    times, source = _repetition_times(pair, options)
    angle, origin = nominal_flip_angle(pair.sidecars[0], options, of="the excitation")
    if pair.volumes[0] is None and options.b1_nominal_flip_angle is None:
        other, _ = nominal_flip_angle(pair.sidecars[1], options, of="the excitation")
        if not math.isclose(angle, other, rel_tol=1e-6):
            raise refuse(
                file=pair.sidecars[1].origin("FlipAngle"),
                key="FlipAngle",
                expected=f"{radians_to_degrees(angle):g}° as in {pair.sidecars[0].origin('FlipAngle')}",
                found=f"{radians_to_degrees(other):g}°",
                advice="Both images of TB1AFI have one flip angle: correct the sidecars, or give it with --b1-nominal-fa.",
            )
    first, second = pair.values()
    found = actual_flip_angle(first, second, flip_angle=angle, repetition_times=times)
    shown = f"TR of {times[0]:g} s and {times[1]:g} s and {radians_to_degrees(angle):g}°"
    check_median(
        found.b1,
        pair,
        what=shown,
        advice="Are the images exchanged (the one before the longer delay is the darker), or the TR or FlipAngle wrong? "
        f"{OPTION} and --b1-nominal-fa override the sidecars.",
    )
    bias = {tissue: afi_bias(flip_angle=angle, repetition_times=times, t1=t1) for tissue, t1 in TYPICAL_T1.items()}
    cost = ", ".join(f"{100.0 * each:+.2f} % in {tissue}" for tissue, each in bias.items())
    said = (
        f"{pair.infos[0].name}: B1 of actual flip-angle imaging with {shown}, to first order in TR/T1, which changes it by {cost} "
        "(at 3 T); spoiling was taken to be complete.",
    )
    grey = bias["grey matter"]
    row = ValueSource(
        key="b1_first_order_error",
        value=f"{100.0 * grey:+.2f}",
        unit="%",
        source=f"computed for grey matter with T1 {TYPICAL_T1['grey matter']:g} s, complete spoiling",
    )
    return B1Run(
        entities=dict(parse_name(pair.infos[0].path).entities),
        method="TB1AFI",
        anatomical=pair.infos[0].path,
        map=pair.infos[0].path,
        second=pair.infos[1].path,
        anatomical_volume=pair.volumes[0],
        map_volume=pair.volumes[0],
        second_volume=pair.volumes[1],
        nominal_flip_angle=angle,
        repetition_times=times,
        method_error=error_in_head(lambda t1: afi_bias(flip_angle=angle, repetition_times=times, t1=t1)),
        intended_for=texts(pair.sidecars[0], "IntendedFor"),
        identifiers=texts(pair.sidecars[0], "B0FieldIdentifier"),
        sources=(
            angle_source(angle, origin),
            row,
            ValueSource(key="b1_repetition_times", value=f"{times[0]:g}, {times[1]:g}", unit="s", source=source),
        ),
        warnings=(
            *decisions_on(pair.sidecars, DECIDED),
            *stated_scale("TB1AFI", options),
            *(said if abs(grey) > LARGEST_BIAS else ()),
        ),
    )


def _repetition_times(pair: Pair, options: FindOptions) -> tuple[tuple[float, float], str]:
    """Return TR1 and TR2 [s] in the order of the images, and their source.

    Raises
    ------
    RefusedError
        If they are missing, equal, or in milliseconds.
    """
    if options.b1_afi_repetition_times is not None:
        return options.b1_afi_repetition_times, f"command line: {OPTION}"
    equal: list[str] = []
    for key in KEYS:
        stated: list[Any] = [sidecar.values.get(key) for sidecar in pair.sidecars]
        lists = [value for value in stated if isinstance(value, list) and len(value) == 2]
        values = list(lists[0]) if lists else stated
        if any(not is_number(value) or value <= 0.0 for value in values):
            continue
        first, second = (float(value) for value in values)
        if math.isclose(first, second, rel_tol=1e-6):
            equal.append(f"{key} = {first:g} s in both")
            continue
        origin = pair.sidecars[0].source(key)
        if max(first, second) > LARGEST_TIME:
            raise refuse(
                file=pair.sidecars[0].origin(key),
                key=key,
                expected="repetition times in seconds",
                found=f"{first:g} and {second:g}",
                advice="BIDS states times in seconds: convert milliseconds.",
            )
        return (first, second), origin
    raise refuse(
        file=pair.sidecars[0].origin(KEYS[0]),
        key=" or ".join(KEYS),
        expected="two different repetition times, TR1 and TR2",
        found="; ".join(equal) or "none for both images",
        advice=f"Converters write the same TR to both images. {_ADVICE}" if equal else _ADVICE,
    )
