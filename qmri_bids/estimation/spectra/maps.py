"""Maps of a Z-spectrum, from aligned volumes: B0-corrected spectra, MTR asymmetry, Lorentzian pools and AREX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qmri_bids.choices import SPECTRUM_MEASURES
from qmri_bids.estimation.base import Estimate, Status, has_value
from qmri_bids.estimation.spectra.correction import correct_shift
from qmri_bids.estimation.spectra.disturbances.drift import Drift, find_drift
from qmri_bids.estimation.spectra.disturbances.fat import (
    FatLevels,
    fat_levels,
    fat_sentences,
    fat_width,
    holds_fat,
    lines_near_fat,
    share_of_fat,
    spoiled_by_fat,
)
from qmri_bids.estimation.spectra.lorentzian.fit import LorentzianFit, broad_lines
from qmri_bids.estimation.spectra.lorentzian.image_fit import image_search
from qmri_bids.estimation.spectra.lorentzian.lines import spectrum
from qmri_bids.estimation.spectra.lorentzian.maps import fit_status, masked, pool_estimates, spectrum_noise
from qmri_bids.estimation.spectra.lorentzian.optima import Search, fit_optima
from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES, LineModel
from qmri_bids.estimation.spectra.measures.chosen import background_search, measure_maps
from qmri_bids.estimation.spectra.measures.extrapolated import reference_search
from qmri_bids.estimation.spectra.measures.plan import MeasurePlan, plan_measures
from qmri_bids.estimation.spectra.plan import SpectrumPlan, exchanging, plan_spectrum
from qmri_bids.estimation.spectra.powers import Powers, at_one_shift, correct_power, power_sentences, typical_exponents
from qmri_bids.estimation.spectra.series import (
    SMOOTHING_VOXELS,
    Spectra,
    series_layout,
    series_noise,
    some_voxels,
    spectra,
    spectrum_smoothing,
)
from qmri_bids.estimation.spectra.spline import spline_operator
from qmri_bids.estimation.spectra.water_shift import WaterShift, drifted, find_water_shift, no_water_shift
from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.physics.zspectrum import apparent_exchange_relaxation
from qmri_bids.system.blocks import run_blocks

SMALLEST_SIGNAL = 3.0
"""Z at the pool must exceed its noise so many times: an inverse of less is noise."""


def arex(
    fit: LorentzianFit,
    *,
    pool: str,
    t1: NDArray[np.floating],
    t1_stdev: NDArray[np.floating] | None = None,
    duty_cycle: float = 1.0,
    noise: NDArray[np.floating] | float | None = None,
) -> Estimate:
    """Return R_ex of a pool at its centre, Z_lab being the whole fit there and Z_ref the fit without the pool.

    Parameters
    ----------
    fit
        Fit of V voxels, with water among its pools.
    pool
        The pool of interest.
    t1
        T1 of water [s], shape (V,).
    t1_stdev
        Its standard deviation [s], shape (V,); None where T1 counts as exact.
    duty_cycle
        Share of the saturation during which RF is on.
    noise
        Standard deviation of Z; from the residual by default.

    Returns
    -------
    Estimate
        `R_ex` [1/s] and `MTR_Rex` = R_ex · T1 · duty cycle, shape (V,). LOW_SIGNAL where Z_lab does not stand out of the noise,
        INVALID_INPUT where T1 is not positive.

    Raises
    ------
    ValueError
        If the pool was not fitted, a map has another shape, or the duty cycle lies outside (0, 1].
    """
    voxels = len(fit.residual_sum)
    for name, values in (("t1", t1), ("t1_stdev", t1_stdev)):
        if values is not None and values.shape != (voxels,):
            raise ValueError(f"{name} must have shape ({voxels},) as the fit has voxels, found {values.shape}")
    if not 0.0 < duty_cycle <= 1.0:
        raise ValueError(f"duty_cycle must lie in (0, 1], found {duty_cycle}")
    columns = fit.columns(pool)
    sigma = spectrum_noise(fit, noise)
    status = fit_status(fit, pool)
    amplitude = fit.parameters[:, columns.start]
    with np.errstate(all="ignore"):
        label, gradient = _label_at_centre(fit, columns.start)
        reference = label + amplitude
        ratio = apparent_exchange_relaxation(label, reference, np.ones(voxels))
        by_label, by_reference = -1.0 / label**2, 1.0 / reference**2
        slope = gradient * (by_label + by_reference)[:, None]
        slope[:, columns.start] += by_reference
        variance = np.einsum("vi,vij,vj->v", slope, fit.covariance, slope)
        label_stdev = np.sqrt(np.einsum("vi,vij,vj->v", gradient, fit.covariance, gradient)) * sigma
        ratio_stdev = np.sqrt(variance) * sigma
        time = t1 * duty_cycle
        rate = ratio / time
        relative_t1 = 0.0 if t1_stdev is None else t1_stdev / t1
        rate_stdev = np.hypot(ratio_stdev / time, rate * relative_t1)
        residual = np.sqrt(fit.residual_sum / fit.signal_sum)
        status[(status == Status.CONVERGED) & ~(label > SMALLEST_SIGNAL * label_stdev)] = Status.LOW_SIGNAL
        valid = np.isfinite(t1) & (t1 > 0.0)
        if t1_stdev is not None:
            valid &= np.isfinite(t1_stdev)
    status[~valid] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Estimate(
        values={"R_ex": masked(rate, good), "MTR_Rex": masked(ratio, good)},
        stdev={"R_ex": masked(rate_stdev, good), "MTR_Rex": masked(ratio_stdev, good)},
        residual=masked(residual, status != Status.INVALID_INPUT),
        status=status,
    )


def _label_at_centre(fit: LorentzianFit, first: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fitted Z at the centre of the pool whose columns begin at `first`, and its gradient in all parameters."""
    z, at_centre, _ = spectrum(fit.parameters, fit.parameters[:, first + 2, None], broad=fit.broad)
    gradient = at_centre[:, 0]
    # With the centre all other lines are met elsewhere; the slope of the own line is zero there.
    gradient[:, first + 2] = -gradient[:, 3::3].sum(axis=1)
    return z[:, 0], gradient


