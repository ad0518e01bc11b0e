"""The maps of one block of voxels of a Z-spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.arex import arex
from qmri_bids.estimation.spectra.correction import correct_shift, mtr_asymmetry
from qmri_bids.estimation.spectra.lorentzian_fit import LorentzianFit, fit_lorentzian
from qmri_bids.estimation.spectra.lorentzian_maps import masked, pool_estimates
from qmri_bids.estimation.spectra.plan import FITTED_POOLS, SpectrumPlan
from qmri_bids.estimation.spectra.series import Spectra
from qmri_bids.estimation.spectra.spline import spline_operator
from qmri_bids.physics.zspectrum import lorentzian_spectrum


@dataclass(frozen=True, kw_only=True)
class Block:
    """What is known of V voxels.

    Parameters
    ----------
    spectra
        Normalised.
    water_shift, water_shift_stdev
        [ppm], shape (V,), NaN where it is not known.
    shift_status
        `Status` of the shift, shape (V,).
    t1, t1_stdev
        [s], shape (V,), or None.
    """

    spectra: Spectra
    water_shift: NDArray[np.float64]
    water_shift_stdev: NDArray[np.float64] | None
    shift_status: NDArray[np.uint8]
    t1: NDArray[np.float64] | None
    t1_stdev: NDArray[np.float64] | None


@dataclass(frozen=True, kw_only=True)
class BlockMaps:
    """Maps of V voxels; as `zspectrum_maps.ZSpectrumMaps`."""

    corrected: NDArray[np.float32]
    fitted: NDArray[np.float32] | None
    parameters: NDArray[np.float32] | None
    maps: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    residual: NDArray[np.float32]
    status: NDArray[np.uint8]


def block_maps(block: Block, *, plan: SpectrumPlan, smoothing: float, curve_smoothing: float) -> BlockMaps:
    """Return all maps of a block.

    Parameters
    ----------
    block
        Spectra and what else is known.
    plan
        What is made of them.
    smoothing
        Of the spline that interpolates the spectra.
    curve_smoothing
        Of the curve whose residual stands in for that of a fit where there is none.
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
    for at in plan.asymmetry:
        found = mtr_asymmetry(z.values, at=at, **known)  # type: ignore[arg-type]
        maps[f"MTRasym_{at:g}"] = masked(found.values["MTRasym"], good), masked(found.stdev["MTRasym"], good)
    fitted = parameters = None
    if plan.pools:
        fit = _fit(block, plan=plan, good=good)
        maps |= _amplitudes(fit, noise=z.stdev, good=good)
        for pool in plan.arex:
            maps[f"arex_{pool}"] = _arex(fit, pool=pool, block=block, duty_cycle=plan.layout.saturation.duty_cycle)
        usable = good & fit.converged
        parameters = masked(fit.parameters, usable[:, None])
        fitted = masked(_spectrum(fit.parameters, offsets), usable[:, None])
        with np.errstate(all="ignore"):
            residual = np.sqrt(fit.residual_sum / fit.signal_sum)
    else:
        operator = spline_operator(offsets, smoothing=curve_smoothing)
        left = z.values - operator.nodes(z.values)[:, : len(offsets)]
        usable = good & (operator.effective_freedom > 0.5)
        with np.errstate(all="ignore"):
            residual = np.sqrt(np.square(left).sum(axis=1) / np.square(z.values).sum(axis=1))
    return BlockMaps(
        corrected=masked(corrected.values, good[:, None]),
        fitted=fitted,
        parameters=parameters,
        maps=maps,
        residual=masked(residual, usable),
        status=status,
    )


def _fit(block: Block, *, plan: SpectrumPlan, good: NDArray[np.bool_]) -> LorentzianFit:
    """Return the fit, whose covariance also holds the noise of the unsaturated volumes and of the shift of water.

    Both are shared by all values of a voxel: along Z and along its slope. They add rank one each to the covariance for unit noise.
    """
    z, offsets = block.spectra, plan.layout.offsets
    shift = np.where(good, block.water_shift, 0.0)
    fit = fit_lorentzian(
        np.where(good[:, None], z.values, math.nan),
        offsets=offsets,
        pools={name: FITTED_POOLS[name] for name in plan.pools},
        water_shift=shift,
    )
    with np.errstate(all="ignore"):
        away = offsets - shift[:, None]
        gradient, slope = _gradient(fit.parameters, away)
        model = _spectrum(fit.parameters, away)
        covariance = fit.covariance.astype(np.float64)
        directions = [model * (z.scale_stdev / z.stdev)[:, None]]
        if block.water_shift_stdev is not None:
            directions.append(slope * (block.water_shift_stdev / z.stdev)[:, None])
        for direction in directions:
            moved = np.einsum("vij,vj->vi", covariance, np.einsum("vnp,vn->vp", gradient, direction))
            covariance = covariance + moved[:, :, None] * moved[:, None, :]
        whole = np.where(np.isfinite(covariance), covariance, fit.covariance).astype(np.float32)
    # The bounds of widths are part of the model; an amplitude that ends at its own bound is no estimate.
    amplitudes = np.arange(fit.at_bound.shape[1]) % 3 == 1
    return replace(fit, covariance=whole, at_bound=fit.at_bound & amplitudes)


def _gradient(
    parameters: NDArray[np.float64], offsets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the derivatives of fitted spectra in all parameters, shape (V, N, 1 + 3P), and in the offset, shape (V, N)."""
    amplitude, width, position = (parameters[:, None, first::3] for first in (1, 2, 3))
    distance = offsets[:, :, None] - position
    square = 0.25 * width**2
    line = square / (square + distance**2)
    gradient = np.empty((*offsets.shape, parameters.shape[1]))
    gradient[:, :, 0] = 1.0
    gradient[:, :, 1::3] = -line
    gradient[:, :, 2::3] = -2.0 * amplitude * line * (1.0 - line) / width
    gradient[:, :, 3::3] = -2.0 * amplitude * line**2 * distance / square
    return gradient, -gradient[:, :, 3::3].sum(axis=2)


def _spectrum(parameters: NDArray[np.floating], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return fitted spectra at offsets (N,) or (V, N) from water, shape (V, N)."""
    rows = {"amplitude": parameters[:, 1::3], "width": parameters[:, 2::3], "position": parameters[:, 3::3]}
    return np.asarray(lorentzian_spectrum(offsets, baseline=parameters[:, 0], **rows), dtype=np.float64)


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
    fit: LorentzianFit, *, pool: str, block: Block, duty_cycle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return AREX of a pool: 0 without a standard deviation where none of it was found."""
    assert block.t1 is not None
    estimate = arex(
        fit, pool=pool, t1=block.t1, t1_stdev=block.t1_stdev, duty_cycle=duty_cycle, noise=block.spectra.stdev
    )
    absent = (fit.parameters[:, fit.columns(pool).start] == 0.0) & fit.converged & np.isfinite(block.t1)
    values = np.where(absent, np.float32(0.0), estimate.values["R_ex"])
    return values, np.where(absent, np.float32(math.nan), estimate.stdev["R_ex"])
