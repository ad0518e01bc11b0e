"""Finding the runs of a session and checking all of them before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qmri_bids.bids.b1 import SUFFIXES as B1_SUFFIXES
from qmri_bids.bids.b1 import UNSUPPORTED_METHODS, b1_refusal, choose_b1, group_b1_files, read_b1
from qmri_bids.bids.cycles import Parts, check_parts
from qmri_bids.bids.increments import (
    INCREMENT_KEYS,
    MINIMUM_CYCLES,
    SCALAR_KEY,
    read_series_increments,
    read_split_increments,
    states_increments,
)
from qmri_bids.bids.layout import BidsInputError, query_files, strip_label
from qmri_bids.bids.metadata import is_balanced, read_protocol
from qmri_bids.bids.names import derivative_entities
from qmri_bids.bids.plan import B1Run, FindOptions, PcBssfpRun, SessionPlan
from qmri_bids.bids.refusal import Refusal, RefusedError, refuse, relative_name
from qmri_bids.bids.sidecar import Sidecar, applicable_files, parse_name, read_sidecar

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

SUFFIXES = ("VFA", "T2w", "bSSFP", "SSFP")
"""Suffixes under which pc-bSSFP is found; whether a file is one is decided by its metadata."""

CYCLE_LABEL = re.compile(r"PC\d+$")
NO_B1 = (
    "NO B1 MAP IS USED: B1 = 1 is assumed everywhere. T1 is wrong by about twice the relative error of the "
    "flip angle, "
    "which reaches 30 % in a head at 3 T."
)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Files that differ in `part` only; a run of 3D files has one group for every cycle."""

    entities: Mapping[str, str]
    suffix: str
    parts: Parts
    sidecars: tuple[Sidecar, ...]

    @property
    def label(self) -> str:
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items()), self.suffix])

    @property
    def is_named(self) -> bool:
        """Whether the name says that this is meant for us."""
        acquisition = self.entities.get("acq", "").lower()
        return "pcbssfp" in acquisition or "phasecycl" in acquisition


def find_runs(
    layout: BIDSLayout, *, subject: str, session: str | None = None, options: FindOptions | None = None
) -> SessionPlan:
    """Find and check all pc-bSSFP runs of a session with the B1 map of each.

    Parameters
    ----------
    layout
        From `open_layout`.
    subject
        Label with or without `sub-`.
    session
        Label with or without `ses-`; None for all sessions and scans outside of sessions.
    options
        What the user asked for.

    Returns
    -------
    SessionPlan
        Runs that can be computed, and a refusal for everything that was meant to be and cannot.

    Raises
    ------
    BidsInputError
        If the dataset lacks the subject or session.
    """
    options = options or FindOptions()
    root = Path(layout.root)
    subject = strip_label(subject, entity="sub")
    if subject not in layout.get_subjects():
        folder = root / f"sub-{subject}"
        if folder.is_dir() and not any(folder.rglob("*.nii*")):
            return SessionPlan(subject=subject, session=session, notes=(f"sub-{subject} holds no image.",))
        raise BidsInputError(
            f"{root}: expected sub-{subject} in the index, found the subjects "
            f"{', '.join(sorted(layout.get_subjects())) or 'none'}"
        )
    entities: dict[str, object] = {"subject": subject, "extension": [".nii", ".nii.gz"]}
    if session is not None:
        session = strip_label(session, entity="ses")
        there = [str(label) for label in layout.get_sessions(subject=subject)]
        if session not in there:
            raise BidsInputError(f"{root}: expected sub-{subject}/ses-{session}, found the sessions {there}")
        entities["session"] = session
    filters = options.filters or {}
    images = query_files(
        layout, filters=filters.get("pcbssfp"), **{"datatype": "anat", "suffix": list(SUFFIXES)} | entities
    )
    images = [path for path in images if _run_is_wanted(path, options)]
    maps = query_files(
        layout, filters=filters.get("b1"), **{"datatype": "fmap", "suffix": list(B1_SUFFIXES)} | entities
    )
    refusals: list[Refusal] = []
    notes: list[str] = []
    groups = _group_files(images, root, refusals, notes)
    runs: list[PcBssfpRun] = []
    b1_runs: list[B1Run] = []
    b1_by_session: dict[str | None, tuple[list[B1Run], list[Refusal]]] = {}
    for family in _families(groups):
        try:
            note = _why_not_ours(family, root)
            if note is not None:
                notes.append(note)
                continue
            this_session = family[0].entities.get("ses")
            if this_session not in b1_by_session and not options.no_b1:
                in_session = [path for path in maps if parse_name(path).entities.get("ses") == this_session]
                found = _read_all_b1(in_session, root, options)
                b1_by_session[this_session] = found
                b1_runs += found[0]
                if found[0]:  # a broken map beside a good one stops nothing
                    notes += [str(refusal) for refusal in found[1]]
                else:
                    refusals += [refusal for refusal in found[1] if not _is_unsupported(refusal)]
                    notes += [str(refusal) for refusal in found[1] if _is_unsupported(refusal)]
            run = _check_run(family, root)
            run = _with_b1(run, family, root, options, b1_by_session.get(this_session, ([], [])))
            _check_unique(run, runs)
            runs.append(run)
        except RefusedError as error:
            refusals.append(error.refusal)
    return SessionPlan(
        subject=subject,
        session=session,
        pcbssfp=tuple(runs),
        b1=tuple(b1_runs),
        refusals=tuple(refusals),
        notes=tuple(notes),
    )


