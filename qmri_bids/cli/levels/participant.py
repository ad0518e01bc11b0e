"""Participants: their runs processed, their reports written."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import logging
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO

from qmri_bids import __version__
from qmri_bids.bids.digests import Digests, write_inputs
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.refusal import Refusal
from qmri_bids.cli.failures import describe_failure
from qmri_bids.cli.kept_options import forget_other_options, keep_options
from qmri_bids.cli.parsing.table import compared_settings, settings_of
from qmri_bids.cli.plugin_file import load_plugin
from qmri_bids.engine.execution import EngineOptions
from qmri_bids.engine.graph import DRAWER, write_graph
from qmri_bids.engine.steps import Listener
from qmri_bids.pipeline.earlier.plan import earlier_sentences
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.reports.content import ErrorEntry, RunReport, SubjectReport
from qmri_bids.reports.methods import methods_text
from qmri_bids.reports.record import record_path, write_record
from qmri_bids.reports.render import write_report
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.sentence import Sentence
from qmri_bids.system.private_files import UntrustedError, check_private, make_private, open_lock
from qmri_bids.system.temporaries import remove_abandoned
from qmri_bids.workflows.base import (
    NAME,
    ParticipantRuns,
    Run,
    RunOutcome,
    kept_outcomes,
    memory_sentence,
    planned_workflow,
    process_runs,
)
from qmri_bids.workflows.methods import method_sentences
from qmri_bids.workflows.run_reports import SOFTWARE

logger = logging.getLogger("qmri_bids")


@dataclass(frozen=True, kw_only=True)
class WorkFolder:
    """The work folder of a participant, while this call has it.

    Parameters
    ----------
    path
        The folder.
    lock
        File that is locked until it is closed.
    """

    path: Path
    lock: IO[str]

    def empty(self, *others: Path) -> None:
        """Remove all that is kept in it and in other folders of the participant."""
        for folder in (self.path, *others):
            shutil.rmtree(folder, ignore_errors=True)

    def release(self) -> None:
        """Let other calls have it."""
        self.lock.close()


def take_work_folder(work_dir: Path, *, subject: str) -> WorkFolder:
    """Return the work folder of a participant and keep other calls out of it.

    Parameters
    ----------
    work_dir
        Work folder of the call.
    subject
        Label without `sub-`.

    Raises
    ------
    BidsInputError
        If another call is at work in it, or others may write to it.
    """
    # Results of another version are not taken up.
    path = work_dir / f"qmri_bids-{__version__}" / f"sub-{subject}"
    try:
        for folder in (path.parent, path.parent / NAME):
            make_private(folder)
        if path.exists():
            check_private(path)
        lock = open_lock(path.with_name(f".{path.name}.lock"))
    except UntrustedError as error:
        raise BidsInputError(str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BidsInputError(
            f"another call of qmri_bids is at work in {path}; wait for it, or give this one another --work-dir"
        ) from None
    except OSError as error:
        logger.warning("The work folder %s cannot be locked (%s): do not start a second call on it", path, error)
    return WorkFolder(path=path, lock=lock)


@dataclass(frozen=True, kw_only=True)
class ParticipantResult:
    """How a participant ended.

    Parameters
    ----------
    subject
        Label without `sub-`.
    outcomes
        Outcome of every run that was processed.
    refusals
        Refusal of every run that was not processed.
    report
        The report.
    methods
        Sentences of the methods for the runs that were processed.
    problem
        Why the report could not be written; empty where it was.
    """

    subject: str
    outcomes: tuple[RunOutcome, ...]
    refusals: tuple[Refusal, ...]
    report: Path
    methods: tuple[Sentence, ...] = ()
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether a run that was processed has no result, or the participant no report."""
        return bool(self.problem) or any(outcome.report is None for outcome in self.outcomes)


def process_participants(
    plans: Sequence[SessionPlan],
    *,
    options: argparse.Namespace,
    decisions: tuple[str, ...],
    listener: Listener | None = None,
) -> list[ParticipantResult]:
    """Process the runs of all participants and write the report of each as soon as it is done.

    Parameters
    ----------
    plans
        What was found in each session of each participant.
    options
        The command line.
    decisions
        Sentences that hold for the whole call.
    listener
        Shows the progress; lines of the log by default.

    Raises
    ------
    BidsInputError
        If another call is at work on one of them; nothing was computed then.
    """
    subjects = dict.fromkeys(plan.subject for plan in plans)
    with contextlib.ExitStack() as held:
        works = [
            _Participant(
                subject,
                tuple(plan for plan in plans if plan.subject == subject),
                options=options,
                decisions=decisions,
                held=held,
            )
            for subject in subjects
        ]
        by_subject = {work.subject: work for work in works}
        if options.reports_only:
            return [work.finish(kept_outcomes(work.runs)) for work in works]
        for work in works:
            work.begin()
        if options.write_graph:
            for work in works:
                work.write_graph()
        outcomes = process_runs(
            [work.runs for work in works if work.runs.runs],
            bids_dir=options.bids_dir,
            output_dir=options.output_dir,
            engine=engine_options(options),
            listener=listener,
            when_done=lambda runs, ended: by_subject[runs.subject].finish(ended),
            usage_table=options.usage_table,
        )
        return [work.finish(outcomes.get(work.subject, ())) for work in works]


