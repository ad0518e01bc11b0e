"""The record of a participant: what its report says, without pictures, for programs. The group level reads it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from qmri_bids.bids.files.plain import UnreadableError, read_json
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.refusal import Refusal
from qmri_bids.bids.write import write_json
from qmri_bids.reports.content import (
    Check,
    ErrorEntry,
    Level,
    ProtocolRow,
    QualityRow,
    RunReport,
    StatisticsRow,
    SubjectReport,
)
from qmri_bids.reports.drawing.thumbnail import Thumbnail, thumbnails, voxel_size
from qmri_bids.reports.measures import Measure, without_file

logger = logging.getLogger("qmri_bids")

SCHEMA_VERSION = 1
"""Version of the schema of the records that this program writes and reads."""

DONE, FAILED, REFUSED = "done", "failed", "refused"
"""What can become of a run."""

_Row = TypeVar("_Row")


class RecordError(ValueError):
    """A record that cannot be read: which file, what was expected and what was found."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What became of one run.

    Parameters
    ----------
    session
        Label without `ses-`, empty where there is none.
    run
        The other entities that name it, as BIDS writes them: `acq-pcbssfp_run-1`.
    title
        What was done, `pc-bSSFP relaxometry`; empty for a run that was refused.
    state
        `done`, `failed` or `refused`.
    level
        Level of its report; `check` for a run that was refused.
    messages
        Why it failed or was refused.
    warnings, checks, quality, statistics, measures, outputs
        Sentences, traffic lights, quality, distribution of the maps, further numbers and files written: see `RunReport`.
    version, created, settings
        Version that processed it, date and time of the report in which it stood (ISO 8601), and choices by which its maps may
        differ from others: those of an earlier call where the last one left the run out.
    protocol
        Values of the acquisition by name, with their unit, and the size of the voxels; empty in records of earlier versions.
    protocol_keys
        Keys of these values in the program, by name; empty in records of earlier versions, whose values are told by their names.
    thumbnails
        A small picture of every map; empty in records of earlier versions.
    matched
        Whether it comes from an earlier version that named measures by files: what they are of was told from those names.
    """

    session: str
    run: str
    title: str
    state: str
    level: Level
    messages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    quality: tuple[QualityRow, ...] = ()
    statistics: tuple[StatisticsRow, ...] = ()
    measures: tuple[Measure, ...] = ()
    outputs: tuple[str, ...] = ()
    version: str = ""
    created: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, str] = field(default_factory=dict)
    protocol_keys: Mapping[str, str] = field(default_factory=dict)
    thumbnails: tuple[Thumbnail, ...] = ()
    matched: bool = False

    @property
    def name(self) -> str:
        """Session and entities, `ses-1_acq-pcbssfp_run-1`."""
        return "_".join(filter(None, (f"ses-{self.session}" if self.session else "", self.run)))


@dataclass(frozen=True, kw_only=True)
class ParticipantRecord:
    """What became of a participant.

    Parameters
    ----------
    participant
        Label without `sub-`.
    version, command, created, duration, exit_status
        Version of the program, command line, date and time, time taken [s] and exit status: see `SubjectReport`.
    level
        Level of its report.
    messages
        What failed outside any run.
    runs
        What became of every run, in the order of the report; then those that were refused, and those of earlier calls.
    """

    participant: str
    version: str
    command: str
    created: str
    duration: float | None
    exit_status: int | None
    level: Level
    messages: tuple[str, ...] = ()
    runs: tuple[RunRecord, ...] = ()


OPTIONAL: Mapping[type, tuple[str, ...]] = {
    RunRecord: ("protocol", "protocol_keys", "thumbnails", "matched"),
    Measure: ("about",),
}
"""What records of earlier versions lack."""


def record_path(output_dir: Path, participant: str) -> Path:
    """Return where the record of a participant lies."""
    return output_dir / f"sub-{participant}" / "log" / f"sub-{participant}_record.json"


def write_record(report: SubjectReport, *, output_dir: Path) -> Path:
    """Write the record of a participant, whole or not at all.

    A record tells what the folder holds, and the sessions of a participant may be processed one by one: runs that an earlier
    call processed and this one left out are kept as long as all their files are there, and so is what failed in other sessions.

    Parameters
    ----------
    report
        Its report.
    output_dir
        Root of the derivatives.

    Returns
    -------
    Path
        The file, `sub-<label>/log/sub-<label>_record.json`.
    """
    record = participant_record(report)
    new = tuple(_pictured(run, output_dir=output_dir) for run in record.runs)
    record = replace(record, runs=(*new, *_kept(record, output_dir=output_dir)))
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "program": "qmri_bids"} | asdict(record)
    for run in content["runs"]:
        for measure in [*run["measures"], *(each for check in run["checks"] for each in check["measures"])]:
            # For readers of the file: the name alone states the unit to this program.
            measure["unit"] = Measure(key=measure["key"], value=0.0).unit
    return write_json(record_path(output_dir, report.participant), content)


def participant_record(report: SubjectReport) -> ParticipantRecord:
    """Return what a report says of its participant, without pictures and protocols."""
    return ParticipantRecord(
        participant=report.participant,
        version=report.version,
        command=report.command,
        created=report.created,
        duration=report.duration,
        exit_status=report.exit_status,
        level=report.level,
        messages=_messages(report.errors),
        runs=tuple(
            replace(run, version=report.version, created=report.created, settings=dict(report.settings))
            for run in (*map(_run_record, report.runs), *map(_refused_record, report.refusals))
        ),
    )


def read_record(path: Path) -> ParticipantRecord:
    """Read the record of a participant.

    Raises
    ------
    RecordError
        If it cannot be read, is of another schema, or lacks something.
    """
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise RecordError(f"{path.name}: expected a record in JSON, found: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path.name}: schema_version: expected {SCHEMA_VERSION}, found {version!r}. "
            "Process the participant with this version, or collect the group with that which wrote it."
        )
    try:
        return _participant(content)
    except KeyError as error:
        raise RecordError(
            f"{path.name}: expected the key {error}, found none. Process the participant again."
        ) from error
    except (TypeError, ValueError) as error:
        raise RecordError(f"{path.name}: {error}. Process the participant again.") from error


def _kept(record: ParticipantRecord, *, output_dir: Path) -> tuple[RunRecord, ...]:
    """Return the runs of earlier calls that hold beside a new record.

    Those are the runs done of which it says nothing and whose files are there, and of sessions of which it says nothing those
    that failed or were refused, too.
    """
    path = record_path(output_dir, record.participant)
    if not path.is_file():
        return ()
    try:
        earlier = read_record(path)
    except RecordError as error:
        logger.warning("sub-%s: what it says of earlier calls is lost: %s", record.participant, error)
        return ()
    sessions, new = {run.session for run in record.runs}, {(run.name, run.title) for run in record.runs}

    def holds(run: RunRecord) -> bool:
        if run.state != DONE:
            return run.session not in sessions
        there = bool(run.outputs) and all((output_dir / name).is_file() for name in run.outputs)
        return there and (run.name, run.title) not in new

    return tuple(run for run in earlier.runs if holds(run))


def _run_record(run: RunReport) -> RunRecord:
    return RunRecord(
        session=run.session,
        run=_label(run.entities),
        title=run.title,
        state=FAILED if run.errors else DONE,
        level=run.level,
        messages=_messages(run.errors),
        warnings=run.warnings,
        checks=run.checks,
        quality=run.quality,
        statistics=run.statistics,
        measures=run.measures,
        outputs=run.outputs,
        protocol=_protocol(run.protocol),
        protocol_keys={row.key: row.parameter for row in run.protocol if row.parameter},
    )


def _protocol(rows: Sequence[ProtocolRow]) -> dict[str, str]:
    """Return values of the acquisition by name; of a fingerprint, the same values of its series one after the other."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(f"{row.value} {row.unit}".rstrip())
    return {key: "; ".join(values) for key, values in found.items()}


