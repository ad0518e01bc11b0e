"""Runs that take maps of others: what becomes of them when one of those fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qmri_bids.bids.exchange_plan import ExchangeRun
from qmri_bids.bids.saturation_plan import B0Source, CestRun
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.reports.content import ErrorEntry
from qmri_bids.workflows.known_maps import shown
from qmri_bids.workflows.run_kinds import Run, needs


def with_sources(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return runs and those of the others whose maps they take, directly or through others."""
    found = list(runs)
    for _ in others:
        labels = {label for run in found for label in needs(run).values()}
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
    if isinstance(run, ExchangeRun):
        for source in run.known:
            if source.run is not None:
                taken.setdefault(source.run, []).append(shown(source.names))
    elif not isinstance(run, CestRun):
        taken = {label: [KNOWN_QUANTITIES[what].bare_phrase] for what, label in needs(run).items()}
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
        gone += [run for run in runs if run not in gone and labels & set(needs(run).values())]
    return gone


def without_failed(run: Run, failed: Sequence[Run]) -> Run | None:
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
