"""What each kind of run adds to its files and to its report; all else is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmri_bids.reports.content import Check, Figure, QualityRow, RunReport, Section
from qmri_bids.reports.tables import quality_rows, statistics_rows
from qmri_bids.tissue_labels import NAMES
from qmri_bids.workflows import exchange_report, run_report, saturation_report
from qmri_bids.workflows.derivatives import write_derivatives
from qmri_bids.workflows.exchange_derivatives import write_exchange
from qmri_bids.workflows.report_parts import protocol_rows, unjudged_measures
from qmri_bids.workflows.results import RunResults
from qmri_bids.workflows.saturation_derivatives import write_cest, write_mtr, write_mtsat

Settings = Mapping[str, Any]
"""Options of the estimation by name: those that the functions of a kind look up."""


def _quality(results: RunResults) -> tuple[QualityRow, ...]:
    return quality_rows(results.estimate.status[""])


@dataclass(frozen=True, kw_only=True)
class KindOutputs:
    """What a kind of run writes and shows.

    Parameters
    ----------
    write
        Writes the derivatives and returns their paths.
    checks, figures
        Traffic lights and pictures in the order of the report, from results, run and settings.
    quality
        Rows of the table of codes.
    section
        Where the report shows the images as scanned.
    """

    write: Callable[..., tuple[Path, ...]]
    checks: Callable[[RunResults, Any, Settings], Iterable[Check]]
    figures: Callable[[RunResults, Any, Settings], Iterable[Figure]]
    quality: Callable[[RunResults], tuple[QualityRow, ...]] = _quality
    section: Section = Section.SERIES


_CEST = KindOutputs(write=write_cest, checks=saturation_report.checks, figures=saturation_report.cest_figures)

KIND_OUTPUTS: Mapping[str, KindOutputs] = {
    "pcbssfp": KindOutputs(
        write=write_derivatives, checks=run_report.checks, figures=run_report.figures, section=Section.CYCLES
    ),
    "z-spectrum": _CEST,
    "wasabi": _CEST,
    "wassr": _CEST,
    "mtr": KindOutputs(write=write_mtr, checks=saturation_report.checks, figures=saturation_report.mtr_figures),
    "mts": KindOutputs(
        write=write_mtsat, checks=saturation_report.mtsat_checks, figures=saturation_report.mtsat_figures
    ),
    "exchange": KindOutputs(
        write=write_exchange,
        checks=exchange_report.checks,
        figures=exchange_report.figures,
        quality=exchange_report.quality,
    ),
}
"""By the `kind` of the run."""


def describe_run(
    results: RunResults,
    *,
    run: Any,
    settings: Settings,
    decisions: Sequence[str],
    warnings: Sequence[str],
    outputs: Sequence[Path],
    output_dir: Path,
) -> RunReport:
    """Return the report of a run.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run with its protocol and the source of every value.
    settings
        Options of the estimation that the report names.
    decisions, warnings
        Sentences collected from the steps.
    outputs
        Files written.
    output_dir
        Root of the derivatives.
    """
    kind, estimate = KIND_OUTPUTS[run.kind], results.estimate
    return RunReport(
        title=run.title,
        session=run.entities.get("ses", ""),
        entities={key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
        checks=tuple(kind.checks(results, run, settings)),
        protocol=protocol_rows(run.all_sources),
        decisions=(*run.choices, *decisions),
        warnings=(*run.warnings, *warnings),
        figures=tuple(kind.figures(results, run, settings)),
        quality=kind.quality(results),
        statistics=statistics_rows(
            estimate.values, mask=results.mask, labels=results.tissue, label_names=NAMES, pure=results.pure_tissue
        ),
        outputs=tuple(path.relative_to(output_dir).as_posix() for path in outputs),
        measures=unjudged_measures(
            estimate.values,
            stdev=estimate.stdev,
            residual=estimate.residual,
            mask=results.mask,
            affine=results.affine,
        ),
    )
