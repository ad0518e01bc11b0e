"""The workflow of a participant, and running it."""

from __future__ import annotations

import logging
import pickle
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe

from qmri_bids.bids.plan import PcBssfpRun
from qmri_bids.bids.saturation_plan import B0Source, CestRun, MtrRun, MtsRun, SaturationRun
from qmri_bids.reports.content import ErrorEntry, RunReport
from qmri_bids.workflows.bssfp import init_pcbssfp_wf
from qmri_bids.workflows.crashes import Crash, read_crashes
from qmri_bids.workflows.earlier_files import files_of_run, remove_files
from qmri_bids.workflows.options import ProcessingOptions
from qmri_bids.workflows.saturation import init_cest_wf, init_mtr_wf, init_mts_wf

logger = logging.getLogger("qmri_bids")

QUIET_NODES = ("inputnode", "outputnode", "collect_decisions", "collect_warnings")


Run = PcBssfpRun | SaturationRun


@dataclass(frozen=True, kw_only=True)
class RunKind:
    """What is done with a kind of run: a heading for its report, and the workflow."""

    title: str
    prefix: str
    init: Callable[..., pe.Workflow]


RUN_KINDS: Mapping[type, RunKind] = {
    PcBssfpRun: RunKind(title="pc-bSSFP relaxometry", prefix="pcbssfp", init=init_pcbssfp_wf),
    CestRun: RunKind(title="CEST", prefix="cest", init=init_cest_wf),
    MtrRun: RunKind(title="Magnetisation transfer ratio", prefix="mtr", init=init_mtr_wf),
    MtsRun: RunKind(title="MT saturation", prefix="mts", init=init_mts_wf),
}


def run_name(run: Run) -> str:
    """Return the name of the workflow of a run: its entities without signs that Nipype does not take."""
    return f"{RUN_KINDS[type(run)].prefix}_" + run.label.replace("-", "_").replace("+", "p") + "_wf"


def report_file(work_dir: Path, run: Run) -> Path:
    """Return where the report of a run is kept until the report of the participant is written."""
    return work_dir / "reports" / f"{run.label}.pickle"


def init_qmri_wf(
    *,
    runs: Sequence[Run],
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
        One workflow a run, named by `run_name`; a Z-spectrum takes T1 and B0 from those of other runs.
    """
    workflow = pe.Workflow(name=name, base_dir=str(work_dir))
    workflow.__desc__ = "Quantitative maps were computed run by run."
    parts = {
        run.label: RUN_KINDS[type(run)].init(
            run=run,
            options=options,
            bids_dir=bids_dir,
            output_dir=output_dir,
            report_file=report_file(work_dir, run),
            name=run_name(run),
        )
        for run in runs
    }
    workflow.add_nodes(list(parts.values()))
    for run in runs:
        for prefix, source in _needs(run).items():
            workflow.connect(
                [
                    (
                        parts[source],
                        parts[run.label],
                        [
                            ("outputnode.estimate", f"inputnode.{prefix}_maps"),
                            ("outputnode.magnitude", f"inputnode.{prefix}_magnitude"),
                        ],
                    )
                ]
            )
    return workflow


def _needs(run: Run) -> dict[str, str]:
    """Return the labels of the runs whose maps a run takes, by what it takes."""
    if not isinstance(run, CestRun):
        return {}
    needs = {"t1": run.t1_run, "b0": run.b0.run if run.b0 is not None else None}
    return {what: label for what, label in needs.items() if label is not None}


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
    started = time.time()
    described: set[str] = set()
    failure: Exception | None = None

    def process(these: Sequence[Run]) -> None:
        nonlocal failure
        workflow = init_qmri_wf(
            runs=these, options=options, bids_dir=bids_dir, output_dir=output_dir, work_dir=work_dir
        )
        workflow.config["execution"] = {
            "crashdump_dir": str(crash_dir),
            "crashfile_format": "txt",
            "poll_sleep_duration": "0.1",
            "stop_on_first_crash": str(stop_on_first_crash).lower(),
            "check_version": "false",
            "remove_unnecessary_outputs": "false",
        }
        for run in these:
            _forget_if_outputs_are_gone(workflow.name, run, work_dir=work_dir, output_dir=output_dir)
        progress = _Progress(these)
        try:
            workflow.run(plugin="Linear", plugin_args={"status_callback": progress})
        except Exception as error:
            # Nipype raises when a node failed; which one, the crash files say.
            failure = error
        described.update(progress.described)

    process(runs)
    done = list(runs)
    if not stop_on_first_crash:
        without = {
            run.label: alone
            for run in runs
            if run_name(run) not in described
            and not _crashes_of(run, read_crashes(crash_dir, since=started))
            and (alone := _without_failed(run, [each for each in runs if run_name(each) not in described])) is not None
        }
        if without:
            process([*without.values(), *(run for run in runs if run_name(run) in described and _serves(run, without))])
            done = [without.get(run.label, run) for run in runs]
    crashes = read_crashes(crash_dir, since=started)
    outcomes = []
    for run in done:
        if run_name(run) in described:
            report = pickle.loads(report_file(work_dir, run).read_bytes())
            outcomes.append(RunOutcome(run=run, report=report))
            continue
        errors = tuple(crash.entry for crash in _crashes_of(run, crashes))
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
        removed = remove_files(files_of_run(run.entities, output_dir=output_dir))
        if removed:
            logger.warning(
                "%s: %d files of an earlier call were removed, since the run has failed", run.label, len(removed)
            )
        outcomes.append(RunOutcome(run=run, report=None, errors=errors))
    return tuple(outcomes)


def _crashes_of(run: Run, crashes: Sequence[Crash]) -> list[Crash]:
    return [crash for crash in crashes if f".{run_name(run)}." in f".{crash.node}."]


def _serves(run: Run, others: Mapping[str, Run]) -> bool:
    """Whether one of the others takes maps of a run."""
    return any(run.label in _needs(other).values() for other in others.values())


def _without_failed(run: Run, failed: Sequence[Run]) -> Run | None:
    """Return a run that was not processed because others failed, freed of them and saying so; None for any other."""
    gone = {each.label for each in failed}
    needed = {what: label for what, label in _needs(run).items() if label in gone}
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
    for node in ("write_derivatives", "describe_run"):
        shutil.rmtree(work_dir / name / run_name(run) / node, ignore_errors=True)


class _Progress:
    """Says when a step begins and how long it took, and remembers which runs came to their end."""

    def __init__(self, runs: Sequence[Run]) -> None:
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
