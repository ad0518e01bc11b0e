"""The node that estimates pool fractions and exchange rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec, isdefined, traits
from numpy.typing import NDArray

from qmri_bids.engine.node_memory import NodeMemory
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.input import by_image, series_scales
from qmri_bids.physics.fingerprint import KNOWN, WATER, ExchangeScan, KnownVoxels, water_parameter
from qmri_bids.physics.pools import PROTONS_OF_WATER
from qmri_bids.pipeline.maps.known import listed
from qmri_bids.pipeline.results.estimate_file import Maps, save_estimate
from qmri_bids.pipeline.volumes import load_volume
from qmri_bids.pipeline.voxels import LEAST_OVERLAP, Voxels, network_sentences
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.quantity import STDEV


class _EstimateExchangeInput(BaseInterfaceInputSpec):
    scan = traits.Any(mandatory=True, desc="ExchangeScan")
    series = traits.List(File(exists=True), mandatory=True, desc="magnitudes of every stage on one grid, 4D")
    motions = traits.List(File(exists=True), desc="where every volume has data (npz), of the stages that moved")
    mask = File(exists=True, mandatory=True, desc="where to estimate")
    known = traits.List(File(exists=True), desc="known maps by name on this grid (npz)")
    b1 = File(exists=True, desc="actual over nominal B1 on this grid, where a B1 scan gives it")
    b1_stdev = File(exists=True, desc="its standard deviation, where it is known")
    fixed = traits.Dict(desc="numbers for every voxel, by the names of KNOWN")
    protons = traits.Dict(desc="exchanging protons in one molecule of pools whose concentration is wanted")
    relaxometry = traits.Any(desc="Relaxometry that has seen T1, which is apparent then")
    noise = traits.List(
        desc="standard deviation of one volume of every stage before denoising, None where it is not known"
    )
    estimator = traits.Str(mandatory=True, desc="key of the table of estimators")
    chosen = traits.List(traits.Str, desc="why it is not the one that was asked for, as sentences")
    weights_folder = traits.Str(desc="folder searched for weights before those of the package")
    weights_state = traits.Dict(desc="what tells one state of that folder from another")
    posterior = traits.Str(desc="prior under which posterior maps are computed too")
    device = traits.Str("cpu", usedefault=True, desc="where networks compute and are trained")
    seed = traits.Int(0, usedefault=True, desc="of what the estimator draws at random")
    processes = traits.Int(
        1, usedefault=True, nohash=True, desc="threads of compiled kernels; does not change the result"
    )


class _EstimateExchangeOutput(TraitedSpec):
    estimate = File(exists=True, desc="maps, their standard deviations, residual and status by pool, in volumes (npz)")
    model = traits.Dict(desc="what identifies the model behind the estimator")
    decisions = traits.List(traits.Str, desc="what was decided, as sentences")
    warnings = traits.List(traits.Str, desc="what a reader must know, as sentences")


class EstimateExchange(SimpleInterface):
    """Estimate fraction and rate of every pool with their uncertainty in every voxel of the mask."""

    input_spec = _EstimateExchangeInput
    output_spec = _EstimateExchangeOutput
    needs = NodeMemory(fixed=800e6, per_voxel=500, per_value=60, parallel=True)

    def _run_interface(self, runtime: Any) -> Any:
        import torch

        from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
        from qmri_bids.estimation.pools.estimate import ExchangeOptions
        from qmri_bids.estimation.pools.misfit import pool_misfit

        inputs, scan = self.inputs, self.inputs.scan
        torch.set_num_threads(1)  # several would add in another order; compiled kernels take theirs voxel by voxel
        voxels = Voxels(inputs.mask, motions=inputs.motions if isdefined(inputs.motions) else ())
        maps = _known_maps(inputs, shape=voxels.mask.shape)
        given = {name: KNOWN_QUANTITIES[name] for name in scan.known}
        for name, quantity in given.items():
            has = np.isfinite(maps[name]) & np.isfinite(maps.get(f"{name}{STDEV}", np.zeros(voxels.mask.shape)))
            voxels.keep(has, f"have no value of {quantity.bare_phrase}")
            if np.count_nonzero(voxels.inside) < LEAST_OVERLAP * np.count_nonzero(voxels.mask):
                raise ValueError(
                    f"the map of {quantity.bare_phrase} has values in next to none of the brain of this scan: does it show the "
                    "same place? Check the coordinates in its header, or give another"
                )
        exact = [quantity.bare_phrase for name, quantity in given.items() if f"{name}{STDEV}" not in maps]
        if exact:
            voxels.decisions.append(
                f"No standard deviation is known of {listed(exact)}: they count as exact, and those of fraction and rate are too "
                "small by what they add."
            )
        maps |= {name: np.full(voxels.mask.shape, np.nan) for name in scan.fitted}
        known = KnownVoxels.of({name: values[voxels.inside] for name, values in maps.items()})
        signal = np.concatenate([voxels.signal(path) for path in inputs.series], axis=1)
        scan, said_of_noise = _with_noise(scan, signal, inputs.noise if isdefined(inputs.noise) else ())
        folder = Path(inputs.weights_folder) if isdefined(inputs.weights_folder) else None
        estimator = EXCHANGE_ESTIMATORS[inputs.estimator].create(
            ExchangeOptions(threads=inputs.processes, weights_folder=folder, device=inputs.device, seed=inputs.seed)
        )
        stored: Maps = {}
        decisions = [*(inputs.chosen if isdefined(inputs.chosen) else ()), *voxels.decisions, *said_of_noise]
        if isdefined(inputs.relaxometry):
            from qmri_bids.estimation.one_model.together import before_and_after, estimate_together

            together = estimate_together(estimator, signal, scan=scan, known=replace(known, seen_by=inputs.relaxometry))
            found, water = together.pools, together.water
            stored = {
                "mtcorrected_T1": (water.recovery_t1, water.recovery_t1_stdev),
                "free_T1": (water.free_t1, water.free_t1_stdev),
            }
            decisions = [*decisions, *before_and_after(estimator, signal, together, scan=scan, known=known)]
        else:
            found = estimator.estimate(signal, scan=scan, known=known)
        # What was fitted is known from here on: of it follows where there is fluid, and where T1 is even.
        times: dict[str, Any] = {name: np.asarray(found.values[water_parameter(name)]) for name in scan.fitted}
        known = replace(known, **times)
        misfit = pool_misfit(signal, found, scan=scan, t1=known.t1, inside=voxels.inside)
        found = misfit.estimate
        decisions = [*decisions, *network_sentences(estimator, folder)]
        posterior = None
        if isdefined(inputs.posterior):
            from qmri_bids.estimation.pools.posterior import exchange_posterior

            under_prior = exchange_posterior(
                signal, scan=scan, known=known, prior=inputs.posterior, weights_folder=folder, device=inputs.device
            )
            posterior = _stored(under_prior.values, under_prior.stdev)
            decisions.append(under_prior.sentence())
        self._results["estimate"] = save_estimate(
            Path(runtime.cwd) / "estimate.npz",
            voxels,
            maps={
                **_stored(found.values, found.stdev),
                **concentrations(found, inputs.protons if isdefined(inputs.protons) else {}),
                **stored,
            },
            residual=found.residual,
            status=found.status,
            known={
                quantity.name: (getattr(known, name), known.stdev(name)) for name, quantity in KNOWN_QUANTITIES.items()
            },
            posterior=posterior,
            correlation=found.correlation,
            volumes=gain_volumes(found.gain, pool=scan.model.mt.name) if stored and scan.model.mt is not None else None,
            signal=signal.astype(np.float32),
            fitted=found.fitted.astype(np.float32),
            amplitude=found.amplitude.astype(np.float32),
            noise=found.noise.astype(np.float32),
            misfit_shared=np.array(misfit.shared),
            width=np.array([misfit.width[name] for name in scan.parameters]),
        )
        said, warnings = told(found.status)
        self._results["model"] = dict(estimator.model)
        self._results["decisions"] = decisions + said
        self._results["warnings"] = [*estimator.remarks(scan), *warnings]
        return runtime


def _with_noise(
    scan: ExchangeScan, signal: NDArray[np.floating], noise: Sequence[float | None]
) -> tuple[ExchangeScan, list[str]]:
    """Return the scan with what is known of the noise of its stages (root mean square over the images), and what to say."""
    usable = signal[np.isfinite(signal).all(axis=1) & (signal > 0.0).any(axis=1)]
    if not noise or any(each is None for each in noise) or not len(usable):
        return scan, []
    relative = by_image(
        np.array([float(each) for each in noise if each is not None]) / series_scales(usable, scan), scan
    )
    level = float(np.sqrt(np.mean(np.square(relative))))
    said = (
        f"Noise of one image counts as {100.0 * level:.2g} % of full signal or more, as is known of the series; what the model "
        "leaves counts where it is more."
    )
    return replace(scan, least_noise=level), [said]


GAINS: Mapping[str, tuple[str, str]] = {
    f"MT_{quantity}_by_{known}": (quantity, known) for known in ("t1", "b1") for quantity in ("fraction", "rate")
}
"""Names of volumes that say how the logarithms of fraction and rate of the semisolid pool change with apparent T1 and B1."""


def gain_volumes(gain: Mapping[str, NDArray[Any]], *, pool: str) -> dict[str, NDArray[Any]]:
    """Return the volumes of `GAINS`; none where the estimator does not tell them."""
    if f"{pool}.fraction" not in gain:
        return {}
    return {name: gain[f"{pool}.{own}"][:, KNOWN.index(known)] for name, (own, known) in GAINS.items()}


def concentrations(found: ExchangeEstimate, protons: Mapping[str, float]) -> Maps:
    """Return the concentration of pools [mmol/L] with its standard deviation, from their fractions.

    Parameters
    ----------
    found
        The estimate.
    protons
        Exchanging protons in one molecule by the name of the pool.
    """
    return {
        f"{pool}_concentration": (
            found.values[f"{pool}.fraction"] * PROTONS_OF_WATER / number,
            found.stdev[f"{pool}.fraction"] * PROTONS_OF_WATER / number,
        )
        for pool, number in protons.items()
    }


def _stored(values: Mapping[str, NDArray[Any]], stdev: Mapping[str, NDArray[Any]]) -> Maps:
    """Return maps under their names in files: `MT_fraction` of `MT.fraction`."""
    return {name.replace(".", "_"): (each, stdev[name]) for name, each in values.items()}


def _known_maps(inputs: Any, *, shape: tuple[int, ...]) -> dict[str, NDArray[np.float64]]:
    """Return the known maps by the names of `KNOWN`, with `<name>_stdev` of those that have one, as volumes.

    Raises
    ------
    ValueError
        If a map comes from nowhere.
    """
    given: dict[str, NDArray[Any]] = {}
    for path in inputs.known if isdefined(inputs.known) else ():
        with np.load(path) as stored:
            given |= {name: stored[name] for name in stored.files}
    maps: dict[str, NDArray[np.float64]] = {}
    for name, quantity in KNOWN_QUANTITIES.items():
        for ending in ("", STDEV):
            if f"{quantity.name}{ending}" in given:
                maps[f"{name}{ending}"] = given[f"{quantity.name}{ending}"].astype(np.float64)
    if isdefined(inputs.b1):
        maps["b1"] = load_volume(inputs.b1)[0].astype(np.float64)
        if isdefined(inputs.b1_stdev):
            maps[f"b1{STDEV}"] = load_volume(inputs.b1_stdev)[0].astype(np.float64)
    for name, value in (inputs.fixed if isdefined(inputs.fixed) else {}).items():
        maps[name] = np.full(shape, float(value))
    missing = [KNOWN_QUANTITIES[name].bare_phrase for name in inputs.scan.known if name not in maps]
    if missing:
        raise ValueError(f"the estimation of pools needs maps of T1, T2, B1 and off-resonance, found none of {missing}")
    return maps


REASONS: Mapping[Status, str] = {
    Status.OUT_OF_RANGE: "out of the range of the estimator",
    Status.LOW_SIGNAL: "of too little signal",
    Status.INVALID_INPUT: "without finite input",
    Status.NOT_CONVERGED: "whose fit had not settled",
    Status.AT_BOUND: "at the edge of what was allowed",
    Status.NOT_IDENTIFIABLE: "whose fraction and rate cannot be told apart",
}
"""Codes in sentences."""

WATER_UNTOLD = "that do not tell T1 or T2"
"""The same of water, where that is fitted along and a standard deviation exceeds its value."""


def told(status: Mapping[str, NDArray[np.uint8]]) -> tuple[list[str], list[str]]:
    """Say how many voxels of each pool have a value and why the others have none.

    Parameters
    ----------
    status
        Codes of the voxels by pool, shape (V,).

    Returns
    -------
    decisions, warnings
        A sentence a pool; a warning for each without any value.

    Examples
    --------
    >>> told({"MT": np.array([1, 1, 1, 8], dtype=np.uint8)})
    (['MT: 3 of 4 voxels have a value; 1 (25.0 %) whose fraction and rate cannot be told apart have none.'], [])
    """
    decisions, warnings = [], []
    for pool, codes in status.items():
        number = len(codes)
        counts = {reason: int(np.count_nonzero(codes == code)) for code, reason in REASONS.items()}
        if pool == WATER:
            counts[WATER_UNTOLD] = counts.pop(REASONS[Status.NOT_IDENTIFIABLE])
        why = [f"{count:,} ({100.0 * count / number:.1f} %) {reason}" for reason, count in counts.items() if count]
        good = int(np.count_nonzero(codes == Status.CONVERGED))
        sentence = f"{pool}: {good:,} of {number:,} voxels have a value"
        decisions.append(f"{sentence}; {', '.join(why)} have none." if why else f"{sentence}.")
        if not good:
            what = "water" if pool == WATER else f"the pool {pool}"
            warnings.append(f"No voxel has a value of {what}: see the decisions for the reasons.")
    return decisions, warnings
