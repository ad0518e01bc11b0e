"""What nodes behind the maps add to the report of a run: checks, figures, sentences."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nipype.interfaces.base import isdefined

from qmri_bids.reports.content import Check, Figure, RunReport


@dataclass(frozen=True, kw_only=True)
class Additions:
    """Additions to a report."""

    checks: tuple[Check, ...] = ()
    figures: tuple[Figure, ...] = ()
    decisions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def save_additions(path: Path, additions: Additions) -> str:
    """Write additions and return the path."""
    path.write_bytes(pickle.dumps(additions))
    return str(path)


def with_additions(report: RunReport, path: Any) -> RunReport:
    """Return a report with the additions of a file; as it is where none is given."""
    if not isdefined(path) or path is None:
        return report
    return with_added(report, pickle.loads(Path(path).read_bytes()))


def with_added(report: RunReport, more: Additions) -> RunReport:
    """Return a report with additions behind its own lights, pictures and sentences."""
    return replace(
        report,
        checks=(*report.checks, *more.checks),
        figures=(*report.figures, *more.figures),
        decisions=(*report.decisions, *more.decisions),
        warnings=(*report.warnings, *more.warnings),
    )
