"""Running the workflows of participants with one call of the engine, and what happens when a run fails."""

from __future__ import annotations

import contextlib
import logging
import pickle
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe

from qmri_bids.bids.digests import Digests
from qmri_bids.engine.crashes import Crash, crash_entry, read_crashes
from qmri_bids.engine.execution import EngineOptions, run_workflow
from qmri_bids.engine.input_content import note_content
from qmri_bids.engine.step_usage import StepRow, Usage, write_usage
from qmri_bids.engine.steps import QUIET_NODES, Listener, LogLines, Steps, shown_steps
from qmri_bids.pipeline.earlier.files import files_of_run, remove_all
from qmri_bids.pipeline.maps.known import shown
from qmri_bids.pipeline.mask.keep import KEEPING_NODES, PARTIAL, joined
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.run import Run
from qmri_bids.reports.content import ErrorEntry, RunReport
from qmri_bids.workflows.resources import GIGABYTE, NodeResources, peak_memory, set_resources
from qmri_bids.workflows.run_kinds import RUN_KINDS, init_qmri_wf, report_file, run_name

__all__ = ["RUN_KINDS", "ParticipantRuns", "Run", "RunOutcome", "init_qmri_wf", "process_runs", "run_name"]

logger = logging.getLogger("qmri_bids")


