"""Which sentences of the methods hold for series of saturated images, and for the fingerprints made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qmri_bids.bids.exchange_plan import ExchangeRun, KnownSource
from qmri_bids.bids.saturation_plan import CestRun
from qmri_bids.physics.pools import CestPool, MtPool
from qmri_bids.physics.saturation import Saturation
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.reports.methods import Step
from qmri_bids.units import seconds_to_milliseconds, tesla_to_microtesla
from qmri_bids.workflows.applied_steps import given_motion
from qmri_bids.workflows.b1_steps import b1_steps
from qmri_bids.workflows.known_maps import listed, shown
from qmri_bids.workflows.options import ProcessingOptions

POOL_NAMES: Mapping[str, str] = {"MT": "the semisolid (MT) pool", "amide": "amide"}
"""Pools in sentences."""


def cest_motion(run: CestRun, options: ProcessingOptions) -> list[Step]:
    """Return the step of the motion within a series of saturated images."""
    if "motion" in options.ignore:
        return ["cest_no_motion"]
    return given_motion(run, options) or ["cest_fringe_motion" if run.kind in ("wasabi", "wassr") else "cest_motion"]


def cest_acquisition(run: CestRun) -> dict[str, object]:
    """Return the values of the sentence on the acquisition of a series."""
    chosen = [
        image
        for image, role in zip(run.protocol.images, run.roles, strict=True)
        if role != "m0" and image.saturation is not None
    ]
    trains = [image.saturation for image in chosen if image.saturation is not None]
    offsets = [image.offset for image in chosen if image.offset is not None]
    powers = sorted({round(tesla_to_microtesla(train.b1_rms), 2) for train in trains})
    return {
        "run": run.label,
        "images": run.protocol.number_of_images,
        "field": f"{run.protocol.field_strength:g}",
        "offsets": _span(min(offsets), max(offsets)),
        "train": _train(trains[0]),
        "b1_microtesla": _span(powers[0], powers[-1]),
    }


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _train(train: Saturation) -> str:
    """Return what a train is, in words."""
    duration = f"{seconds_to_milliseconds(train.pulse.duration):g} ms"
    if train.number == 1:
        return f"one pulse of {duration}"
    return f"{train.number} pulses of {duration}, {seconds_to_milliseconds(train.gap):g} ms apart"


def exchange_steps(run: ExchangeRun, options: ProcessingOptions) -> list[Step]:
    """Return the sentences of the methods for a fingerprint.

    Parameters
    ----------
    run
        The stages, the pools and the sources of known maps.
    options
        Estimator, posterior, steps left out.
    """
    steps: list[Step] = []
    for stage in run.stages:
        steps.append(("cest_acquisition", cest_acquisition(stage)))
        steps.append("exchange_no_taper" if "gibbs" in options.ignore else "exchange_taper")
        steps += cest_motion(stage, options)
    steps += [("exchange_stages", {"run": stage.label, "first": run.stages[0].label}) for stage in run.stages[1:]]
    for source in run.known:
        steps += KNOWN_STEPS[source.method](source)
    pools = [POOL_NAMES.get(name, name) for name in run.scan.pools]
    model = {"pools": listed(pools), "fixed": listed([_fixed(pool) for pool in run.scan.model.exchanging])}
    steps += [("exchange_model", model), f"exchange_{options.exchange_estimator}", "exchange_uncertainty"]
    if options.exchange_posterior is not None:
        steps.append(("exchange_posterior", {"prior": options.exchange_posterior}))
    return steps


def _fixed(pool: CestPool) -> str:
    """Return what is fixed of a pool, in words."""
    t2 = f"{1e6 * pool.t2:.3g} µs" if pool.t2 < 1e-3 else f"{seconds_to_milliseconds(pool.t2):.3g} ms"
    said = f"{pool.name} at {pool.shift:+g} ppm with T2 of {t2}"
    if isinstance(pool, MtPool):
        said += f" (form {pool.form}" + (")" if pool.lineshape is None else f", {pool.lineshape} line)")
    return said


def _from_run(source: KnownSource) -> list[Step]:
    return [("exchange_known_run", {"maps": shown(source.names), "run": source.run})]


def _from_relaxometry(source: KnownSource) -> list[Step]:
    return [*_from_run(source), *(["exchange_unwrapped"] if "off_resonance" in source.names else [])]


def _from_files(source: KnownSource) -> list[Step]:
    names = listed(dict.fromkeys(path.name for path in source.files.values()))
    values = {"maps": shown(source.names), "source": names}
    return [("exchange_known_placed" if source.image is None else "exchange_known_files", values)]


def _from_b1_scan(source: KnownSource) -> list[Step]:
    if source.b1_run is None:
        raise ValueError(f"{source.key}: expected a B1 scan, found none")
    return [*b1_steps(source.b1_run), ("exchange_known_b1", {"source": source.b1_run.map.name})]


def _from_numbers(source: KnownSource) -> list[Step]:
    return [
        (
            "exchange_known_fixed",
            {"maps": shown([name]), "value": f"{value:g} {KNOWN_QUANTITIES[name].taken.unit}".rstrip()},
        )
        for name, value in source.values.items()
    ]


KNOWN_STEPS: Mapping[str, Callable[[KnownSource], list[Step]]] = {
    "pcbssfp": _from_relaxometry,
    "wasabi": _from_run,
    "wassr": _from_run,
    "fieldmap": _from_files,
    "maps": _from_files,
    "b1": _from_b1_scan,
    "fixed": _from_numbers,
}
"""What the methods say of a source of known maps, by `exchange_plan.KnownMethod`."""
