"""Which B1 scans and field maps are runs of their own: those that no run of their session takes, or could take.

A B1 scan is one where no run of its session takes a B1 map. A field map is one where its session has no other run at all, no
scan in `func`, `dwi` or `perf`, and its `IntendedFor` names no image that is there: field maps are made for those. Neither
is one where a run of the session was refused, which may be the one that takes it: then that is mended first; nor where a filter
leaves out all scans of some other kind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qmri_bids.bids.images import stored_shape
from qmri_bids.bids.index import bad_label
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import Sidecar, texts
from qmri_bids.bids.refusal import Refusal, RefusedError, ValueSource, refusal_of, refuse, relative_name
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import B1Run, Fieldmap
from qmri_bids.scans.b1.find import OWN_ENTITIES
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import SUFFIX, read_fieldmap, read_phase_map
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun, FieldRun
from qmri_bids.scans.find_options import FindOptions, SessionFiles
from qmri_bids.scans.findings import Findings, check_unique, in_order, run_is_wanted
from qmri_bids.units import seconds_to_milliseconds


@dataclass(frozen=True, kw_only=True)
class FoundFields:
    """B1 scans and field maps that are runs of their own, and what was wrong with others or left alone."""

    b1: tuple[B1ScanRun, ...]
    b0: tuple[B0ScanRun, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...]


def find_fields(
    files: SessionFiles, *, subject: str, runs: Sequence[Run], refusals: Sequence[Refusal], options: FindOptions
) -> FoundFields:
    """Find the B1 scans and field maps that are runs of their own.

    Parameters
    ----------
    files
        Images of B1 scans and field maps.
    subject
        Label without `sub-`.
    runs, refusals
        All other runs that are processed, and what was refused.
    options
        What the user asked for.
    """
    sessions = dict.fromkeys(parse_name(path).entities.get("ses") for path in (*files.b1, *files.fieldmaps))
    b1: list[B1ScanRun] = []
    b0: list[B0ScanRun] = []
    found = Findings(root=files.root, options=options)
    for session in sessions:
        if _is_refused(session, refusals) or session in files.passed_over:
            continue
        others = [run for run in runs if run.entities.get("ses") == session]
        here = _Session(files, subject=subject, session=session, others=others, findings=found)
        b1 += here.b1_runs()
        b0 += here.b0_runs()
    return FoundFields(b1=tuple(b1), b0=tuple(b0), refusals=tuple(found.refusals), notes=tuple(found.notes))


def _is_refused(session: str | None, refusals: Sequence[Refusal]) -> bool:
    """Whether something of a session was refused."""
    named = [_SESSION.findall(refusal.file) for refusal in refusals]
    return any(session in labels if labels else True for labels in named)


class _Session:
    """The scans of fields of one session, and the runs beside them."""

    def __init__(
        self, files: SessionFiles, *, subject: str, session: str | None, others: Sequence[Run], findings: Findings
    ) -> None:
        self.files, self.subject, self.session, self.others = files, subject, session, others
        self.findings, self.options = findings, findings.options

    def b1_runs(self) -> list[B1ScanRun]:
        """Return the B1 scans where no run takes a B1 map."""
        if any(_takes_b1(run) for run in self.others):
            return []
        paths = self._wanted(self.files.b1)
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
        for path in self._wanted(self.files.fieldmaps):
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
        targets = texts(self.findings.sidecar(path), "IntendedFor")
        intended = [target for target in targets if _is_there(target, subject=self.subject, root=root)]
        if intended or beside:
            whose = f"intended for {', '.join(intended)}" if intended else f"beside scans in {', '.join(beside)}"
            self.findings.notes.append(f"{relative_name(path, root)}: a field map {whose}; it is left to those.")
            return None
        is_map = parse_name(path).suffix == SUFFIX
        read = read_fieldmap if is_map else read_phase_map
        scan = read(path, root=root, added=self.options.metadata)
        if scan.magnitude is None:
            raise refuse(
                file=relative_name(path, root),
                key="file",
                expected="a magnitude image beside it on the same grid, which shows where the head is",
                found="none that can be used",
                advice="Add it, or leave the field map out.",
            )
        return _b0_run(scan, self.findings.sidecar(scan.path))

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
    return bool(name) and ((root / name).is_file() or (root / f"sub-{subject}" / name).is_file())


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


def _b0_run(scan: Fieldmap, sidecar: Sidecar) -> B0ScanRun:
    name = parse_name(scan.path)
    if scan.echo_times is None:
        value = ValueSource(
            key="b0_scale",
            value=f"{scan.hertz:.6g}",
            unit="Hz per stored value",
            source=f"{sidecar.source('Units')}",
        )
    else:
        key = "EchoTime" if scan.second is not None else "EchoTime1"
        shown = ", ".join(f"{seconds_to_milliseconds(time):g}" for time in scan.echo_times)
        value = ValueSource(key="b0_echo_times", value=shown, unit="ms", source=f"{sidecar.origin(key)}: {key}")
    return B0ScanRun(
        entities=_named(dict(name.entities), name.suffix),
        suffix=name.suffix,
        grid=_grid_of(scan.path),
        scan=scan,
        sources=(value,),
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
