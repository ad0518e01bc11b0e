"""What Z-spectra and MT runs leave: their files and their part of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.names import output_path
from qmri_bids.bids.provenance import file_uris, protocol_metadata, raw_uris
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.results.registration_checks import registration_checks
from qmri_bids.pipeline.results.report_parts import (
    curve_regions,
    motion_light,
    realigned_figures,
    registration_figures,
)
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter, maps_of_run
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.tissues.b1_dependence import b1_dependence_check
from qmri_bids.pipeline.tissues.plausible import spoiled_t1_check
from qmri_bids.quantities import KNOWN_QUANTITIES, QUANTITIES
from qmri_bids.quantity import STDEV, Quantity
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
from qmri_bids.reports.references import full_citation
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows
from qmri_bids.scans.b1.derivatives import add_b1, b1_sources
from qmri_bids.scans.saturation.run import NOT_CORRECTED, T1_KINDS, CestRun, MtrRun, MtsRun
from qmri_bids.units import percent_to_fraction, radians_to_degrees

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wasabi": ("Least-squares fit of the WASABI equation", ("schuenke2017",)),
    "wassr": ("Centre of symmetry of the spectrum around water", ("kim2009",)),
    "fieldmap": ("A field map, brought to this scan", ()),
    "spectrum": ("The dip of the Z-spectrum itself", ()),
    "none": ("Not corrected", ()),
}
"""How off-resonance and B1 were mapped, by the method."""


How = Callable[[Quantity], tuple[str | None, tuple[str, ...]]]
"""How a map was made, and the keys of the papers."""


class _Outputs:
    """What all CEST and MT runs write, around what only some do."""

    def __init__(
        self,
        results: RunResults,
        *,
        run: Run,
        others: Sequence[str],
        acquisition: Mapping[str, Any],
        bids_dir: Path,
        output_dir: Path,
    ) -> None:
        self.results, self.run, self.others, self.acquisition = results, run, list(others), acquisition
        self.raw = raw_uris(run.paths, bids_dir=bids_dir)
        self.writer = RunWriter(
            results, run=run, output_dir=output_dir, sources=self.raw, extra=self.with_acquisition()
        )

    @property
    def sources(self) -> list[str]:
        """What the maps were made of."""
        return self.raw + self.others

    def with_acquisition(self, **extra: Any) -> dict[str, Any]:
        """Return keys of a sidecar with those of the acquisition; None takes one away."""
        return {key: value for key, value in {**self.acquisition, **extra}.items() if value is not None}

    def maps(self, *, how: How = lambda quantity: (quantity.algorithm, quantity.references), **extra: Any) -> None:
        """Write maps, residual, codes, mask and the image beside a field map; `extra` by the name of the map."""

        def metadata_of(quantity: Quantity) -> Mapping[str, Any]:
            algorithm, references = how(quantity)
            return {
                "sources": self.sources,
                "algorithm": algorithm,
                "reference": full_citation(references),
                "extra": self.with_acquisition(**extra.get(quantity.name, {})),
            }

        estimate, writer = self.results.estimate, self.writer
        writer.add_estimate(metadata_of)
        if np.isfinite(estimate.residual).any():  # one image for every unknown leaves none
            writer.add_map(QUANTITIES["residual"], estimate.residual, sources=self.sources)
        writer.add("quality_mask", estimate.status[""], sources=self.sources)
        writer.add_mask(extra=self.with_acquisition())
        if "off_resonance" in estimate.values:
            writer.add("fieldmap_magnitude", self.results.magnitude)

    def finish(self, **b1: Any) -> tuple[Path, ...]:
        """Write tissues, B1 where it was used, motion and transforms, and return all files; `b1` says how it was measured."""
        results, writer = self.results, self.writer
        if results.tissue is not None:
            writer.add("tissue", results.tissue, sources=self.sources)
        if results.b1 is not None:
            registration = results.registrations.get("b1")
            add_b1(self._add_b1, results.b1, registration=registration, mask=results.mask, sources=self.others, **b1)
        writer.add_motion(results.motion, series=self.run, sources=self.raw)
        for name, registration in results.registrations.items():
            writer.add_transform(f"{name}_to_scan_transform", registration["transform"], sources=self.others)
        return writer.finish()

    def _add_b1(self, output: str, array: Any, *, extra: Mapping[str, Any], **metadata: Any) -> None:
        self.writer.add(output, array, extra=self.with_acquisition(**extra), **metadata)


def write_cest(
    results: RunResults,
    *,
    run: CestRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write the maps of a Z-spectrum, or of B0 and B1, with uncertainties, masks, aligned and corrected volumes and motion.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run.
    settings
        `denoise`: how the series was denoised, "none" where it was not.
    model
        What identifies the model behind the estimator; empty where there is none.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    others = [
        *_fieldmap_sources(run, bids_dir=bids_dir),
        *_t1_files(run, bids_dir=bids_dir, output_dir=output_dir),
        *_maps_of_other_runs(run, output_dir=output_dir),
        *_power_sources(run, bids_dir=bids_dir, output_dir=output_dir),
    ]
    acquisition = protocol_metadata(run.protocol)
    if run.t1 is not None:
        acquisition["T1From"] = run.t1_source
        acquisition["T1Kind"] = T1_KINDS[run.t1_kind]
    if run.b0 is not None:
        acquisition["B0From"] = run.b0.run or run.b0.method
    drift, drift_stdev = results.estimate.arrays.get("drift", (math.nan, math.nan))
    if math.isfinite(drift):
        # Hertz over the whole series.
        acquisition["FieldDrift"], acquisition["FieldDriftStdev"] = round(float(drift), 3), round(float(drift_stdev), 3)
    if run.powers is not None:
        acquisition["B1Correction"] = {
            "Method": "Spectra at several powers",
            "Spectra": [take.giver for take in run.powers.others],
            "RelativePower": [round(ratio, 6) for ratio in run.powers.ratios],
        }

    def how(quantity: Quantity) -> tuple[str | None, tuple[str, ...]]:
        is_field = quantity.name in ("off_resonance", "b1")
        return _how_field(run) if is_field else (quantity.algorithm, quantity.references)

    outputs = _Outputs(
        results, run=run, others=others, acquisition=acquisition, bids_dir=bids_dir, output_dir=output_dir
    )
    outputs.maps(how=how)
    if run.powers is None:  # else the run of the spectrum as it was measured writes them
        denoised = None if settings.get("denoise", "none") == "none" else settings["denoise"]
        outputs.writer.add("preproc_cest", results.series(), extra=outputs.with_acquisition(Denoising=denoised))
    outputs.writer.add(
        "corrected_cest",
        results.series_of_voxels("corrected"),
        sources=outputs.sources,
        # One volume an offset, not an image: lists of the series do not belong to it.
        extra=outputs.with_acquisition(
            SaturationOffset=[round(float(each), 6) for each in results.estimate.arrays["offsets"]],
            SaturationB1RMS=None,
            RecoveryTime=None,
        ),
    )
    return outputs.finish(run=None if run.powers is None else run.powers.b1)


def write_mtr(
    results: RunResults,
    *,
    run: MtrRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write the magnetization transfer ratio, its uncertainty, masks and motion.

    Parameters
    ----------
    results, run, settings, model, bids_dir, output_dir
        As in `write_cest`.
    """
    outputs = _Outputs(results, run=run, others=(), acquisition={}, bids_dir=bids_dir, output_dir=output_dir)
    outputs.maps()
    return outputs.finish(run=None)


