"""What a pc-bSSFP run freed of magnetisation transfer leaves: its files and its part of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.provenance import file_uris, raw_uris
from qmri_bids.estimation.one_model.given_pools import RATE, RATE_STDEV
from qmri_bids.physics.published_pools import MT
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.maps.image_outputs import image_figures, write_images
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter, maps_of_run
from qmri_bids.quantities import get_quantity
from qmri_bids.quantity import STDEV
from qmri_bids.reports.content import Check, Figure, Level
from qmri_bids.reports.figure_table import histogram_figure, map_figure, mask_figure, quality_figure, tissue_figure
from qmri_bids.reports.measures import Measure
from qmri_bids.reports.references import full_citation
from qmri_bids.scans.bssfp.outputs import pulse_metadata
from qmri_bids.scans.transfer.pair_nodes import neighbourhood_width
from qmri_bids.scans.transfer.run import TransferRun

FRACTION = f"{MT}_fraction"

OF_TWO_RUNS = (
    "Differences of T1, M0 and T2 of two runs of bSSFP whose pulses saturate the semisolid pool differently, weighted by their "
    "covariance, averaged over neighbours that are alike"
)

_FRACTION_TEXT = {
    "Regional": "A mean over neighbours that are alike, not a value of single voxels. NaN where fewer than 13 voxels are alike.",
    "StandardDeviationHolds": "Noise of the mean, receiver and B1; exchange rate, R1 and line of the semisolid pool, which are "
    "those of the literature.",
}
"""What the sidecars of fraction and standard deviation say beside what they say of a fingerprint's."""


POOL_SOURCES, PAIR_SOURCES = ("MT_fraction", "MT_rate"), ("T1", "T2", "M0")
"""Maps of another run that enter: its pools, or those of a second pc-bSSFP run."""


