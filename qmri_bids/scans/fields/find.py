"""Which B1 scans and field maps are runs of their own: those that no run of their session takes, or could take.

A B1 scan is one where no run of its session takes a B1 map. A field map is one where its session has no other run at all, no
scan in `func`, `dwi` or `perf`, and its `IntendedFor` names no image that is there: field maps are made for those. Neither
is one where a run of the session was refused, which may be the one that takes it: then that is mended first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from qmri_bids.bids.images import stored_shape
from qmri_bids.bids.index import bad_label
from qmri_bids.bids.refusal import Refusal, RefusedError, refusal_of, refuse, relative_name
from qmri_bids.bids.sidecar import parse_name, read_sidecar, texts
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import B1Run, Fieldmap
from qmri_bids.scans.b1.find import OWN_ENTITIES
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import SUFFIX, read_fieldmap, read_phase_map
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun, FieldRun
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings, check_unique, in_order, run_is_wanted
from qmri_bids.scans.session_plan import SessionPlan


def with_fields(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan with the B1 scans and field maps that are runs of their own.

    Parameters
    ----------
    plan
        All its other runs are known, and which of them are refused.
    options
        What the user asked for.
    """
    paths = [*plan.files.b1, *plan.files.fieldmaps]
    sessions = dict.fromkeys(parse_name(path).entities.get("ses") for path in paths)
    b1: list[B1ScanRun] = []
    b0: list[B0ScanRun] = []
    refusals: list[Refusal] = []
    notes: list[str] = []
    for session in sessions:
        here = _Session(plan=plan, session=session, options=options)
        if here.is_refused:
            continue
        b1 += here.b1_runs()
        b0 += here.b0_runs()
        refusals += here.findings.refusals
        notes += here.findings.notes
    return replace(
        plan,
        field_b1=tuple(b1),
        field_b0=tuple(b0),
        b1=(*plan.b1, *(run.scan for run in b1 if run.scan not in plan.b1)),
        refusals=tuple(dict.fromkeys([*plan.refusals, *refusals])),
        notes=tuple(dict.fromkeys([*plan.notes, *notes])),
    )


