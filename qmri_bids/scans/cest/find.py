"""CEST runs of a session: sidecar, tables and .seq file to one checked protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.images import check_image, stored_shape
from qmri_bids.bids.metadata.field_strength import read_field_strength
from qmri_bids.bids.metadata.missing import Needed, refuse_missing
from qmri_bids.bids.metadata.sidecar import Sidecar, applicable_files, decisions_on
from qmri_bids.bids.metadata.values import read_number
from qmri_bids.bids.refusal import ValueSource, refusal_of, refuse
from qmri_bids.physics.saturation import Readout, SaturatedImage, SaturationProtocol, Start
from qmri_bids.scans.cest.book import Book
from qmri_bids.scans.cest.context import SUFFIX as TABLE_SUFFIX
from qmri_bids.scans.cest.context import CestTable, RowRole, read_cest_table
from qmri_bids.scans.cest.kind import kind_of
from qmri_bids.scans.cest.m0 import read_m0, with_m0, without_m0_files
from qmri_bids.scans.cest.pulseq import FILE_KEY, read_pulseq
from qmri_bids.scans.cest.saturation import read_trains
from qmri_bids.scans.cest.values import (
    B1_RMS,
    DURATION,
    OFFSET_HZ,
    OFFSET_PPM,
    RECOVERY,
    SAME_OFFSET,
    Stated,
    b1_source,
    missing,
    read_b1,
    read_offsets,
)
from qmri_bids.scans.findings import Findings, Series, with_acquisition
from qmri_bids.scans.saturation.run import CestKind, CestRun, VolumeRole
from qmri_bids.units import degrees_to_radians

ANGLE_KEY, NUMBER_KEY, SPACING_KEY = "FlipAngle", "NumberOfReadoutPulses", "RepetitionTimeExcitation"
ROWS = (
    (ANGLE_KEY, "readout_flip_angle", "the flip angle of the readout in degrees", 0.5, 180.0, "deg"),
    (NUMBER_KEY, "readout_pulses", "the number of excitations of the readout of one volume", 1.0, 1e5, ""),
    (SPACING_KEY, "readout_spacing", "the time between two excitations of the readout in seconds", 1e-4, 1.0, "s"),
)


def read_readout(sidecar: Sidecar, sources: list[ValueSource]) -> Readout | None:
    """Return the train of excitations of a readout, None if it is not stated in full.

    Parameters
    ----------
    sidecar
        With FlipAngle, NumberOfReadoutPulses and RepetitionTimeExcitation.
    sources
        Takes the three values.

    Raises
    ------
    RefusedError
        If one is no number or not plausible.
    """
    if not all(row[0] in sidecar.values for row in ROWS):
        return None
    values = []
    for key, name, expected, low, high, unit in ROWS:
        value = read_number(sidecar, key, expected=expected, advice=f"Correct {key} in the sidecar.")
        if not low <= value < high or (key == NUMBER_KEY and value != int(value)):
            raise refuse(
                file=sidecar.origin(key),
                key=key,
                expected=expected,
                found=f"{value:g}",
                advice=f"Correct {key} or its unit.",
            )
        values.append(value)
        sources.append(ValueSource(key=name, value=f"{value:g}", unit=unit, source=f"{sidecar.origin(key)}: {key}"))
    angle, number, spacing = values
    return Readout(number=int(number), flip_angle=degrees_to_radians(angle), spacing=spacing)


def start_of(
    kind: CestKind,
    *,
    readout: Readout | None,
    played: SaturationProtocol | None,
    states_recovery: bool,
    used: Sequence[int],
    sidecar: Sidecar,
) -> tuple[Start, Readout | None, tuple[str, ...]]:
    """Return from which state images are saturated, the readout, and sentences on both.

    Spectra start from full relaxation, the convention of the presets; fingerprints from the image before.

    Parameters
    ----------
    kind
        Of the series.
    readout
        Of the sidecar.
    played
        The pulseq file, None without one.
    states_recovery
        Whether the time between readout and saturation is known.
    used
        Volumes that are not left out.
    sidecar
        For messages.

    Raises
    ------
    RefusedError
        If a volume in the midst of a fingerprint is left out.
    """
    readout = readout or (played.readout if played is not None else None)
    if kind != "fingerprint":
        return Start.RELAXED, readout, ()
    if list(used) != list(range(used[0], used[-1] + 1)):
        gone = sorted(set(range(used[0], used[-1] + 1)) - set(used))
        raise refuse(
            file=sidecar.file,
            key="valid",
            expected="all volumes of a fingerprint, each of which starts from the state that the one before leaves",
            found=f"volumes {gone} (from 0) left out in its midst",
            advice="Keep them, or cut the series before them.",
        )
    said = []
    if used[0] > 0:
        said.append(
            f"{sidecar.file}: {used[0]} volume(s) before the first are left out: the first is taken to start from full relaxation."
        )
    if played is None and not states_recovery:
        said.append(
            f"{sidecar.file}: RecoveryTime is not stated: every image is taken to start from full relaxation, which those of a "
            "fingerprint rarely do."
        )
        return Start.RELAXED, readout, tuple(said)
    if readout is None:
        said.append(
            f"{sidecar.file}: the readout is not described (FlipAngle, NumberOfReadoutPulses, RepetitionTimeExcitation): it is "
            "taken to leave the magnetisation as it was."
        )
    return Start.PREVIOUS, readout, tuple(said)


FAR_OFFSET = 100.0
"""From here on [ppm] the farthest offset of a series is that of its M0."""

FARTHEST_MEANINGFUL = 1000.0
"""Offset of a saturated volume beyond which its unit is wrong [ppm]."""


def read_roles(book: Book, *, offsets: Stated, b1: Stated) -> tuple[RowRole, ...]:
    """Return what each volume is for: as the table says, else M0 is what has no saturation or the farthest offset."""
    if book.table is not None and book.table.roles is not None:
        roles = book.table.roles
        book.sources.append(
            ValueSource(key="m0", value=_listed(roles, "m0"), unit="", source=f"{book.table.name}: volume_type")
        )
        return roles
    numbers = [abs(offset) for offset in offsets.values if offset is not None]
    farthest = max(numbers, default=0.0)
    found: list[RowRole] = []
    for index, offset in enumerate(offsets.values):
        silent = offset is None or b1.values[index] == 0.0
        far = offset is not None and farthest >= FAR_OFFSET and abs(offset) >= 0.999 * farthest
        silent = silent or (book.played is not None and book.played.images[index].is_m0)
        found.append("m0" if silent or far else "cest")
    reason = "volumes without saturation"
    if farthest >= FAR_OFFSET:
        reason += f" or at the farthest offset, {farthest:g} ppm,"
    reason += " normalise the others"
    if "m0" in found:
        source = f"derived: {reason}; no volume_type is stated"
        book.sources.append(ValueSource(key="m0", value=_listed(found, "m0"), unit="", source=source))
    return tuple(found)


def unsaturated_as_m0(book: Book, roles: Sequence[RowRole], *, b1: Stated) -> tuple[RowRole, ...]:
    """Return the roles, a saturated volume whose B1 is stated as 0 being one without saturation; dummies stay what they are.

    In a Z-spectrum it normalises the others; in a fingerprint it is modelled without RF, in its place and with its recovery.
    """
    silent = [index for index, role in enumerate(roles) if role in ("cest", "wassr") and b1.values[index] == 0.0]
    if silent:
        shown = _numbers(silent)
        source = f"{b1.origin} is 0: without saturation, used like M0 whatever their type and offset"
        book.sources.append(ValueSource(key="unsaturated", value=f"volume {shown}", unit="", source=source))
    return tuple("m0" if index in silent else role for index, role in enumerate(roles))


def _listed(roles: Sequence[str], role: str) -> str:
    """Return the volumes of a role, as text."""
    found = [index for index, each in enumerate(roles) if each == role]
    return f"volume {_numbers(found)}" if found else "none"


def _numbers(indices: Sequence[int]) -> str:
    """Return the first volumes as people count them, from 1."""
    return ", ".join(str(index + 1) for index in indices[:6]) + (", …" if len(indices) > 6 else "")


def say_left_out(book: Book, roles: Sequence[RowRole], used: Sequence[int]) -> None:
    """Add a warning for dummies and for volumes that are marked as not valid."""
    dummies = [index for index, role in enumerate(roles) if role == "dummy"]
    marked = [index for index in range(book.number) if index not in used and index not in dummies]
    name = book.table.name if book.table is not None else ""
    if dummies:
        book.warnings.append(f"{name}: volume {_numbers(dummies)} (from 1): dummies, left out.")
    if marked:
        book.warnings.append(f"{name} marks volume {_numbers(marked)} (from 1) as not valid: left out.")


def check_offsets(offsets: Stated, roles: Sequence[RowRole], used: Sequence[int]) -> None:
    """Check that every saturated volume has an offset [ppm] that means something.

    Raises
    ------
    RefusedError
        If one has none, or one of more than 1000 ppm.
    """
    for index in used:
        value = offsets.values[index]
        if roles[index] == "m0":
            continue
        if value is None or abs(value) > FARTHEST_MEANINGFUL:
            raise refuse(
                file=offsets.file,
                key=f"{offsets.key}, volume {index} (from 0)",
                expected=f"an offset of at most {FARTHEST_MEANINGFUL:g} ppm for a saturated volume",
                found="nothing" if value is None else f"{value:g} ppm: is it in Hz?",
                advice="Correct the offset, or mark the volume as m0scan or dummy in volume_type.",
            )


NEAREST_M0 = 10.0
"""Offset of a saturated volume below which it normalises nothing: pools and water are saturated there [ppm]."""


def check_reference(images: Sequence[SaturatedImage], *, file: str) -> None:
    """Refuse M0 volumes that were saturated near water.

    Raises
    ------
    RefusedError
        If one was saturated within `NEAREST_M0`.
    """
    near = [image.offset for image in images if image.is_m0 and image.offset is not None]
    wrong = [offset for offset in near if abs(offset) < NEAREST_M0]
    if wrong:
        raise refuse(
            file=file,
            key="volume_type",
            expected=f"m0scan without saturation, or saturated {NEAREST_M0:g} ppm and more from water",
            found=f"saturation at {wrong[0]:g} ppm",
            advice="Z is relative to M0: state another volume as m0scan, or the offset that was played (n/a without saturation).",
        )


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


def read_cest_protocol(
    sidecar: Sidecar, *, path: Path, root: Path, number_of_volumes: int, suffix: str, has_m0: bool = False
) -> CestReading:
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
    has_m0
        Whether another file holds its M0.

    Raises
    ------
    RefusedError
        If a value that is needed is missing, not numeric, contradictory, not plausible, or of another count than the volumes.
    """
    table = read_cest_table(path, root=root, number_of_volumes=number_of_volumes)
    if FILE_KEY not in sidecar.values:
        refuse_missing([sidecar], _needed(table), kind="cest")
    book = Book(sidecar=sidecar, table=table, number=number_of_volumes)
    book.warnings += decisions_on([sidecar])
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
    stated_roles = read_roles(book, offsets=offsets, b1=b1)
    roles = unsaturated_as_m0(book, stated_roles, b1=b1)
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
    recoveries = _recoveries(book, stated_roles)
    images = tuple(
        SaturatedImage(
            saturation=trains[index],
            offset=None if trains[index] is None else offsets.values[index],
            recovery=recoveries[index],
            is_m0=roles[index] == "m0",
        )
        for index in used
    )
    kind = kind_of(images, kept, suffix=suffix, file=sidecar.file, has_m0=has_m0)
    if kind != "fingerprint":  # whose model holds the saturation of every image
        check_reference(images, file=sidecar.file if table is None else table.name)
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


