"""The saturation before every volume of a CEST series: the train of pulseq file or sidecar, at the power of the volume."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sidecar import Sidecar
from qmri_bids.bids.metadata.values import wrong_value
from qmri_bids.bids.refusal import RefusedError, ValueSource, refuse
from qmri_bids.physics.saturation import Pulse, Saturation, SaturationProtocol, SpinLock
from qmri_bids.scans.cest.book import Book
from qmri_bids.scans.cest.context import RowRole
from qmri_bids.scans.cest.values import DURATION, SAME, Stated, agree, summary

SHAPE_KEY = "MTPulseShape"
LOCK_KEY = "SpinLock"

BLOCK, GAUSS, SINC_GAUSS, LOCKED = "block", "gaussian", "sinc-gaussian", "spin-lock"
SHAPES: Mapping[str, str] = {
    **dict.fromkeys(("block", "rect", "rectangular", "square", "hard", "continuous", "continuouswave", "cw"), BLOCK),
    **dict.fromkeys(("gaussian", "gauss", "gausshann"), GAUSS),
    **dict.fromkeys(("sincgaussian", "sincgauss"), SINC_GAUSS),
    **dict.fromkeys(("spinlock", "sl"), LOCKED),
}
"""What MTPulseShape may say, in lower case without signs."""

PULSES: Mapping[str, Callable[[float], Pulse]] = {
    BLOCK: lambda duration: Pulse.block(amplitude=1e-6, duration=duration),
    GAUSS: lambda duration: Pulse.gauss(mean_amplitude=1e-6, duration=duration),
    SINC_GAUSS: lambda duration: Pulse.sinc_gauss(mean_amplitude=1e-6, duration=duration),
}
"""Pulses of some amplitude, to be scaled, by shape."""

LOCKS: Mapping[str, SpinLock] = {
    "none": SpinLock.NONE,
    "liquidpools": SpinLock.LIQUID_POOLS,
    "allpools": SpinLock.ALL_POOLS,
    "ideal": SpinLock.ALL_POOLS,
}
"""What SpinLock may say instead of true and false."""


@dataclass(frozen=True, kw_only=True)
class _Number:
    name: str
    key: str
    expected: str
    low: float
    high: float
    unit: str
    doubt: str


NUMBERS = (
    _Number(
        name="pulse_duration",
        key="MTPulseDuration",
        expected="the duration of one pulse in seconds",
        low=1e-5,
        high=16.0,
        unit="s",
        doubt="is it in ms?",
    ),
    _Number(
        name="gap",
        key="SaturationInterpulseDelay",
        expected="the time between the end of a pulse and the next in seconds",
        low=0.0,
        high=2.0,
        unit="s",
        doubt="is it in ms?",
    ),
    _Number(
        name="number_of_pulses",
        key="MTNumberOfPulses",
        expected="the number of pulses before one image",
        low=1.0,
        high=1e5,
        unit="",
        doubt="is it a number of pulses?",
    ),
    _Number(
        name="duty_cycle",
        key="SaturationDutyCycle",
        expected="pulse over pulse and gap, a fraction from 0 to 1",
        low=1e-3,
        high=1.0,
        unit="",
        doubt="is it in percent?",
    ),
)


EXPECTED = {row.key: row.expected for row in NUMBERS} | {DURATION.key: DURATION.expected}


@dataclass(frozen=True, kw_only=True)
class TrainReading:
    """What a sidecar says about the train before every image.

    Parameters
    ----------
    sidecar
        It, for messages.
    shape
        Key of `PULSES`.
    spin_lock
        Tips around every pulse.
    numbers
        By key of the sidecar, those that are stated.
    sources
        As in `CestRun`.
    """

    sidecar: Sidecar
    shape: str
    spin_lock: SpinLock
    numbers: Mapping[str, float]
    sources: tuple[ValueSource, ...] = ()


def read_train(sidecar: Sidecar) -> TrainReading:
    """Read shape, spin lock, durations and number of pulses.

    Raises
    ------
    RefusedError
        If a value is of the wrong kind or not plausible, or the shape is not known.
    """
    sources: list[ValueSource] = []
    shape, locked = _shape(sidecar, sources)
    spin_lock = _spin_lock(sidecar, locked, sources)
    if spin_lock is not SpinLock.NONE and shape != BLOCK:
        raise refuse(
            file=sidecar.origin(LOCK_KEY),
            key=LOCK_KEY,
            expected=f"no spin lock around {shape} pulses: tips lead onto the field of a block",
            found=f"{sidecar.values[LOCK_KEY]!r}",
            advice=f"Correct {LOCK_KEY} or {SHAPE_KEY}.",
        )
    numbers = {}
    for row in NUMBERS:
        if row.key not in sidecar.values:
            continue
        value = sidecar.values[row.key]
        if not is_number(value) or (row.key == "MTNumberOfPulses" and value != int(value)):
            raise wrong_value(sidecar, row.key, expected=row.expected, advice="Correct the sidecar.")
        if not row.low <= value <= row.high:
            raise refuse(
                file=sidecar.origin(row.key),
                key=row.key,
                expected=row.expected,
                found=f"{value:g}: {row.doubt}",
                advice="Correct the value or its unit.",
            )
        numbers[row.key] = float(value)
        sources.append(ValueSource(key=row.name, value=f"{value:g}", unit=row.unit, source=_origin(sidecar, row.key)))
    return TrainReading(
        sidecar=sidecar,
        shape=shape,
        spin_lock=spin_lock,
        numbers=numbers,
        sources=tuple(sources),
    )


def _shape(sidecar: Sidecar, sources: list[ValueSource]) -> tuple[str, bool]:
    """Return the shape and whether it says spin lock."""
    expected = "block (or continuous), gaussian, sinc-gaussian or spin-lock"
    advice = f"Correct {SHAPE_KEY}, or name the sequence as PulseqFile: it holds pulses of any shape."
    if SHAPE_KEY not in sidecar.values:
        return BLOCK, False
    value = sidecar.values[SHAPE_KEY]
    word = re.sub(r"[^a-z]", "", value.lower()) if isinstance(value, str) else ""
    if word not in SHAPES:
        raise wrong_value(sidecar, SHAPE_KEY, expected=expected, advice=advice)
    shape = SHAPES[word]
    shown = f"{value} (under a Hann window)" if shape == GAUSS else str(value)
    sources.append(ValueSource(key="pulse_shape", value=shown, unit="", source=_origin(sidecar, SHAPE_KEY)))
    return (BLOCK, True) if shape == LOCKED else (shape, False)


def _spin_lock(sidecar: Sidecar, locked: bool, sources: list[ValueSource]) -> SpinLock:
    value = sidecar.values.get(LOCK_KEY)
    chosen: SpinLock | None
    if value is None:
        chosen = SpinLock.LIQUID_POOLS if locked else SpinLock.NONE
    elif isinstance(value, bool):
        chosen = SpinLock.LIQUID_POOLS if value else SpinLock.NONE
    else:
        chosen = LOCKS.get(re.sub(r"[^a-z]", "", value.lower())) if isinstance(value, str) else None
    if chosen is None or (locked and chosen is SpinLock.NONE):
        raise wrong_value(
            sidecar,
            LOCK_KEY,
            expected="true, 'liquid pools' or 'all pools', as MTPulseShape says spin-lock"
            if locked
            else "true, false, 'liquid pools' or 'all pools' (ideal tips)",
            advice=f"Correct {LOCK_KEY}.",
        )
    if chosen is not SpinLock.NONE:
        key = LOCK_KEY if value is not None else SHAPE_KEY
        origin = _origin(sidecar, key)
        if not isinstance(value, str):
            origin += "; derived: real tips leave the semisolid pool nearly untouched"
        sources.append(ValueSource(key="spin_lock", value=chosen.value, unit="", source=origin))
    return chosen


def build_train(reading: TrainReading, *, duration: float | None, origin: str) -> tuple[Saturation, tuple[str, ...]]:
    """Return a train of a root mean square of 1 µT, and sentences on what was assumed.

    Parameters
    ----------
    reading
        Of the sidecar.
    duration
        Of the whole saturation [s], None where none is stated.
    origin
        File and key of the duration.

    Raises
    ------
    RefusedError
        If the durations do not tell the train, or contradict one another by more than 2 %.
    """
    pulse, gap, number = _solve(reading, duration, origin)
    _check_fit(reading, duration, origin, pulse, gap, number)
    warnings: tuple[str, ...] = ()
    if SHAPE_KEY not in reading.sidecar.values:
        what = (
            f"one continuous block of {pulse:g} s"
            if number == 1
            else f"{number} blocks of {pulse:g} s, {gap:g} s apart"
        )
        warnings = (f"{reading.sidecar.expected_name}: {SHAPE_KEY} is missing; {what} is assumed.",)
    train = Saturation(pulse=PULSES[reading.shape](pulse), number=number, gap=gap, spin_lock=reading.spin_lock)
    return scaled(train, 1e-6 / train.b1_rms), warnings


def scaled(train: Saturation, factor: float) -> Saturation:
    """Return a train of another amplitude."""
    segments = tuple(replace(each, amplitude=each.amplitude * factor) for each in train.pulse.segments)
    return replace(train, pulse=Pulse(segments=segments))


def _solve(reading: TrainReading, duration: float | None, origin: str) -> tuple[float, float, int]:
    """Return pulse and gap [s] and the number of pulses."""
    numbers = reading.numbers
    pulse, gap = numbers.get("MTPulseDuration"), numbers.get("SaturationInterpulseDelay")
    duty = numbers.get("SaturationDutyCycle")
    number = int(numbers["MTNumberOfPulses"]) if "MTNumberOfPulses" in numbers else None
    pauses = bool(gap) or (duty is not None and duty < 1.0 - SAME)
    if pulse is None:
        if duration is None:
            raise _lacking(reading, DURATION.key)
        if number is None and pauses:
            raise _lacking(reading, "MTPulseDuration")
        if number is None or number == 1:
            return duration, 0.0, 1
        return (*_divide(reading, duration, origin, gap, duty, number), number)
    if gap is None:
        gap = _gap(reading, pulse, duty, number, duration)
    if number is None and duration is None and pauses:
        raise _lacking(reading, "MTNumberOfPulses")
    if number is None:
        number = 1 if duration is None else max(1, round((duration + gap) / (pulse + gap)))
    return pulse, (gap if number > 1 else 0.0), number


def _divide(
    reading: TrainReading, duration: float, origin: str, gap: float | None, duty: float | None, number: int
) -> tuple[float, float]:
    """Return pulse and gap [s] of a train of which the whole duration and the number are known."""
    if gap is None and duty is None:
        raise _lacking(reading, "MTPulseDuration")
    if gap is None:
        assert duty is not None
        gap = (1.0 - duty) * duration / (number - (1.0 - duty))
    pulse = (duration + gap) / number - gap
    if pulse <= 0.0:
        raise _contradiction(reading, origin, f"{duration:g} s", f"{number} gaps of {gap:g} s")
    return pulse, gap


def _gap(reading: TrainReading, pulse: float, duty: float | None, number: int | None, duration: float | None) -> float:
    if number == 1:
        return 0.0
    if duty is not None:
        return pulse * (1.0 - duty) / duty
    if number is not None and duration is not None:
        return max(0.0, (duration - number * pulse) / (number - 1))
    if number is None and (duration is None or math.isclose(duration, pulse, rel_tol=SAME)):
        return 0.0
    raise _lacking(reading, "SaturationInterpulseDelay")


def _check_fit(
    reading: TrainReading, duration: float | None, origin: str, pulse: float, gap: float, number: int
) -> None:
    duty = reading.numbers.get("SaturationDutyCycle")
    own = pulse / (pulse + gap)
    train = f"{number} × ({pulse:g} + {gap:g}) s"
    if duty is not None and not math.isclose(duty, own, rel_tol=SAME):
        raise _contradiction(
            reading, _origin(reading.sidecar, "SaturationDutyCycle"), f"{duty:g}", f"{own:.4g} from {train}"
        )
    if duration is None:
        return
    # Whether the gap after the last pulse counts is a matter of taste.
    lengths = number * (pulse + gap) - gap, number * (pulse + gap)
    if not any(math.isclose(duration, length, rel_tol=SAME) for length in lengths):
        raise _contradiction(reading, origin, f"{duration:g} s", f"{lengths[0]:.4g} s from {train}")


def _contradiction(reading: TrainReading, origin: str, stated: str, derived: str) -> RefusedError:
    file, _, key = origin.rpartition(": ")
    return refuse(
        file=file,
        key=key,
        expected=f"what pulses and gaps add up to, {derived}",
        found=stated,
        advice="Correct SaturationDuration, MTNumberOfPulses, MTPulseDuration, SaturationInterpulseDelay or "
        "SaturationDutyCycle, or remove the one that is not known.",
    )


def _lacking(reading: TrainReading, key: str) -> RefusedError:
    return refuse(
        file=reading.sidecar.origin(key),
        key=key,
        expected=EXPECTED[key],
        found="nothing",
        advice=f"Add {key}: without it the pulse train cannot be told.",
    )


def _origin(sidecar: Sidecar, key: str) -> str:
    return f"{sidecar.origin(key)}: {key}"


def read_trains(
    book: Book, *, used: Sequence[int], roles: Sequence[RowRole], offsets: Stated, b1: Stated
) -> dict[int, Saturation | None]:
    """Return the train before every volume that is used, None for an M0 without RF.

    Parameters
    ----------
    book
        The series.
    used
        Indices of the volumes.
    roles
        Of all volumes.
    offsets, b1
        Those that count, of all volumes [ppm, T].

    Raises
    ------
    RefusedError
        If a saturated volume has no power or duration, or the keys of the train do not fit together.
    """
    build: Callable[[int], Saturation | None]
    if book.played is not None:
        _check_durations(book, book.played)
        build = partial(_played_train, book, b1)
    else:
        durations = book.choose(book.stated(DURATION))
        reading = read_train(book.sidecar)
        book.sources += reading.sources
        if durations is not None:
            book.sources.append(durations.source(DURATION))
        build = partial(_stated_train, book, reading, durations, roles, {})
    trains: dict[int, Saturation | None] = {}
    for index in used:
        power = b1.values[index]
        if power and offsets.values[index] is not None:
            train = build(index)
            trains[index] = None if train is None else scaled(train, power / train.b1_rms)
        elif roles[index] == "m0":
            trains[index] = None
        else:
            raise _lacks(b1, index, expected="B1 above zero for a saturated volume")
    return trains


def _played_train(book: Book, b1: Stated, index: int) -> Saturation:
    """Return the train of the pulseq file."""
    train = None if book.played is None else book.played.images[index].saturation
    if train is None:
        raise refuse(
            file=book.seq_name,
            key=f"image {index} (from 0)",
            expected=f"RF, as {b1.origin} states B1 of this volume",
            found="an image without RF",
            advice="Correct the table or the sidecar, or name another sequence.",
        )
    return train


def _stated_train(
    book: Book,
    reading: TrainReading,
    durations: Stated | None,
    roles: Sequence[RowRole],
    built: dict[float | None, Saturation],
    index: int,
) -> Saturation | None:
    """Return the train of the sidecar for the duration of a volume, None for an M0 that has none."""
    duration = None if durations is None else durations.values[index]
    if durations is not None and not duration:
        if roles[index] != "m0":
            raise _lacks(durations, index, expected="a duration above zero for a saturated volume")
        return None
    if duration not in built:
        origin = durations.origin if durations is not None else ""
        built[duration], said = build_train(reading, duration=duration, origin=origin)
        book.warnings += [sentence for sentence in said if sentence not in book.warnings]
    return built[duration]


def _lacks(stated: Stated, index: int, *, expected: str) -> RefusedError:
    return refuse(
        file=stated.file,
        key=f"{stated.key}, volume {index} (from 0)",
        expected=expected,
        found="nothing" if stated.values[index] is None else "0",
        advice="Correct the value, or mark the volume as m0scan in volume_type of the _cestcontext.tsv.",
    )


def _check_durations(book: Book, played: SaturationProtocol) -> None:
    """Refuse durations that are not those of the pulseq file: a train that was played cannot be made longer."""
    trains = [image.saturation for image in played.images]
    bare = tuple(None if train is None else train.duration for train in trains)
    whole = tuple(None if train is None else train.duration + train.gap for train in trains)
    for stated in book.stated(DURATION):
        if not any(agree(stated, replace(stated, values=values)) for values in (bare, whole)):
            raise refuse(
                file=stated.file,
                key=stated.key,
                expected=f"the saturation that {book.seq_name} plays, {summary(bare)} s",
                found=f"{summary(stated.values)} s",
                advice="Correct the duration, or name the sequence that was played.",
            )
