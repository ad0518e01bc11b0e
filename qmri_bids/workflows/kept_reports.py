"""Reports of runs that an earlier call left in the work folder: what a participant's report can be written from again."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.reports.content import ErrorEntry, RunReport
from qmri_bids.workflows.base import RunOutcome
from qmri_bids.workflows.run_kinds import Run, report_file

NOTHING_KEPT = "The folder of intermediate results keeps nothing of this run: {path} was not found."
UNREADABLE = "What the folder of intermediate results keeps of this run cannot be read: {path}: {error}"
ADVICE = "Process it first, with the same command without --reports-only and the same --work-dir."


def kept_outcomes(runs: Sequence[Run], *, work_dir: Path) -> tuple[RunOutcome, ...]:
    """Return how runs ended that an earlier call has processed; one that has no report yet has an error that says so.

    Parameters
    ----------
    runs
        Of a participant.
    work_dir
        Folder of intermediate results of this participant.
    """
    return tuple(_kept(run, report_file(work_dir, run)) for run in runs)


def _kept(run: Run, path: Path) -> RunOutcome:
    try:
        report = pickle.loads(path.read_bytes())
        if not isinstance(report, RunReport):
            raise TypeError(f"expected a report, found {type(report).__name__}")
    except FileNotFoundError:
        return _nothing(run, NOTHING_KEPT.format(path=path))
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError, TypeError, ValueError) as error:
        return _nothing(run, UNREADABLE.format(path=path, error=error))
    return RunOutcome(run=run, report=report)


def _nothing(run: Run, message: str) -> RunOutcome:
    return RunOutcome(run=run, report=None, errors=(ErrorEntry(title=run.label, message=message, advice=ADVICE),))