def write_transfer(
    results: RunResults,
    *,
    run: TransferRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write T1 and M0 freed of magnetisation transfer, their standard deviations, codes, mask and tissues.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The run.
    settings
        `synthetic`: images that were asked for.
    model
        Not used.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    said: dict[str, Any] = {
        "ApparentT1From": run.scan.giver,
        "PoolsFrom": run.pools.run or [path.name for path in run.pools.files.values()],
        "SemisolidLine": run.line_name,
        "SemisolidLineOnResonance": round(run.line, 9),
        "SemisolidR1": "that of free water" if run.r1 is None else run.r1,
        "ExcitationPulse": pulse_metadata(run.relaxometry.pulse),
    }
    if run.stored is not None and not run.stored.has_rate:
        said["ExchangeRate"] = {"Value": RATE, "StandardDeviation": RATE_STDEV, "From": "literature"}
    raw = raw_uris(run.paths, bids_dir=bids_dir)
    if run.other is not None:
        said |= {
            "OtherExcitationPulse": pulse_metadata(run.other.pulse),
            "Neighbourhood": round(neighbourhood_width(results.affine), 6),
            "ExchangeRate": {"Value": RATE, "StandardDeviation": RATE_STDEV, "From": "literature"},
        }
    files = [*run.pools.files.values(), *run.pools.stdev_files.values()]
    of_pools = []
    if run.pools.run is not None:
        names = POOL_SOURCES if run.other is None else PAIR_SOURCES
        of_pools = maps_of_run(run.pools.run, map(get_quantity, names), output_dir=output_dir)
    writer = RunWriter(
        results,
        run=run,
        output_dir=output_dir,
        sources=[
            *raw,
            *maps_of_run(run.scan.giver, map(get_quantity, ("T1", "M0")), output_dir=output_dir),
            *of_pools,
            *file_uris(files, bids_dir=bids_dir, output_dir=output_dir),
        ],
        protocol=run.relaxometry.protocol,
    )
    writer.add_estimate(
        lambda quantity: {
            "algorithm": OF_TWO_RUNS if quantity.name == FRACTION else quantity.algorithm,
            "reference": full_citation(("gloor2008",) if quantity.name == FRACTION else quantity.references),
            "extra": said | (_FRACTION_TEXT if quantity.name == FRACTION else {}),
        }
    )
    write_images(
        writer,
        results,
        requests=settings.get("synthetic", ()),
        field_strength=run.relaxometry.protocol.field_strength,
        maps=("mtcorrected_T1", "free_M0"),
        extra={},
        t1_from="T1 as an inversion recovery sees it (desc-mtcorrected_T1map)",
    )
    writer.add("quality_mask", results.estimate.status[""])
    writer.add_mask(sources=raw)
    if results.tissue is not None:
        writer.add("tissue", results.tissue)
    return writer.finish()


def checks(results: RunResults, run: TransferRun, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights."""
    yield _coverage(results, run)
    apparent, freed = results.estimate.arrays["T1"], results.estimate.values["mtcorrected_T1"]
    with np.errstate(all="ignore"):
        change = freed / apparent - 1.0
    change = change[np.isfinite(change)]
    yield Check(
        name="Magnetization transfer",
        value="no voxel was freed of it"
        if not change.size
        else f"apparent T1 was {100.0 * float(np.median(change / (1.0 + change))):.0f} % low in the median",
        level=Level.BAD if not change.size else Level.INFO,
        explanation="How far T1 of pc-bSSFP lies below that of an inversion recovery under these pulses; the maps of this run are "
        "free of it.",
    )


FLUID_T2 = 0.2
"""Apparent T2 [s] above which a voxel is fluid, which has no semisolid pool."""

GOOD, POOR = 90.0, 70.0
"""Share of tissue that was freed from which it is good, and below which it is bad [percent]."""


def _coverage(results: RunResults, run: TransferRun) -> Check:
    """Return the light of how much tissue was freed."""
    missing = (
        "Fluid has no semisolid pool and no freed T1; elsewhere a value is missing where fraction and rate of the pool could not "
        "be told apart."
        if run.other is None
        else "The pool of two runs is one of regions: a value is missing where too few neighbours are alike, at edges and in large "
        "voxels above all."
    )
    arrays = results.estimate.arrays
    tissue = np.isfinite(arrays["T1"]) & (arrays["T2"] < FLUID_T2)
    number = int(np.count_nonzero(tissue))
    share = 100.0 * float(np.mean(np.isfinite(results.estimate.values["mtcorrected_T1"][tissue]))) if number else 0.0
    return Check(
        name="Tissue with a value",
        value=f"{share:.1f} % of {number:,}",
        level=Level.GOOD if share >= GOOD else Level.CHECK if share >= POOR else Level.BAD,
        explanation=f"Of voxels with an apparent T2 below {1e3 * FLUID_T2:g} ms. {missing} "
        f"Good from {GOOD:g} %, bad below {POOR:g} %.",
        measures=(Measure(key="tissue_freed", value=share),),
    )


def figures(results: RunResults, run: TransferRun, settings: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Return the pictures: the apparent T1 first, then what it becomes."""
    affine, mask, estimate = results.affine, results.mask, results.estimate
    drawn: list[Figure | None] = [
        mask_figure(results.magnitude, mask=mask, affine=affine),
        map_figure(
            estimate.arrays["T1"],
            affine=affine,
            mask=mask,
            name="T1",
            remark="Before: as one pool under these pulses looks.",
        ),
    ]
    drawn += [map_figure(values, affine=affine, mask=mask, name=name) for name, values in estimate.values.items()]
    field = run.relaxometry.protocol.field_strength
    drawn += image_figures(results, requests=settings.get("synthetic", ()), field_strength=field)
    if results.tissue is not None:
        drawn.append(tissue_figure(estimate.values["mtcorrected_T1"], labels=results.tissue, mask=mask, affine=affine))
    drawn += [
        map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}") for name, values in estimate.stdev.items()
    ]
    drawn.append(
        histogram_figure(
            {"T1": estimate.arrays["T1"], **estimate.values},
            mask=mask,
            windows={},
            field_strength=run.static_field if results.kind == BRAIN else None,
        )
    )
    drawn.append(quality_figure(estimate.status[""], affine=affine))
    return tuple(figure for figure in drawn if figure is not None)
