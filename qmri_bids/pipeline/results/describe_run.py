"""The report of a run: the same for all kinds, which add traffic lights, pictures and codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qmri_bids.pipeline.results.report_parts import protocol_rows, unjudged_measures
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.run_kind import RunKind, Settings
from qmri_bids.reports.content import RunReport
from qmri_bids.reports.tables import statistics_rows
from qmri_bids.tissue_labels import NAMES


def describe_run(
    results: RunResults,
    *,
    kind: RunKind,
    run: Run,
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
    kind
        What its kind adds.
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
    estimate = results.estimate
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
