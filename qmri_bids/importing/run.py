"""The import of a folder: read, recognise, plan, write what can be written, and say of every file what became of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.refusal import refusal_of
from qmri_bids.bids.write import write_text
from qmri_bids.importing.companions import FIELD_KINDS, Member, group, settle
from qmri_bids.importing.dataset import check_dataset, complete_dataset
from qmri_bids.importing.images import SourceImage, read_folder
from qmri_bids.importing.increments import UNKNOWN
from qmri_bids.importing.kinds import LEFT_ALONE, Taken, recognise, role_of, state_of
from qmri_bids.importing.scans import Place, PlannedScan, label_of_series, plan_scan
from qmri_bids.importing.table import LARGEST_FLIP, Given, Row, is_kept, read_given, stated_row, written
from qmri_bids.importing.writing import LOCK, targets_of, write_scan
from qmri_bids.scans.b1.find import READERS as B1_READERS
from qmri_bids.system.file_lock import file_lock
from qmri_bids.system.temporaries import remove_abandoned, remove_abandoned_scratch, scratch_folder

SPECTRA = ("cest", "wassr", "wasabi")
"""Kinds of series that need a list of offsets."""

PLANNED = "to be written"
"""Status of a file in a dry run."""

ALL, SOME, NOTHING = 0, 1, 3
"""Exit codes: all that was recognised is in the dataset, some was refused, nothing was recognised."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of an import.

    Parameters
    ----------
    rows
        One a file.
    table
        Where they were written.
    dataset_files
        Names of the files of the dataset as a whole that were written or added to.
    """

    rows: tuple[Row, ...]
    table: Path
    dataset_files: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """One of `ALL`, `SOME`, `NOTHING`."""
        states = {row.status for row in self.rows}
        if "refused" in states:
            return SOME
        return ALL if states & {"written", "there already", PLANNED} else NOTHING


def import_folder(
    folder: Path,
    bids_dir: Path,
    *,
    subject: str = "01",
    session: str = "",
    table: Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    subject_is_given: bool = True,
) -> Imported:
    """Make a BIDS dataset of a folder of converted images, or add a participant or session to one.

    Parameters
    ----------
    folder
        NIfTI images with their JSON files, and arrays with their descriptions.
    bids_dir
        The dataset, which need not be there.
    subject, session
        Labels, with or without `sub-` and `ses-`; no session if empty.
    table
        A table written before, whose cells win over what is recognised.
    overwrite
        Replace files of the dataset that have the names of new ones.
    dry_run
        Write the table alone.
    subject_is_given
        Whether the user named the participant; else files of another folder are not added to one that is there.

    Returns
    -------
    Imported
        What every file was taken for and what became of it.

    Raises
    ------
    ValueError
        If a folder, a label or the table cannot be used: nothing was written.
    OSError
        If the table or the files of the dataset as a whole cannot be written.
    """
    subject, session = (
        _label(subject, "sub", option="--subject"),
        _label(session, "ses", option="--session") if session else "",
    )
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: expected a folder of images, found {'a file' if folder.exists() else 'none'}. Check the path."
        )
    if folder.resolve() == bids_dir.resolve():
        raise ValueError(
            f"{bids_dir}: expected another folder than that of the images, found the same. Choose another BIDS_DIR."
        )
    check_dataset(bids_dir)
    _check_sessions(bids_dir / f"sub-{subject}", session=session)
    given = {} if table is None else read_given(table)
    if not subject_is_given and table is None:
        _check_same_participant(folder, bids_dir, subject=subject)
    if not dry_run:
        place = bids_dir / f"sub-{subject}"
        below = [place, *(each for each in place.rglob("*") if each.is_dir())]
        remove_abandoned([bids_dir, bids_dir / "code", bids_dir / "code" / "pulseq", *below])
        remove_abandoned_scratch()
    with scratch_folder() as scratch:
        images, unreadable, others = read_folder(folder, scratch=scratch, without=bids_dir)
        recognised = _recognised(images, unreadable)
        _check_files_there(folder, given, {*others, *unreadable, *(image.name for image in images)}, table=table)
        rows = {name: stated_row(name, given.get(name, Given()), note=why) for name, why in unreadable.items()}
        rows |= {
            name: Row(file=name, taken_for=LEFT_ALONE, status=LEFT_ALONE, note=why) for name, why in others.items()
        }
        members = _members(recognised, given)
        plans = _plans(members, given=given, subject=subject, session=session, folder=folder)
        written_any = False
        for label, plan in plans.items():
            mine = [member for member in members if member.scan == label]
            status = "refused" if plan.refusal else PLANNED
            if not dry_run:
                status = _write(plan, root=bids_dir, overwrite=overwrite)
            written_any |= status in ("written", "there already")
            for member in mine:
                rows[member.image.name] = _row(member, plan, status=status, given=given)
        for member in members:
            if not member.scan:
                rows[member.image.name] = _row(member, PlannedScan(), status=LEFT_ALONE, given=given)
    for name in set(given) - set(rows):
        if given[name].kind not in ("", LEFT_ALONE):
            note = (
                f"{name}: file: expected in {folder}, as the table names it, found none. Restore it, or remove its row"
            )
            rows[name] = stated_row(name, given[name], note=note)
    made: tuple[str, ...] = ()
    if written_any:
        # Several calls may add participants at once.
        with file_lock(bids_dir / LOCK):
            made = complete_dataset(bids_dir, subject=subject)
    ordered = tuple(rows[name] for name in sorted(rows))
    text = written(ordered)
    path = _table_path(bids_dir, subject=subject, session=session, given=table, text=text)
    write_text(path, text)
    return Imported(rows=ordered, table=path, dataset_files=made)


def _label(text: str, key: str, *, option: str) -> str:
    label = text.removeprefix(f"{key}-")
    if not re.fullmatch(r"[0-9A-Za-z]+", label):
        raise ValueError(f"{option}: expected a label of letters and digits, found {text!r}.")
    return label


def _check_same_participant(folder: Path, bids_dir: Path, *, subject: str) -> None:
    """Check that a participant whom nobody named is not there already, made of other files.

    Raises
    ------
    ValueError
        If the tables of earlier calls name none of the files of the folder.
    """
    tables = sorted((bids_dir / "code").glob(f"import_sub-{subject}*.tsv"))
    known = {name for each in tables for name in read_given(each)}
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if (bids_dir / f"sub-{subject}").is_dir() and known and not known & here:
        raise ValueError(
            f"{bids_dir}: expected no sub-{subject} yet, found one that was made of other files than those of {folder}. Name the "
            f"participant: --subject {subject} for the same one, another label for another"
        )


def _check_sessions(place: Path, *, session: str) -> None:
    """Check that a participant has sessions throughout, or none.

    Raises
    ------
    ValueError
        If files would lie beside sessions.
    """
    if place.exists() and not place.is_dir():
        raise ValueError(f"{place}: expected a folder, found a file. Move it, or choose another --subject.")
    there = sorted(each.name for each in place.iterdir() if each.is_dir()) if place.is_dir() else []
    other = [name for name in there if name.startswith("ses-") is not bool(session)]
    if other:
        raise ValueError(
            f"{place}: expected {'sessions' if session else 'no sessions'}, as the call has it, found {', '.join(other[:5])}. "
            + ("Leave out --session, or move what is there into a session" if session else "Give --session")
        )


def _recognised(images: Sequence[SourceImage], refused: dict[str, str]) -> list[Member]:
    """Return images with what each was taken for; one that fails is added to those that are refused."""
    members = []
    for image in images:
        try:
            taken = recognise(image)
            state = state_of(image)[0] if taken.kind in ("MTS", "MTR") else None
            members.append(Member(image=image, taken=taken, state=state))
        except Exception as error:
            refused[image.name] = str(refusal_of(error, file=image.name))
    return members


def _members(found: Sequence[Member], given: Mapping[str, Given]) -> list[Member]:
    """Return all images with their kind and scan, the table's where it states them."""
    recognised = settle(found)
    automatic = group(recognised)
    if not given:
        return automatic
    corrected = group([_corrected(member, given.get(member.image.name, Given())) for member in recognised])
    labels = {member.image.name: before.scan for member, before in zip(corrected, automatic, strict=True)}
    own = {name: stated.scan for name, stated in given.items() if stated.scan and _is_own(stated, labels.get(name))}
    meant: dict[str, str] = {}
    for member in corrected:
        stated = given.get(member.image.name, Given())
        # The label of another scan of the table means that scan, whatever its label is today.
        if stated.scan_found and member.image.name not in own:
            meant.setdefault(stated.scan_found, member.scan)
    used = {label for name, label in own.items() if label not in meant and given[name].scan_found is not None}
    fresh = _fresh(used, {member.scan for member in corrected})
    members = []
    for member in corrected:
        label = fresh.get(member.scan, member.scan)
        # A label that the user did not touch says nothing: a corrected kind may have changed what belongs together.
        if member.image.name in own and member.taken.kind != LEFT_ALONE:
            label = own[member.image.name]
            label = fresh.get(meant[label], meant[label]) if label in meant else label
        members.append(replace(member, scan=label, own=member.image.name in own))
    return members


