"""What a bSSFP run leaves: its files and its part of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.provenance import raw_uris
from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.one_model.bias import expected_bias
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.pipeline.earlier.mask_record import BRAIN
from qmri_bids.pipeline.maps.image_outputs import image_figures, write_images
from qmri_bids.pipeline.results.estimate_file import StoredEstimate
from qmri_bids.pipeline.results.registration_checks import registration_check
from qmri_bids.pipeline.results.report_parts import motion_light, realigned_figures
from qmri_bids.pipeline.results.run_results import RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.pipeline.tissues.b1_dependence import b1_dependence_check
from qmri_bids.pipeline.tissues.plausible import relaxation_check
from qmri_bids.priors.relaxation import PRIORS
from qmri_bids.quantities import QUANTITIES
from qmri_bids.quantity import POSTERIOR, STDEV
from qmri_bids.reports.content import Check, Figure, Level
from qmri_bids.reports.figure_table import (
    calibration_figure,
    carpet_figure,
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
from qmri_bids.reports.references import full_citation
from qmri_bids.reports.tables import b1_check, convergence_check, quality_rows
from qmri_bids.scans.b1.derivatives import add_b1, b1_sources
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.tissue_labels import ABBREVIATIONS
from qmri_bids.units import radians_to_degrees


def write_derivatives(
    results: RunResults,
    *,
    run: PcBssfpRun,
    settings: Mapping[str, Any],
    model: Mapping[str, Any],
    bids_dir: Path,
    output_dir: Path,
) -> tuple[Path, ...]:
    """Write maps, uncertainties, masks, the preprocessed magnitude, transforms and confounds.

    Parameters
    ----------
    results
        What the nodes left behind.
    run
        The raw run.
    settings
        `estimator`, `posterior`: the prior of the posterior maps, None where there are none, and `synthetic`: images.
    model
        What identifies the model behind the estimator; empty where there is none.
    bids_dir, output_dir
        Roots of the raw dataset and of the derivatives.

    Returns
    -------
    tuple of Path
        The files written, sidecars left out.
    """
    entry = ESTIMATORS[settings["estimator"]]
    prior = settings["posterior"]
    sources = raw_uris(run.paths, bids_dir=bids_dir)
    of_b1 = b1_sources(run.b1, bids_dir=bids_dir, output_dir=output_dir)
    assumed: dict[str, Any] = {"B1Assumed": 1.0} if results.b1 is None else {}
    if run.pulse is not None:
        assumed["ExcitationPulse"] = pulse_metadata(run.pulse)
    estimated: dict[str, Any] = {
        "sources": sources + of_b1,
        "algorithm": f"{settings['estimator']}: {entry.summary}",
        "reference": full_citation(entry.references),
        "model": model or None,
        "extra": assumed or None,
    }
    writer = RunWriter(results, run=run, output_dir=output_dir, sources=sources, protocol=run.protocol)
    constants = {name: round(value, 6) for name, value in results.estimate.constants.items()}
    of_fluid = estimated | {"extra": (assumed | constants) or None}
    writer.add_estimate(lambda quantity: of_fluid if quantity.name == "fluid_fraction" else estimated)
    if results.unwrapped is not None:
        writer.add_map(QUANTITIES["off_resonance_unwrapped"], results.unwrapped, **estimated)
    if prior is not None:
        writer.add_posterior(prior, **estimated | posterior_metadata(prior, **assumed))
    writer.add_map(QUANTITIES["residual"], results.estimate.residual, **estimated)
    for name in ("noise", "misfit"):
        if name in results.estimate.arrays:
            writer.add_map(QUANTITIES[name], results.estimate.arrays[name], **estimated)
    write_images(
        writer,
        results,
        requests=settings.get("synthetic", ()),
        field_strength=run.protocol.field_strength,
        maps=("T1", "T2", "M0", "fluid_fraction"),
        extra=assumed,
        t1_from="apparent T1 of bSSFP (T1map)",
    )
    writer.add("quality_mask", results.estimate.status[""], **estimated)
    writer.add_mask()
    writer.add("fieldmap_magnitude", results.magnitude)
    writer.add("preproc_magnitude", np.abs(results.series()))
    registration = results.registrations.get("b1")
    if results.b1 is not None:
        add_b1(
            writer.add,
            results.b1,
            run=run.b1,
            registration=registration,
            mask=results.mask,
            sources=of_b1,
            protocol=None,
        )
    writer.add_motion(results.motion, series=run, sources=sources, confounds=_confounds(results))
    if registration is not None:
        writer.add_transform("b1_transform", registration["transform"], sources=of_b1)
    if results.tissue is not None:
        writer.add("tissue", results.tissue)
    if results.tissue_probabilities is not None:
        for place, abbreviation in enumerate(ABBREVIATIONS.values()):
            writer.add(f"probseg_{abbreviation}", results.tissue_probabilities[..., place])
    return writer.finish()


def pulse_metadata(pulse: ExcitationPulse) -> dict[str, Any]:
    """Return what the sidecar of a map says of the pulse whose duration is accounted for."""
    steps = np.array(pulse.shape)
    content: dict[str, Any] = {
        "Shape": pulse.form,
        "Duration": round(pulse.duration, 9),
        "RelativeB1": [round(float(step), 4) for step in steps / steps[np.argmax(np.abs(steps))]],
    }
    if pulse.duration_stdev > 0.0:
        content["DurationStandardDeviation"] = round(pulse.duration_stdev, 9)
    return content


def _confounds(results: RunResults) -> dict[str, list[Any]] | None:
    """Return the columns of what each cycle has of its own, for all cycles of the scan; None where it was not looked for."""
    found = results.calibration
    if found is None:
        return None
    columns: dict[str, list[Any]] = {
        # Cycles that were left out are not in the protocol of the run any more.
        "rf_phase_increment": [radians_to_degrees(float(each)) for each in found["rf_phase_increment"]],
    }
    if (results.motion is None or "parameters" not in results.motion) and found["left_out"].any():
        columns["censored"] = [int(each) for each in found["left_out"]]
    names = ("frequency", "frequency_stdev", "gain", "gain_stdev", "phase")
    return columns | {name: [float(each) for each in found[name]] for name in names}


def calibration_light(found: Mapping[str, NDArray[Any]]) -> Check:
    """Return the traffic light of cycles: yellow where one was left out because it follows nothing."""
    out = [str(index + 1) for index in np.flatnonzero(found["left_out"])]
    return Check(
        name="Cycles",
        value=f"cycle {', '.join(out)} left out" if out else "all follow one profile",
        level=Level.CHECK if out else Level.GOOD,
        explanation="A cycle that no gain, phase or frequency brings to the profile of the others is left out of the maps.",
    )


def posterior_metadata(prior: str, **extra: Any) -> dict[str, Any]:
    """Return what the sidecar of a posterior map says in place of that of the estimator."""
    box = PRIORS[prior]
    return {
        "algorithm": "Posterior by quadrature around the maximum-likelihood point, under the prior in the key Prior",
        "reference": None,
        "model": None,
        "extra": {
            "Prior": {
                "Name": prior,
                "Source": box.source,
                "T1Range": [round(bound, 9) for bound in box.t1],
                "T2Range": [round(bound, 9) for bound in box.t2],
                "Units": "s",
            },
            **extra,
        },
    }


def checks(results: RunResults, run: PcBssfpRun, settings: Mapping[str, Any]) -> tuple[Check, ...]:
    """Return the traffic lights of a run."""
    registration = results.registrations.get("b1")
    lights = [
        convergence_check(quality_rows(results.estimate.status[""])),
        motion_light(results.motion, affine=results.affine),
    ]
    if results.calibration is not None:
        lights.append(calibration_light(results.calibration))
    misfit = misfit_light(results.estimate.arrays, increments=run.protocol.rf_phase_increment)
    lights += [] if misfit is None else [misfit]
    if results.kind == BRAIN:
        # Pulses without duration, which only simulations have, saturate nothing of a known size.
        lights += [] if run.hard_pulses else [transfer_light(run)]
        lights.append(
            relaxation_check(
                results.estimate.values,
                mask=results.mask,
                tissue=results.tissue,
                protocol=run.protocol,
                b1_assumed=results.b1 is None,
                # Labels of an anatomy come without probabilities; its own maps do not tell them.
                told_with=results.estimate.stdev if results.tissue_probabilities is not None else None,
            )
        )
        follows = (
            None
            if results.b1 is None
            else b1_dependence_check(results.estimate.values["T1"], b1=results.b1, tissue=results.tissue)
        )
        lights += [] if follows is None else [follows]
    if results.b1 is None:
        lights.append(
            Check(
                name="B1",
                value="none: 1 assumed",
                level=Level.BAD,
                explanation="T1 is wrong by about twice the error of B1.",
            )
        )
    else:
        if registration is not None:
            missing = 100.0 * float(np.mean(~registration["measured"][results.mask]))
            lights.append(
                Check(
                    name="B1 coverage",
                    value=f"{100.0 - missing:.0f} % of the brain",
                    level=Level.GOOD if missing < 10.0 else Level.CHECK,
                    explanation="Elsewhere B1 is extrapolated; good from 90 %. Look at the registration below.",
                    measures=(Measure(key="b1_coverage", value=100.0 - missing),),
                )
            )
            lights.append(registration_check("Registration of the B1 scan", registration))
        lights.append(b1_check(results.b1[results.mask]))
    return tuple(lights)


def transfer_light(run: PcBssfpRun) -> Check:
    """Return what magnetization transfer makes of T1 under the pulse of a run, by pools of the literature: a fact, no judgement."""
    value = "T1 is apparent: 7 to 35 % low in tissue, by the pulse, which is not known"
    if run.pulse is not None:
        bias = expected_bias(run.pulse, run.protocol)
        value = (
            f"T1 is apparent: about {-100.0 * bias['WM']:.0f} % low in white, {-100.0 * bias['GM']:.0f} % in grey "
            "matter under this pulse"
        )
    return Check(
        name="Magnetization transfer",
        value=value,
        level=Level.INFO,
        explanation="Against T1 of an inversion recovery, by pools of the literature (semisolid over free water 12 and 6 %). "
        "One scan does not tell the pools, and T1map stays what one pool looks like; M0 is low by about half as much, T2 is "
        "not. A fingerprint of the session, a map of the semisolid pool, or a second run of another pulse frees T1 of it: where "
        "there is one, see the run of this report whose name ends with MT.",
    )


SHARED_DOUBT, SHARED_BAD = 0.35, 0.8
"""Residual that neighbours have in common, over the noise, from which the model is in doubt, and from which it does not hold."""

ODD_CYCLE = 1.35
"""Residual of a cycle over that of all from which it is named."""

MISFIT_DOUBT = 20.0
"""Percentage of voxels of code 10 from which the model is in doubt. A digital head of 2 mm that rests has 3, one that moves by
2.6 mm has 11: at the edges of fluid, where the images of a moved head are interpolated."""


def misfit_light(arrays: Mapping[str, NDArray[Any]], *, increments: Sequence[float]) -> Check | None:
    """Return the light of the model against noise; None where neither noise nor residuals of neighbours are known.

    Parameters
    ----------
    arrays
        What the estimate left: `misfit_shared`, `misfit_by_cycle`, `status`.
    increments
        RF phase increments of the cycles [rad], by which they are called: their numbers in the scan are others where some were left
        out.
    """
    if "misfit_shared" not in arrays:
        return None
    shared, by_cycle = float(arrays["misfit_shared"]), np.asarray(arrays["misfit_by_cycle"])
    status = arrays["status"]
    beyond = 100.0 * float(np.mean(status[status != Status.OUTSIDE] == Status.MISFIT)) if status.any() else 0.0
    odd = [f"{radians_to_degrees(increments[index]):.4g}°" for index in np.flatnonzero(by_cycle > ODD_CYCLE)]
    level = Level.INFO if math.isnan(shared) else Level.GOOD  # what is not known is not good
    if shared >= SHARED_DOUBT or beyond >= MISFIT_DOUBT or odd:
        level = Level.CHECK
    if shared >= SHARED_BAD:
        level = Level.BAD
    said = [
        "not judged: too few voxels next to each other are free of fluid"
        if math.isnan(shared)
        else f"{f'{shared:.2f}' if shared < 10.0 else 'more than 10'} of the noise is an error that neighbouring voxels share",
        f"in {beyond:.1f} % of the voxels the signal model does not fit (code 10)",
    ]
    if odd:
        several = len(odd) > 1
        said.append(
            f"the cycle{'s' if several else ''} of {', '.join(odd)} stand{'' if several else 's'} out by "
            f"{by_cycle.max():.1f} times the residual of all"
        )
    return Check(
        name="Signal model",
        value="; ".join(said),
        level=level,
        explanation="What the model lacks (a scan that had not reached its steady state, a second kind of water, a cycle that was "
        f"moved or scaled) is alike in neighbouring voxels, noise is not. Good below {SHARED_DOUBT:g} of the noise, below "
        f"{MISFIT_DOUBT:g} % of code 10 (chance alone leaves 0.01 %; edges of fluid in a moved head 11 %) and with no cycle above "
        f"{ODD_CYCLE:g} times the others; bad from {SHARED_BAD:g}. Line width and magnetization transfer leave nothing in one scan "
        "and "
        "are not seen.",
        measures=(Measure(key="model_misfit", value=shared),),
    )


def windows(run: PcBssfpRun) -> dict[str, tuple[float, float]]:
    """Return the window of the off-resonance: the band in which the scan tells it [Hz]."""
    half_band = 1.0 / (2.0 * run.protocol.repetition_time)
    return {"off_resonance": (-half_band, half_band)}


def figures(results: RunResults, run: PcBssfpRun, settings: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Return the pictures of a run; `settings` with the prior of the posterior maps."""
    registration = results.registrations.get("b1")
    affine, mask, estimate, protocol = results.affine, results.mask, results.estimate, run.protocol
    reference = shown = None if results.motion is None else int(results.motion["reference"])
    censored = None if results.motion is None else results.motion.get("censored")
    if censored is not None and reference is not None:
        # Of the cycles that are left, the one that is the reference, if it is one of them.
        shown = None if censored[reference] else int(np.count_nonzero(~censored[:reference]))
    drawn: list[Figure | None] = [
        cycles_figure(
            np.abs(results.series()),
            increments=protocol.rf_phase_increment,
            affine=affine,
            mask=mask,
            reference=shown,
        ),
        mask_figure(results.magnitude, mask=mask, affine=affine),
    ]
    b1 = np.ones(mask.shape, dtype=np.float32) if results.b1 is None else results.b1
    measured, maps = results.series()[mask], _inside(estimate, mask)
    if run.pulse is not None and results.unwrapped is not None:
        from qmri_bids.scans.bssfp.hard_cycles import drawn_without_duration

        # The curve is that of pulses without duration, for which the maps were made.
        offset = results.unwrapped[mask]
        measured = drawn_without_duration(
            measured, maps, b1=b1[mask], off_resonance=offset, pulse=run.pulse, protocol=protocol
        )
    noise = estimate.arrays["noise"][mask] if "noise" in estimate.arrays else None
    drawn.append(profile_figure(measured, estimate=maps, b1=b1[mask], protocol=protocol, noise=noise))
    if results.motion is not None:
        drawn.append(
            motion_figure(
                results.motion["parameters"],
                results.motion["framewise_displacement"],
                reference=reference,
                censored=censored,
            )
        )
        drawn += realigned_figures(results, noun="cycle")
    if results.calibration is not None:
        drawn.append(calibration_figure(results.calibration))
    if results.b1 is not None:
        drawn.append(map_figure(results.b1, affine=affine, mask=mask, name="b1"))
    if registration is not None and run.b1 is not None and (run.b1.anatomical or run.b1.run):
        drawn.append(registration_figure(results.magnitude, registration["anatomical"], affine=affine, mask=mask))
    limits = windows(run)
    for name, values in estimate.values.items():
        drawn.append(map_figure(values, affine=affine, mask=mask, name=name, window=limits.get(name)))
    requests, field = settings.get("synthetic", ()), protocol.field_strength
    drawn += image_figures(results, requests=requests, field_strength=field)
    if results.tissue is not None:
        drawn.append(tissue_figure(estimate.values["T1"], labels=results.tissue, mask=mask, affine=affine))
    for name, values in estimate.stdev.items():
        drawn.append(map_figure(values, affine=affine, mask=mask, name=f"{name}{STDEV}"))
    drawn.append(map_figure(estimate.residual, affine=affine, mask=mask, name="residual"))
    for name in ("misfit", "noise"):
        if name in estimate.arrays:
            drawn.append(map_figure(estimate.arrays[name], affine=affine, mask=mask, name=name))
    if "misfit_carpet" in estimate.arrays:
        drawn.append(
            carpet_figure(
                estimate.arrays["misfit_carpet"],
                by_cycle=estimate.arrays["misfit_by_cycle"],
                increments=protocol.rf_phase_increment,
            )
        )
    for name, values in estimate.posterior.items():
        drawn.append(
            map_figure(
                values,
                affine=affine,
                mask=mask,
                name=f"{POSTERIOR}{name}",
                remark=f"Prior: {settings['posterior']}. A prior pulls values towards itself; a rare lesion most of all.",
            )
        )
    drawn.append(
        histogram_figure(
            estimate.values,
            mask=mask,
            windows=limits,
            field_strength=protocol.field_strength if results.kind == BRAIN else None,
        )
    )
    drawn.append(quality_figure(estimate.status[""], affine=affine))
    return tuple(figure for figure in drawn if figure is not None)


def _inside(stored: StoredEstimate, mask: NDArray[np.bool_]) -> Estimate:
    """Return the estimate of the voxels of a mask."""
    return Estimate(
        values={name: values[mask] for name, values in stored.values.items()},
        residual=stored.residual[mask],
        status=stored.status[""][mask],
    )