class _Session:
    """The scans of fields of one session, and the runs beside them."""

    def __init__(self, *, plan: SessionPlan, session: str | None, options: FindOptions) -> None:
        self.plan, self.session, self.options = plan, session, options
        self.findings = Findings(root=plan.files.root, options=options)
        self.others: list[Run] = [run for run in plan.runs if run.entities.get("ses") == session]

    @property
    def is_refused(self) -> bool:
        """Whether something of the session was refused."""
        named = [_SESSION.findall(refusal.file) for refusal in self.plan.refusals]
        return any(self.session in labels if labels else self.session is None for labels in named)

    def b1_runs(self) -> list[B1ScanRun]:
        """Return the B1 scans where no run takes a B1 map."""
        if any(_takes_b1(run) for run in self.others):
            return []
        paths = self._wanted(self.plan.files.b1)
        if self.options.no_b1:
            if paths and not self.others:
                names = ", ".join(relative_name(path, self.findings.root) for path in paths)
                self.findings.notes.append(f"{names}: left alone, as asked (--no-b1).")
            return []
        found = Findings(root=self.findings.root, options=self.options)
        scans, _ = SessionB1(paths, findings=found).read(self.session)
        self.findings.notes += found.notes
        if self.others:
            # The other runs can do without it: it costs them nothing.
            self.findings.notes += [str(refusal) for refusal in found.refusals]
        else:
            self.findings.refusals += found.refusals
        return self._sound([_b1_run(scan) for scan in scans])

    def b0_runs(self) -> list[B0ScanRun]:
        """Return the field maps of a session without any other run."""
        if self.others:
            return []
        runs: list[B0ScanRun] = []
        for path in self._wanted(self.plan.files.fieldmaps):
            try:
                run = self._b0_run(path)
            except Exception as error:
                self.findings.refusals.append(refusal_of(error, file=relative_name(path, self.findings.root)))
                continue
            if run is not None:
                runs.append(run)
        return self._sound(runs)

    def _b0_run(self, path: Path) -> B0ScanRun | None:
        """Return the run of a field map, None for one that is left alone."""
        root = self.findings.root
        beside = [name for name in _SERVED if (path.parent.parent / name).is_dir()]
        targets = texts(read_sidecar(path, root=root), "IntendedFor")
        intended = [target for target in targets if _is_there(target, subject=self.plan.subject, root=root)]
        if intended or beside:
            whose = f"intended for {', '.join(intended)}" if intended else f"beside scans in {', '.join(beside)}"
            self.findings.notes.append(f"{relative_name(path, root)}: a field map {whose}; it is left to those.")
            return None
        is_map = parse_name(path).suffix == SUFFIX
        scan = read_fieldmap(path, root=root) if is_map else read_phase_map(path, root=root)
        if scan.magnitude is None:
            raise refuse(
                file=relative_name(path, root),
                key="file",
                expected="a magnitude image beside it on the same grid, which shows where the head is",
                found="none that can be used",
                advice="Add it, or leave the field map out.",
            )
        return _b0_run(scan)

    def _wanted(self, paths: Sequence[Path]) -> list[Path]:
        of_session = [path for path in paths if parse_name(path).entities.get("ses") == self.session]
        return [path for path in of_session if run_is_wanted(path, self.options)]

    def _sound(self, runs: Sequence[_RunType]) -> list[_RunType]:
        """Return the runs whose files have names of their own that BIDS allows; the others are refused."""
        kept: list[_RunType] = []
        for run in runs:
            try:
                check_unique(run, (*self.others, *kept))
                faults = [bad_label(path, shown=relative_name(path, self.findings.root)) for path in run.paths]
                for fault in faults:
                    if fault is not None:
                        raise RefusedError(fault)
                kept.append(run)
            except Exception as error:
                self.findings.refusals.append(refusal_of(error, file=run.label))
        return kept


_RunType = TypeVar("_RunType", bound=FieldRun)

_SESSION = re.compile(r"ses-([0-9a-zA-Z+]+)")
_SERVED = ("func", "dwi", "perf")
"""Folders of scans for which field maps are made."""


def _takes_b1(run: Run) -> bool:
    """Whether a B1 map enters a run, of a scan or of another run."""
    return bool(run.b1_scans) or any("b1" in take.names for take in run.maps_taken)


def _is_there(target: str, *, subject: str, root: Path) -> bool:
    """Whether a file of IntendedFor is in the dataset: a BIDS URI, or a path relative to the subject."""
    name = target.removeprefix("bids::").lstrip("./")
    return (root / name).exists() or (root / f"sub-{subject}" / name).exists()


def _b1_run(scan: B1Run) -> B1ScanRun:
    entities = OWN_ENTITIES.get(scan.method, dict)(dict(scan.entities))
    return B1ScanRun(
        entities=_named(entities, scan.method),
        suffix=scan.method,
        grid=_grid_of(scan.map),
        scan=scan,
        sources=scan.sources,
        warnings=scan.warnings,
    )


def _b0_run(scan: Fieldmap) -> B0ScanRun:
    name = parse_name(scan.path)
    return B0ScanRun(
        entities=_named(dict(name.entities), name.suffix),
        suffix=name.suffix,
        grid=_grid_of(scan.path),
        scan=scan,
        warnings=scan.warnings,
    )


def _named(entities: dict[str, str], suffix: str) -> dict[str, str]:
    """Return entities whose `acq` ends with the suffix of the scan.

    Examples
    --------
    >>> _named({"sub": "01", "acq": "3mm", "run": "1"}, "TB1TFL")
    {'sub': '01', 'acq': '3mmTB1TFL', 'run': '1'}
    """
    return in_order({**entities, "acq": f"{entities.get('acq', '')}{suffix}"})


def _grid_of(path: Path) -> tuple[int, int, int]:
    x, y, z = stored_shape(path)[:3]
    return x, y, z
