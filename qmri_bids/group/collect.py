"""What became of every participant of a dataset, from their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qmri_bids.reports.content import Level
from qmri_bids.reports.record import (
    DONE,
    FAILED,
    REFUSED,
    ParticipantRecord,
    RecordError,
    RunRecord,
    read_record,
    record_path,
)
from qmri_bids.reports.render import anchor_of_run

MISSING, EMPTY, UNREADABLE = "not processed", "nothing to process", "unreadable record"
"""What can become of a participant beside the states of its runs."""

STATES: dict[str, str] = {
    DONE: "The run was processed",
    FAILED: "The processing of the run, or of the whole participant, failed",
    REFUSED: "The run was found but not processed, since something about its files is wrong",
    MISSING: "The participant is in the dataset, and there is no record of any of its runs",
    EMPTY: "The participant has no scan that this program processes",
    UNREADABLE: "There is a record of the participant, and it cannot be read",
}
"""What every state means."""


@dataclass(frozen=True, kw_only=True)
class GroupRun:
    """What became of one run of one participant, or of a participant without runs.

    Parameters
    ----------
    participant
        Label without `sub-`.
    state
        A name in `STATES`.
    record
        What its record says; None for a participant without runs.
    message
        Why it failed, was refused or needs a look, on one line.
    report
        Report of the participant, relative to the folder of the derivatives; empty where there is none.
    anchor
        Part of the report in which the run stands; empty where it has none.
    version, created
        Version that processed it, and when (ISO 8601); empty where that is not known.
    tables
        Its tables of the regions of atlases, relative to the folder of the derivatives.
    """

    participant: str
    state: str
    record: RunRecord | None = None
    message: str = ""
    report: str = ""
    anchor: str = ""
    version: str = ""
    created: str = ""
    tables: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Participant, session and repetition: which of the points of a measure it is."""
        repetition = next((part for part in self.run.split("_") if part.startswith("run-")), "")
        session = f"ses-{self.session}" if self.session else ""
        return " ".join(filter(None, (f"sub-{self.participant}", session, repetition)))

    @property
    def link(self) -> str:
        """Where the run is reported; empty where there is no report."""
        return f"{self.report}#{self.anchor}" if self.report and self.anchor else self.report

    @property
    def session(self) -> str:
        """Label of the session without `ses-`, empty where there is none."""
        return self.record.session if self.record else ""

    @property
    def run(self) -> str:
        """Entities that name the run."""
        return self.record.run if self.record else ""

    @property
    def kind(self) -> str:
        """What was done, in words."""
        return self.record.title if self.record else ""

    @property
    def level(self) -> Level | None:
        """The worst light of the run, None for a participant without runs."""
        return self.record.level if self.record else None

    @property
    def series(self) -> str:
        """Entities that name the scan, without its repetition: what is compared between participants."""
        return "_".join(part for part in self.run.split("_") if not part.startswith("run-"))


@dataclass(frozen=True, kw_only=True)
class Group:
    """All participants of a dataset and what became of their runs.

    Parameters
    ----------
    participants
        Labels without `sub-`, sorted.
    runs
        Every run, and every participant without one.
    sentences
        What a reader must know of the group as a whole.
    """

    participants: tuple[str, ...]
    runs: tuple[GroupRun, ...]
    sentences: tuple[str, ...] = ()

    @property
    def done(self) -> tuple[GroupRun, ...]:
        """The runs that were processed."""
        return tuple(run for run in self.runs if run.state == DONE)

    @property
    def amiss(self) -> tuple[GroupRun, ...]:
        """The runs without a result, and the participants without runs."""
        return tuple(run for run in self.runs if run.state != DONE)

    @property
    def complete(self) -> bool:
        """Whether there is a result of all that could be processed."""
        return all(run.state in (DONE, EMPTY) for run in self.runs)

    @property
    def recorded(self) -> tuple[str, ...]:
        """The participants that have a record, be it one that cannot be read."""
        return tuple(dict.fromkeys(run.participant for run in self.runs if run.created or run.state == UNREADABLE))


