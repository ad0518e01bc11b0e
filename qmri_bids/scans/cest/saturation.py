"""The saturation before every volume of a CEST series: the train of pulseq file or sidecar, at the power of the volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.physics.saturation import Saturation, SaturationProtocol
from qmri_bids.scans.cest.book import Book
from qmri_bids.scans.cest.context import RowRole
from qmri_bids.scans.cest.train import TrainReading, build_train, read_train, scaled
from qmri_bids.scans.cest.values import DURATION, Stated, agree, summary


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
