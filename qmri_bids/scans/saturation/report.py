"""The report of a CEST or MT run: its checks, figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qmri_bids.pipeline.results.registration_checks import registration_checks
from qmri_bids.pipeline.results.report_parts import (
    curve_regions,
    motion_light,
    registration_figures,
)
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.run import Run
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import STDEV
from qmri_bids.reports.content import Check, Figure, Level, Section
from qmri_bids.reports.drawing.spectra import Curves, mean_curves, mean_spectrum
from qmri_bids.reports.figure_table import (
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
from qmri_bids.reports.figures.wasabi import example_voxels
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows
from qmri_bids.scans.saturation.run import CestRun, MtrRun, MtsRun

REGISTERED: Mapping[str, str] = {
    "b0": "the scan that gave B0",
    "t1": "the scan that gave T1",
    "b1": "the scan that gave B1",
}
"""What the scans are that were registered."""


def checks(results: RunResults, run: Run, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a run."""
    estimate = results.estimate
    yield convergence_check(quality_rows(estimate.status[""]))
    yield motion_light(results.motion, affine=results.affine, noun="volume")
    for name in ("MTR", "MTsat"):
        values = estimate.values.get(name)
        if values is not None and np.isfinite(values).any() and np.nanmedian(values) < 0.0:
            yield Check(
                name=QUANTITIES[name].label,
                value="negative",
                level=Level.BAD,
                explanation="An MT pulse takes signal away: are the images with and without it exchanged?",
            )
    yield from registration_checks(results.registrations, names=REGISTERED)
    b1 = estimate.values.get("b1", results.b1)
    if b1 is not None and np.isfinite(b1[results.mask]).any():
        yield b1_check(b1[results.mask])


def mtsat_checks(results: RunResults, run: MtsRun, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a run of MT saturation, which B1 enters."""
    yield from checks(results, run, settings)
    if results.b1 is None:
        yield Check(
            name="B1",
            value="none: 1 assumed",
            level=Level.BAD,
            explanation="R1 is wrong by about twice the error of B1, and MT saturation is not taken to nominal B1.",
        )


def series_figures(results: RunResults, *, labels: Sequence[str], curves: Iterable[Figure] = ()) -> Iterator[Figure]:
    """Return the pictures of a run of one series: `labels` of its volumes, and those drawn between registrations and maps."""
    affine, mask, estimate, images = results.affine, results.mask, results.estimate, results.series()
    reference = None if results.motion is None else int(results.motion["reference"])
    yield series_figure(images, labels=labels, affine=affine, mask=mask, reference=reference)
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
    yield from curves
    for name, values in estimate.values.items():
        yield map_figure(values, affine=affine, mask=mask, name=name)
    for name, values in estimate.stdev.items():
        yield map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}")
    if np.isfinite(estimate.residual).any():
        yield map_figure(estimate.residual, affine=affine, mask=mask, name="residual_spectrum")
    yield histogram_figure(estimate.values, mask=mask)
    yield quality_figure(estimate.status[""], affine=affine)


def cest_figures(results: RunResults, run: CestRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of a series of saturated images; `settings` with the offsets of MTR asymmetry [ppm]."""
    yield saturation_figure(run.protocol, roles=run.roles)
    labels = [
        "M0" if role == "m0" else f"{offset:+g} ppm"
        for role, offset in zip(run.roles, run.protocol.offsets, strict=True)
    ]
    curves = _wasabi_curves(results) if run.kind == "wasabi" else _spectra(results, settings["asymmetry"])
    yield from series_figures(results, labels=labels, curves=curves)


def mtr_figures(results: RunResults, run: MtrRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of images with and without an MT pulse."""
    number = results.series().shape[3]
    yield from series_figures(results, labels=["MT off"] * (number // 2) + ["MT on"] * (number - number // 2))


def mtsat_figures(results: RunResults, run: MtsRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of three spoiled gradient echoes."""
    yield from series_figures(results, labels=["PD-weighted", "T1-weighted", "MT-weighted"])


def _wasabi_curves(results: RunResults) -> Iterator[Figure]:
    arrays = results.estimate.arrays
    examples = example_voxels(arrays["b1"][arrays["inside"]])
    if examples:
        shown = list(examples.values())
        yield wasabi_figure(
            arrays["offsets"],
            arrays["corrected"][shown],
            arrays["fitted"][shown],
            list(examples),
            brain=mean_spectrum(arrays["corrected"]),
        )


def _spectra(results: RunResults, asymmetry: Sequence[float]) -> Iterator[Figure]:
    arrays = results.estimate.arrays
    regions = curve_regions(results.tissue, arrays["inside"])
    spectra = {name: mean_spectrum(arrays["corrected"][chosen]) for name, chosen in regions.items()}
    fitted: dict[str, Curves] = {}
    if "parameters" in arrays:
        pools = [str(name) for name in arrays["pools"]]
        for name, chosen in regions.items():
            curves = mean_curves(arrays["parameters"][chosen], pools=pools, offsets=arrays["offsets"])
            if curves is not None:
                fitted[name] = curves
    yield spectrum_figure(arrays["offsets"], spectra, fitted=fitted or None, asymmetry=asymmetry)