def collect_group(output_dir: Path, *, participants: Sequence[str], only: bool = False) -> Group:
    """Return what became of every participant.

    Records are whole files or none: participants that are processed meanwhile are taken as they are found.

    Parameters
    ----------
    output_dir
        Root of the derivatives.
    participants
        Labels of the dataset without `sub-`.
    only
        Leave out records of participants that are not among them; otherwise they are taken, and named.
    """
    strangers = [] if only else sorted(_recorded(output_dir) - set(participants))
    labels = sorted({*participants, *strangers})
    runs: list[GroupRun] = []
    for label in labels:
        report = f"sub-{label}.html"
        shown = report if (output_dir / report).is_file() else ""
        path = record_path(output_dir, label)
        if not path.is_file():
            runs.append(
                GroupRun(
                    participant=label,
                    state=MISSING,
                    report=shown,
                    message="There is no record: not processed yet, or still at work.",
                )
            )
            continue
        try:
            runs += tuple(_runs(label, _record(path, label), report=shown))
        except Exception as error:  # whatever a record holds costs its participant, not the page of all
            known = isinstance(error, RecordError)
            message = (
                str(error) if known else f"{path.name}: {type(error).__name__}: {error}. Process the participant again."
            )
            runs.append(GroupRun(participant=label, state=UNREADABLE, message=_one_line(message), report=shown))
    sentences = [*_versions(runs), *_settings(runs), *_earlier(runs)]
    if strangers:
        sentences.append(f"Not in the dataset, but processed at some time, and counted here: {_named(strangers)}.")
    return Group(participants=tuple(labels), runs=tuple(runs), sentences=tuple(sentences))


def _recorded(output_dir: Path) -> set[str]:
    """Return the labels of all participants that have a record."""
    folders = (path.parent.parent for path in output_dir.glob("sub-*/log/sub-*_record.json"))
    return {
        folder.name.removeprefix("sub-")
        for folder in folders
        if record_path(output_dir, folder.name.removeprefix("sub-")).is_file()
    }


def _record(path: Path, label: str) -> ParticipantRecord:
    record = read_record(path)
    if record.participant != label:
        raise RecordError(
            f"{path.name}: participant: expected {label!r}, found {record.participant!r}. Process the participant again."
        )
    return record


def _runs(label: str, record: ParticipantRecord, *, report: str) -> Iterator[GroupRun]:
    """Return what became of the runs of a participant."""
    of_participant = partial(GroupRun, participant=label, report=report, version=record.version, created=record.created)
    if record.messages:
        yield of_participant(state=FAILED, message=_one_line(" ".join(record.messages)))
    for number, run in enumerate(record.runs, start=1):
        last = run.created == record.created
        reported = run.state != REFUSED and last
        said = " ".join(run.messages) or _doubts(run)
        yield of_participant(
            state=run.state,
            record=_kept(run),
            tables=tuple(name for name in run.outputs if name.endswith("_stats.tsv")),
            message=_one_line(said if last else f"Of an earlier call, which the report does not show. {said}"),
            version=run.version,
            created=run.created,
            anchor=anchor_of_run(number, run.name) if reported else "",
        )
    if not record.runs and not record.messages:
        yield of_participant(state=EMPTY, message="No pc-bSSFP, CEST or MT run was found.")


def _kept(run: RunRecord) -> RunRecord:
    """Return what of a run is kept in memory: of thousands of participants, names of files would be most of it."""
    maps = () if run.thumbnails else tuple(name for name in run.outputs if name.endswith("map.nii.gz"))
    return replace(run, outputs=maps)


def _doubts(run: RunRecord) -> str:
    """Return why a run that was processed needs a look."""
    checks = [f"{check.name}: {check.value}." for check in run.checks if check.level in (Level.CHECK, Level.BAD)]
    return " ".join([*checks, *run.warnings])


def _versions(runs: Sequence[GroupRun]) -> Iterator[str]:
    found = [(run.version, run.participant) for run in runs if run.version]
    if len(dict(found)) > 1:
        listed = _participants_by_value(found)
        yield f"The runs were processed by different versions of qmri_bids, which may differ in their maps. {listed}."


def _settings(runs: Sequence[GroupRun]) -> Iterator[str]:
    """Say which choices were not those of all runs that were processed."""
    found: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        if run.record is not None and run.state == DONE:
            for name, value in run.record.settings.items():
                found.setdefault(name, []).append((value, run.participant))
    for name, values in found.items():
        if len(dict(values)) > 1:
            yield f"The runs were processed with different settings: {name} {_participants_by_value(values)}."


def _earlier(runs: Sequence[GroupRun]) -> Iterator[str]:
    """Say whose records come from a version that named measures by files."""
    named = [run.participant for run in runs if run.record is not None and run.record.matched]
    if named:
        yield (
            f"Records of an earlier version ({_named(list(dict.fromkeys(named)))}) name measures of a registration by the file: "
            "they were counted under what was registered, told by the end of the file's name."
        )


def _participants_by_value(found: Sequence[tuple[str, str]]) -> str:
    """Return values, each with the participants that have it."""
    by_value: dict[str, dict[str, None]] = {}
    for value, participant in found:
        by_value.setdefault(value, {})[participant] = None
    return "; ".join(f"{value}: {_named(list(labels))}" for value, labels in sorted(by_value.items()))


def _named(labels: Sequence[str]) -> str:
    """Return participants by name, the first ten of many."""
    shown = ", ".join(f"sub-{label}" for label in labels[:10])
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more"


def _one_line(text: str) -> str:
    return " ".join(text.split())
