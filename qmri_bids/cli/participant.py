"""One participant: its runs processed, its report written."""

from __future__ import annotations

import argparse
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
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.plan import SessionPlan
from qmri_bids.bids.refusal import Refusal
from qmri_bids.bids.write import write_text
from qmri_bids.reports.content import RunReport, SubjectReport
from qmri_bids.reports.methods import Step, citation_bibtex, citation_markdown, methods_text
from qmri_bids.reports.render import write_report
from qmri_bids.units import millimetres_to_metres
from qmri_bids.workflows.base import RUN_KINDS, Run, RunOutcome, process_runs
from qmri_bids.workflows.method_steps import method_steps
from qmri_bids.workflows.options import ProcessingOptions

logger = logging.getLogger("qmri_bids")

SOFTWARE = ("numpy", "scipy", "torch", "antspyx", "dipy", "nilearn", "scikit-image", "nibabel", "pybids", "nipype")


@dataclass(frozen=True, kw_only=True)
class ParticipantResult:
    """How a participant ended.

    Parameters
    ----------
    subject
        Label without `sub-`.
    outcomes
        Of every run that was processed.
    refusals
        Of every run that was not.
    report
        The report.
    steps
        Sentences of the methods for the runs that were processed.
    """

    subject: str
    outcomes: tuple[RunOutcome, ...]
    refusals: tuple[Refusal, ...]
    report: Path
    steps: tuple[Step, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a run that was processed has no result."""
        return any(outcome.report is None for outcome in self.outcomes)


def process_participant(
    subject: str,
    plans: tuple[SessionPlan, ...],
    *,
    options: argparse.Namespace,
    decisions: tuple[str, ...],
) -> ParticipantResult:
    """Process the runs of a participant and write the report.

    Parameters
    ----------
    subject
        Label without `sub-`.
    plans
        What was found in each of its sessions.
    options
        The command line.
    decisions
        Sentences that hold for the whole call.
    """
    started = time.monotonic()
    runs = tuple(run for plan in plans for run in plan.runs)
    refusals = tuple(refusal for plan in plans for refusal in plan.refusals)
    # Results of another version are not taken up.
    work_dir = options.work_dir / f"qmri_bids-{__version__}" / f"sub-{subject}"
    lock = _lock(work_dir)
    if options.clean_workdir:
        shutil.rmtree(work_dir, ignore_errors=True)
    processing = ProcessingOptions(
        estimator=options.bssfp_estimator,
        posterior=options.posterior,
        weights_folder=options.bssfp_weights,
        gibbs_method=options.gibbs_method,
        ignore=tuple(options.ignore),
        fd_threshold=None if options.fd_threshold is None else millimetres_to_metres(options.fd_threshold),
        asymmetry=tuple(options.mtrasym_offsets),
        pools=None if options.lorentzian_pools is None else tuple(options.lorentzian_pools),
        mtsat_correction=options.mtsat_correction,
        exchange_estimator=options.cest_estimator,
        exchange_weights=options.cest_weights,
        exchange_posterior=options.cest_posterior,
        train_missing=options.train_missing,
        processes=options.nprocs,
        spaces=replace(options.spaces[subject], cache=work_dir / "spaces"),
    )
    outcomes = (
        process_runs(
            runs,
            options=processing,
            bids_dir=options.bids_dir,
            output_dir=options.output_dir,
            work_dir=work_dir,
            crash_dir=options.output_dir / f"sub-{subject}" / "log",
            stop_on_first_crash=options.stop_on_first_crash,
        )
        if runs
        else ()
    )
    _log_decisions(outcomes)
    steps = method_steps([outcome.run for outcome in outcomes if outcome.report is not None], processing)
    text, references = methods_text(steps)
    failed = any(outcome.report is None for outcome in outcomes)
    report = SubjectReport(
        participant=subject,
        version=__version__,
        command=options.command,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        software={"Python": platform.python_version()} | {name: version(name) for name in SOFTWARE},
        runs=tuple(_run_report(outcome) for outcome in outcomes),
        refusals=tuple(str(refusal) for refusal in refusals),
        decisions=(
            *decisions,
            *_earlier_maps(subject, runs, refusals, options),
            *(note for plan in plans for note in plan.notes),
        ),
        methods=text,
        references=references,
        bids_dir=options.bids_dir.name,
        output_dir=options.output_dir.name,
        duration=time.monotonic() - started,
        exit_status=1 if failed or refusals else 0,
    )
    lock.close()
    path = write_report(report, options.output_dir / f"sub-{subject}.html")
    return ParticipantResult(subject=subject, outcomes=outcomes, refusals=refusals, report=path, steps=tuple(steps))


def write_citation(results: Sequence[ParticipantResult], *, output_dir: Path) -> None:
    """Write the methods text of all participants of a call with its references; each sentence stands once.

    Parameters
    ----------
    results
        Of `process_participant`.
    output_dir
        Root of the derivatives.
    """
    steps: list[Step] = []
    for step in (step for result in results for step in result.steps):
        if step not in steps:
            steps.append(step)
    text, references = methods_text(steps)
    write_text(output_dir / "logs" / "CITATION.md", citation_markdown(text, references))
    write_text(output_dir / "logs" / "CITATION.bib", citation_bibtex(references))


def _lock(work_dir: Path) -> IO[str]:
    """Keep other calls out of the work folder of a participant until the file is closed.

    Raises
    ------
    BidsInputError
        If another call is at work in it.
    """
    work_dir.parent.mkdir(parents=True, exist_ok=True)
    lock = work_dir.with_name(f".{work_dir.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BidsInputError(
            f"another call of qmri_bids is at work in {work_dir}; wait for it, or give this one another --work-dir"
        ) from None
    except OSError as error:
        logger.warning("The work folder %s cannot be locked (%s): do not start a second call on it", work_dir, error)
    return lock


def _earlier_maps(
    subject: str, runs: tuple[Run, ...], refusals: tuple[Refusal, ...], options: argparse.Namespace
) -> tuple[str, ...]:
    """Say that maps of an earlier call are still there where no run of this call wrote any."""
    if runs or not refusals or not any((options.output_dir / f"sub-{subject}").rglob("*map.nii.gz")):
        return ()
    return (f"Maps in sub-{subject} are those of an earlier call: this one processed no run of this participant.",)


def _log_decisions(outcomes: tuple[RunOutcome, ...]) -> None:
    for outcome in outcomes:
        if outcome.report is None:
            continue
        for sentence in outcome.report.decisions:
            logger.info("%s: %s", outcome.run.label, sentence)
        for sentence in outcome.report.warnings:
            logger.warning("%s: %s", outcome.run.label, sentence)


def _run_report(outcome: RunOutcome) -> RunReport:
    if outcome.report is not None:
        return outcome.report
    return RunReport(
        title=RUN_KINDS[type(outcome.run)].title,
        session=outcome.run.entities.get("ses", ""),
        entities={key: value for key, value in outcome.run.entities.items() if key not in ("sub", "ses")},
        errors=outcome.errors,
    )
