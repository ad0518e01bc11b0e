"""Which sentences of the methods hold for the runs of a participant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qmri_bids import __version__
from qmri_bids.bids.plan import PcBssfpRun
from qmri_bids.bids.run import Run
from qmri_bids.bids.saturation_plan import CestRun, MtrRun, MtsRun
from qmri_bids.estimation.table import ESTIMATORS
from qmri_bids.estimation.zspectrum_plan import automatic_pools
from qmri_bids.preprocessing.predicted_alignment import serves
from qmri_bids.reports.methods import Step
from qmri_bids.units import metres_to_millimetres, radians_to_degrees, seconds_to_milliseconds
from qmri_bids.workflows.applied_steps import brain_mask_steps, given_motion
from qmri_bids.workflows.b1_steps import b1_steps
from qmri_bids.workflows.exchange_steps import cest_acquisition, cest_motion, exchange_steps
from qmri_bids.workflows.known_maps import listed
from qmri_bids.workflows.options import ProcessingOptions
from qmri_bids.workflows.space_method_steps import space_method_steps


def method_steps(runs: Sequence[Run], options: ProcessingOptions) -> list[Step]:
    """Return the sentences of the methods for what was done.

    Parameters
    ----------
    runs
        Runs of the participant that passed the checks.
    options
        Estimator, steps left out.
    """
    relaxometry: list[Any] = [run for run in runs if run.kind == "pcbssfp"]
    saturation = [run for run in runs if run.kind != "pcbssfp"]
    steps: list[Step] = [("app", {"version": __version__})]
    if relaxometry:
        steps += _relaxometry(relaxometry, options)
    for run in saturation:
        steps += _STEPS[run.kind](run, options)
    steps += brain_mask_steps(saturation, options)
    if runs:
        steps += space_method_steps([run.entities.get("ses", "") for run in runs], options.spaces)
        steps.append("failed_voxels")
    unique: list[Step] = []
    for step in steps:
        if step not in unique:
            unique.append(step)
    return unique


def _relaxometry(runs: Sequence[PcBssfpRun], options: ProcessingOptions) -> list[Step]:
    steps: list[Step] = []
    for run in runs:
        protocol = run.protocol
        values = {
            "cycles": protocol.number_of_cycles,
            "tr_ms": f"{seconds_to_milliseconds(protocol.repetition_time):g}",
            "te_ms": f"{seconds_to_milliseconds(protocol.echo_time):g}",
            "flip_angle_degrees": f"{radians_to_degrees(protocol.flip_angle):g}",
        }
        steps.append(("acquisition", values))
    if "gibbs" not in options.ignore:
        steps.append(f"gibbs_{options.gibbs_method}")
    if "motion" in options.ignore:
        steps.append("no_motion")
    else:
        fitted = [run for run in runs if options.earlier_motion(run.label) is None]
        if fitted:
            steps.append(("motion", {"reference": "the middle cycle"}))
        if any(serves(run.protocol) for run in fitted):
            steps.append("motion_model")
        steps += [step for run in runs for step in given_motion(run, options)]
        if options.fd_threshold is not None:
            steps.append(("censoring", {"threshold_mm": f"{metres_to_millimetres(options.fd_threshold):g}"}))
    steps += brain_mask_steps(runs, options)
    for run in runs:
        if run.b1 is None:
            steps.append("b1_assumed")
        else:
            steps += b1_steps(run.b1)
    if "phase-drift" not in options.ignore:
        steps.append("phase_drift")
    return [
        *steps,
        "signal_model",
        *ESTIMATORS[options.estimator].methods,
        *([("posterior", {"prior": options.posterior})] if options.posterior is not None else []),
        "fieldmap_unwrapped",
        "magnetization_transfer",
    ]


def _mtr(run: MtrRun, options: ProcessingOptions) -> list[Step]:
    return [*_mt_motion(run, "the image without MT pulse", options), "mtr"]


def _mtsat(run: MtsRun, options: ProcessingOptions) -> list[Step]:
    steps = _mt_motion(run, "the image of small flip angle without MT pulse", options)
    if run.b1 is None:
        return [*steps, "mts_no_b1"]
    correction = options.mtsat_correction
    return [*steps, *b1_steps(run.b1), ("mtsat", {"correction": correction}), f"mts_b1_{correction}"]


def _cest(run: CestRun, options: ProcessingOptions) -> list[Step]:
    return [("cest_acquisition", cest_acquisition(run)), *cest_motion(run, options), *_cest_maps(run, options)]


def _mt_motion(run: MtrRun | MtsRun, reference: str, options: ProcessingOptions) -> list[Step]:
    if "motion" in options.ignore:
        return ["mt_no_motion"]
    return given_motion(run, options) or [("mt_motion", {"reference": reference})]


def _cest_maps(run: CestRun, options: ProcessingOptions) -> list[Step]:
    if run.kind in ("wasabi", "wassr"):
        return [(run.kind, {"run": run.label})]
    number = run.roles.count("m0")
    steps: list[Step] = [
        ("cest_normalisation", {"m0": "the M0 image" if number == 1 else f"a line through the {number} M0 images"})
    ]
    if run.b0 is not None:
        fieldmap = "" if run.b0.fieldmap is None else run.b0.fieldmap.name
        steps.append(("b0_fieldmap", {"source": fieldmap}) if run.b0.method == "fieldmap" else f"b0_{run.b0.method}")
    steps.append("zspectrum_correction")
    offsets = [
        each for each, role in zip(run.protocol.offsets, run.roles, strict=True) if role == "cest" and each is not None
    ]
    asymmetry = [f"{each:g}" for each in options.asymmetry if min(offsets) <= -each and each <= max(offsets)]
    if asymmetry:
        steps.append(("mtr_asymmetry", {"offsets": listed(asymmetry)}))
    pools = options.pools or automatic_pools(offsets)
    if not pools:
        return [*steps, ("lorentzian_left_out", {"reason": f"the offsets reach {max(offsets):g} ppm only"})]
    steps.append(("lorentzian", {"pools": listed(pools)}))
    if run.t1_run is not None:
        solutes = listed([pool for pool in pools if pool != "water"])
        steps += [("t1_from_pcbssfp", {"run": run.t1_run}), ("arex", {"pools": solutes})]
    return steps


_STEPS: Mapping[str, Callable[[Any, ProcessingOptions], list[Step]]] = {
    "z-spectrum": _cest,
    "wasabi": _cest,
    "wassr": _cest,
    "mtr": _mtr,
    "mts": _mtsat,
    "exchange": exchange_steps,
}
"""What the methods say of a run, by its kind; those of pc-bSSFP are told together."""
