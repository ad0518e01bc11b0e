"""The text of a dry run: what would be computed, from which values, and what would not and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from qmri_bids.bids.plan import PcBssfpRun, SessionPlan

WIDTH = 110


def plan_table(plans: Iterable[SessionPlan]) -> str:
    """Return the runs of all sessions: protocol with the source of each value, warnings and refusals."""
    lines: list[str] = []
    usable = refused = 0
    for plan in plans:
        usable += len(plan.pcbssfp)
        refused += len(plan.refusals)
        lines += [plan.label, "=" * len(plan.label)]
        if not plan.pcbssfp and not plan.refusals:
            lines.append("  no pc-bSSFP run")
        for run in plan.pcbssfp:
            lines += _run_lines(run)
        for refusal in plan.refusals:
            lines += _paragraph("refused", str(refusal))
        for note in plan.notes:
            lines += _paragraph("note", note)
        lines.append("")
    lines.append(f"{usable} run(s) can be computed, {refused} refusal(s).")
    return "\n".join(lines)


def _run_lines(run: PcBssfpRun) -> list[str]:
    size = " × ".join(str(length) for length in run.grid)
    b1 = "none (B1 = 1 is assumed)" if run.b1 is None else f"{run.b1.map.name} ({run.b1.method})"
    lines = [
        f"  run      {run.label}",
        f"           {run.protocol.number_of_cycles} cycles of {size} voxels, {run.layout_kind}, "
        f"{len(run.files.paths)} file(s)",
        f"           B1: {b1}",
    ]
    sources = run.sources + (run.b1.sources if run.b1 else ())
    width = max(len(source.key) for source in sources)
    for source in sources:
        value = f"{source.value} {source.unit}".strip()
        origin = re.sub(r"[^ :]*/", "", source.source)  # the folder is that of the run
        lines += textwrap.wrap(
            f"{source.key:<{width}} = {value}  [{origin}]",
            width=WIDTH,
            initial_indent=" " * 11,
            subsequent_indent=" " * (14 + width),
            break_long_words=False,
            break_on_hyphens=False,
        )
    for warning in run.warnings:
        lines += _paragraph("warning", warning)
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
