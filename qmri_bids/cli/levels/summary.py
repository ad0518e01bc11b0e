"""The table that ends a call: every participant and run, and why one has no result."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from qmri_bids.cli.levels.participant import ParticipantResult
from qmri_bids.reports.content import Level

WIDTH = 110
STATES = {Level.GOOD: "good", Level.INFO: "good", Level.CHECK: "please check", Level.BAD: "problem, see there"}


def summary_table(results: Sequence[ParticipantResult], *, without: Sequence[str] = ()) -> str:
    """Return the final table as text.

    Parameters
    ----------
    results
        How participants ended.
    without
        Labels of participants that have no run.
    """
    lines = ["", f"{'participant':<14} {'run':<40} result"]
    for result in results:
        label = f"sub-{result.subject}"
        for outcome in result.outcomes:
            name = outcome.run.label.removeprefix(f"{label}_")
            state = "FAILED" if outcome.report is None else f"done, report: {STATES[outcome.report.level]}"
            lines.append(f"{label:<14} {name:<40} {state}")
            for error in outcome.errors:
                lines += _indented(f"{error.title}: {error.message} {error.advice}")
        for refusal in result.refusals:
            name = Path(refusal.file).name.partition(".")[0].removeprefix(f"{label}_")
            lines.append(f"{label:<14} {name:<40} REFUSED")
            lines += _indented(str(refusal))
        if result.problem:
            lines.append(f"{label:<14} {'':<40} NO REPORT")
            lines += _indented(result.problem)
        else:
            lines.append(f"{label:<14} report: {result.report}")
    lines += [f"{f'sub-{subject}':<14} {'':<40} no pc-bSSFP, CEST, MT, B1 or B0 run" for subject in without]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, width=WIDTH, initial_indent=" " * 15, subsequent_indent=" " * 15, break_long_words=False)