def _pictured(run: RunRecord, *, output_dir: Path) -> RunRecord:
    """Return a run with a small picture of each of its maps and the size of their voxels."""
    paths = [output_dir / name for name in run.outputs]
    try:
        pictures = tuple(thumbnails(paths))
        size = voxel_size(paths)
    except Exception as error:  # whatever a file holds costs its pictures, not the record of all that was computed
        logger.warning("%s: the pages of the group will show no maps of it: %s", run.name, error)
        return run
    return replace(run, thumbnails=pictures, protocol={**run.protocol, **({"voxel_size": size} if size else {})})


def _refused_record(refusal: Refusal | str) -> RunRecord:
    """Return the record of a run that was refused; its name is that of the file at fault, where it is known."""
    name = parse_name(Path(refusal.file)) if isinstance(refusal, Refusal) else None
    label = "" if name is None else "_".join(filter(None, (_label(name.entities), name.suffix)))
    return RunRecord(
        session="" if name is None else name.entities.get("ses", ""),
        run=label,
        title="",
        state=REFUSED,
        level=Level.CHECK,
        messages=(str(refusal),),
    )


def _label(entities: Mapping[str, str]) -> str:
    return "_".join(f"{key}-{value}" for key, value in entities.items() if key not in ("sub", "ses", "session"))


