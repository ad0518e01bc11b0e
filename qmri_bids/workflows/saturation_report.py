"""The report of a CEST or MT run: its checks, figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from qmri_bids.bids.saturation_plan import CestRun, MtsRun, SaturationRun
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import STDEV
from qmri_bids.reports.content import Check, Figure, Level, RunReport, Section
from qmri_bids.reports.figures import (
    histogram_figure,
    map_figure,
    mask_figure,
    motion_figure,
    quality_figure,
    saturation_figure,
    series_figure,
    spectrum_figure,
    wasabi_figure,
)
from qmri_bids.reports.spectra import Curves, mean_curves, mean_spectrum
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows, statistics_rows
from qmri_bids.reports.wasabi_figures import example_voxels
from qmri_bids.tissue_labels import NAMES
from qmri_bids.workflows.registration_checks import registration_checks
from qmri_bids.workflows.report_parts import (
    curve_regions,
    motion_light,
    protocol_rows,
    registration_figures,
    unjudged_measures,
)
from qmri_bids.workflows.saturation_results import SaturationResults
from qmri_bids.workflows.titles import run_title

REGISTERED: Mapping[str, str] = {
    "b0": "the scan that gave B0",
    "t1": "the scan that gave T1",
    "b1": "the scan that gave B1",
}
"""What the scans are that were registered."""


def describe_saturation(
    results: SaturationResults,
    *,
    run: SaturationRun,
    asymmetry: Sequence[float],
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
    asymmetry
        Offsets of the maps of MTR asymmetry [ppm].
    decisions, warnings
        Sentences collected from the steps.
    outputs
        Files written.
    output_dir
        Root of the derivatives.
    """
    quality = quality_rows(results.arrays["status"])
    sources = run.sources + (run.b1.sources if isinstance(run, MtsRun) and run.b1 is not None else ())
    return RunReport(
        title=run_title(run),
        session=run.entities.get("ses", ""),
        entities={key: value for key, value in run.entities.items() if key not in ("sub", "ses")},
        checks=tuple(_checks(results, run=run, quality=quality)),
        protocol=protocol_rows(sources),
        decisions=(*((run.b0.sentence,) if isinstance(run, CestRun) and run.b0 is not None else ()), *decisions),
        warnings=(*run.warnings, *warnings),
        figures=tuple(_figures(results, run=run, asymmetry=asymmetry)),
        quality=quality,
        statistics=statistics_rows(
            results.maps,
            mask=results.mask,
            labels=results.tissue,
            label_names=NAMES,
            pure=results.pure_tissue,
        ),
        outputs=tuple(path.relative_to(output_dir).as_posix() for path in outputs),
        measures=unjudged_measures(
            results.maps,
            stdev=results.stdev,
            residual=results.arrays["residual"],
            mask=results.mask,
            affine=results.affine,
        ),
    )


def _checks(results: SaturationResults, *, run: SaturationRun, quality: tuple) -> Iterator[Check]:
    yield convergence_check(quality)
    yield motion_light(results.motion, affine=results.affine, noun="volume")
    for name in ("MTR", "MTsat"):
        values = results.maps.get(name)
        if values is not None and np.isfinite(values).any() and np.nanmedian(values) < 0.0:
            yield Check(
                name=QUANTITIES[name].label,
                value="negative",
                level=Level.BAD,
                explanation="An MT pulse takes signal away: are the images with and without it exchanged?",
            )
    yield from registration_checks(results.registrations, names=REGISTERED)
    b1 = results.maps.get("b1", results.b1)
    if b1 is not None and np.isfinite(b1[results.mask]).any():
        yield b1_check(b1[results.mask])
    if isinstance(run, MtsRun) and results.b1 is None:
        yield Check(
            name="B1",
            value="none: 1 assumed",
            level=Level.BAD,
            explanation="R1 is wrong by about twice the error of B1, and MT saturation is not taken to nominal B1.",
        )


def _figures(results: SaturationResults, *, run: SaturationRun, asymmetry: Sequence[float]) -> Iterator[Figure]:
    affine, mask = results.affine, results.mask
    reference = None if results.motion is None else int(results.motion["reference"])
    if isinstance(run, CestRun):
        yield saturation_figure(run.protocol, roles=run.roles)
    yield series_figure(
        results.series,
        labels=_volume_labels(run, results.series.shape[3]),
        affine=affine,
        mask=mask,
        reference=reference,
    )
    yield mask_figure(
        results.magnitude,
        mask=mask,
        affine=affine,
        image_name="mean of the images of full signal",
        section=Section.SERIES,
    )
    if results.motion is not None:
        yield motion_figure(
            results.motion["parameters"],
            results.motion["framewise_displacement"],
            reference=reference,
            censored=results.motion.get("censored"),
            noun="volume",
        )
    yield from registration_figures(
        results.registrations, magnitude=results.magnitude, affine=affine, mask=mask, names=REGISTERED
    )
    yield from _spectra(results, run=run, asymmetry=asymmetry)
    for name, values in results.maps.items():
        yield map_figure(values, affine=affine, mask=mask, name=name)
    for name, values in results.stdev.items():
        yield map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}")
    if np.isfinite(results.arrays["residual"]).any():
        yield map_figure(results.arrays["residual"], affine=affine, mask=mask, name="residual_spectrum")
    yield histogram_figure(results.maps, mask=mask)
    yield quality_figure(results.arrays["status"], affine=affine)


def _volume_labels(run: SaturationRun, number: int) -> list[str]:
    """Return what each volume is, in a word."""
    if isinstance(run, CestRun):
        return [
            "M0" if role == "m0" else f"{offset:+g} ppm"
            for role, offset in zip(run.roles, run.protocol.offsets, strict=True)
        ]
    if isinstance(run, MtsRun):
        return ["PD-weighted", "T1-weighted", "MT-weighted"]
    return ["MT off"] * (number // 2) + ["MT on"] * (number - number // 2)


def _spectra(results: SaturationResults, *, run: SaturationRun, asymmetry: Sequence[float]) -> Iterator[Figure]:
    if not isinstance(run, CestRun):
        return
    arrays = results.arrays
    inside = arrays["inside"]
    if run.kind == "wasabi":
        examples = example_voxels(arrays["b1"][inside])
        if examples:
            shown = list(examples.values())
            yield wasabi_figure(
                arrays["offsets"],
                arrays["corrected"][shown],
                arrays["fitted"][shown],
                list(examples),
                brain=mean_spectrum(arrays["corrected"]),
            )
        return
    regions = curve_regions(results.tissue, inside)
    spectra = {name: mean_spectrum(arrays["corrected"][chosen]) for name, chosen in regions.items()}
    fitted: dict[str, Curves] = {}
    if "parameters" in arrays:
        pools = [str(name) for name in arrays["pools"]]
        for name, chosen in regions.items():
            curves = mean_curves(arrays["parameters"][chosen], pools=pools, offsets=arrays["offsets"])
            if curves is not None:
                fitted[name] = curves
    yield spectrum_figure(arrays["offsets"], spectra, fitted=fitted or None, asymmetry=asymmetry)
