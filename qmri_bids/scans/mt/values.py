"""What sidecars and names of MT images state: with or without MT pulse, flip angle and repetition time."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.bids.sidecar import Sidecar
from qmri_bids.bids.values import common_number, describe, wrong_value
from qmri_bids.estimation.mt.maps import SpoiledProtocol
from qmri_bids.scans.findings import Series
from qmri_bids.units import degrees_to_radians, milliseconds_to_seconds

STATE_KEY = "MTState"
LABELS = {"on": True, "off": False}
LONGEST_REPETITION_TIME = 1.0
SMALLEST_FLIP_ANGLE = 0.5

EXPECTED = {
    "FlipAngle": "the flip angle in degrees",
    "RepetitionTimeExcitation": "the time between two excitations in seconds (e.g. 0.025)",
    "RepetitionTime": "the repetition time in seconds",
    "EchoTime": "the echo time in seconds",
}
UNITS = {"FlipAngle": "deg"}
NAMES = {
    "FlipAngle": "flip_angle",
    "RepetitionTimeExcitation": "repetition_time",
    "RepetitionTime": "repetition_time_of_volume",
    "EchoTime": "echo_time",
}


def state_of(series: Series) -> bool | None:
    """Return whether an image has an MT pulse, by MTState or the name; None where neither says so.

    Raises
    ------
    RefusedError
        If the two contradict each other, or one is of the wrong kind.
    """
    label = series.entities.get("mt")
    if label is not None and label not in LABELS:
        raise refuse(
            file=series.sidecar.file,
            key="mt",
            expected="mt-on or mt-off",
            found=f"mt-{label}",
            advice="Rename the image.",
        )
    value = series.sidecar.values.get(STATE_KEY)
    if value is None:
        return None if label is None else LABELS[label]
    # BIDS asks for a boolean; on and off are what older converters wrote.
    state = LABELS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(state, bool):
        raise wrong_value(series.sidecar, STATE_KEY, expected="true or false", advice="Correct the sidecar.")
    if label is not None and state is not LABELS[label]:
        raise refuse(
            file=series.sidecar.origin(STATE_KEY),
            key=STATE_KEY,
            expected=f"{str(LABELS[label]).lower()}, as the name says mt-{label}",
            found=describe(value),
            advice="Correct MTState or the name.",
        )
    return state


def read_spoiled(sidecar: Sidecar) -> tuple[SpoiledProtocol, tuple[ValueSource, ...]]:
    """Return flip angle and repetition time of a spoiled gradient echo.

    Raises
    ------
    RefusedError
        If one is missing, no number, or in another unit than BIDS asks for.
    """
    angle, angle_origin = _required(sidecar, "FlipAngle")
    if not SMALLEST_FLIP_ANGLE <= angle < 90.0:
        doubt = ", which looks like radians" if 0.0 < angle < SMALLEST_FLIP_ANGLE else ""
        raise refuse(
            file=sidecar.origin("FlipAngle"),
            key="FlipAngle",
            expected=f"{EXPECTED['FlipAngle']}, {SMALLEST_FLIP_ANGLE:g} to 90",
            found=f"{angle:g}{doubt}",
            advice="BIDS states flip angles in degrees: correct the value.",
        )
    time, time_origin = _required(sidecar, "RepetitionTimeExcitation")
    if not 0.0 < time <= LONGEST_REPETITION_TIME:
        late = time > LONGEST_REPETITION_TIME
        raise refuse(
            file=sidecar.origin("RepetitionTimeExcitation"),
            key="RepetitionTimeExcitation",
            expected=EXPECTED["RepetitionTimeExcitation"],
            found=f"{time:g}{', which looks like milliseconds' if late else ''}",
            advice=f"BIDS states times in seconds: write {milliseconds_to_seconds(time):g}." if late else "Correct it.",
        )
    sources = (
        ValueSource(key="flip_angle", value=f"{angle:g}", unit="deg", source=angle_origin),
        ValueSource(key="repetition_time", value=f"{time:g}", unit="s", source=time_origin),
    )
    return SpoiledProtocol(flip_angle=degrees_to_radians(angle), repetition_time=time), sources


def _required(sidecar: Sidecar, key: str) -> tuple[float, str]:
    advice = f"Add {key} to the sidecar."
    stated = common_number([sidecar], key, expected=EXPECTED[key], advice=f"Correct {key} in the sidecar.")
    if stated is not None:
        return stated
    if key == "RepetitionTimeExcitation" and "RepetitionTime" in sidecar.values:
        advice += (
            f" RepetitionTime = {sidecar.values['RepetitionTime']} is there: copy it only if it is the time between two "
            "excitations, which converters do not always write."
        )
    raise wrong_value(sidecar, key, expected=EXPECTED[key], advice=advice)


def compare_keys(sidecars: Sequence[Sidecar], keys: Sequence[str]) -> tuple[ValueSource, ...]:
    """Check that the images of a run agree in all keys that they state, and return what they state.

    Raises
    ------
    RefusedError
        If a value is no number, or two images differ.
    """
    sources = []
    for key in keys:
        stated = common_number(
            sidecars, key, expected=EXPECTED[key], advice=f"Correct {key} in the sidecar; images of one run share it."
        )
        if stated is not None:
            value = ValueSource(key=NAMES[key], value=f"{stated[0]:g}", unit=UNITS.get(key, "s"), source=stated[1])
            sources.append(value)
    return tuple(sources)
