"""A kind of run: what it adds to workflow, files and report; all else is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe

from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.reports.content import Check, Figure, QualityRow
from qmri_bids.reports.tables import quality_rows
from qmri_bids.sentence import Sentence

Settings = Mapping[str, Any]
"""Options of the estimation by name: those that the functions of a kind look up."""


def shared_quality(results: RunResults) -> tuple[QualityRow, ...]:
    """Return the rows of the table of codes of a run whose maps share one status."""
    return quality_rows(results.estimate.status[""])


def no_windows(run: Any) -> Mapping[str, tuple[float, float]]:
    """Return the limits of maps of a kind whose limits do not follow from the scan: none."""
    return {}


@dataclass(frozen=True, kw_only=True)
class RunKind:
    """One row of `run_kinds.RUN_KINDS`.

    Parameters
    ----------
    prefix
        How the name of the workflow begins.
    init
        Makes the workflow of a run.
    write
        Writes the derivatives and returns their paths.
    checks, figures
        Traffic lights and pictures in the order of the report, from results, run and settings.
    methods
        What the methods text says of all runs of the kind together.
    quality
        Rows of the table of codes.
    windows
        Limits of maps on display that follow from the run, in the unit of the package, by the name of the map.
    """

    prefix: str
    init: Callable[..., pe.Workflow]
    write: Callable[..., tuple[Path, ...]]
    checks: Callable[[RunResults, Any, Settings], Iterable[Check]]
    figures: Callable[[RunResults, Any, Settings], Iterable[Figure]]
    methods: Callable[[Sequence[Any], ProcessingOptions], list[Sentence]]
    quality: Callable[[RunResults], tuple[QualityRow, ...]] = shared_quality
    windows: Callable[[Any], Mapping[str, tuple[float, float]]] = no_windows