def _messages(errors: tuple[ErrorEntry, ...]) -> tuple[str, ...]:
    return tuple(f"{error.title}: {error.message} {error.advice}".rstrip() for error in errors)


def _participant(content: Mapping[str, Any]) -> ParticipantRecord:
    return _row(
        ParticipantRecord,
        content,
        level=Level,
        messages=_texts,
        runs=lambda rows: tuple(_run(row) for row in _list(rows)),
    )


def _run(content: Mapping[str, Any]) -> RunRecord:
    run = _row(
        RunRecord,
        content,
        state=_state,
        level=Level,
        messages=_texts,
        warnings=_texts,
        checks=lambda rows: tuple(_row(Check, row, level=Level, measures=_measures) for row in _list(rows)),
        quality=lambda rows: tuple(_row(QualityRow, row) for row in _list(rows)),
        statistics=lambda rows: tuple(_row(StatisticsRow, row) for row in _list(rows)),
        measures=_measures,
        outputs=_texts,
        thumbnails=lambda rows: tuple(_row(Thumbnail, row) for row in _list(rows)),
        matched=bool,
    )
    stated = [*content["measures"], *(each for check in content["checks"] for each in check["measures"])]
    found = (*run.measures, *(each for check in run.checks for each in check.measures))
    return replace(run, matched=True) if any(each.about for each in found) and "about" not in stated[0] else run


def _measures(rows: list[Mapping[str, Any]]) -> tuple[Measure, ...]:
    """Return measures; those of earlier versions, which say nothing of files apart, without the files in their names."""
    read = (_row(Measure, row) for row in _list(rows))
    return tuple(found if found.about else without_file(found) for found in read)


def _row(kind: type[_Row], content: Mapping[str, Any], **readers: Callable[[Any], Any]) -> _Row:
    """Return a row of its kind from an object of JSON; keys that the kind has not are left alone."""
    if not isinstance(content, dict):
        raise TypeError(f"expected an object for {kind.__name__}, found {content!r:.60}")
    values: dict[str, Any] = {}
    for name, hint in _hints(kind).items():  # type: ignore[arg-type]
        if name not in content and name in OPTIONAL.get(kind, ()):
            continue
        value = content[name]
        if name in readers:
            values[name] = readers[name](value)
        elif type(value) is float and hint is float and abs(value) <= LARGEST_NUMBER:
            values[name] = value  # most values of a record, which need no words
        else:
            values[name] = _typed(value, hint, name=f"{kind.__name__}: {name}")
    return kind(**values)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    """Return the types of the fields of a kind of row, in their order."""
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


LARGEST_NUMBER = 1e15
"""No quantity of a record comes near it in its unit, and pictures of larger ones cannot be drawn."""


def _typed(value: Any, hint: Any, *, name: str) -> Any:
    """Return a value of JSON as a field of a row holds it: null is a number that could not be told.

    Raises
    ------
    TypeError
        If it is of another type.
    """
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER
    if value is None and type(None) in kinds:
        return None
    if float in kinds and (is_number or value is None):
        return float("nan") if value is None else float(value)
    if int in kinds and is_number and value == int(value):
        return int(value)
    if str in kinds and isinstance(value, str):
        return sys.intern(value)  # thousands of records say the same
    texts = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if get_origin(hint) is Mapping and texts:
        return value
    words = {str: "text", float: "a number", int: "a whole number"}
    expected = next((words[kind] for kind in kinds if kind in words), "an object of texts")
    raise TypeError(f"{name}: expected {expected}, found {value!r:.60}")


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"expected a list of texts, found {value!r:.60}")
    return tuple(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r:.60}")
    return value


def _state(value: Any) -> str:
    if value not in (DONE, FAILED, REFUSED):
        raise ValueError(f"state: expected {DONE}, {FAILED} or {REFUSED}, found {value!r:.60}")
    return str(value)
