"""Finding the runs of a session and checking all of them before anything is computed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from qmri_bids.bids.index import DatasetIndex, bad_label
from qmri_bids.bids.layout import BidsInputError, query_files, strip_label
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import refusal_of, refuse, relative_name
from qmri_bids.pipeline.run import Run
from qmri_bids.scans.b1.find import SUFFIXES as B1_SUFFIXES
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.bssfp.find import SUFFIXES, find_pcbssfp
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.cest.find import SUFFIXES as CEST_SUFFIXES
from qmri_bids.scans.cest.find import find_cest, samples_offsets
from qmri_bids.scans.fieldmap.choice import with_b0
from qmri_bids.scans.fieldmap.find import SUFFIXES as FIELDMAP_SUFFIXES
from qmri_bids.scans.fieldmap.find import SessionFieldmaps
from qmri_bids.scans.find_options import FindOptions, SessionFiles
from qmri_bids.scans.findings import Findings, Series, check_unique, collect_series, run_is_wanted
from qmri_bids.scans.mt.find import SUFFIXES as MT_SUFFIXES
from qmri_bids.scans.mt.find import find_mtr, find_mts
from qmri_bids.scans.saturation.line_model import with_line_model
from qmri_bids.scans.saturation.run import CestRun, MtsRun
from qmri_bids.scans.session_plan import SessionPlan

__all__ = ["SUFFIXES", "find_runs"]

logger = logging.getLogger("qmri_bids")

CEST_FOLDERS = ("anat", "cest")
"""Where CEST series are looked for; BIDS knows the first alone."""

FIELD_KEYS = ("b1", "fieldmap")
"""Keys of a filter file for scans that serve runs."""

RunType = TypeVar("RunType", bound=Run)


def find_runs(
    layout: DatasetIndex, *, subject: str, session: str | None = None, options: FindOptions | None = None
) -> SessionPlan:
    """Find and check all runs of a session: pc-bSSFP with B1 maps, CEST with a source of B0, MTR and MT saturation.

    Fingerprints take maps of other runs: `pools.find.with_exchange` follows once it is known which of those are processed, and
    `fields.find.find_fields` when it is known which B1 scans and field maps no run takes.

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
    if subject not in layout.by_subject:
        raise BidsInputError(
            f"{root}: expected sub-{subject} in the index, found the subjects "
            f"{', '.join(layout.get_subjects()) or 'none'}"
        )
    if not layout.by_subject[subject] and subject not in layout.refusals:
        return SessionPlan(subject=subject, session=session, notes=(f"sub-{subject} holds no image.",))
    entities: dict[str, object] = {"subject": subject, "extension": [".nii", ".nii.gz"]}
    if session is not None:
        session = strip_label(session, entity="ses")
        there = layout.get_sessions(subject=subject)
        if session not in there:
            raise BidsInputError(f"{root}: expected sub-{subject}/ses-{session}, found the sessions {there}")
        entities["session"] = session
    filters = options.filters or {}

    findings = Findings(root=root, options=options)
    findings.refusals += layout.refusals.get(subject, ())
    passed_over: set[str | None] = set()

    def query(key: str, suffixes: Sequence[str], **more: object) -> list[Path]:
        asked: dict[str, Any] = {"suffix": list(suffixes)} | more | entities
        found = query_files(layout, filters=filters.get(key), **asked)
        if key in filters and key not in FIELD_KEYS:
            everything = query_files(layout, **asked)
            passed_over.update(
                {_session_of(file.path) for file in everything} - {_session_of(file.path) for file in found}
            )
        if key in filters and not found:
            left = len(query_files(layout, **asked))
            if left:
                label = f"sub-{subject}" + (f"_ses-{session}" if session else "")
                sentence = (
                    f"{label}: the filter {key} {dict(filters[key])} selects none of {left} files; a filter narrows down what "
                    "is asked for, and cannot name another participant, session or kind of file."
                )
                logger.warning("%s", sentence)  # what it leaves out may be what a run needs, such as its B1 scan
                findings.notes.append(sentence)
        for file in found:
            # Files of other people's scans may be called what they like.
            if file.fault is not None and file.entities["suffix"] in (*FIELDMAP_SUFFIXES, "T2w"):
                findings.notes.append(f"{file.fault} It is left alone.")
            elif file.fault is not None and file.fault not in findings.refusals:
                findings.refusals.append(file.fault)
        return [file.path for file in found if file.fault is None]

    def wanted(key: str, suffixes: Sequence[str], **more: object) -> list[Path]:
        return [path for path in query(key, suffixes, **more) if run_is_wanted(path, options)]

    files = SessionFiles(
        root=root,
        b1=tuple(query("b1", B1_SUFFIXES, datatype="fmap")),
        fieldmaps=tuple(query("fieldmap", FIELDMAP_SUFFIXES, datatype="fmap")),
    )
    fieldmaps = SessionFieldmaps(files.fieldmaps, findings=findings)
    cest_paths = {path for path in wanted("cest", CEST_SUFFIXES) if path.parent.name in CEST_FOLDERS}
    mt_paths = set(wanted("mt", MT_SUFFIXES, datatype="anat"))
    series = collect_series(sorted(cest_paths | mt_paths), findings)
    sampled = _sampling_offsets(series, findings)
    pairs = [each for each in series if each not in sampled and each.path in mt_paths]
    cest = find_cest([each for each in sampled if each.path in cest_paths], findings=findings)
    # A WASABI run may give B1 to the others.
    b1 = SessionB1(files.b1, findings=findings, cest=cest)
    pcbssfp = find_pcbssfp(wanted("pcbssfp", SUFFIXES, datatype="anat"), findings=findings, b1=b1)
    cest = _unique(cest, pcbssfp, findings)
    pcbssfp = _with_known_b1(pcbssfp, cest, findings)
    cest = with_line_model(with_b0(cest, findings=findings, fieldmaps=fieldmaps), findings=findings)
    mtr = _unique(find_mtr(pairs, findings=findings), (*pcbssfp, *cest), findings)
    mts = _unique(find_mts(pairs, findings=findings, b1=b1), (*pcbssfp, *cest, *mtr), findings)
    mts = _with_known_b1(mts, cest, findings)
    pcbssfp, cest = _with_sound_names(pcbssfp, findings), _with_sound_names(cest, findings)
    mtr, mts = _with_sound_names(mtr, findings), _with_sound_names(mts, findings)
    return SessionPlan(
        subject=subject,
        session=session,
        pcbssfp=pcbssfp,
        cest=cest,
        mtr=mtr,
        mts=mts,
        b1=tuple(b1.runs),
        files=replace(files, passed_over=frozenset(passed_over)),
        refusals=tuple(findings.refusals),
        notes=tuple(findings.notes),
    )


