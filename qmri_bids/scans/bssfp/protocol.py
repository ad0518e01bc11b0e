"""Metadata of a pc-bSSFP run to its protocol in SI units, every value with its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS, why_not_excitation
from qmri_bids.bids.metadata.sidecar import Sidecar, decisions_on
from qmri_bids.bids.metadata.values import SAME_ECHO, common_number, common_text, wrong_value
from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.scans.bssfp.increments import Increments
from qmri_bids.scans.bssfp.pulse import KEYS as PULSE_KEYS
from qmri_bids.units import degrees_to_radians, milliseconds_to_seconds, seconds_to_milliseconds

DECIDED = (
    "RepetitionTimeExcitation",
    "PulseSequenceType",
    "Units",
    "FlipAngle",
    "EchoTime",
    "MagneticFieldStrength",
    *INCREMENT_KEYS,
    *PULSE_KEYS,
)
"""Keys of which is said what was read from another, or stated in two places."""

LONGEST_REPETITION_TIME = 1.0
SMALLEST_FLIP_ANGLE = 1.0
ECHO_PLACES = (0.33, 0.67)
"""Echo time over repetition time of balanced SSFP: 0.5, and less or more where an echo is read in part."""

TIMES_OF_HEADER = (1e-3, 50e-3)
"""Times from volume to volume that can only be repetition times of balanced SSFP [s]; that of a whole volume is longer."""

SAME_TIME = 0.02
"""Relative difference of two repetition times by rounding."""


@dataclass(frozen=True, kw_only=True)
class ProtocolReading:
    """A protocol and how it came about.

    Parameters
    ----------
    protocol
        In SI units.
    sources
        Where each value came from.
    warnings
        Decisions and doubts, as sentences.
    """

    protocol: BssfpProtocol
    sources: tuple[ValueSource, ...]
    warnings: tuple[str, ...]


def read_protocol(
    sidecars: Sequence[Sidecar], *, increments: Increments, volume_time: float | None = None
) -> ProtocolReading:
    """Return the protocol that the sidecars of a run state.

    Parameters
    ----------
    sidecars
        Of all files of the run; what two of them state must agree.
    increments
        From `read_series_increments` or `read_split_increments`.
    volume_time
        Time that the header of the series states from volume to volume [s], in which converters write the repetition time.

    Raises
    ------
    RefusedError
        If a required value is missing, not numeric, contradictory, or in another unit than BIDS asks for.
    """
    warnings = list(increments.warnings)
    sources: list[ValueSource] = []
    repetition_time = _repetition_time(sidecars, sources)
    echo_time = _echo_time(sidecars, sources, warnings, repetition_time)
    warnings += _doubts_of_times(sidecars[0].expected_name, repetition_time, echo_time, volume_time)
    flip_angle = _flip_angle(sidecars, sources, increments)
    field_strength = _field_strength(sidecars, sources)
    sources += increments.sources
    warnings += decisions_on(sidecars, DECIDED)
    if common_text(sidecars, "PulseSequenceType", expected="a text", advice="Correct the sidecar.") is None:
        warnings.append(
            f"{sidecars[0].expected_name}: PulseSequenceType is missing, though BIDS asks for it; "
            "the run is taken as balanced SSFP because it states RF phase increments."
        )
    try:
        protocol = BssfpProtocol(
            repetition_time=repetition_time,
            echo_time=echo_time,
            flip_angle=degrees_to_radians(flip_angle),
            rf_phase_increment=increments.radians,
            field_strength=field_strength,
        )
    except ValueError as error:
        raise refuse(
            file=sidecars[0].expected_name,
            key="protocol",
            expected="a physical pc-bSSFP protocol",
            found=str(error),
            advice="Correct the sidecar.",
        ) from error
    return ProtocolReading(protocol=protocol, sources=tuple(sources), warnings=tuple(warnings))


def _repetition_time(sidecars: Sequence[Sidecar], sources: list[ValueSource]) -> float:
    key = "RepetitionTimeExcitation"
    expected = "the time between two excitations in seconds (e.g. 0.0048)"
    advice = "Add RepetitionTimeExcitation to the sidecar, or give it by --metadata."
    stated = common_number(sidecars, key, expected=expected, advice=advice)
    if stated is None:
        other = next((sidecar for sidecar in sidecars if "RepetitionTime" in sidecar.values), None)
        if other is not None:
            advice += why_not_excitation(other.values)
        raise wrong_value(sidecars[0], key, expected=expected, advice=advice)
    value, origin = stated
    if value > LONGEST_REPETITION_TIME:
        raise _not_seconds(origin, expected=expected, value=value)
    if value <= 0.0:
        raise refuse(
            file=origin.rpartition(": ")[0],
            key=key,
            expected=expected,
            found=f"{value:g}",
            advice="Correct it.",
        )
    sources.append(
        ValueSource(key="repetition_time", value=f"{seconds_to_milliseconds(value):g}", unit="ms", source=origin)
    )
    return value


def _doubts_of_times(file: str, repetition_time: float, echo_time: float, volume_time: float | None) -> tuple[str, ...]:
    """Return what speaks against the times stated [s]: the header, and where the echo of balanced SSFP lies."""
    found = []
    stated = f"{seconds_to_milliseconds(repetition_time):g} ms"
    low, high = TIMES_OF_HEADER
    if volume_time is not None and low <= volume_time <= high and abs(volume_time / repetition_time - 1.0) > SAME_TIME:
        found.append(
            f"{file}: RepetitionTimeExcitation is {stated}, but the header of the image says "
            f"{seconds_to_milliseconds(volume_time):g} ms (pixdim[4]). T1 and T2 go with it: correct the one that is wrong."
        )
    share = echo_time / repetition_time
    if not ECHO_PLACES[0] <= share <= ECHO_PLACES[1]:
        found.append(
            f"{file}: EchoTime ({seconds_to_milliseconds(echo_time):g} ms) is {100.0 * share:.3g} % of "
            f"RepetitionTimeExcitation ({stated}), where balanced SSFP has its echo in the middle: is one of both wrong? T1 and T2 "
            "go with the repetition time."
        )
    return tuple(found)


def _not_seconds(origin: str, *, expected: str, value: float) -> Exception:
    file, _, key = origin.rpartition(": ")
    seconds, unit = milliseconds_to_seconds(value), "milliseconds"
    if seconds >= LONGEST_REPETITION_TIME:
        seconds, unit = milliseconds_to_seconds(seconds), "microseconds"
    return refuse(
        file=file,
        key=key,
        expected=expected,
        found=f"{value:g}, which looks like {unit}",
        advice=f"BIDS states times in seconds: write {seconds:g}.",
    )


def _echo_time(
    sidecars: Sequence[Sidecar], sources: list[ValueSource], warnings: list[str], repetition_time: float
) -> float:
    expected = f"the echo time in seconds, shorter than TR = {repetition_time:g} s"
    stated = common_number(
        sidecars, "EchoTime", expected=expected, advice="Correct EchoTime in the sidecar.", tolerance=SAME_ECHO
    )
    if stated is None:
        value, origin = repetition_time / 2.0, "derived: TR/2"
        warnings.append(
            f"{sidecars[0].expected_name}: EchoTime is missing; TE = TR/2 = "
            f"{seconds_to_milliseconds(value):g} ms is "
            "assumed. It matters for M0 and the field map, not for T1 and T2."
        )
    else:
        value, origin = stated
        if value > LONGEST_REPETITION_TIME / 10.0 and value >= repetition_time > milliseconds_to_seconds(value):
            raise _not_seconds(origin, expected=expected, value=value)
        if not 0.0 <= value < repetition_time:
            raise refuse(
                file=origin.rpartition(": ")[0],
                key="EchoTime",
                expected=expected,
                found=f"{value:g}",
                advice="Correct EchoTime or RepetitionTimeExcitation in the sidecar.",
            )
    sources.append(ValueSource(key="echo_time", value=f"{seconds_to_milliseconds(value):g}", unit="ms", source=origin))
    return value


def _flip_angle(sidecars: Sequence[Sidecar], sources: list[ValueSource], increments: Increments) -> float:
    expected = f"the flip angle in degrees, {SMALLEST_FLIP_ANGLE:g} to 180"
    stated = increments.flip_angle or common_number(
        sidecars, "FlipAngle", expected=expected, advice="Correct FlipAngle in the sidecar."
    )
    if stated is None:
        raise wrong_value(
            sidecars[0],
            "FlipAngle",
            expected=expected,
            advice="Add FlipAngle to the sidecar, or give it by --metadata.",
        )
    value, origin = stated
    if not SMALLEST_FLIP_ANGLE <= value < 180.0:
        file, _, key = origin.rpartition(": ")
        radians = 0.0 < value < SMALLEST_FLIP_ANGLE
        raise refuse(
            file=file,
            key=key,
            expected=expected,
            found=f"{value:g}{', which looks like radians' if radians else ''}",
            advice="BIDS states flip angles in degrees: correct the value.",
        )
    sources.append(ValueSource(key="flip_angle", value=f"{value:g}", unit="deg", source=origin))
    return value


def _field_strength(sidecars: Sequence[Sidecar], sources: list[ValueSource]) -> float | None:
    expected = "the static field in tesla (e.g. 3)"
    stated = common_number(
        sidecars,
        "MagneticFieldStrength",
        expected=expected,
        advice="Correct MagneticFieldStrength in the sidecar.",
    )
    if stated is None:
        return None
    value, origin = stated
    if not 0.0 < value < 30.0:
        raise refuse(
            file=origin.rpartition(": ")[0],
            key="MagneticFieldStrength",
            expected=expected,
            found=f"{value:g}",
            advice="Correct MagneticFieldStrength in the sidecar.",
        )
    sources.append(ValueSource(key="field_strength", value=f"{value:g}", unit="T", source=origin))
    return value