def write_mtsat(
    results: RunResults,
    *,
    run: MtsRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write MT saturation, R1 and amplitude with uncertainties, masks, B1 as used, motion and transforms.

    Parameters
    ----------
    results, run, model, bids_dir, output_dir
        As in `write_cest`.
    settings
        `correction`: how MT saturation was taken to nominal B1.
    """
    outputs = _Outputs(
        results,
        run=run,
        others=b1_sources(run.b1, bids_dir=bids_dir, output_dir=output_dir),
        acquisition={
            "WeightingOfImages": ["PD", "T1", "MT"],
            "FlipAngle": [round(radians_to_degrees(each.flip_angle), 6) for each in run.protocols],
            # BIDS takes one number under RepetitionTimeExcitation.
            "RepetitionTimeExcitationOfImages": [each.repetition_time for each in run.protocols],
        },
        bids_dir=bids_dir,
        output_dir=output_dir,
    )
    outputs.maps(MTsat={"MTsatB1Correction": settings["correction"]})
    return outputs.finish(run=run.b1)


def _how_field(run: CestRun) -> tuple[str, tuple[str, ...]]:
    """Return how off-resonance and B1 were mapped, and the keys of the papers."""
    b0 = run.b0
    algorithm, references = FIELDS.get(run.kind if b0 is None else b0.method, FIELDS["spectrum"])
    if b0 is not None and b0.run is not None:
        algorithm = f"The B0 map of {b0.run} ({algorithm}), brought to this scan"
    return algorithm, references


def _fieldmap_sources(run: CestRun, *, bids_dir: Path) -> list[str]:
    """Return the files of a field map that gave the shift of water."""
    if run.b0 is None or run.b0.fieldmap is None:
        return []
    return raw_uris(run.b0.fieldmap.paths, bids_dir=bids_dir)


def _power_sources(run: CestRun, *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the files of spectra at other powers, and of B1, that took a spectrum to nominal B1."""
    if run.powers is None:
        return []
    paths = [
        output_path(output_dir, entities=parse_name(Path(take.giver)).entities, output="preproc_cest")
        for take in run.powers.others
    ]
    return [
        *file_uris(paths, bids_dir=bids_dir, output_dir=output_dir),
        *b1_sources(run.powers.b1, bids_dir=bids_dir, output_dir=output_dir),
    ]


def _t1_files(run: CestRun, *, bids_dir: Path, output_dir: Path) -> list[str]:
    """Return the files that gave T1, and the image by which they were registered."""
    if run.t1 is None or not run.t1.files:
        return []
    image = () if run.t1.image is None else (run.t1.image,)
    paths = (*run.t1.files.values(), *run.t1.stdev_files.values(), *image)
    return file_uris(paths, bids_dir=bids_dir, output_dir=output_dir)


def _maps_of_other_runs(run: CestRun, *, output_dir: Path) -> list[str]:
    """Return the maps of other runs that were used, as files of the derivatives."""
    quantities = {**KNOWN_QUANTITIES, "t1": QUANTITIES[run.t1_map]}
    return [
        uri
        for take in run.takes
        if take.key in ("t1", "b0")
        for uri in maps_of_run(take.giver, [quantities[name] for name in take.names], output_dir=output_dir)
    ]


REGISTERED: Mapping[str, str] = {
    "b0": "the scan that gave B0",
    "t1": "the scan that gave T1",
    "b1": "the scan that gave B1",
    **{f"power{number}": f"spectrum {number} of another power" for number in range(1, 5)},
}
"""What the scans are that were registered."""


GOOD_FIT, USABLE_FIT = 0.01, 0.03
"""What the lines leave of Z beyond noise up to which a fit is good, and above which it is bad: 0.004 where they are those that are
there, 0.01 where one lacks, 0.1 where water does."""

MOSTLY_THERE, HARDLY_THERE = 0.8, 0.5
"""Share of the voxels with a spectrum in which a line has a height from which it is good, and below which it is bad."""


def lorentzian_light(results: RunResults) -> Iterator[Check]:
    """Return whether the lines of a fit describe the spectra and have heights; nothing without a fit."""
    arrays = results.estimate.arrays
    if "parameters" not in arrays:  # WASABI has a model of its own
        return
    z, noise, parameters = (arrays[name].astype(np.float64) for name in ("z", "z_stdev", "parameters"))
    inside = arrays["inside"]
    with np.errstate(all="ignore"):
        left = results.estimate.residual[inside] ** 2 * np.mean(z**2, axis=1)
        beyond = np.sqrt(np.maximum(left - noise**2 * max(0.0, 1.0 - parameters.shape[1] / z.shape[1]), 0.0))
    typical = float(np.median(beyond[np.isfinite(beyond)])) if np.isfinite(beyond).any() else math.nan
    told = {
        name.removeprefix("amplitude_"): float(np.mean(np.isfinite(values[inside])))
        for name, values in results.estimate.values.items()
        if name.startswith("amplitude_")
    }
    fewest = min(told.values(), default=0.0)
    lacking = [f"{pool} has a height in {100.0 * share:.0f} %" for pool, share in told.items() if share < MOSTLY_THERE]
    level = Level.GOOD if typical <= GOOD_FIT and fewest >= MOSTLY_THERE else Level.CHECK
    if not typical <= USABLE_FIT or fewest < HARDLY_THERE:
        level = Level.BAD
    yield Check(
        name="Lorentzian fit",
        value="; ".join([f"leaves {100.0 * typical:.1f} % of M0 beyond noise", *lacking]),
        level=level,
        explanation=f"Median over the voxels of the root mean square that the lines leave of Z. Good up to {100 * GOOD_FIT:.0f} % "
        f"with heights of every line in {100 * MOSTLY_THERE:.0f} % of the voxels, bad above {100 * USABLE_FIT:.0f} % or below "
        f"{100 * HARDLY_THERE:.0f} %: other lines are there, or not those that were asked for.",
    )


def checks(results: RunResults, run: Run, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a run."""
    estimate = results.estimate
    yield convergence_check(quality_rows(estimate.status[""]))
    yield motion_light(results.motion, affine=results.affine, noun="volume")
    yield from lorentzian_light(results)
    for name in ("MTR", "MTsat"):
        values = estimate.values.get(name)
        if values is not None and np.isfinite(values).any() and np.nanmedian(values) < 0.0:
            yield Check(
                name=QUANTITIES[name].label,
                value="negative",
                level=Level.BAD,
                explanation="An MT pulse takes signal away: are the images with and without it exchanged?",
            )
    if isinstance(run, CestRun) and NOT_CORRECTED in run.warnings:
        yield Check(
            name="B0",
            value="not corrected",
            level=Level.CHECK,
            explanation="Water was taken to lie at its nominal frequency everywhere (--cest-b0 none).",
        )
    yield from registration_checks(results.registrations, names=REGISTERED)
    b1 = estimate.values.get("b1", results.b1)
    if b1 is not None and np.isfinite(b1[results.mask]).any():
        yield b1_check(b1[results.mask])


def mtsat_checks(results: RunResults, run: MtsRun, settings: Mapping[str, Any]) -> Iterator[Check]:
    """Return the traffic lights of a run of MT saturation, which B1 enters."""
    yield from checks(results, run, settings)
    if results.kind == BRAIN:
        rate = results.estimate.values["R1"]
        t1 = np.divide(1.0, rate, out=np.full(rate.shape, np.nan), where=rate > 0.0)
        yield spoiled_t1_check(t1, mask=results.mask, tissue=results.tissue, field_strength=run.field_strength)
        follows = None if results.b1 is None else b1_dependence_check(t1, b1=results.b1, tissue=results.tissue)
        if follows is not None:
            yield follows
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
    yield from realigned_figures(results, noun="volume")
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


def windows(run: CestRun | MtrRun | MtsRun) -> dict[str, tuple[float, float]]:
    """Return the window of the residual: that of spectra."""
    display = QUANTITIES["residual_spectrum"].display
    assert display.window is not None
    low, high = display.window
    return {"residual": (percent_to_fraction(low), percent_to_fraction(high))}


def cest_figures(results: RunResults, run: CestRun, settings: Mapping[str, Any]) -> Iterator[Figure]:
    """Return the pictures of a series of saturated images; `settings` with the offsets of MTR asymmetry [ppm]."""
    yield saturation_figure(run.protocol, roles=run.roles)
    labels = [
        "M0" if role == "m0" else f"{offset:+g} ppm"
        for role, offset in zip(run.roles, run.protocol.offsets, strict=True)
    ]
    curves = _wasabi_curves(results) if "b1" in run.use.gives else _spectra(results, settings["asymmetry"])
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
            curves = mean_curves(
                arrays["parameters"][chosen], pools=pools, offsets=arrays["offsets"], broad=arrays["broad"]
            )
            if curves is not None:
                fitted[name] = curves
    yield spectrum_figure(arrays["offsets"], spectra, fitted=fitted or None, asymmetry=asymmetry)