def _is_own(stated: Given, label_today: str | None) -> bool:
    """Whether a label of the table is the user's and not the one that the program had written there."""
    return stated.scan != (label_today if stated.scan_found is None else stated.scan_found)


def _fresh(own: Set[str], labels: Set[str]) -> dict[str, str]:
    """Return other labels for scans whose label a user gave to other files."""
    found: dict[str, str] = {}
    for label in sorted(own & labels):
        number = 1
        while (new := f"{label.rpartition('-')[0]}-{number}") in own | labels | set(found.values()):
            number += 1
        found[label] = new
    return found


def _corrected(member: Member, stated: Given) -> Member:
    """Return an image with what the table states of it."""
    taken = member.taken
    kind = stated.kind or taken.kind
    part = stated.part or (taken.part if kind == taken.kind else role_of(member.image, kind))
    state = member.state if stated.state is None else stated.state
    if kind in ("MTS", "MTR") and kind != taken.kind and state is None:
        state, _ = state_of(member.image)
    if (kind, part) == (taken.kind, taken.part):
        return replace(member, state=state)
    evidence = "; ".join(
        text for text in ("table", taken.evidence and f"instead of {taken.kind}: {taken.evidence}") if text
    )
    return replace(member, state=state, taken=Taken(kind=kind, part=part, evidence=evidence, sure="given"))