class _Participant:
    """What is known of a participant until its report is written."""

    def __init__(
        self,
        subject: str,
        plans: tuple[SessionPlan, ...],
        *,
        options: argparse.Namespace,
        decisions: tuple[str, ...],
        held: contextlib.ExitStack,
    ) -> None:
        self.subject, self._plans, self._options, self._decisions = subject, plans, options, decisions
        self._started = time.monotonic()
        work = take_work_folder(options.work_dir, subject=subject)
        held.callback(work.release)
        self._result: ParticipantResult | None = None
        self.runs = ParticipantRuns(
            subject=subject,
            runs=tuple(run for plan in plans for run in plan.runs),
            options=processing_options(options, subject=subject, cache=work.path / "spaces"),
            work_dir=work.path,
            crash_dir=self._log_dir,
            digests=Digests(work.path / "digests.json"),
        )
        if options.clean_workdir:
            work.empty(self.runs.nodes_dir)
        subject_dir = options.output_dir / f"sub-{subject}"
        folders = [
            options.output_dir,
            options.output_dir / "logs",
            *(each for each in subject_dir.rglob("*") if each.is_dir()),
        ]
        for path in remove_abandoned([*folders, subject_dir]):
            logger.info("%s, which an earlier call was writing when it was killed, was removed", path)

    def begin(self) -> None:
        """Forget by which other options earlier calls processed the runs, since this one processes them."""
        labels = (run.label for run in self.runs.runs)
        forget_other_options(self.runs.work_dir, labels, configuration=self._options.configuration)

    def write_graph(self) -> None:
        """Write the graph of the steps of the participant."""
        options = self._options
        if not self.runs.runs:
            return
        workflow, _ = planned_workflow(
            self.runs,
            self.runs.runs,
            bids_dir=options.bids_dir,
            output_dir=options.output_dir,
            low_mem=options.low_mem,
        )
        written = write_graph(workflow, self._log_dir / f"sub-{self.subject}_graph.dot")
        undrawn = "" if len(written) > 1 else f" (not drawn: the program {DRAWER} of Graphviz is not installed)"
        logger.info("sub-%s: the graph of the steps: %s%s", self.subject, written[-1], undrawn)

    @property
    def _log_dir(self) -> Path:
        return self._options.output_dir / f"sub-{self.subject}" / "log"

    def finish(self, outcomes: tuple[RunOutcome, ...]) -> ParticipantResult:
        """Write the report, once, and return how the participant ended."""
        if self._result is None:
            try:
                self._result = self._write(
                    tuple(checked_outcome(outcome, output_dir=self._options.output_dir) for outcome in outcomes)
                )
            except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
                # What is in the way lies in the folder of this participant; a full disk would stop the others, too.
                self._result = ParticipantResult(
                    subject=self.subject,
                    outcomes=outcomes,
                    refusals=tuple(refusal for plan in self._plans for refusal in plan.refusals),
                    report=self._options.output_dir / f"sub-{self.subject}.html",
                    problem=describe_failure(error, output_dir=None, command=self._options.command),
                )
                logger.error("sub-%s: the report was not written: %s", self.subject, self._result.problem)
                return self._result
            logger.info(
                "sub-%s: report %s (%.0f s)", self.subject, self._result.report, time.monotonic() - self._started
            )
        return self._result

    def _write(self, outcomes: tuple[RunOutcome, ...]) -> ParticipantResult:
        options, plans = self._options, self._plans
        refusals = tuple(refusal for plan in plans for refusal in plan.refusals)
        _log_decisions(outcomes)
        processed = [outcome.run for outcome in outcomes if outcome.report is not None]
        if not options.reports_only:
            for run in processed:
                keep_options(self.runs.work_dir, run.label, configuration=options.configuration)
        methods = method_sentences(processed, self.runs.options)
        text, references = methods_text(methods)
        failed = any(outcome.report is None for outcome in outcomes)
        report = SubjectReport(
            participant=self.subject,
            version=__version__,
            command=options.command,
            created=_now(),
            software={"Python": platform.python_version()} | {name: version(name) for name in SOFTWARE},
            runs=tuple(_run_report(outcome) for outcome in outcomes),
            refusals=refusals,
            decisions=(
                *self._decisions,
                *earlier_sentences(options.earlier_fits, prefix=f"sub-{self.subject}_"),
                *_earlier_maps(self.subject, self.runs.runs, refusals, options),
                *(note for plan in plans for note in plan.notes),
            ),
            methods=text,
            references=references,
            bids_dir=options.bids_dir.name,
            output_dir=options.output_dir.name,
            duration=time.monotonic() - self._started,
            exit_status=1 if failed or refusals else 0,
            settings=compared_settings(self.runs.options),
        )
        if self.runs.digests.used:
            write_inputs(
                self.runs.digests, self._log_dir / f"sub-{self.subject}_inputs.json", bids_dir=options.bids_dir
            )
        path = write_report(report, options.output_dir / f"sub-{self.subject}.html")
        write_record(report, output_dir=options.output_dir)
        return ParticipantResult(
            subject=self.subject, outcomes=outcomes, refusals=refusals, report=path, methods=tuple(methods)
        )


