"""The text of a dry run: what would be computed, from which values, and what would not and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from qmri_bids.bids.refusal import ValueSource
from qmri_bids.scans.session_plan import SessionPlan

WIDTH = 110


def plan_table(plans: Iterable[SessionPlan]) -> str:
    """Return the runs of all sessions: protocol with the source of each value, warnings and refusals."""
    lines: list[str] = []
    usable = refused = 0
    for plan in plans:
        usable += len(plan.runs)
        refused += len(plan.refusals)
        lines += [plan.label, "=" * len(plan.label)]
        if not plan.runs and not plan.refusals:
            lines.append("  no pc-bSSFP, CEST, MT, B1 or B0 run")
        for run in plan.runs:
            lines.append(f"  run      {run.label}")
            lines += [f"{'':11}{line}" for line in run.lines]
            lines += _source_lines(run.all_sources)
            for warning in run.warnings:
                lines += _paragraph("warning", warning)
        for refusal in plan.refusals:
            lines += _paragraph("refused", str(refusal))
        for note in plan.notes:
            lines += _paragraph("note", note)
        lines.append("")
    lines.append(f"{usable} run(s) can be computed, {refused} refusal(s).")
    return "\n".join(lines)


def _source_lines(sources: Sequence[ValueSource]) -> list[str]:
    lines = []
    width = max((len(source.key) for source in sources), default=0)
    for source in sources:
        value = f"{source.value} {source.unit}".strip()
        origin = re.sub(r"[^ :]*/(?=[^ :/]*\.)", "", source.source)  # the folder is that of the run
        lines += textwrap.wrap(
            f"{source.key:<{width}} = {value}  [{origin}]",
            width=WIDTH,
            initial_indent=" " * 11,
            subsequent_indent=" " * (14 + width),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _paragraph(kind: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        width=WIDTH,
        initial_indent=f"  {kind:<8} ",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )
