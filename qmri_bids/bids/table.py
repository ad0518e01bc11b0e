"""The text of a dry run: what would be computed, from which values, and what would not and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from qmri_bids.bids.exchange_plan import ExchangeRun
from qmri_bids.bids.plan import B1Run, PcBssfpRun, SessionPlan
from qmri_bids.bids.refusal import ValueSource
from qmri_bids.bids.saturation_plan import CestRun, MtrRun, MtsRun

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
            lines.append("  no pc-bSSFP, CEST or MT run")
        for run in plan.runs:
            lines.append(f"  run      {run.label}")
            lines += [f"{'':11}{line}" for line in _LINES[run.kind](run)]
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


def _pcbssfp_lines(run: PcBssfpRun) -> list[str]:
    return [
        f"{run.protocol.number_of_cycles} cycles of {_size(run.grid)}, {run.layout_kind}, "
        f"{len(run.files.paths)} file(s)",
        _b1_line(run.b1),
    ]


def _cest_lines(run: CestRun) -> list[str]:
    counts = (f"{run.roles.count(role)} {role}" for role in ("m0", "cest", "wassr") if role in run.roles)
    lines = [f"{run.kind}: {len(run.volumes)} images of {_size(run.grid)} ({', '.join(counts)})"]
    if run.b0 is not None:
        lines += textwrap.wrap(f"B0: {run.b0.sentence}", width=WIDTH - 11, break_on_hyphens=False)
    return lines


def _mtr_lines(run: MtrRun) -> list[str]:
    return [f"MT ratio of images of {_size(run.grid)}: {run.saturated.name} over {run.unsaturated.name}"]


def _mtsat_lines(run: MtsRun) -> list[str]:
    names = zip(("PD weighted", "T1 weighted", "MT weighted"), run.paths, strict=True)
    return [
        f"MT saturation of images of {_size(run.grid)}",
        *(f"{name}: {path.name}" for name, path in names),
        _b1_line(run.b1),
    ]


def _exchange_lines(run: ExchangeRun) -> list[str]:
    lines = [f"fraction and exchange rate of {' and '.join(run.scan.pools)}, {len(run.stages)} stage(s)"]
    lines += [f"stage: {stage.label}, {len(stage.volumes)} images of {_size(stage.grid)}" for stage in run.stages]
    for decision in run.decisions:
        lines += textwrap.wrap(f"pools: {decision}", width=WIDTH - 11, break_on_hyphens=False)
    for source in run.known:
        lines += textwrap.wrap(f"known: {source.sentence}", width=WIDTH - 11, break_on_hyphens=False)
    return lines


_LINES: Mapping[str, Callable[[Any], list[str]]] = {
    "pcbssfp": _pcbssfp_lines,
    "z-spectrum": _cest_lines,
    "wasabi": _cest_lines,
    "wassr": _cest_lines,
    "mtr": _mtr_lines,
    "mts": _mtsat_lines,
    "exchange": _exchange_lines,
}
"""What a run is, in short lines, by its kind."""


def _size(grid: Sequence[int]) -> str:
    return " × ".join(str(length) for length in grid) + " voxels"


def _b1_line(b1: B1Run | None) -> str:
    return "B1: " + ("none (B1 = 1 is assumed)" if b1 is None else f"{b1.run or b1.map.name} ({b1.method})")


def _source_lines(sources: Sequence[ValueSource]) -> list[str]:
    lines = []
    width = max((len(source.key) for source in sources), default=0)
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