def with_sources(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return runs and those of the others whose maps they take, directly or through others."""
    found = list(runs)
    for _ in others:
        labels = {take.giver for run in found for take in run.takes}
        found += [run for run in others if run.label in labels and run not in found]
    return found


def missing_sources(run: Run, failed: Sequence[Run]) -> list[ErrorEntry]:
    """Return an error for every run that failed and whose maps a run cannot do without.

    Parameters
    ----------
    run
        A run that was not processed.
    failed
        Runs that failed by themselves, and those that could not be processed for it.
    """
    gone = {each.label for each in failed} - {run.label}
    taken: dict[str, list[str]] = {}
    for take in run.takes:
        if take.without is None:
            taken.setdefault(take.giver, []).append(shown(take.names) if take.names else "maps")
    return [
        ErrorEntry(
            title=f"{run.label} was not processed",
            message=f"It takes {' and '.join(names)} from {label}, and that run has failed.",
            advice=f"Mend {label} first (its error stands there), or give maps from another source: see --help.",
        )
        for label, names in taken.items()
        if label in gone
    ]


def with_dependents(failed: Sequence[Run], runs: Sequence[Run]) -> list[Run]:
    """Return runs that failed and all those that need one of them, directly or through others."""
    gone = list(failed)
    for _ in runs:
        labels = {each.label for each in gone}
        gone += [run for run in runs if run not in gone and labels & {take.giver for take in run.takes}]
    return gone


def without_failed(run: Run, failed: Sequence[Run]) -> Run | None:
    """Return a run that was not processed because others failed, freed of them and saying so; None for any other."""
    gone = {each.label for each in failed}
    needed = [take for take in run.takes if take.giver in gone]
    if not needed or any(take.without is None for take in needed):
        return None
    return run.freed_of({take.key for take in needed})


WRITING_NODES = (*KEEPING_NODES, "write_derivatives", "put_in_spaces", "describe_run")


def forget_if_outputs_are_gone(run: Run, *, nodes_dir: Path, work_dir: Path, output_dir: Path) -> None:
    """Let a run write its outputs again if some are missing, or another call has written others over them.

    Parameters
    ----------
    run
        Any run.
    nodes_dir
        Folder of the workflow of the participant, in which the engine keeps its nodes.
    work_dir
        Folder of intermediate results of the participant.
    output_dir
        Root of the derivatives.
    """
    path = report_file(work_dir, run)
    if path.is_file() and _as_written(path, run, output_dir=output_dir):
        return
    for node in WRITING_NODES:
        shutil.rmtree(nodes_dir / run_name(run) / node, ignore_errors=True)


def _as_written(path: Path, run: Run, *, output_dir: Path) -> bool:
    try:
        report: RunReport = pickle.loads(path.read_bytes())
    except Exception:  # of another version, or damaged: a pickle may raise anything
        return False
    if not all((output_dir / each).is_file() for each in report.outputs):
        return False
    finished = path.stat().st_mtime_ns
    own = [each for entities in run.all_entities for each in files_of_run(entities, output_dir=output_dir)]
    return all(each.stat().st_mtime_ns <= finished for each in own)


NAME = "participants"
"""Of the workflow of all participants of a call, and of the folder of its nodes."""


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How the processing of a run ended: with a report, or with errors and what was done before them."""

    run: Run
    report: RunReport | None
    errors: tuple[ErrorEntry, ...] = ()
    partial: RunReport | None = None


@dataclass(frozen=True, kw_only=True)
class ParticipantRuns:
    """What is to be processed of a participant.

    Parameters
    ----------
    subject
        Label without `sub-`.
    runs
        Runs that passed the checks.
    options
        How they are processed.
    work_dir
        Folder of intermediate results of this participant; the nodes lie in `participants` beside it.
    crash_dir
        Where the details of failures are kept.
    digests
        Of the files that are read.
    """

    subject: str
    runs: tuple[Run, ...]
    options: ProcessingOptions
    work_dir: Path
    crash_dir: Path
    digests: Digests

    @property
    def workflow_name(self) -> str:
        """Name of the workflow of the participant."""
        return f"sub_{self.subject}_wf"

    @property
    def nodes_dir(self) -> Path:
        """Folder of the nodes of the participant."""
        return self.work_dir.parent / NAME / self.workflow_name


Outcomes = Mapping[str, tuple[RunOutcome, ...]]
"""Of the runs by the label of the participant."""


def process_runs(
    participants: Sequence[ParticipantRuns],
    *,
    bids_dir: Path,
    output_dir: Path,
    engine: EngineOptions,
    listener: Listener | None = None,
    when_done: Callable[[ParticipantRuns, tuple[RunOutcome, ...]], object] | None = None,
    usage_table: Path | None = None,
) -> Outcomes:
    """Process runs of participants; a run that fails stops only those that cannot do without its maps.

    Parameters
    ----------
    participants
        Their work folders lie in one folder.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    engine
        Where the steps run.
    listener
        Shows the progress; lines of the log by default.
    when_done
        Called for a participant as soon as all its runs have come to their end.
    usage_table
        Table (.tsv) that takes what each step took, where `engine.resource_monitor` is set.
    """
    call = _Call(
        participants,
        bids_dir=bids_dir,
        output_dir=output_dir,
        engine=engine,
        listener=listener or LogLines(),
        when_done=when_done,
    )
    # In order means one participant after the other, so that what is done is done when a call is stopped.
    parts = [[each] for each in participants] if engine.in_order else [participants]
    for part in parts:
        call.process({each.subject: each.runs for each in part})
    done = {each.subject: list(each.runs) for each in participants}
    if not engine.stop_on_first_crash:
        again = {each.subject: call.freed(each) for each in participants}
        call.process({subject: runs for subject, (runs, _) in again.items() if runs})
        for subject, (_, replaced) in again.items():
            done[subject] = [replaced.get(run.label, run) for run in done[subject]]
    if engine.resource_monitor and usage_table is not None:
        write_usage(usage_table, call.usage)
    return {each.subject: call.outcomes(each, done[each.subject]) for each in participants}


def planned_workflow(
    group: ParticipantRuns, runs: Sequence[Run], *, bids_dir: Path, output_dir: Path, low_mem: bool
) -> tuple[pe.Workflow, tuple[NodeResources, ...]]:
    """Return the workflow of a participant and what each of its nodes asks of the machine.

    Parameters
    ----------
    group
        The participant.
    runs
        Those of its runs that are processed.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    low_mem
        Whether nodes take less memory and more time.
    """
    workflow = init_qmri_wf(
        runs=runs,
        options=group.options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        work_dir=group.work_dir,
        name=group.workflow_name,
    )
    options = group.options
    return workflow, set_resources(
        workflow, runs=runs, threads=options.processes, spaces=options.spaces, low_mem=low_mem
    )


def memory_sentence(subject: str, resources: Sequence[NodeResources]) -> str:
    """Return what the largest step of a participant needs, as a sentence."""
    most = peak_memory(resources)
    return f"sub-{subject}: needs about {most.memory / GIGABYTE:.1f} GB of memory, in the step {most.name.rsplit('.', 1)[-1]}."


def _say_memory(group: ParticipantRuns, resources: Sequence[NodeResources], *, memory_gb: float | None) -> None:
    sentence = memory_sentence(group.subject, resources)
    most = peak_memory(resources).memory / GIGABYTE
    if memory_gb is not None and most > memory_gb:
        logger.warning(
            "%s That is more than the %.1f GB of --mem: the step may be killed. Give the job more memory, fewer threads a step "
            "(--omp-nthreads), or take --low-mem.",
            sentence,
            memory_gb,
        )
    else:
        logger.info("%s", sentence)


def kept_outcomes(group: ParticipantRuns) -> tuple[RunOutcome, ...]:
    """Return how the runs of a participant ended in earlier calls, by what the work folder keeps.

    Parameters
    ----------
    group
        The participant.
    """
    outcomes = []
    for run in group.runs:
        path = report_file(group.work_dir, run)
        if path.is_file():
            outcomes.append(RunOutcome(run=run, report=pickle.loads(path.read_bytes())))
            continue
        error = ErrorEntry(
            title=run.label,
            message=f"No result of an earlier call is kept: {path} is not there.",
            advice="Process the run with this --work-dir first, without --reports-only.",
        )
        outcomes.append(RunOutcome(run=run, report=None, errors=(error,)))
    return tuple(outcomes)


class _Call:
    """One call of the engine or several, and what came of the runs."""

    def __init__(
        self,
        participants: Sequence[ParticipantRuns],
        *,
        bids_dir: Path,
        output_dir: Path,
        engine: EngineOptions,
        listener: Listener,
        when_done: Callable[[ParticipantRuns, tuple[RunOutcome, ...]], object] | None,
    ) -> None:
        self._participants = {each.subject: each for each in participants}
        self._bids_dir, self._output_dir, self._engine = bids_dir, output_dir, engine
        self._listener, self._when_done = listener, when_done
        self._started = time.time()
        self._ended: set[tuple[str, str, str]] = set()
        self._done: set[tuple[str, str]] = set()
        self._failure: Exception | None = None
        self.usage: list[StepRow] = []

    def process(self, chosen: Mapping[str, Sequence[Run]]) -> None:
        """Process runs of participants; those of one may need each other."""
        if not any(chosen.values()):
            return
        groups = [(self._participants[subject], tuple(runs)) for subject, runs in chosen.items() if runs]
        workflow = pe.Workflow(name=NAME, base_dir=str(groups[0][0].work_dir.parent))
        workflow.add_nodes([self._participant_wf(group, runs) for group, runs in groups])
        labels = {(group.workflow_name, run_name(run)): run.label for group, runs in groups for run in runs}
        waiting = {group.workflow_name: ({run_name(run) for run in runs}, group) for group, runs in groups}

        def done(name: tuple[str, str]) -> None:
            self._done.add(name)
            left, group = waiting[name[0]]
            left.discard(name[1])
            if not left and self._when_done is not None and tuple(chosen[group.subject]) == group.runs:
                self._when_done(group, self.outcomes(group, group.runs))

        self._listener.start(shown_steps(workflow))
        steps = Steps(labels, listener=self._listener, in_order=self._engine.in_order, done=done)

        def took(node: Any, usage: Usage) -> None:
            _, participant, run, *_ = node.fullname.split(".")
            if (participant, run) in labels and not node.name.startswith(QUIET_NODES):
                subject = waiting[participant][1].subject
                row = StepRow(
                    participant=subject,
                    run=labels[participant, run],
                    step=node.name,
                    expected_memory=node.mem_gb,
                    usage=usage,
                )
                self.usage.append(row)

        try:
            run_workflow(
                workflow,
                options=self._engine,
                callback=steps,
                took=took if self._engine.resource_monitor else None,
            )
        except Exception as error:
            # Nipype raises when a node failed; which one, the crash files say.
            self._failure = error
        finally:
            self._ended |= steps.ended
            self._listener.close()

    def _participant_wf(self, group: ParticipantRuns, runs: Sequence[Run]) -> pe.Workflow:
        workflow, resources = planned_workflow(
            group, runs, bids_dir=self._bids_dir, output_dir=self._output_dir, low_mem=self._engine.low_mem
        )
        _say_memory(group, resources, memory_gb=self._engine.memory_gb)
        note_content(workflow, group.digests)
        group.digests.keep()
        for name in workflow.list_node_names():
            workflow.get_node(name).config = {"execution": {"crashdump_dir": str(group.crash_dir)}}
        for run in runs:
            forget_if_outputs_are_gone(
                run, nodes_dir=group.nodes_dir, work_dir=group.work_dir, output_dir=self._output_dir
            )
        return workflow

    def _has_done(self, group: ParticipantRuns, run: Run) -> bool:
        return (group.workflow_name, run_name(run)) in self._done

    def freed(self, group: ParticipantRuns) -> tuple[list[Run], dict[str, Run]]:
        """Return what can still be processed of a participant: runs without those sources that have failed.

        Returns
        -------
        runs
            Those, and the ones that are done and whose maps they take.
        replaced
            Those by label.
        """
        failed = [run for run in group.runs if not self._has_done(group, run)]
        freed = {run.label: without_failed(run, failed) for run in failed if not self._crashes(group, run)}
        replaced = {label: run for label, run in freed.items() if run is not None}
        done = [run for run in group.runs if self._has_done(group, run)]
        return (with_sources(list(replaced.values()), done) if replaced else []), replaced

    def _crashes(self, group: ParticipantRuns, run: Run) -> list[Crash]:
        crashes = read_crashes(group.crash_dir, since=self._started)
        return [crash for crash in crashes if f".{run_name(run)}." in f".{crash.node}."]

    def outcomes(self, group: ParticipantRuns, runs: Sequence[Run]) -> tuple[RunOutcome, ...]:
        """Return how the runs of a participant ended; what an earlier call wrote for one that failed is removed."""
        failed = [run for run in runs if not self._has_done(group, run)]
        return tuple(self._outcome(group, run, failed=failed) for run in runs)

    def _outcome(self, group: ParticipantRuns, run: Run, *, failed: Sequence[Run]) -> RunOutcome:
        if self._has_done(group, run):
            return RunOutcome(run=run, report=pickle.loads(report_file(group.work_dir, run).read_bytes()))
        crashed = [each for each in failed if self._crashes(group, each)]
        errors = (
            [crash.entry for crash in self._crashes(group, run)]
            or missing_sources(run, with_dependents(crashed, failed))
            or [self._stopped(run)]
        )
        partial = self._partial(group, run)
        kept = set(group.options.applied_files)
        if partial is not None:
            kept |= {self._output_dir / name for name in partial.outputs}
        removed: list[Path] = []
        with contextlib.suppress(OSError):  # a disk that has become read-only must not hide why the run failed
            for entities in run.all_entities:
                removed += remove_all(entities, output_dir=self._output_dir, keep=kept)
        if removed:
            logger.warning(
                "%s: %d files that this or an earlier call wrote were removed, since the run has failed",
                run.label,
                len(removed),
            )
        return RunOutcome(run=run, report=None, errors=tuple(errors), partial=partial)

    def _partial(self, group: ParticipantRuns, run: Run) -> RunReport | None:
        """Return what was done of a run before it failed; None where not even its mask was found in this call."""
        parts = []
        for node in KEEPING_NODES:
            path = group.nodes_dir / run_name(run) / node / PARTIAL
            if (group.workflow_name, run_name(run), node) in self._ended and path.is_file():
                parts.append(pickle.loads(path.read_bytes()))
        return joined(parts) if parts else None

    def _stopped(self, run: Run) -> ErrorEntry:
        """Say that a run ended for a reason that lies outside of it."""
        if self._engine.stop_on_first_crash:
            return ErrorEntry(
                title=run.label,
                message="The run was not processed.",
                advice="An earlier run failed and --stop-on-first-crash was given.",
            )
        if self._failure is None:
            return ErrorEntry(
                title=run.label, message="The run was not processed.", advice="Run again with -vv and see the log."
            )
        text = f"{type(self._failure).__name__}: {self._failure}"
        return crash_entry(text, title=run.label, advice="Run again with -vv and see the log.")
