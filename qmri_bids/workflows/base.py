"""Running the workflow of a participant: one run after the other, and what happens when one of them fails."""

from __future__ import annotations

import logging
import pickle
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qmri_bids.bids.exchange_plan import ExchangeRun
from qmri_bids.bids.saturation_plan import B0Source, CestRun
from qmri_bids.reports.content import ErrorEntry, RunReport
from qmri_bids.workflows.crashes import Crash, read_crashes
from qmri_bids.workflows.earlier_files import files_of_run, remove_files
from qmri_bids.workflows.known_maps import KNOWN_MAPS, shown
from qmri_bids.workflows.options import ProcessingOptions
from qmri_bids.workflows.run_kinds import RUN_KINDS, Run, init_qmri_wf, needs, report_file, run_name

__all__ = ["RUN_KINDS", "Run", "RunOutcome", "init_qmri_wf", "process_runs", "run_name"]

logger = logging.getLogger("qmri_bids")

QUIET_NODES = ("inputnode", "outputnode", "collect_")
"""How the names of nodes begin that only pass something on."""

ENGINE: Mapping[str, str] = {
    "crashfile_format": "txt",
    "poll_sleep_duration": "0.1",
    "check_version": "false",
    "remove_unnecessary_outputs": "false",
}
"""How Nipype executes."""


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How the processing of a run ended: with a report, or with errors."""

    run: Run
    report: RunReport | None
    errors: tuple[ErrorEntry, ...] = ()


def process_runs(
    runs: Sequence[Run],
    *,
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    work_dir: Path,
    crash_dir: Path,
    stop_on_first_crash: bool = False,
) -> tuple[RunOutcome, ...]:
    """Process runs one after the other; a run that fails does not stop the others.

    Parameters
    ----------
    runs, options, bids_dir, output_dir, work_dir
        As in `init_qmri_wf`.
    crash_dir
        Where the details of failures are kept.
    stop_on_first_crash
        Stop at the first failure.
    """
    call = _Call(
        options=options,
        bids_dir=bids_dir,
        output_dir=output_dir,
        work_dir=work_dir,
        crash_dir=crash_dir,
        stop_on_first_crash=stop_on_first_crash,
    )
    call.process(runs)
    done = list(runs)
    if not stop_on_first_crash:
        failed = [run for run in runs if not call.has_done(run)]
        freed = {run.label: _without_failed(run, failed) for run in failed if not call.crashes_of(run)}
        without = {label: run for label, run in freed.items() if run is not None}
        if without:
            call.process(_with_sources(list(without.values()), [run for run in runs if call.has_done(run)]))
            done = [without.get(run.label, run) for run in runs]
    failed = [run for run in done if not call.has_done(run)]
    return tuple(call.outcome(run, failed=failed) for run in done)


class _Call:
    """One call of the engine or several, and what came of the runs."""

    def __init__(
        self,
        *,
        options: ProcessingOptions,
        bids_dir: Path,
        output_dir: Path,
        work_dir: Path,
        crash_dir: Path,
        stop_on_first_crash: bool,
    ) -> None:
        self._places: dict[str, Any] = {"bids_dir": bids_dir, "output_dir": output_dir, "work_dir": work_dir}
        self._options, self._crash_dir, self._stop = options, crash_dir, stop_on_first_crash
        self._started = time.time()
        self._described: set[str] = set()
        self._failure: Exception | None = None

    def process(self, runs: Sequence[Run]) -> None:
        """Process runs that may need each other."""
        workflow = init_qmri_wf(runs=runs, options=self._options, **self._places)
        workflow.config["execution"] = dict(ENGINE) | {
            "crashdump_dir": str(self._crash_dir),
            "stop_on_first_crash": str(self._stop).lower(),
        }
        for run in runs:
            _forget_if_outputs_are_gone(
                workflow.name, run, work_dir=self._places["work_dir"], output_dir=self._places["output_dir"]
            )
        progress = _Progress(runs)
        try:
            workflow.run(plugin="Linear", plugin_args={"status_callback": progress})
        except Exception as error:
            # Nipype raises when a node failed; which one, the crash files say.
            self._failure = error
        self._described.update(progress.described)

    def has_done(self, run: Run) -> bool:
        """Whether a run came to its end."""
        return run_name(run) in self._described

    def crashes_of(self, run: Run) -> list[Crash]:
        """Return the failures of the nodes of a run."""
        crashes = read_crashes(self._crash_dir, since=self._started)
        return [crash for crash in crashes if f".{run_name(run)}." in f".{crash.node}."]

    def outcome(self, run: Run, *, failed: Sequence[Run]) -> RunOutcome:
        """Return how a run ended; what an earlier call wrote for one that failed is removed.

        Parameters
        ----------
        run
            Any run.
        failed
            All runs without a result.
        """
        if self.has_done(run):
            path = report_file(self._places["work_dir"], run)
            return RunOutcome(run=run, report=pickle.loads(path.read_bytes()))
        errors = (
            [crash.entry for crash in self.crashes_of(run)]
            or _missing_sources(run, _with_dependents([each for each in failed if self.crashes_of(each)], failed))
            or [self._stopped(run)]
        )
        removed = [
            path
            for entities in _all_entities(run)
            for path in remove_files(files_of_run(entities, output_dir=self._places["output_dir"]))
        ]
        if removed:
            logger.warning(
                "%s: %d files of an earlier call were removed, since the run has failed", run.label, len(removed)
            )
        return RunOutcome(run=run, report=None, errors=tuple(errors))

    def _stopped(self, run: Run) -> ErrorEntry:
        """Say that a run ended for a reason that lies outside of it."""
        error = self._failure
        return ErrorEntry(
            title=run.label,
            message=f"{type(error).__name__}: {error}" if error else "the run was not processed",
            advice="An earlier run failed and --stop-on-first-crash was given."
            if self._stop
            else "Run again with -vv and see the log.",
        )


def _all_entities(run: Run) -> list[Mapping[str, str]]:
    """Return the entities under which the files of a run are written."""
    return [run.entities, *(stage.entities for stage in (run.stages if isinstance(run, ExchangeRun) else ()))]


def _with_sources(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return runs and those of the others whose maps they take, directly or through others."""
    found = list(runs)
    for _ in others:
        labels = {label for run in found for label in needs(run).values()}
        found += [run for run in others if run.label in labels and run not in found]
    return found


