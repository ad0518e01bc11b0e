"""Runs that take maps of others: what becomes of them when one of those fails."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.pipeline.maps.known import shown
from qmri_bids.pipeline.run import Run
from qmri_bids.reports.content import ErrorEntry


def with_sources(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return runs and those of the others whose maps they take, directly or through others."""
    found = list(runs)
    for _ in others:
        labels = {take.run for run in found for take in run.takes}
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
            taken.setdefault(take.run, []).append(shown(take.names))
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
        gone += [run for run in runs if run not in gone and labels & {take.run for take in run.takes}]
    return gone


def without_failed(run: Run, failed: Sequence[Run]) -> Run | None:
    """Return a run that was not processed because others failed, freed of them and saying so; None for any other."""
    gone = {each.label for each in failed}
    needed = [take for take in run.takes if take.run in gone]
    if not needed or any(take.without is None for take in needed):
        return None
    return run.freed_of({take.key for take in needed})
