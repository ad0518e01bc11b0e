"""Table, sidecar and pulseq file of a CEST series to its protocol, every value with its source.

Precedence: table, array of the sidecar, pulseq file, single value of the sidecar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.refusal import ValueSource, refuse
from qmri_bids.bids.sidecar import Sidecar
from qmri_bids.physics.saturation import SaturatedImage, SaturationProtocol
from qmri_bids.scans.cest.book import Book
from qmri_bids.scans.cest.context import RowRole, read_cest_table
from qmri_bids.scans.cest.kind import kind_of
from qmri_bids.scans.cest.pulseq import read_pulseq
from qmri_bids.scans.cest.readout import read_readout, start_of
from qmri_bids.scans.cest.saturation import read_trains
from qmri_bids.scans.cest.values import (
    B1_RMS,
    OFFSET_PPM,
    RECOVERY,
    SAME_OFFSET,
    Stated,
    b1_source,
    missing,
    read_b1,
    read_field_strength,
    read_offsets,
)
from qmri_bids.scans.cest.volumes import check_offsets, read_roles, say_left_out
from qmri_bids.scans.saturation.run import CestKind, VolumeRole

RECOVERY_M0 = replace(RECOVERY, name="recovery_m0", column="", key="RecoveryTimeM0")


@dataclass(frozen=True, kw_only=True)
class CestReading:
    """A protocol and how it came about.

    Parameters
    ----------
    protocol, volumes, roles, kind, sources, warnings
        As in `CestRun`.
    """

    protocol: SaturationProtocol
    volumes: tuple[int, ...]
    roles: tuple[VolumeRole, ...]
    kind: CestKind
    sources: tuple[ValueSource, ...]
    warnings: tuple[str, ...]


def read_cest_protocol(sidecar: Sidecar, *, path: Path, root: Path, number_of_volumes: int, suffix: str) -> CestReading:
    """Return the protocol of a CEST series and what it is good for.

    Parameters
    ----------
    sidecar
        Of the image.
    path
        The image: `_cestcontext.tsv` is found beside or above it.
    root
        The dataset.
    number_of_volumes
        Length of the last axis of the image.
    suffix
        Of the image.

    Raises
    ------
    RefusedError
        If a value that is needed is missing, not numeric, contradictory, not plausible, or of another count than the volumes.
    """
    table = read_cest_table(path, root=root, number_of_volumes=number_of_volumes)
    book = Book(sidecar=sidecar, table=table, number=number_of_volumes)
    field_strength = read_field_strength(sidecar)
    pulseq = read_pulseq(
        sidecar,
        root=root,
        field_strength=None if field_strength is None else field_strength[0],
        number_of_volumes=number_of_volumes,
    )
    if pulseq is not None:
        book.played, book.seq_name = pulseq.protocol, pulseq.name
        book.warnings += pulseq.warnings
        book.sources.append(pulseq.source)
        if field_strength is None:
            field = pulseq.protocol.field_strength
            source = f"{pulseq.name}: definitions"
            field_strength = field, ValueSource(key="field_strength", value=f"{field:.5g}", unit="T", source=source)
    if field_strength is None:
        raise refuse(
            file=sidecar.expected_name,
            key="MagneticFieldStrength",
            expected="the static field in tesla, or ImagingFrequency in MHz",
            found="nothing",
            advice="Add one of them to the sidecar.",
        )
    book.sources.append(field_strength[1])
    offsets = _offsets(book, field_strength[0])
    b1 = _b1(book)
    roles = read_roles(book, offsets=offsets, b1=b1)
    used = tuple(index for index, role in enumerate(roles) if role != "dummy" and (table is None or table.valid[index]))
    say_left_out(book, roles, used)
    if not used:
        raise refuse(
            file=sidecar.file if table is None else table.name,
            key="volume_type",
            expected="volumes that can be used",
            found="dummies or volumes that are not valid alone",
            advice="Correct the table.",
        )
    kept: tuple[VolumeRole, ...] = tuple(role for role in (roles[index] for index in used) if role != "dummy")
    check_offsets(offsets, roles, used)
    trains = read_trains(book, used=used, roles=roles, offsets=offsets, b1=b1)
    recoveries = _recoveries(book, roles)
    images = tuple(
        SaturatedImage(
            saturation=trains[index],
            offset=None if trains[index] is None else offsets.values[index],
            recovery=recoveries[index],
            is_m0=roles[index] == "m0",
        )
        for index in used
    )
    kind = kind_of(images, kept, suffix=suffix, file=sidecar.file)
    if kind == "wassr":
        kept = tuple("m0" if role == "m0" else "wassr" for role in kept)
    elif "cest" not in kept:
        kept = tuple("m0" if role == "m0" else "cest" for role in kept)
    readout = read_readout(sidecar, book.sources)
    start, readout, said = start_of(
        kind,
        readout=readout,
        played=book.played,
        states_recovery=any(image.recovery > 0.0 for image in images),
        used=used,
        sidecar=sidecar,
    )
    book.warnings += said
    return CestReading(
        protocol=SaturationProtocol(field_strength=field_strength[0], images=images, start=start, readout=readout),
        volumes=used,
        roles=kept,
        kind=kind,
        sources=tuple(book.sources),
        warnings=tuple(book.warnings),
    )


def _offsets(book: Book, field_strength: float) -> Stated:
    stated, sources = read_offsets(
        table=book.table, sidecar=book.sidecar, field_strength=field_strength, number_of_volumes=book.number
    )
    played = book.of_pulseq(lambda image: image.offset)
    chosen = book.choose(stated, played=played, slack=SAME_OFFSET)
    if chosen is None:
        raise missing(
            book.sidecar,
            OFFSET_PPM,
            advice="Add SaturationOffset (ppm) or SaturationFrequencyOffset (Hz) as an array of one per volume, or offset_ppm "
            "to the _cestcontext.tsv; the order is never guessed.",
        )
    # What was converted from Hz is shown as it stands in the file.
    as_written = {id(each): source for each, source in zip(stated, sources, strict=True)}
    book.sources.append(as_written.get(id(chosen)) or chosen.source(OFFSET_PPM))
    return chosen


def _b1(book: Book) -> Stated:
    stated = read_b1(table=book.table, sidecar=book.sidecar, number_of_volumes=book.number)
    played = book.of_pulseq(lambda image: None if image.saturation is None else image.saturation.b1_rms)
    chosen = book.choose(stated, played=played)
    if chosen is None:
        raise missing(
            book.sidecar,
            B1_RMS,
            advice="Add SaturationB1RMS (µT, over pulse and gap; of one block its amplitude), or b1_rms to the _cestcontext.tsv.",
        )
    book.sources.append(b1_source(chosen))
    return chosen


def _recoveries(book: Book, roles: Sequence[RowRole]) -> tuple[float, ...]:
    """Return the recovery before every volume [s]; zero where none is stated."""
    chosen = book.choose(book.stated(RECOVERY), played=book.of_pulseq(lambda image: image.recovery))
    relaxed = None
    if chosen is None or not chosen.per_volume:
        relaxed = book.choose(book.stated(RECOVERY_M0))
    for quantity, stated in ((RECOVERY, chosen), (RECOVERY_M0, relaxed)):
        if stated is not None:
            book.sources.append(stated.source(quantity))
    recoveries = []
    for index, role in enumerate(roles):
        stated = relaxed if role == "m0" and relaxed is not None else chosen
        recoveries.append((None if stated is None else stated.values[index]) or 0.0)
    return tuple(recoveries)