def _missing_sources(run: Run, failed: Sequence[Run]) -> list[ErrorEntry]:
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
    if isinstance(run, ExchangeRun):
        for source in run.known:
            if source.run is not None:
                taken.setdefault(source.run, []).append(shown(source.names))
    elif not isinstance(run, CestRun):
        taken = {label: [KNOWN_MAPS[what].shown] for what, label in needs(run).items()}
    return [
        ErrorEntry(
            title=f"{run.label} was not processed",
            message=f"It takes {' and '.join(names)} from {label}, and that run has failed.",
            advice=f"Mend {label} first (its error stands there), or give maps from another source: see --help.",
        )
        for label, names in taken.items()
        if label in gone
    ]


def _with_dependents(failed: Sequence[Run], runs: Sequence[Run]) -> list[Run]:
    """Return runs that failed and all those that need one of them, directly or through others."""
    gone = list(failed)
    for _ in runs:
        labels = {each.label for each in gone}
        gone += [run for run in runs if run not in gone and labels & set(needs(run).values())]
    return gone


def _without_failed(run: Run, failed: Sequence[Run]) -> Run | None:
    """Return a run that was not processed because others failed, freed of them and saying so; None for any other."""
    gone = {each.label for each in failed}
    needed = {what: label for what, label in needs(run).items() if label in gone}
    if not isinstance(run, CestRun) or not needed:
        return None
    warnings = []
    if "t1" in needed:
        run = replace(run, t1_run=None)
        warnings.append(f"T1 of {needed['t1']} is missing, since that run failed: AREX is left out.")
    if "b0" in needed:
        sentence = f"B0 of {needed['b0']} is missing, since that run failed: it is taken from the Z-spectrum itself."
        run = replace(run, b0=B0Source(method="spectrum", sentence=sentence))
        warnings.append(sentence)
    return replace(run, warnings=(*run.warnings, *warnings))


def _forget_if_outputs_are_gone(name: str, run: Run, *, work_dir: Path, output_dir: Path) -> None:
    """Let a run write its outputs again if some are missing: the engine knows of its own folders only."""
    path = report_file(work_dir, run)
    if path.is_file():
        report: RunReport = pickle.loads(path.read_bytes())
        if all((output_dir / each).is_file() for each in report.outputs):
            return
    for node in ("write_derivatives", "put_in_spaces", "describe_run"):
        shutil.rmtree(work_dir / name / run_name(run) / node, ignore_errors=True)


class _Progress:
    """Says when a step begins and how long it took, and remembers which runs came to their end."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._labels = {run_name(run): run.label for run in runs}
        self._starts: dict[str, float] = {}
        self.described: set[str] = set()

    def __call__(self, node: Any, status: str) -> None:
        if node.name.startswith(QUIET_NODES):
            return
        workflow = node.fullname.split(".")[1]
        label = f"{self._labels[workflow]}: {node.name}"
        if status == "start":
            self._starts[node.fullname] = time.monotonic()
            logger.info("%s …", label)
        elif node.fullname in self._starts:  # the engine also ends nodes that it never began: what they need has failed
            seconds = time.monotonic() - self._starts[node.fullname]
            if status == "end":
                logger.info("%s done (%.1f s)", label, seconds)
                if node.name == "describe_run":
                    self.described.add(workflow)
            else:
                logger.error("%s FAILED (%.1f s)", label, seconds)