def _needed(table: CestTable | None) -> list[Needed]:
    """Return what a sidecar must state that has no `.seq` file beside it, and what its table does not."""
    needed = [
        Needed(
            key="MagneticFieldStrength",
            meaning="the static field in tesla",
            template="<tesla>",
            others=("ImagingFrequency",),
        )
    ]
    stated = set() if table is None else set(table.numbers)
    if not stated & {OFFSET_PPM.column, OFFSET_HZ.column}:
        needed.append(
            Needed(
                key=OFFSET_PPM.key,
                meaning="the offset of every volume in ppm from water (or offset_ppm in the _cestcontext.tsv)",
                template="<array of ppm, one per volume>",
                others=(OFFSET_HZ.key,),
            )
        )
    if B1_RMS.column not in stated:
        needed.append(
            Needed(
                key=B1_RMS.key,
                meaning="B1 of the saturation in µT (root mean square over pulse and gap)",
                template="<µT>",
            )
        )
    if DURATION.column not in stated:
        needed.append(
            Needed(
                key=DURATION.key,
                meaning="the duration of the saturation in seconds",
                template="<seconds>",
                others=("MTPulseDuration", "MTNumberOfPulses"),
            )
        )
    return needed


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
    if not any(chosen.values):
        raise refuse(
            file=chosen.file,
            key=chosen.key,
            expected="B1 above zero for the saturated volumes",
            found="0 µT in every volume that states it",
            advice="State the B1 that was played, in µT; 0 stands for images without saturation.",
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


SUFFIXES = ("cest", "wassr", "MTR")
"""Suffixes under which series of saturated images are found; the last only where offsets are stated volume by volume."""

ACQUISITIONS = {"cest": "cest", "wassr": "wassr", "MTR": "cest"}
"""Label of `acq` where the file has none."""

ONE_IMAGE = "Convert the series to one 4D file, M0 volumes included, in the order of acquisition."


def samples_offsets(series: Series, *, root: Path) -> bool:
    """Whether a series is one of saturated images: by its suffix, or for MTR by a table or an array of several offsets."""
    if series.suffix != "MTR":
        return series.suffix in SUFFIXES
    arrays = (series.sidecar.values.get(quantity.key) for quantity in (OFFSET_PPM, OFFSET_HZ))
    if any(isinstance(value, list) and len(value) > 1 for value in arrays):
        return True
    return bool(applicable_files(series.path, root=root, suffix=TABLE_SUFFIX, extension=".tsv"))


def find_cest(series: Sequence[Series], *, findings: Findings) -> tuple[CestRun, ...]:
    """Return the CEST runs that pass the checks, without their source of B0.

    Parameters
    ----------
    series
        Those of which `samples_offsets` is true.
    findings
        Takes refusals.
    """
    runs = []
    for each in without_m0_files(series, findings=findings):
        try:
            runs.append(_check_run(each, findings))
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=each.sidecar.file))
    return tuple(runs)