@dataclass(frozen=True, kw_only=True)
class Block:
    """What is known of V voxels.

    Parameters
    ----------
    spectra
        Normalised spectra with their status.
    water_shift, water_shift_stdev
        Shift of water and its standard deviation [ppm], shape (V,), NaN where it is not known.
    shift_status
        `Status` of the shift, shape (V,).
    t1, t1_stdev
        T1 of water and its standard deviation [s], shape (V,), or None.
    """

    spectra: Spectra
    water_shift: NDArray[np.float64]
    water_shift_stdev: NDArray[np.float64] | None
    shift_status: NDArray[np.uint8]
    t1: NDArray[np.float64] | None
    t1_stdev: NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True)
class BlockMaps:
    """Maps of V voxels, and what the fit left; the fields are those of `ZSpectrumMaps`."""

    z: NDArray[np.float32]
    z_stdev: NDArray[np.float32]
    z_scale_stdev: NDArray[np.float32]
    corrected: NDArray[np.float32]
    fitted: NDArray[np.float32] | None
    parameters: NDArray[np.float32] | None
    maps: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    residual: NDArray[np.float32]
    status: NDArray[np.uint8]


def block_maps(
    block: Block,
    *,
    plan: SpectrumPlan,
    search: Search | None,
    fat: FatLevels | None,
    smoothing: float,
    curve_smoothing: float,
    measures: MeasurePlan | None = None,
    background: Search | None = None,
    reference: Search | None = None,
) -> BlockMaps:
    """Return all maps of a block.

    Parameters
    ----------
    block
        Spectra and what else is known.
    plan
        What is made of them.
    search
        Where the fit of pools begins; None without a fit.
    fat
        By what voxels of fat are told; None where they cannot be.
    smoothing
        Smoothing of the spline that interpolates the spectra; 0 interpolates exactly.
    curve_smoothing
        Smoothing of the curve whose residual stands in for that of a fit where there is none.
    measures
        Measures beside the fit; None for the MTR asymmetry of the plan alone.
    background
        Where the fit of their background begins; None where none is needed.
    reference
        Where that of their extrapolated reference begins; None where none is needed.
    """
    z, offsets = block.spectra, plan.layout.offsets
    status = np.where(z.status == Status.CONVERGED, block.shift_status, z.status).astype(np.uint8)
    good = status == Status.CONVERGED
    known = {
        "offsets": offsets,
        "water_shift": block.water_shift,
        "noise": z.stdev,
        "water_shift_stdev": block.water_shift_stdev,
        "smoothing": smoothing,
    }
    corrected = correct_shift(z.values, **known)  # type: ignore[arg-type]
    maps: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    maps |= measure_maps(
        z,
        layout=plan.layout,
        shift=block.water_shift,
        shift_stdev=block.water_shift_stdev,
        operator=spline_operator(offsets, smoothing=smoothing),
        plan=measures or MeasurePlan(asymmetry=plan.asymmetry),
        search=background,
        reference=reference,
        good=good,
    )
    fitted = parameters = None
    if search is not None:
        fit, noise, unique = _fit(block, plan=plan, search=search, good=good)
        maps |= _amplitudes(fit, noise=noise, good=good)
        duty_cycle = plan.layout.saturation.duty_cycle
        for pool in plan.arex:
            maps[f"arex_{pool}"] = _arex(fit, pool=pool, block=block, noise=noise, duty_cycle=duty_cycle)
        for pool in exchanging(plan.pools) if measures is not None and measures.of_fit else ():
            values, stdev = _inverse_difference(fit, pool=pool, noise=noise)
            maps[f"rex_{pool}"] = masked(values, good), masked(stdev, good)
        usable = good & fit.converged
        parameters = masked(fit.parameters, usable[:, None])
        fitted = masked(spectrum(fit.parameters, offsets, broad=fit.broad)[0], usable[:, None])
        status[usable & ~unique] = Status.NOT_UNIQUE
        with np.errstate(all="ignore"):
            residual = np.sqrt(fit.residual_sum / fit.signal_sum)
    else:
        operator = spline_operator(offsets, smoothing=curve_smoothing)
        left = z.values - operator.nodes(z.values)[:, : len(offsets)]
        usable = good & (operator.effective_freedom > 0.5)
        with np.errstate(all="ignore"):
            residual = np.sqrt(np.square(left).sum(axis=1) / np.square(z.values).sum(axis=1))
    holds = holds_fat(z, offsets=offsets, water_shift=block.water_shift, levels=fat) & good
    status[holds] = Status.MISFIT
    near_fat = () if search is None else lines_near_fat(search.pools)
    for name in (name for name in maps if spoiled_by_fat(name, lines=near_fat)):
        maps[name] = masked(maps[name][0], ~holds), masked(maps[name][1], ~holds)
    return BlockMaps(
        z=z.values.astype(np.float32),
        z_stdev=z.stdev.astype(np.float32),
        z_scale_stdev=z.scale_stdev.astype(np.float32),
        corrected=masked(corrected.values, good[:, None]),
        fitted=fitted,
        parameters=parameters,
        maps=maps,
        residual=masked(residual, usable),
        status=status,
    )