def _run_is_wanted(path: Path, options: FindOptions) -> bool:
    """Whether a file belongs to the runs asked for; `run` is an index in BIDS: 1 and 01 are the same."""
    if not options.run_label:
        return True
    labels = (options.run_label,) if isinstance(options.run_label, str) else options.run_label
    wanted = {strip_label(label, entity="run").lstrip("0") for label in labels}
    return parse_name(path).entities.get("run", "").lstrip("0") in wanted


def _group_files(paths: Sequence[Path], root: Path, refusals: list[Refusal], notes: list[str]) -> list[_Group]:
    collected: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    for path in paths:
        name = parse_name(path)
        key = (
            name.suffix,
            *(f"{entity}-{label}" for entity, label in name.entities.items() if entity != "part"),
        )
        collected.setdefault(key, {}).setdefault(name.entities.get("part", ""), []).append(path)
    groups = []
    for files in collected.values():
        first = next(iter(files.values()))[0]
        name = parse_name(first)
        try:
            sidecars = tuple(read_sidecar(path, root=root) for same in files.values() for path in same)
        except RefusedError as error:
            if name.suffix == "T2w" and "pcbssfp" not in name.entities.get("acq", "").lower():
                notes.append(str(error))  # most T2w images are none of our business
            else:
                refusals.append(error.refusal)
            continue
        groups.append(
            _Group(
                entities={key: label for key, label in name.entities.items() if key != "part"},
                suffix=name.suffix,
                parts={part: tuple(same) for part, same in files.items()},
                sidecars=sidecars,
            )
        )
    return groups


def _families(groups: Sequence[_Group]) -> list[list[_Group]]:
    """Return the groups of each run: one for a 4D series, one a cycle for 3D files labelled `…PC045`."""
    families: dict[tuple[str, ...], list[_Group]] = {}
    for group in groups:
        entities = _family_entities(group) if _is_single_cycle(group) else group.entities
        kind = "split" if _is_single_cycle(group) else "series"
        key = (kind, group.suffix, *(f"{entity}-{label}" for entity, label in entities.items()))
        families.setdefault(key, []).append(group)
    return list(families.values())


def _is_single_cycle(group: _Group) -> bool:
    """Whether a label names one cycle and no file has several volumes.

    `acq-pcbssfpPC12` may also mean twelve cycles in one file.
    """
    if not CYCLE_LABEL.search(group.entities.get("acq", "")):
        return False
    return not any(_number_of_volumes(path) > 1 for same in group.parts.values() for path in same)


def _number_of_volumes(path: Path) -> int:
    """Return the volumes of an image, 0 if it cannot be read: the checks that follow say why."""
    import nibabel as nib

    try:
        shape = nib.load(path).shape  # type: ignore[attr-defined]
    except Exception:
        return 0
    return int(shape[3]) if len(shape) > 3 else 1


def _family_entities(group: _Group) -> dict[str, str]:
    entities = dict(group.entities)
    entities["acq"] = CYCLE_LABEL.sub("", entities.get("acq", ""))
    return {key: label for key, label in entities.items() if label}


def _why_not_ours(family: Sequence[_Group], root: Path) -> str | None:
    """Return why a scan is left alone, None if it is phase-cycled bSSFP.

    Raises
    ------
    RefusedError
        If the name or a key says pc-bSSFP and the sequence says something else, or nothing.
    """
    sidecars = [sidecar for group in family for sidecar in group.sidecars]
    sequence = next(
        (sidecar.values["PulseSequenceType"] for sidecar in sidecars if "PulseSequenceType" in sidecar.values),
        None,
    )
    first = sidecars[0]
    named = any(group.is_named for group in family)
    stated = any(states_increments(sidecar) for sidecar in sidecars) or _has_table(family, root)
    if sequence is None and stated:
        return None
    if isinstance(sequence, str) and is_balanced(sequence):
        if named or stated or (len(family) >= MINIMUM_CYCLES and _has_scalar(sidecars)):
            return None
        volumes = max(_number_of_volumes(path) for group in family for same in group.parts.values() for path in same)
        if volumes >= MINIMUM_CYCLES:
            return None
        return f"{first.file}: {sequence} without phase cycles (no {INCREMENT_KEYS[0]}): left alone."
    if named or stated:
        raise refuse(
            file=first.origin("PulseSequenceType"),
            key="PulseSequenceType",
            expected="balanced SSFP (bSSFP, TrueFISP, FIESTA, bFFE, CISS), as the "
            + ("file name says" if named else "phase increments say"),
            found="nothing" if sequence is None else repr(sequence),
            advice="Correct PulseSequenceType, or rename the scan if it is none.",
        )
    shown = "no PulseSequenceType" if sequence is None else f"PulseSequenceType {sequence!r}"
    return f"{first.file}: not a pc-bSSFP scan ({shown} and no {INCREMENT_KEYS[0]}): left alone."