def _check_run(series: Series, findings: Findings) -> CestRun:
    root = findings.root
    info = check_image(series.path, root=root)
    if len(info.shape) != 4 or info.shape[3] < 2:
        raise refuse(
            file=info.name,
            key="shape",
            expected="four axes, the last one the saturated images",
            found=str(stored_shape(series.path)),
            advice=ONE_IMAGE,
        )
    if info.is_complex:
        raise refuse(
            file=info.name,
            key="datatype",
            expected="magnitudes",
            found="complex values",
            advice="Write the magnitudes as a part-mag image.",
        )
    m0 = read_m0(series, info=info, findings=findings)
    reading = read_cest_protocol(
        series.sidecar,
        path=series.path,
        root=root,
        number_of_volumes=info.shape[3],
        suffix=series.suffix,
        has_m0=m0 is not None,
    )
    warnings = reading.warnings + info.doubts
    if m0 is not None:
        unsaturated: tuple[VolumeRole, ...] = tuple("m0" for _ in m0.volumes)
        reading = replace(
            reading,
            protocol=with_m0(reading.protocol, len(m0.volumes)),
            volumes=(*(info.shape[3] + index for index in m0.volumes), *reading.volumes),
            roles=(*unsaturated, *reading.roles),
            sources=(*reading.sources, m0.source),
        )
        warnings += (m0.sentence,)
    return CestRun(
        entities=with_acquisition(series.entities, default=ACQUISITIONS[series.suffix]),
        suffix=series.suffix,
        image=series.path,
        m0_image=None if m0 is None else m0.path,
        grid=(info.shape[0], info.shape[1], info.shape[2]),
        volumes=reading.volumes,
        roles=reading.roles,
        protocol=reading.protocol,
        kind=reading.kind,
        sources=reading.sources,
        warnings=warnings,
    )