def _fit(
    block: Block, *, plan: SpectrumPlan, search: Search, good: NDArray[np.bool_]
) -> tuple[LorentzianFit, NDArray[np.float64], NDArray[np.bool_]]:
    """Return the fit, whose covariance also holds the noise of the unsaturated volumes and of the shift of water.

    With it the standard deviation of Z that counts, shape (V,), and whether the optimum is unique, shape (V,).

    Both are shared by all values of a voxel: along Z and along its slope. They add rank one each to the covariance for unit noise.
    """
    z, offsets = block.spectra, plan.layout.offsets
    shift = np.where(good, block.water_shift, 0.0)
    found = fit_optima(
        np.where(good[:, None], z.values, math.nan),
        offsets=offsets,
        search=search,
        noise=z.stdev,
        water_shift=shift,
    )
    fit, noise = found.fit, found.noise
    with np.errstate(all="ignore"):
        away = offsets - shift[:, None]
        model, gradient, slope = spectrum(fit.parameters, away, broad=fit.broad)
        covariance = by_noise = fit.covariance.astype(np.float64)
        directions = [model * (z.scale_stdev / noise)[:, None]]
        if block.water_shift_stdev is not None:
            directions.append(slope * (block.water_shift_stdev / noise)[:, None])
        if z.directions is not None:
            directions += [each / noise[:, None] for each in z.directions.transpose(1, 0, 2)]
        for direction in directions:
            moved = np.einsum("vij,vj->vi", by_noise, np.einsum("vnp,vn->vp", gradient, direction))
            covariance = covariance + moved[:, :, None] * moved[:, None, :]
        whole = np.where(np.isfinite(covariance), covariance, fit.covariance).astype(np.float32)
    # The bounds of widths are part of the model; an amplitude that ends at its own bound is no estimate.
    amplitudes = np.arange(fit.at_bound.shape[1]) % 3 == 1
    fit = replace(fit, covariance=whole, at_bound=fit.at_bound & amplitudes)
    return fit, noise, np.asarray(found.unique.all(axis=1))


