"""What B1 scans and field maps leave as runs of their own: their files and their part of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.provenance import raw_uris
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import STDEV
from qmri_bids.reports.content import Check, Figure, Level, Section
from qmri_bids.reports.figure_table import histogram_figure, map_figure, mask_figure, quality_figure
from qmri_bids.reports.references import full_citation
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun, FieldRun

ALGORITHMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "TB1TFL": ("Flip angles of a preconditioned TurboFLASH over nominal", ("chung2010", "garcia2010")),
    "TB1RFM": ("Flip angles of the vendor's RF map over nominal", ("garcia2010",)),
    "TB1DAM": ("Double angle: acos(S2 / 2 S1) over nominal", ("insko1993", "garcia2010")),
    "TB1AFI": ("Actual flip-angle imaging: acos((r n - 1) / (n - r)) over nominal", ("yarnykh2007", "garcia2010")),
    "TB1map": ("A ready-made map of B1", ("garcia2010",)),
}
"""How B1 was measured and the keys of the papers, by the method; a smooth surface through it follows."""


STDEV_WINDOWS: Mapping[str, tuple[float, float]] = {"b1": (0.0, 0.01)}
"""Windows of standard deviations that are not those of the table of maps: a smooth surface averages over many voxels."""


def _write(
    results: RunResults,
    *,
    run: FieldRun,
    algorithm: str,
    references: tuple[str, ...],
    extra: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> RunWriter:
    """Write what both kinds leave: map, standard deviation, codes, mask and tissues."""
    sources = raw_uris(run.paths, bids_dir=bids_dir)
    writer = RunWriter(results, run=run, output_dir=output_dir, sources=sources)
    made = {"algorithm": algorithm, "reference": full_citation(references) if references else None, "extra": extra}
    writer.add_estimate(lambda quantity: made)
    writer.add("quality_mask", results.estimate.status[""])
    writer.add_mask()
    if results.tissue is not None:
        writer.add("tissue", results.tissue)
    return writer


def write_b1_scan(
    results: RunResults,
    *,
    run: B1ScanRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write B1, its standard deviation where it is known, what the smooth surface leaves, codes and mask.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The scan.
    settings, model
        Not used.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    algorithm, references = ALGORITHMS[run.scan.method]
    writer = _write(
        results,
        run=run,
        algorithm=f"{algorithm}; a robust smooth surface through its values",
        references=references,
        extra={"B1Method": run.scan.method, "B1From": run.scan.map.name},
        bids_dir=bids_dir,
        output_dir=output_dir,
    )
    writer.add_map(QUANTITIES["residual"], results.estimate.residual)
    return writer.finish()


def write_b0_scan(
    results: RunResults,
    *,
    run: B0ScanRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write off-resonance with its magnitude image, its standard deviation where it is known, codes and mask.

    Parameters
    ----------
    results, run, settings, model, bids_dir, output_dir
        As in `write_b1_scan`.
    """
    times = run.scan.echo_times
    said = {} if times is None else {"EchoTime1": round(times[0], 9), "EchoTime2": round(times[1], 9)}
    writer = _write(
        results,
        run=run,
        algorithm="A field map in Hz or rad/s, as it is"
        if times is None
        else "Difference of the phases of two echoes, unwrapped",
        references=() if times is None else ("herraez2002",),
        extra={"B0From": run.scan.path.name, **said},
        bids_dir=bids_dir,
        output_dir=output_dir,
    )
    writer.add("fieldmap_magnitude", results.magnitude)
    return writer.finish()


def b1_checks(results: RunResults, run: B1ScanRun, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a B1 scan."""
    yield convergence_check(quality_rows(results.estimate.status[""]))
    b1 = results.estimate.values["b1"][results.mask]
    if np.isfinite(b1).any():
        yield b1_check(b1)
    if "b1" not in results.estimate.stdev:
        yield _without_stdev("The map came ready-made, and what was done to it is not known.")


def b0_checks(results: RunResults, run: B0ScanRun, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a field map."""
    yield convergence_check(quality_rows(results.estimate.status[""]))
    field = results.estimate.values["off_resonance"][results.mask]
    field = field[np.isfinite(field)]
    if field.size:
        low, middle, high = np.percentile(field, (2, 50, 98))
        yield Check(
            name="Off-resonance",
            value=f"{low:.0f} to {high:.0f} Hz, median {middle:.0f} Hz",
            level=Level.INFO,
            explanation="2nd to 98th percentile in the mask; not judged.",
        )
    if "off_resonance" not in results.estimate.stdev:
        yield _without_stdev("The map came ready-made, or the noise of its image is not known.")


def _without_stdev(why: str) -> Check:
    return Check(name="Standard deviation", value="none", level=Level.INFO, explanation=why)


def _figures(results: RunResults, run: FieldRun) -> Iterator[Figure]:
    affine, mask, estimate = results.affine, results.mask, results.estimate
    yield mask_figure(
        results.magnitude,
        mask=mask,
        affine=affine,
        image_name="the map itself: the scan has no image" if run.image is None else "image of the scan",
        section=Section.SERIES,
    )
    for name, values in estimate.values.items():
        yield map_figure(values, affine=affine, mask=mask, name=name)
    for name, values in estimate.stdev.items():
        yield map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}", window=STDEV_WINDOWS.get(name))
    if np.isfinite(estimate.residual).any():
        yield map_figure(
            estimate.residual,
            affine=affine,
            mask=mask,
            name="residual",
            title="What the smooth surface leaves",
            remark="Here of one image: distance of the measured values from the smooth surface.",
        )
    yield histogram_figure(estimate.values, mask=mask)
    yield quality_figure(estimate.status[""], affine=affine)


def b1_figures(results: RunResults, run: B1ScanRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of a B1 scan."""
    yield from _figures(results, run)


def b0_figures(results: RunResults, run: B0ScanRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of a field map."""
    yield from _figures(results, run)
