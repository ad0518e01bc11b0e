"""The report of a pc-bSSFP run: its checks, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.plan import PcBssfpRun
from qmri_bids.estimation.base import Estimate
from qmri_bids.quantity import POSTERIOR, STDEV
from qmri_bids.reports.content import Check, Figure, Level, RunReport
from qmri_bids.reports.figures import (
    cycles_figure,
    histogram_figure,
    map_figure,
    mask_figure,
    motion_figure,
    profile_figure,
    quality_figure,
    registration_figure,
    tissue_figure,
)
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows, statistics_rows
from qmri_bids.tissue_labels import NAMES
from qmri_bids.workflows.registration_checks import registration_check
from qmri_bids.workflows.report_parts import motion_light, protocol_rows, unjudged_measures
from qmri_bids.workflows.results import RunResults
from qmri_bids.workflows.titles import run_title


def describe_run(
    results: RunResults,
    *,
    run: PcBssfpRun,
    posterior: str | None,
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
    posterior
        Prior of the posterior maps, None where there are none.
    decisions, warnings
        Sentences collected from the steps.
    outputs
        Files written.
    output_dir
        Root of the derivatives.
    """
    estimate = results.estimate
    quality = quality_rows(estimate.status)
    sources = run.sources + (run.b1.sources if run.b1 is not None else ())
    return RunReport(
        title=run_title(run),
        session=run.entities.get("ses", ""),
        entities={key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
        checks=_checks(results, quality=quality),
        protocol=protocol_rows(sources),
        decisions=tuple(decisions),
        warnings=(*run.warnings, *warnings),
        figures=_figures(results, run=run, posterior=posterior),
        quality=quality,
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


def _checks(results: RunResults, *, quality: tuple) -> tuple[Check, ...]:
    checks = [convergence_check(quality), motion_light(results.motion, affine=results.affine)]
    if results.b1 is None:
        checks.append(
            Check(
                name="B1",
                value="none: 1 assumed",
                level=Level.BAD,
                explanation="T1 is wrong by about twice the error of B1.",
            )
        )
    else:
        if results.b1_registration is not None:
            missing = 100.0 * float(np.mean(~results.b1_registration["measured"][results.mask]))
            checks.append(
                Check(
                    name="B1 coverage",
                    value=f"{100.0 - missing:.0f} % of the brain",
                    level=Level.GOOD if missing < 10.0 else Level.CHECK,
                    explanation="Elsewhere B1 is extrapolated; good from 90 %. Look at the registration below.",
                    measures=(Measure(key="b1_coverage", value=100.0 - missing),),
                )
            )
            if np.isfinite(results.b1_registration["similarity"]).all():
                checks.append(registration_check("Registration of the B1 scan", results.b1_registration))
        checks.append(b1_check(results.b1[results.mask]))
    return tuple(checks)


def _figures(results: RunResults, *, run: PcBssfpRun, posterior: str | None) -> tuple[Figure, ...]:
    affine, mask, estimate, protocol = results.affine, results.mask, results.estimate, run.protocol
    reference = shown = None if results.motion is None else int(results.motion["reference"])
    censored = None if results.motion is None else results.motion.get("censored")
    if censored is not None and reference is not None:
        # Of the cycles that are left, the one that is the reference, if it is one of them.
        shown = None if censored[reference] else int(np.count_nonzero(~censored[:reference]))
    figures: list[Figure | None] = [
        cycles_figure(
            np.abs(results.cycles),
            increments=protocol.rf_phase_increment,
            affine=affine,
            mask=mask,
            reference=shown,
        ),
        mask_figure(results.magnitude, mask=mask, affine=affine),
    ]
    b1 = np.ones(mask.shape, dtype=np.float32) if results.b1 is None else results.b1
    figures.append(
        profile_figure(results.cycles[mask], estimate=_inside(estimate, mask), b1=b1[mask], protocol=protocol)
    )
    if results.motion is not None:
        figures.append(
            motion_figure(
                results.motion["parameters"],
                results.motion["framewise_displacement"],
                reference=reference,
                censored=censored,
            )
        )
    if results.b1 is not None:
        figures.append(map_figure(results.b1, affine=affine, mask=mask, name="b1"))
    if results.b1_registration is not None and run.b1 is not None and (run.b1.anatomical or run.b1.run):
        figures.append(
            registration_figure(results.magnitude, results.b1_registration["anatomical"], affine=affine, mask=mask)
        )
    half_band = 1.0 / (2.0 * protocol.repetition_time)
    for name, values in estimate.values.items():
        window = (-half_band, half_band) if name == "off_resonance" else None
        figures.append(map_figure(values, affine=affine, mask=mask, name=name, window=window))
    if results.tissue is not None:
        figures.append(tissue_figure(estimate.values["T1"], labels=results.tissue, mask=mask, affine=affine))
    for name, values in estimate.stdev.items():
        figures.append(map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}"))
    figures.append(map_figure(estimate.residual, affine=affine, mask=mask, name="residual"))
    for name, values in results.posterior.items():
        figures.append(
            map_figure(
                values,
                affine=affine,
                mask=mask,
                name=f"{POSTERIOR}{name}",
                remark=f"Prior: {posterior}. A prior pulls values towards itself; a rare lesion most of all.",
            )
        )
    figures.append(histogram_figure(estimate.values, mask=mask, windows={"off_resonance": (-half_band, half_band)}))
    figures.append(quality_figure(estimate.status, affine=affine))
    return tuple(figure for figure in figures if figure is not None)


def _inside(estimate: Estimate, mask: NDArray[np.bool_]) -> Estimate:
    """Return the estimate of the voxels of a mask."""
    return Estimate(
        values={name: values[mask] for name, values in estimate.values.items()},
        residual=estimate.residual[mask],
        status=estimate.status[mask],
    )