def _amplitudes(
    fit: LorentzianFit, *, noise: NDArray[np.float64], good: NDArray[np.bool_]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the amplitude of every pool: 0 without a standard deviation where none of it was found."""
    found = {}
    for pool, estimate in pool_estimates(fit, noise=noise).items():
        absent = good & fit.converged & (fit.parameters[:, fit.columns(pool).start] == 0.0)
        values = np.where(absent, np.float32(0.0), estimate.values["amplitude"])
        stdev = np.where(absent, np.float32(math.nan), estimate.stdev["amplitude"])
        found[f"amplitude_{pool}"] = masked(values, good), masked(stdev, good)
    return found


def _arex(
    fit: LorentzianFit, *, pool: str, block: Block, noise: NDArray[np.float64], duty_cycle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return AREX of a pool: 0 without a standard deviation where none of it was found."""
    assert block.t1 is not None
    estimate = arex(fit, pool=pool, t1=block.t1, t1_stdev=block.t1_stdev, duty_cycle=duty_cycle, noise=noise)
    absent = (fit.parameters[:, fit.columns(pool).start] == 0.0) & fit.converged & np.isfinite(block.t1)
    values = np.where(absent, np.float32(0.0), estimate.values["R_ex"])
    return values, np.where(absent, np.float32(math.nan), estimate.stdev["R_ex"])


def _inverse_difference(
    fit: LorentzianFit, *, pool: str, noise: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return MTR_Rex of a pool, which needs no T1: 0 without a standard deviation where none of it was found."""
    estimate = arex(fit, pool=pool, t1=np.ones(len(fit.residual_sum)), noise=noise)
    absent = (fit.parameters[:, fit.columns(pool).start] == 0.0) & fit.converged
    values = np.where(absent, np.float32(0.0), estimate.values["MTR_Rex"])
    return values, np.where(absent, np.float32(math.nan), estimate.stdev["MTR_Rex"])


BLOCK = 4096
"""Voxels at a time: a fit of five pools holds 1 KiB of covariance a voxel and as much of spectra and gradients."""

REASONS: Mapping[str, str] = {
    "MTRasym_": "the shift of water takes an offset beyond those measured",
    "amplitude_": "the amplitude is held by its upper bound, or the fit has not converged",
    "arex_": "the same, or Z at the pool is no more than noise, or T1 is not known",
    "rex_": "the amplitude is held by its upper bound, the fit has not converged, or Z at the pool is no more than noise",
    "threeoffset_": "the shift of water takes an offset beyond those measured",
    "lda_": "the fit of the background has not converged",
    "emr_": "the fit of the extrapolated reference has not converged",
    "ldarex_": "the same, or Z at the solute is no more than noise",
}
"""Why maps of a kind have no value where there is a spectrum."""

Map = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Values and standard deviation, shape (V,)."""


@dataclass(frozen=True, kw_only=True)
class ZSpectrumOptions:
    """What is made of a Z-spectrum.

    Parameters
    ----------
    asymmetry
        Offsets of MTR asymmetry [ppm].
    ranges
        Ranges of offsets over which a mean MTR asymmetry is mapped [ppm].
    measures
        Other measures, of `choices.SPECTRUM_MEASURES`.
    pools
        Pools of the Lorentzian fit, names of `lines` with water among them; empty for no fit; None to fit all of them where the
        offsets reach far enough, and none elsewhere.
    lines
        The set of lines that holds the pools.
    smoothing
        Smoothing of the spline that interpolates spectra. None interpolates exactly: cross-validation over whole spectra would
        round the dip.
    shift_of_water
        `ignored` takes water to lie at its nominal frequency in all voxels.

    Raises
    ------
    ValueError
        If an offset is not positive, a pool is unknown, or water is not among the pools.
    """

    asymmetry: tuple[float, ...] = (3.5,)
    ranges: tuple[tuple[float, float], ...] = ()
    measures: tuple[str, ...] = ()
    pools: tuple[str, ...] | None = None
    lines: LineModel = SHIPPED_LINES
    smoothing: float | None = None
    shift_of_water: Literal["found", "ignored"] = "found"

    def __post_init__(self) -> None:
        wrong = [each for each in self.asymmetry if not (math.isfinite(each) and each > 0.0)]
        if wrong:
            raise ValueError(f"asymmetry needs positive offsets [ppm], found {wrong}")
        for low, high in self.ranges:
            if not (0.0 < low < high and math.isfinite(high)):
                raise ValueError(
                    f"a range of asymmetry needs two positive offsets, the smaller first, found {low:g} to {high:g}"
                )
        strange = sorted(set(self.measures) - set(SPECTRUM_MEASURES))
        if strange:
            raise ValueError(f"measures must be among {', '.join(SPECTRUM_MEASURES)}, found {', '.join(strange)}")
        if self.pools:
            unknown = sorted(set(self.pools) - set(self.lines.names))
            if unknown:
                raise ValueError(f"pools must be among {', '.join(self.lines.names)}, found {', '.join(unknown)}")
            if "water" not in self.pools or len(set(self.pools)) < len(self.pools):
                raise ValueError(f"pools must hold water, each once, found {', '.join(self.pools)}")


@dataclass(frozen=True, kw_only=True)
class ZSpectrumMaps:
    """What a Z-spectrum tells.

    Parameters
    ----------
    offsets
        Offsets of the spectra, increasing [ppm], shape (K,).
    corrected
        Z at these offsets from the true frequency of water, shape (V, K); NaN where it would be extrapolated.
    z, z_stdev, z_scale_stdev
        Z at the nominal offsets, shape (V, K), and its noise as that of `series.Spectra`, shape (V,).
    fitted
        The Lorentzian fit there, shape (V, K); None without a fit.
    pools
        Names of the fitted pools; empty without a fit.
    parameters
        Parameters of the fit: baseline, then amplitude, width [ppm] and position [ppm] of each pool, NaN where it failed, shape
        (V, 1 + 3P); None without a fit.
    broad
        Whether the line of a pool is super-Lorentzian, in the order of `pools`.
    water_shift, water_shift_stdev
        Shift of water that was used [Hz], shape (V,), and its standard deviation, None where it was given without.
    maps
        Maps by name with their standard deviations, as fractions and in SI units: `MTRasym_<offset>`,
        `MTRasym_<low>to<high>`, `amplitude_<pool>`, `arex_<pool>` [1/s], `rex_<pool>`; `threeoffset_`, `lda_` and `ldarex_` of APT
        and NOE.
    residual
        Root mean square of Z minus the fit (without a fit: minus a smooth curve) over that of Z, shape (V,).
    status
        The worst of normalisation and B0, `Status` codes, shape (V,); a single map can be NaN where this is CONVERGED.
    drift
        Drift of the field over the series and its standard deviation [Hz]; NaN where it cannot be told.
    decisions, warnings
        What was decided and what a reader must know, as sentences.
    """

    offsets: NDArray[np.float64]
    z: NDArray[np.float32]
    z_stdev: NDArray[np.float32]
    z_scale_stdev: NDArray[np.float32]
    corrected: NDArray[np.float32]
    fitted: NDArray[np.float32] | None
    pools: tuple[str, ...]
    parameters: NDArray[np.float32] | None
    broad: tuple[bool, ...]
    water_shift: NDArray[np.float32]
    water_shift_stdev: NDArray[np.float32] | None
    maps: Mapping[str, Map]
    residual: NDArray[np.float32]
    status: NDArray[np.uint8]
    drift: tuple[float, float]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...]


def zspectrum_maps(
    signal: NDArray[np.floating],
    *,
    protocol: SaturationProtocol,
    roles: Sequence[str],
    water_shift: NDArray[np.floating] | None = None,
    water_shift_stdev: NDArray[np.floating] | None = None,
    t1: NDArray[np.floating] | None = None,
    t1_stdev: NDArray[np.floating] | None = None,
    noise: float | None = None,
    powers: Powers | None = None,
    options: ZSpectrumOptions | None = None,
    option_of_pools: str = "--lorentzian-pools",
    threads: int = 1,
) -> ZSpectrumMaps:
    """Return the maps of a Z-spectrum.

    Parameters
    ----------
    signal
        Aligned magnitudes in the order of acquisition, shape (V, N).
    protocol
        One image a volume.
    roles
        "m0", "cest" or "wassr" for every volume.
    water_shift, water_shift_stdev
        Shift of water from its nominal frequency [Hz], shape (V,). Without one it comes from the "wassr" volumes if there are any,
        else from the spectrum itself.
    t1, t1_stdev
        T1 of water [s], shape (V,), for AREX.
    noise
        Standard deviation of one volume, the same in all voxels; from the series by default.
    powers
        Spectra at other powers, at the increasing offsets of this one, and B1: the spectra are taken to their nominal power first.
    options
        `ZSpectrumOptions()` by default.
    option_of_pools
        What the choice of pools is called in sentences.
    threads
        Threads; the result does not depend on it.

    Raises
    ------
    ValueError
        If shapes do not belong together, no volume normalises, or the spectrum cannot be corrected.
    """
    chosen = options or ZSpectrumOptions()
    if signal.ndim != 2 or signal.shape[1] != protocol.number_of_images:
        raise ValueError(
            f"signal must have shape (V, {protocol.number_of_images}), one column an image, found {signal.shape}"
        )
    voxels = len(signal)
    for name, each in (
        ("water_shift", water_shift),
        ("water_shift_stdev", water_shift_stdev),
        ("t1", t1),
        ("t1_stdev", t1_stdev),
    ):
        if each is not None and each.shape != (voxels,):
            raise ValueError(f"{name} must have shape ({voxels},) as the signal has voxels, found {each.shape}")
    layout = series_layout(protocol, roles=roles, role="cest")
    if not layout.unsaturated:
        raise ValueError("a Z-spectrum needs an unsaturated volume (M0) that normalises the others, found none")
    plan = plan_spectrum(
        layout,
        asymmetry=chosen.asymmetry,
        pools=chosen.pools,
        with_t1=t1 is not None,
        option_of_pools=option_of_pools,
        model=chosen.lines,
    )
    measures = plan_measures(
        layout.offsets, wanted=chosen.measures, asymmetry=plan.asymmetry, ranges=chosen.ranges, pools=plan.pools
    )
    plan = replace(plan, warnings=(*plan.warnings, *measures.warnings))
    if noise is None:
        sigma, sentence = series_noise(signal, layout=layout)
    else:
        sigma, sentence = float(noise), f"Standard deviations follow from a noise of {noise:.4g} in one volume."
    if far := protocol.reference_offsets(roles):
        shown = ", ".join(f"{offset:g}" for offset in far)
        sentence = f"M0 was saturated too, at {shown} ppm: Z is relative to it, without what MT took there. {sentence}"
    drift = find_drift(signal, protocol=protocol, layout=layout, noise=sigma)
    if drift.operator is not None:
        layout = replace(layout, undrift=drift.operator)
        plan = replace(plan, layout=layout)
    some = spectra(some_voxels(signal), layout=layout, noise=sigma).values
    curve = spectrum_smoothing(some, offsets=layout.offsets)
    shift = (
        no_water_shift(voxels, protocol)
        if chosen.shift_of_water == "ignored"
        else find_water_shift(
            signal,
            protocol=protocol,
            roles=roles,
            layout=layout,
            noise=sigma,
            smoothing=curve,
            given=water_shift,
            given_stdev=water_shift_stdev,
            threads=threads,
        )
    )
    shift = drifted(shift, drift=drift, roles=roles, given=water_shift is not None)
    exponents = None
    if powers is not None:
        powers = at_one_shift(powers, offsets=layout.offsets, water_shift=shift.ppm)
        exponents = typical_exponents(spectra(some_voxels(signal), layout=layout, noise=sigma), powers[_some(voxels)])

    def made(part: slice) -> Spectra:
        own = spectra(signal[part], layout=layout, noise=sigma)
        return own if powers is None or exponents is None else correct_power(own, powers[part], exponents=exponents)

    sample, sample_shift = made(_some(voxels)), some_voxels(shift.ppm)
    search: Search | None = None
    sentences: tuple[str, ...] = ()
    if plan.pools:
        search, sentences = image_search(
            sample,
            offsets=layout.offsets,
            water_shift=sample_shift,
            pools=plan.pools,
            field_strength=protocol.field_strength,
            model=chosen.lines,
        )
    background: Search | None = None
    if measures.needs_background:
        background, said = background_search(
            sample,
            offsets=layout.offsets,
            water_shift=sample_shift,
            field_strength=protocol.field_strength,
        )
        sentences = (*sentences, said)
    reference: Search | None = None
    if measures.extrapolated:
        reference, said = reference_search(
            sample,
            offsets=layout.offsets,
            water_shift=sample_shift,
            field_strength=protocol.field_strength,
        )
        sentences = (*sentences, said)
    sentences = (*sentences, *measures.sentences)
    fat = fat_levels(
        sample,
        offsets=layout.offsets,
        water_shift=sample_shift,
        width=fat_width(layout.saturation, field_strength=protocol.field_strength),
        trusted=chosen.shift_of_water == "found",
    )
    found: list[BlockMaps | None] = [None] * -(-voxels // BLOCK)

    def work(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        found[begin // BLOCK] = block_maps(
            Block(
                spectra=made(part),
                water_shift=shift.ppm[part],
                water_shift_stdev=None if shift.ppm_stdev is None else shift.ppm_stdev[part],
                shift_status=shift.status[part],
                t1=None if t1 is None else np.asarray(t1[part], dtype=np.float64),
                t1_stdev=None if t1_stdev is None else np.asarray(t1_stdev[part], dtype=np.float64),
            ),
            plan=plan,
            search=search,
            fat=fat,
            smoothing=chosen.smoothing or 0.0,
            curve_smoothing=curve,
            measures=measures,
            background=background,
            reference=reference,
        )

    run_blocks(work, voxels, block=BLOCK, threads=threads)
    joined = _joined(
        [each for each in found if each is not None],
        plan=plan,
        search=search,
        shift=shift,
        sentences=(*drift.decisions, *sentences, *fat_sentences(fat), sentence),
        drift=drift,
        voxels=voxels,
    )
    if powers is None:
        return joined
    decisions, warnings = power_sentences(powers, joined.status)
    return replace(joined, decisions=(*joined.decisions, *decisions), warnings=(*joined.warnings, *warnings))


def _some(voxels: int) -> slice:
    """Return those voxels that `some_voxels` takes."""
    return slice(None, None, max(voxels // SMOOTHING_VOXELS, 1))


def _joined(
    blocks: Sequence[BlockMaps],
    *,
    plan: SpectrumPlan,
    search: Search | None,
    shift: WaterShift,
    sentences: Sequence[str],
    drift: Drift,
    voxels: int,
) -> ZSpectrumMaps:
    """Return the maps of all blocks, and what was decided."""

    def whole(name: str, width: int | None = None) -> NDArray:
        parts = [getattr(each, name) for each in blocks]
        return np.concatenate(parts) if parts else np.zeros((0,) if width is None else (0, width), dtype=np.float32)

    maps: dict[str, Map] = {
        name: (
            np.concatenate([each.maps[name][0] for each in blocks]),
            np.concatenate([each.maps[name][1] for each in blocks]),
        )
        for name in (blocks[0].maps if blocks else ())
    }
    status = whole("status").astype(np.uint8)
    good = has_value(status)
    decisions = [*plan.decisions, *shift.decisions, *sentences]
    if voxels:
        decisions.append(f"{100.0 * float(np.mean(~good)):.1f} % of the voxels have no corrected spectrum.")
        decisions += _missing(maps, good=good, plan=plan)
        decisions += share_of_fat(status)
        several = 100.0 * float(np.mean(status == Status.NOT_UNIQUE))
        if several >= 0.05:
            decisions.append(
                f"In {several:.1f} % of the voxels other optima of the Lorentzian fit are as good as noise can tell and differ by "
                "more than the standard deviation in the height of a pool (code 11): standard deviations hold their spread."
            )
    number = len(plan.layout.offsets)
    return ZSpectrumMaps(
        offsets=plan.layout.offsets,
        z=whole("z", number),
        z_stdev=whole("z_stdev"),
        z_scale_stdev=whole("z_scale_stdev"),
        corrected=whole("corrected", number),
        fitted=whole("fitted", number) if plan.pools else None,
        pools=plan.pools,
        parameters=whole("parameters", 1 + 3 * len(plan.pools)) if plan.pools else None,
        broad=() if search is None else tuple(bool(each) for each in broad_lines(search.pools)),
        water_shift=np.where(shift.usable, shift.hertz, math.nan).astype(np.float32),
        water_shift_stdev=None if shift.hertz_stdev is None else shift.hertz_stdev.astype(np.float32),
        maps=maps,
        residual=whole("residual"),
        status=status,
        drift=(drift.hertz, drift.stdev),
        decisions=tuple(decisions),
        warnings=(*plan.warnings, *shift.warnings),
    )


def _missing(maps: Mapping[str, Map], *, good: NDArray[np.bool_], plan: SpectrumPlan) -> list[str]:
    """Return sentences on voxels with a spectrum that have no value in some map, or the amplitude 0."""
    if not good.any():
        return []

    def shares(kind: str, lost: Callable[[NDArray], NDArray]) -> str:
        """Return the shares of the maps of a kind, as part of a sentence; empty where all have values."""
        found = {
            name: float(np.mean(lost(values[good]))) for name, (values, _) in maps.items() if name.startswith(kind)
        }
        return ", ".join(f"{name} {100.0 * share:.1f} %" for name, share in found.items() if share >= 5e-4)

    sentences = [
        f"Without a value in voxels that have a spectrum: {text}; {reason}."
        for kind, reason in REASONS.items()
        if (text := shares(kind, lambda values: ~np.isfinite(values)))
    ]
    absent = shares("amplitude_", lambda values: values == 0.0)
    if absent:
        sentences.append(f"No such line was found, and the amplitude is 0 without a standard deviation: {absent}.")
    return sentences