def _session_of(path: Path) -> str | None:
    return parse_name(path).entities.get("ses")


def _sampling_offsets(series: Sequence[Series], findings: Findings) -> list[Series]:
    found = []
    for each in series:
        try:
            if samples_offsets(each, root=findings.root):
                found.append(each)
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=each.sidecar.file))
    return found


def _unique(runs: Sequence[RunType], others: Sequence[Run], findings: Findings) -> tuple[RunType, ...]:
    """Return the runs whose derivatives have names of their own; the others are refused."""
    kept: list[RunType] = []
    for run in runs:
        try:
            check_unique(run, (*others, *kept))
            kept.append(run)
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=run.label))
    return tuple(kept)


def _with_sound_names(runs: Sequence[RunType], findings: Findings) -> tuple[RunType, ...]:
    """Return the runs whose labels names of maps can hold; the others are refused."""
    kept: list[RunType] = []
    for run in runs:
        faults = [bad_label(path, shown=relative_name(path, findings.root)) for path in run.paths]
        fault = next((each for each in faults if each is not None), None)
        if fault is None:
            kept.append(run)
        else:
            findings.refusals.append(fault)
    return tuple(kept)


B1User = TypeVar("B1User", PcBssfpRun, MtsRun)


def _with_known_b1(runs: Sequence[B1User], cest: Sequence[CestRun], findings: Findings) -> tuple[B1User, ...]:
    """Return the runs whose B1 comes from a scan or from a CEST run that is processed; the others are refused."""
    there = {run.label for run in cest}
    kept: list[B1User] = []
    for run in runs:
        if run.b1 is None or run.b1.run is None or run.b1.run in there:
            kept.append(run)
            continue
        advice = f"Mend {run.b1.run} first, add a B1 scan, or run with --no-b1."
        refused = refuse(
            file=run.label, key="B1 map", expected=f"B1 of {run.b1.run}", found="that run was refused", advice=advice
        )
        findings.refusals.append(refused.refusal)
    return tuple(kept)
