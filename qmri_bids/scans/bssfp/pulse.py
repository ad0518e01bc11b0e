"""The excitation pulse of a pc-bSSFP run: of the command line, a pulseq file or the sidecar, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import common_number, common_text, wrong_value
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse
from qmri_bids.physics.excitation.pulse import (
    DEFAULT_TIME_BANDWIDTH,
    LARGEST_PRODUCT,
    SHAPES,
    SHORTEST,
    ExcitationPulse,
)
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pulseq.named import FILE_KEY, named_file
from qmri_bids.units import milliseconds_to_seconds, radians_to_degrees, seconds_to_milliseconds

OPTION = "--excitation-pulse"
DURATION, STDEV, SHAPE = "RFPulseDuration", "RFPulseDurationStandardDeviation", "RFPulseShape"
PRODUCT, SAMPLES = "RFPulseTimeBandwidthProduct", "RFPulseSamples"
KEYS = (DURATION, SHAPE, PRODUCT, SAMPLES, STDEV)
"""Keys of the sidecar."""

SOURCE = "excitation_pulse"
"""How the keys of all sources of the pulse begin."""

OTHER_NAMES = {"hard": "rect", "block": "rect", "rectangular": "rect", "gaussian": "gauss"}
"""Names that shapes have elsewhere, in lower case."""

SAME_ANGLE = 0.05
"""Relative difference of flip angles from which on a .seq file and the sidecar disagree."""

UNKNOWN = (
    "{file}: THE EXCITATION PULSE IS NOT KNOWN ({missing}): it is taken to need no time. For a pulse of constant B1 and 1 ms T1 is "
    "then 3.5 % high on resonance, 10 % low at 200 Hz and 25 % low at 300 Hz; for a sinc of 1 ms 1.3 % high, for pulses of 0.3 ms "
    "1 %, and it cannot be freed of magnetization transfer, which lowers it by 7 to 35 % in tissue. State "
    f"{DURATION} (s) with {SHAPE} ({', '.join(SHAPES)}) or {SAMPLES} in the sidecar or by --metadata, or give "
    f"{OPTION} SHAPE:MILLISECONDS, such as sinc:1."
)


@dataclass(frozen=True, kw_only=True)
class PulseReading:
    """A pulse and how it came about.

    Parameters
    ----------
    pulse
        None where it is not known, which a warning says, or takes no time.
    sources
        Where shape and duration came from.
    warnings
        Decisions and doubts, as sentences.
    takes_no_time
        Whether its duration is stated as 0.
    """

    pulse: ExcitationPulse | None
    sources: tuple[ValueSource, ...]
    warnings: tuple[str, ...]
    takes_no_time: bool = False


def read_pulse(
    sidecars: Sequence[Sidecar], *, root: Path, protocol: BssfpProtocol, stated: tuple[str, float] | None = None
) -> PulseReading:
    """Return the excitation pulse of a run.

    Parameters
    ----------
    sidecars
        Of all files of the run; what two of them state must agree.
    root
        The dataset, in which a pulseq file lies.
    protocol
        The acquisition: the pulse must fit between its echoes.
    stated
        Shape and duration [s] of the command line.

    Raises
    ------
    RefusedError
        If a value is of another kind or unit than asked for, the pulse does not fit or turns nothing, or the pulseq file cannot be
        used.
    """
    there = [key for key in (FILE_KEY, *KEYS) if any(key in sidecar.values for sidecar in sidecars)]
    file = sidecars[0].expected_name
    if stated is not None:
        shape, duration = stated
        pulse = ExcitationPulse.of(shape, duration)
        if duration > _longest(protocol):
            raise refuse(
                file=OPTION,
                key="MILLISECONDS",
                expected=_fitting(protocol, file, unit="ms"),
                found=f"{seconds_to_milliseconds(duration):g}",
                advice="Correct it, or EchoTime and RepetitionTimeExcitation in the sidecar.",
            )
        return PulseReading(
            pulse=pulse, sources=_sources(pulse, OPTION, OPTION), warnings=_overridden(OPTION, file, there)
        )
    if FILE_KEY in there:
        return _of_sequence(sidecars, root=root, protocol=protocol, beside=there[1:])
    return _of_sidecar(sidecars, protocol=protocol, there=there)


def where_stated(sources: Sequence[ValueSource]) -> str:
    """Return where the pulse of a run is stated, each file once with its keys; empty where it is not.

    Examples
    --------
    >>> def source(key: str) -> ValueSource:
    ...     return ValueSource(key="excitation_pulse", value="sinc", unit="", source=f"a.json: {key}")
    >>> where_stated([source("RFPulseShape"), source("RFPulseDuration")])
    'a.json: RFPulseShape, RFPulseDuration'
    """
    keys: dict[str, list[str]] = {}
    for source in dict.fromkeys(each.source for each in sources if each.key.startswith(SOURCE)):
        file, _, key = source.rpartition(": ")
        keys.setdefault(file, []).append(key)
    return "; ".join(": ".join(filter(None, (file, ", ".join(names)))) for file, names in keys.items())


def _overridden(winner: str, file: str, others: Sequence[str]) -> tuple[str, ...]:
    return (f"{file}: {winner} goes before {', '.join(others)}, which {_is(others)} not used.",) if others else ()


def _is(keys: Sequence[str]) -> str:
    return "is" if len(keys) == 1 else "are"


def _longest(protocol: BssfpProtocol) -> float:
    """Return the longest pulse [s] that fits between two echoes."""
    return 2.0 * min(protocol.echo_time, protocol.repetition_time - protocol.echo_time)


def _fitting(protocol: BssfpProtocol, file: str, *, unit: str) -> str:
    longest = _longest(protocol)
    number = seconds_to_milliseconds(longest) if unit == "ms" else longest
    return (
        f"a duration up to {number:g} {unit}, which fits between the echoes of {file} (TE "
        f"{seconds_to_milliseconds(protocol.echo_time):g} ms, TR {seconds_to_milliseconds(protocol.repetition_time):g} ms)"
    )


def _sources(pulse: ExcitationPulse, of_shape: str, of_duration: str, *more: ValueSource) -> tuple[ValueSource, ...]:
    milliseconds = seconds_to_milliseconds(pulse.duration)
    return (
        ValueSource(key=SOURCE, value=pulse.form, unit="", source=of_shape),
        *more,
        ValueSource(key=f"{SOURCE}_duration", value=f"{milliseconds:g}", unit="ms", source=of_duration),
    )


def _of_sequence(
    sidecars: Sequence[Sidecar], *, root: Path, protocol: BssfpProtocol, beside: Sequence[str]
) -> PulseReading:
    """Return the pulse of the .seq file that sidecars name."""
    from qmri_bids.pulseq.excitation import read_excitation

    common_text(sidecars, FILE_KEY, expected="the path of a .seq file", advice="Correct the path.")
    sidecar = next(each for each in sidecars if FILE_KEY in each.values)
    named = named_file(sidecar, root=root)
    assert named is not None
    found = read_excitation(named.path, root=root)
    pulse = found.pulse
    if pulse.duration > _longest(protocol):
        raise refuse(
            file=named.name,
            key="[RF]",
            expected=_fitting(protocol, sidecars[0].expected_name, unit="ms"),
            found=f"{seconds_to_milliseconds(pulse.duration):g} ms",
            advice="Name the sequence that was played, or correct EchoTime and RepetitionTimeExcitation in the sidecar.",
        )
    warnings = list(found.warnings)
    if abs(found.flip_angle / protocol.flip_angle - 1.0) > SAME_ANGLE:
        warnings.append(
            f"{named.name}: its excitations turn by {radians_to_degrees(found.flip_angle):.4g}°, FlipAngle is "
            f"{radians_to_degrees(protocol.flip_angle):.4g}°, which is used: is it the sequence that was played?"
        )
    warnings += _overridden(FILE_KEY, sidecars[0].expected_name, beside)
    source = f"{sidecar.origin(FILE_KEY)}: {FILE_KEY} (SHA-256 {named.sha256[:12]}…)"
    return PulseReading(pulse=pulse, sources=_sources(pulse, source, source), warnings=tuple(warnings))


def _of_sidecar(sidecars: Sequence[Sidecar], *, protocol: BssfpProtocol, there: Sequence[str]) -> PulseReading:
    """Return the pulse that the keys of sidecars state."""
    file = sidecars[0].expected_name
    duration = _duration(sidecars, protocol)
    if duration is not None and duration[0] == 0.0:
        no_time = ValueSource(key=f"{SOURCE}_duration", value="0", unit="ms", source=duration[1])
        others = [key for key in there if key != DURATION]
        return PulseReading(
            pulse=None,
            sources=(no_time,),
            warnings=_overridden(f"a {DURATION} of 0", file, others),
            takes_no_time=True,
        )
    samples = _samples(sidecars)
    shape = _shape(sidecars)
    missing = [] if duration is not None else [DURATION]
    missing += [] if shape or samples else [f"{SHAPE} or {SAMPLES}"]
    if duration is None or not (shape or samples):
        said = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        return PulseReading(pulse=None, sources=(), warnings=(UNKNOWN.format(file=file, missing=said),))
    stdev = _stdev(sidecars, duration[0])
    warnings: list[str] = []
    more: list[ValueSource] = []
    product = _product(sidecars)
    if samples:
        unused = [key for key in (SHAPE, PRODUCT) if key in there]
        warnings += _overridden(SAMPLES, file, unused)
        name = f"{len(samples[0])} samples of {seconds_to_milliseconds(duration[0]):.3g} ms"
        given = np.array(samples[0], dtype=np.float64)
        pulse = ExcitationPulse.from_samples(given, duration[0], name=name, duration_stdev=stdev[0] if stdev else 0.0)
        of_shape = samples[1]
    else:
        assert shape is not None
        used = product if shape[0] == "sinc" else None
        if product is not None and used is None:
            warnings.append(f"{file}: {PRODUCT} is not used, which a {shape[0]} does not have.")
        if shape[0] == "sinc":
            source = "assumed" if used is None else used[1]
            value = DEFAULT_TIME_BANDWIDTH if used is None else used[0]
            more.append(ValueSource(key=f"{SOURCE}_time_bandwidth", value=f"{value:g}", unit="", source=source))
            if used is None:
                warnings.append(
                    f"{file}: {PRODUCT} of the sinc is missing; {DEFAULT_TIME_BANDWIDTH:g} is assumed, under a Hann window."
                )
        pulse = ExcitationPulse.of(
            shape[0],
            duration[0],
            time_bandwidth=used[0] if used else None,
            duration_stdev=stdev[0] if stdev else 0.0,
        )
        of_shape = shape[1]
    if stdev:
        shown = f"{seconds_to_milliseconds(stdev[0]):g}"
        more.append(ValueSource(key=f"{SOURCE}_duration_stdev", value=shown, unit="ms", source=stdev[1]))
    return PulseReading(pulse=pulse, sources=_sources(pulse, of_shape, duration[1], *more), warnings=tuple(warnings))


def _duration(sidecars: Sequence[Sidecar], protocol: BssfpProtocol) -> tuple[float, str] | None:
    longest = _longest(protocol)
    expected = _fitting(protocol, sidecars[0].expected_name, unit="s")
    advice = f"Correct {DURATION}."
    stated = common_number(sidecars, DURATION, expected=expected, advice=advice)
    if stated is None:
        return None
    value, origin = stated
    if value == 0.0 or SHORTEST <= value <= longest:
        return stated
    found, seconds = f"{value:g}", value
    for unit in ("milliseconds", "microseconds"):
        seconds = milliseconds_to_seconds(seconds)
        if SHORTEST <= seconds <= longest:
            found = f"{value:g}, which looks like {unit}"
            advice = f"BIDS states times in seconds: write {seconds:g}."
            break
    else:
        advice += " EchoTime and RepetitionTimeExcitation say how long it can be."
    raise refuse(file=_file(origin), key=DURATION, expected=expected, found=found, advice=advice)


def _stdev(sidecars: Sequence[Sidecar], duration: float) -> tuple[float, str] | None:
    expected = f"the standard deviation of {DURATION} in seconds, below that ({duration:g})"
    advice = f"Correct or remove {STDEV}."
    stated = common_number(sidecars, STDEV, expected=expected, advice=advice)
    if stated is not None and not 0.0 <= stated[0] < duration:
        raise refuse(file=_file(stated[1]), key=STDEV, expected=expected, found=f"{stated[0]:g}", advice=advice)
    return stated


def _product(sidecars: Sequence[Sidecar]) -> tuple[float, str] | None:
    expected = f"the time-bandwidth product of a sinc, above 0 and up to {LARGEST_PRODUCT:g}"
    advice = f"Correct or remove {PRODUCT}."
    stated = common_number(sidecars, PRODUCT, expected=expected, advice=advice)
    if stated is not None and not 0.0 < stated[0] <= LARGEST_PRODUCT:
        raise refuse(file=_file(stated[1]), key=PRODUCT, expected=expected, found=f"{stated[0]:g}", advice=advice)
    return stated


def _shape(sidecars: Sequence[Sidecar]) -> tuple[str, str] | None:
    expected = f"the shape of the excitation pulse: {', '.join(SHAPES)} (hard and block are rect)"
    advice = f"Correct {SHAPE}, or give {SAMPLES}."
    stated = common_text(sidecars, SHAPE, expected=expected, advice=advice)
    if stated is None:
        return None
    name = stated[0].strip().lower()
    name = OTHER_NAMES.get(name, name)
    if name not in SHAPES:
        raise refuse(file=_file(stated[1]), key=SHAPE, expected=expected, found=repr(stated[0]), advice=advice)
    return name, stated[1]


def _samples(sidecars: Sequence[Sidecar]) -> tuple[list[float], str] | None:
    """Return the relative B1 that the files of a run state and where."""
    expected = "an array of numbers: B1 at equal distances over the pulse, in any unit, which add up to a flip angle"
    advice = f"Correct {SAMPLES}, or state {SHAPE}."
    stating = [sidecar for sidecar in sidecars if SAMPLES in sidecar.values]
    for sidecar in stating:
        value = sidecar.values[SAMPLES]
        if not isinstance(value, list) or not value or not all(is_number(item) for item in value):
            raise wrong_value(sidecar, SAMPLES, expected=expected, advice=advice)
        if value != stating[0].values[SAMPLES]:
            raise _no_agreement(sidecar, stating[0])
    if not stating:
        return None
    first = [float(item) for item in stating[0].values[SAMPLES]]
    if not abs(sum(first)) > 1e-3 * sum(abs(item) for item in first):
        raise refuse(
            file=stating[0].origin(SAMPLES),
            key=SAMPLES,
            expected=expected,
            found=f"{len(first)} samples with a sum of {sum(first):g}",
            advice=advice,
        )
    return first, stating[0].source(SAMPLES)


def _no_agreement(sidecar: Sidecar, first: Sidecar) -> RefusedError:
    return refuse(
        file=sidecar.origin(SAMPLES),
        key=SAMPLES,
        expected=f"the samples of {first.origin(SAMPLES)}: the files of one run share them",
        found="others",
        advice="Correct the sidecar.",
    )


def _file(origin: str) -> str:
    return origin.rpartition(": ")[0]
