"""Double-angle B1 scans (TB1DAM): two images of α and 2α from full relaxation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import Sidecar, decisions_on, texts
from qmri_bids.bids.metadata.values import wrong_value
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse
from qmri_bids.estimation.b1_maps import double_angle, double_angle_bias
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
from qmri_bids.scans.b1.methods.values import DECIDED, angle_source
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.units import degrees_to_radians, radians_to_degrees

TOLERANCE = 0.02
"""Largest relative difference of the second flip angle from twice the first."""

TYPICAL_T1 = {"white matter": 0.9, "grey matter": 1.4, "fluid": 4.0}
"""Round values at 3 T [s], for what incomplete relaxation costs."""

REPETITION_KEYS = ("RepetitionTimeExcitation", "RepetitionTimePreparation", "RepetitionTime")
LONGEST_REPETITION = 60.0
"""A repetition time above it [s] was stated in milliseconds."""
LARGEST_BIAS = 0.02
"""Relative error of B1 in grey matter above which incomplete relaxation is a warning."""

_EXPECTED = "flip angles α and 2α in degrees"
_ADVICE = "Correct FlipAngle in the sidecars of flip-1 and flip-2, or run with --no-b1."
_KIND = PairKind(
    role=lambda path: f"flip-{entity(path, 'flip')}" if entity(path, "flip") else "",
    names=("flip-1", "flip-2"),
    advice="Add the image of the other flip angle, or run with --no-b1.",
)


def read_dam(paths: Sequence[Path], root: Path, options: FindOptions) -> B1Run:
    """Check the images of a double-angle scan.

    Raises
    ------
    RefusedError
        If an image is missing, the grids differ, or the flip angles are not α and 2α.
    """
    pair = read_pair(paths, root=root, kind=_KIND, added=options.metadata)
    angles, source = _flip_angles(pair, options)
    warnings: list[str] = [*decisions_on(pair.sidecars, DECIDED), *stated_scale("TB1DAM", options)]
    if angles[0] > angles[1]:
        pair, angles = pair.reversed(), (angles[1], angles[0])
        warnings.append(
            f"{pair.infos[0].name} has the smaller flip angle, though it comes second by name: the angles decide."
        )
    small, large = (radians_to_degrees(each) for each in angles)
    if math.isclose(small, large, rel_tol=TOLERANCE):
        raise refuse(
            file=pair.sidecars[1].origin("FlipAngle"),
            key="FlipAngle",
            expected=_EXPECTED,
            found=f"{small:g}° and {large:g}°: equal flip angles tell nothing of B1",
            advice=_ADVICE,
        )
    if not math.isclose(large, 2.0 * small, rel_tol=TOLERANCE):
        raise refuse(
            file=pair.sidecars[1].origin("FlipAngle"),
            key="FlipAngle",
            expected=f"{_EXPECTED} (twice {small:g}°)",
            found=f"{large:g}°",
            advice=_ADVICE,
        )
    first, second = pair.values()
    if np.array_equal(first, second):
        raise refuse(
            file=pair.infos[1].name,
            key="image",
            expected="the image of the larger flip angle",
            found=f"the values of {pair.infos[0].name}, voxel by voxel",
            advice="One of the images was copied or converted twice: convert both again, or run with --no-b1.",
        )
    found = double_angle(first, second, flip_angle=angles[0])
    check_median(found.b1, pair, what=f"the flip angles {small:g}° and {large:g}° ({source})", advice=_ADVICE)
    time, said, error = _relaxation(pair, flip_angle=angles[0])
    row = replace(angle_source(angles[0], source), key="b1_flip_angle")
    return B1Run(
        entities={key: label for key, label in parse_name(pair.infos[0].path).entities.items() if key != "flip"},
        method="TB1DAM",
        anatomical=pair.infos[0].path,
        map=pair.infos[0].path,
        second=pair.infos[1].path,
        anatomical_volume=pair.volumes[0],
        map_volume=pair.volumes[0],
        second_volume=pair.volumes[1],
        nominal_flip_angle=angles[0],
        method_error=error,
        intended_for=texts(pair.sidecars[0], "IntendedFor"),
        identifiers=texts(pair.sidecars[0], "B0FieldIdentifier"),
        sources=(row, *time),
        warnings=(*warnings, *said),
    )


def _flip_angles(pair: Pair, options: FindOptions) -> tuple[tuple[float, float], str]:
    """Return both flip angles [rad] in the order of the images, and their source."""
    if options.b1_nominal_flip_angle is not None:
        angle = options.b1_nominal_flip_angle
        return (angle, 2.0 * angle), "command line: --b1-nominal-fa and its double"
    stated: list[Any] = [sidecar.values.get("FlipAngle") for sidecar in pair.sidecars]
    if pair.volumes[0] is not None and isinstance(stated[0], list) and len(stated[0]) == 2:
        stated = list(stated[0])
    for sidecar, value in zip(pair.sidecars, stated, strict=True):
        if not is_number(value) or value <= 0.0:
            raise _no_angle(sidecar)
    first, second = (degrees_to_radians(float(value)) for value in stated)
    return (first, second), f"{pair.sidecars[0].origin('FlipAngle')}: FlipAngle"


def _no_angle(sidecar: Sidecar) -> RefusedError:
    advice = "Add FlipAngle to the sidecars, or give the smaller angle with --b1-nominal-fa (degrees)."
    return wrong_value(sidecar, "FlipAngle", expected=_EXPECTED, advice=advice)


def _relaxation(pair: Pair, *, flip_angle: float) -> tuple[tuple[ValueSource, ...], tuple[str, ...], float]:
    """Return repetition time and error of incomplete relaxation as rows, a warning where it matters or is not told, the error."""
    sidecar, name = pair.sidecars[0], pair.infos[0].name
    key = next((each for each in REPETITION_KEYS if is_number(sidecar.values.get(each))), None)
    if key is None:
        return (
            (),
            (
                f"{name}: no repetition time is stated. The double angle holds where T1 has fully relaxed (5 T1: 7 s for grey "
                "matter at 3 T), which could not be checked; B1 is overestimated otherwise.",
            ),
            0.0,
        )
    time = float(sidecar.values[key])
    source = ValueSource(key="b1_repetition_time", value=f"{time:g}", unit="s", source=sidecar.source(key))
    if not 0.0 < time <= LONGEST_REPETITION:
        expected = f"a repetition time in seconds, at most {LONGEST_REPETITION:g}"
        raise wrong_value(sidecar, key, expected=expected, advice="Correct the sidecar; BIDS gives times in seconds.")
    other: Any = pair.sidecars[1].values.get(key)
    if is_number(other) and not math.isclose(float(other), time, rel_tol=TOLERANCE):
        expected = f"{time:g} s, as of {name}: the ratio of both images is then B1 alone"
        raise wrong_value(pair.sidecars[1], key, expected=expected, advice="Correct the sidecar, or run with --no-b1.")
    bias = {
        tissue: double_angle_bias(flip_angle=flip_angle, repetition_time=time, t1=t1)
        for tissue, t1 in TYPICAL_T1.items()
    }
    grey = bias["grey matter"]
    row = ValueSource(
        key="b1_relaxation_error",
        value=f"{100.0 * grey:+.1f}",
        unit="%",
        source=f"computed for grey matter with T1 {TYPICAL_T1['grey matter']:g} s",
    )
    shown = ", ".join(f"{100.0 * each:+.1f} % in {tissue}" for tissue, each in bias.items())
    sentence = f"{name}: with a TR of {time:g} s, T1 that has not fully relaxed changes B1 of the double angle by {shown} (at 3 T)."
    said: tuple[str, ...] = ()
    if abs(grey) > LARGEST_BIAS:
        said = (
            f"THE REPETITION TIME IS SHORT FOR THE DOUBLE ANGLE. {sentence} Was the magnetisation reset after each readout?",
        )
    error = error_in_head(lambda t1: double_angle_bias(flip_angle=flip_angle, repetition_time=time, t1=t1))
    return (source, row), said, error
