"""The workflow of a participant, and running it."""

from __future__ import annotations

import logging
import pickle
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe

from qmri_bids.bids.plan import PcBssfpRun
from qmri_bids.reports.content import ErrorEntry, RunReport
from qmri_bids.workflows.bssfp import init_pcbssfp_wf
from qmri_bids.workflows.crashes import read_crashes
from qmri_bids.workflows.derivatives import remove_derivatives
from qmri_bids.workflows.options import ProcessingOptions

logger = logging.getLogger("qmri_bids")

QUIET_NODES = ("inputnode", "outputnode", "collect_decisions", "collect_warnings")


def run_name(run: PcBssfpRun) -> str:
    """Return the name of the workflow of a run: its entities without signs that Nipype does not take."""
    return "pcbssfp_" + run.label.replace("-", "_").replace("+", "p") + "_wf"


def report_file(work_dir: Path, run: PcBssfpRun) -> Path:
    """Return where the report of a run is kept until the report of the participant is written."""
    return work_dir / "reports" / f"{run.label}.pickle"


def init_qmri_wf(
    *,
    runs: Sequence[PcBssfpRun],
    options: ProcessingOptions,
    bids_dir: Path,
    output_dir: Path,
    work_dir: Path,
    name: str = "qmri_wf",
) -> pe.Workflow:
    """Process all runs of a participant.

    Parameters
    ----------
    runs
        Runs that passed the checks.
    options
        Estimator, steps to leave out, processes.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.
    work_dir
        Folder of intermediate results.
    name
        Name of the workflow.

    Returns
    -------
    nipype.pipeline.engine.Workflow
        One workflow a run, named by `run_name`; they do not depend on one another.
    """
    workflow = pe.Workflow(name=name, base_dir=str(work_dir))
    workflow.__desc__ = "Quantitative maps were computed run by run."
    for run in runs:
        workflow.add_nodes(
            [
                init_pcbssfp_wf(
                    run=run,
                    options=options,
                    bids_dir=bids_dir,
                    output_dir=output_dir,
                    report_file=report_file(work_dir, run),
                    name=run_name(run),
                )
            ]
        )
    return workflow


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How the processing of a run ended: with a report, or with errors."""

    run: PcBssfpRun
    report: RunReport | None
    errors: tuple[ErrorEntry, ...] = ()


def process_runs(
    runs: Sequence[PcBssfpRun],
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
    workflow = init_qmri_wf(runs=runs, options=options, bids_dir=bids_dir, output_dir=output_dir, work_dir=work_dir)
    started = time.time()
    workflow.config["execution"] = {
        "crashdump_dir": str(crash_dir),
        "crashfile_format": "txt",
        "poll_sleep_duration": "0.1",
        "stop_on_first_crash": str(stop_on_first_crash).lower(),
        "check_version": "false",
        "remove_unnecessary_outputs": "false",
    }
    for run in runs:
        _forget_if_outputs_are_gone(workflow.name, run, work_dir=work_dir, output_dir=output_dir)
    progress = _Progress(runs)
    failure: Exception | None = None
    try:
        workflow.run(plugin="Linear", plugin_args={"status_callback": progress})
    except Exception as error:
        # Nipype raises when a node failed; which one, the crash files say.
        failure = error
    crashes = read_crashes(crash_dir, since=started)
    outcomes = []
    for run in runs:
        if run_name(run) in progress.described:
            report = pickle.loads(report_file(work_dir, run).read_bytes())
            outcomes.append(RunOutcome(run=run, report=report))
            continue
        errors = tuple(crash.entry for crash in crashes if run_name(run) in crash.node)
        if not errors:
            message = f"{type(failure).__name__}: {failure}" if failure else "the run was not processed"
            errors = (
                ErrorEntry(
                    title=run.label,
                    message=message,
                    advice="An earlier run failed and --stop-on-first-crash was given."
                    if stop_on_first_crash
                    else "Run again with -vv and see the log.",
                ),
            )
        removed = remove_derivatives(run, output_dir=output_dir)
        if removed:
            logger.warning(
                "%s: %d files of an earlier call were removed, since the run has failed", run.label, len(removed)
            )
        outcomes.append(RunOutcome(run=run, report=None, errors=errors))
    return tuple(outcomes)


def _forget_if_outputs_are_gone(name: str, run: PcBssfpRun, *, work_dir: Path, output_dir: Path) -> None:
    """Let a run write its outputs again if some are missing: the engine knows of its own folders only."""
    path = report_file(work_dir, run)
    if path.is_file():
        report: RunReport = pickle.loads(path.read_bytes())
        if all((output_dir / each).is_file() for each in report.outputs):
            return
    for node in ("write_derivatives", "describe_run"):
        shutil.rmtree(work_dir / name / run_name(run) / node, ignore_errors=True)


class _Progress:
    """Says when a step begins and how long it took, and remembers which runs came to their end."""

    def __init__(self, runs: Sequence[PcBssfpRun]) -> None:
        self._labels = {run_name(run): run.label for run in runs}
        self._starts: dict[str, float] = {}
        self.described: set[str] = set()

    def __call__(self, node: Any, status: str) -> None:
        if node.name in QUIET_NODES:
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