def checked_outcome(outcome: RunOutcome, *, output_dir: Path) -> RunOutcome:
    """Return how a run ended: failed, where files that it wrote are gone before the call is over.

    Parameters
    ----------
    outcome
        As its workflow ended.
    output_dir
        Root of the derivatives.
    """
    if outcome.report is None:
        return outcome
    expected = ("dataset_description.json", *outcome.report.outputs)
    gone = [name for name in expected if not (output_dir / name).exists()]
    if not gone:
        return outcome
    error = ErrorEntry(
        title="Files are gone",
        message=f"{len(gone)} of {len(expected)} files that were written are not there any more, {gone[0]} among them: "
        f"{output_dir} was deleted or cleared while the call went on.",
        advice="Run the same command again: what the work folder has kept is not computed anew.",
    )
    logger.error("%s: %s %s", outcome.run.label, error.message, error.advice)
    return RunOutcome(run=outcome.run, report=None, errors=(error,), partial=outcome.report)


def record_nothing(subject: str, *, options: argparse.Namespace) -> None:
    """Record that a participant has no run, unless an earlier call has recorded any.

    Parameters
    ----------
    subject
        Label without `sub-`.
    options
        The command line.
    """
    if record_path(options.output_dir, subject).is_file():
        return
    report = SubjectReport(
        participant=subject, version=__version__, command=options.command, created=_now(), exit_status=0
    )
    write_record(report, output_dir=options.output_dir)


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def processing_options(options: argparse.Namespace, *, subject: str, cache: Path) -> ProcessingOptions:
    """Return the choices of the command line that change the maps of a participant.

    Parameters
    ----------
    options
        The command line.
    subject
        Label without `sub-`.
    cache
        Folder that keeps transforms to templates.
    """
    return ProcessingOptions(
        **settings_of(options, of="processing"),
        spaces=replace(options.spaces[subject], cache=cache),
        earlier_fits=options.earlier_fits,
    )


def memory_lines(plans: Sequence[SessionPlan], *, options: argparse.Namespace) -> list[str]:
    """Return what the largest step of each participant would need.

    Parameters
    ----------
    plans
        What was found in each session of each participant.
    options
        The command line.
    """
    lines = []
    for subject in dict.fromkeys(plan.subject for plan in plans if plan.runs):
        work_dir = options.work_dir / f"sub-{subject}"
        group = ParticipantRuns(
            subject=subject,
            runs=tuple(run for plan in plans if plan.subject == subject for run in plan.runs),
            options=processing_options(options, subject=subject, cache=work_dir),
            work_dir=work_dir,
            crash_dir=work_dir,
            digests=Digests(None),
        )
        _, resources = planned_workflow(
            group, group.runs, bids_dir=options.bids_dir, output_dir=options.output_dir, low_mem=options.low_mem
        )
        lines.append(memory_sentence(subject, resources))
    return lines


def engine_options(options: argparse.Namespace) -> EngineOptions:
    """Return where the steps run, by the command line."""
    plugin, arguments = (None, {}) if options.use_plugin is None else load_plugin(options.use_plugin)
    return EngineOptions(
        **settings_of(options, of="engine"),
        plugin=plugin,
        plugin_arguments=arguments,
    )


def _earlier_maps(
    subject: str, runs: tuple[Run, ...], refusals: tuple[Refusal, ...], options: argparse.Namespace
) -> tuple[str, ...]:
    """Say that maps of an earlier call are still there where no run of this call wrote any."""
    if runs or not refusals or not any((options.output_dir / f"sub-{subject}").rglob("*map.nii.gz")):
        return ()
    return (f"Maps in sub-{subject} are those of an earlier call: this one processed no run of this participant.",)


def _log_decisions(outcomes: tuple[RunOutcome, ...]) -> None:
    for outcome in outcomes:
        report = outcome.report or outcome.partial
        if report is None:
            continue
        for sentence in report.decisions:
            logger.info("%s: %s", outcome.run.label, sentence)
        for sentence in report.warnings:
            logger.warning("%s: %s", outcome.run.label, sentence)


def _run_report(outcome: RunOutcome) -> RunReport:
    if outcome.report is not None:
        return outcome.report
    if outcome.partial is not None:
        return replace(outcome.partial, errors=outcome.errors)
    return RunReport(
        title=outcome.run.title,
        session=outcome.run.entities.get("ses", ""),
        entities={key: value for key, value in outcome.run.entities.items() if key not in ("sub", "ses")},
        errors=outcome.errors,
    )