def _has_table(family: Sequence[_Group], root: Path) -> bool:
    path = next(iter(family[0].parts.values()))[0]
    return bool(applicable_files(path, root=root, suffix="ssfpcontext", extension=".tsv"))


def _has_scalar(sidecars: Sequence[Sidecar]) -> bool:
    return any(SCALAR_KEY in sidecar.values for sidecar in sidecars)


def _check_run(family: Sequence[_Group], root: Path) -> PcBssfpRun:
    """Check images and metadata of a run; its B1 map comes later.

    Raises
    ------
    RefusedError
        At the first fault.
    """
    group = family[0]
    split = _is_single_cycle(group)
    images = check_parts([member.parts for member in family], root=root, split=split, label=group.label)
    sidecars = [sidecar for member in family for sidecar in member.sidecars]
    if split:
        increments = read_split_increments(
            [_stating_sidecar(member.sidecars) for member in family], all_sidecars=sidecars
        )
    else:
        increments = read_series_increments(
            sidecars, path=images.files.paths[0], root=root, number_of_volumes=images.number_of_cycles
        )
    reading = read_protocol(sidecars, increments=increments)
    return PcBssfpRun(
        entities=_family_entities(group) if split else group.entities,
        suffix=group.suffix,
        layout_kind=images.layout_kind,
        files=replace(images.files, volumes=increments.volumes),
        grid=images.grid,
        protocol=reading.protocol,
        b1=None,
        sources=reading.sources,
        warnings=images.warnings + reading.warnings,
    )


def _stating_sidecar(sidecars: Sequence[Sidecar]) -> Sidecar:
    """Return the sidecar of a cycle that states its increment, the first if none does."""
    for sidecar in sidecars:
        if states_increments(sidecar) or SCALAR_KEY in sidecar.values:
            return sidecar
    return sidecars[0]


def _read_all_b1(paths: Sequence[Path], root: Path, options: FindOptions) -> tuple[list[B1Run], list[Refusal]]:
    runs: list[B1Run] = []
    refusals: list[Refusal] = []
    for same in group_b1_files(paths).values():
        try:
            runs.append(read_b1(same, root=root, options=options))
        except RefusedError as error:
            refusals.append(error.refusal)
    return runs, refusals


def _is_unsupported(refusal: Refusal) -> bool:
    return refusal.found.startswith(UNSUPPORTED_METHODS)


def _with_b1(
    run: PcBssfpRun,
    family: Sequence[_Group],
    root: Path,
    options: FindOptions,
    found: tuple[list[B1Run], list[Refusal]],
) -> PcBssfpRun:
    """Return the run with its B1 map.

    Raises
    ------
    RefusedError
        If there is none, or several could be meant.
    """
    if options.no_b1:
        return replace(run, warnings=(*run.warnings, f"{run.label}: {NO_B1}"))
    sidecars = [sidecar for member in family for sidecar in member.sidecars]
    b1_runs, b1_refusals = found
    b1, sentences = choose_b1(
        b1_runs, images=run.files.paths, sidecars=sidecars, root=root, label=f"{run.label}_{run.suffix}"
    )
    if b1 is None:
        raise RefusedError(b1_refusal(label=f"{run.label}_{run.suffix}", notes=b1_refusals))
    return replace(run, b1=b1, warnings=run.warnings + b1.warnings + sentences)


def _check_unique(run: PcBssfpRun, others: Sequence[PcBssfpRun]) -> None:
    """Refuse a run whose maps would be written over those of another."""
    for other in others:
        if derivative_entities(run.entities) == derivative_entities(other.entities):
            raise refuse(
                file=relative_name(run.files.paths[0], run.files.paths[0].parent),
                key="file name",
                expected="entities that no other pc-bSSFP run of the session has",
                found=f"maps of the same name as those of {other.files.paths[0].name}",
                advice="Give the runs different acq- labels, or select one with --bids-filter-file.",
            )