def _plans(
    members: Sequence[Member], *, given: Mapping[str, Given], subject: str, session: str, folder: Path
) -> dict[str, PlannedScan]:
    """Return the plan of every scan by its label, those of one kind numbered where there are several."""
    scans: dict[str, list[Member]] = {}
    for member in members:
        if member.scan:
            scans.setdefault(member.scan, []).append(member)
    kinds = {label: _numbered_with(mine) for label, mine in scans.items()}
    spectra = sum(mine[0].taken.kind in SPECTRA for mine in scans.values())
    b1 = sum(mine[0].taken.kind in B1_READERS for mine in scans.values())
    counts: dict[str, int] = {}
    plans: dict[str, PlannedScan] = {}
    for label in sorted(
        scans, key=lambda each: [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", each)]
    ):
        kind = kinds[label]
        counts[kind] = counts.get(kind, 0) + 1
        several = sum(other == kind for other in kinds.values()) > 1
        place = Place(subject=subject, session=session, run=counts[kind] if several else 0, folder=folder)
        plans[label] = plan_scan(scans[label], given=given, place=place, alone=spectra == 1)
        if b1 > 1 and scans[label][0].taken.kind in B1_READERS:
            said = f"one of {b1} B1 scans: name the run it is for in IntendedFor, or choose one by --bids-filter-file of qmri_bids"
            for member in scans[label]:
                plans[label].notes.setdefault(member.image.name, []).append(said)
    _refuse_twice(plans)
    return plans


def _numbered_with(members: Sequence[Member]) -> str:
    """Return what scans share that are told apart by the number of their run alone."""
    kind = members[0].taken.kind
    if kind in FIELD_KINDS:
        return "field map"
    if kind == "MTS":
        return f"MTS {members[0].image.number('EchoNumber')}"
    return f"cest {label_of_series(members[0].image)}" if kind == "cest" else kind


def _refuse_twice(plans: Mapping[str, PlannedScan]) -> None:
    """Refuse a scan that would have the name of another one."""
    taken: dict[Path, str] = {}
    for label, plan in plans.items():
        for target in () if plan.refusal else targets_of(plan):
            if target in taken and not (
                target in plan.copies and plan.copies[target] == plans[taken[target]].copies.get(target)
            ):
                plan.refusal = (
                    f"{target.as_posix()}: file: expected one scan of this name, found {taken[target]} and {label}"
                )
                break
            taken[target] = label


def _write(plan: PlannedScan, *, root: Path, overwrite: bool) -> str:
    """Write a scan and return its status; one that cannot be written is refused with the reason."""
    if plan.refusal:
        return "refused"
    try:
        return "written" if write_scan(plan, root=root, overwrite=overwrite) else "there already"
    except ValueError as error:
        plan.refusal = str(error)
    except OSError as error:
        plan.refusal = (
            f"{error.filename or root}: file: expected to be written, found: "
            f"{(error.strerror or str(error)).lower()}. Make room or give "
            "permission, and import again"
        )
    return "refused"


def _row(member: Member, plan: PlannedScan, *, status: str, given: Mapping[str, Given]) -> Row:
    image, taken = member.image, member.taken
    stated = given.get(image.name, Given())
    increments = plan.increments.get(image.name, stated.increments)
    flip = image.number("FlipAngle") if stated.flip is None else stated.flip
    target, volume = "", ""
    for planned in plan.images:
        names = [source.name for source in planned.sources]
        if image.name in names:
            target = planned.target.as_posix()
            volume = str(names.index(image.name) + 1) if len(names) > 1 else ""
    notes = [image.note, taken.note, *plan.notes.get(image.name, ())]
    if plan.refusal:
        notes = [plan.refusal, *notes]
    return Row(
        file=image.name,
        taken_for=taken.kind,
        part=plan.parts.get(image.name, taken.part),
        scan=member.scan,
        increment=" ".join(f"{value:.10g}" for value in increments) or (UNKNOWN if taken.kind == "pcbssfp" else ""),
        flip=f"{flip:g}" if flip is not None and 0.0 < flip <= LARGEST_FLIP else "",
        mt="" if member.state is None or taken.kind not in ("MTS", "MTR") else "on" if member.state else "off",
        volume=volume,
        sure=taken.sure,
        evidence=taken.evidence,
        status=status,
        target=target,
        scan_found="" if member.own else member.scan,
        note="; ".join(note for note in notes if note),
    )


def _table_path(bids_dir: Path, *, subject: str, session: str, given: Path | None, text: str) -> Path:
    """Return where the table is written: over the one given if it lies there and loses nothing, else a name that is free."""
    folder = bids_dir / "code"
    if given is not None and given.resolve().parent == folder.resolve() and is_kept(given, text):
        return given
    stem = f"import_sub-{subject}" + (f"_ses-{session}" if session else "")
    path, number = folder / f"{stem}.tsv", 2
    while os.path.lexists(path):
        path, number = folder / f"{stem}_{number}.tsv", number + 1
    return path


def _check_files_there(folder: Path, given: Mapping[str, Given], there: Set[str], *, table: Path | None) -> None:
    """Check that a table is one of this folder.

    Raises
    ------
    ValueError
        If most of its files are missing.
    """
    wanted = [name for name, stated in given.items() if stated.kind != LEFT_ALONE] or list(given)
    missing = [name for name in wanted if name not in there]
    if 2 * len(missing) > len(wanted):
        raise ValueError(
            f"{table}: file: expected the files of this table in {folder}, found {len(wanted) - len(missing)} of {len(wanted)} "
            f"({missing[0]} is not there). Give the folder, or the table, that belong together."
        )
