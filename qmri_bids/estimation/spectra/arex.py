"""Apparent exchange-dependent relaxation (AREX) of a pool, from a Lorentzian fit and a T1 map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.spectra.lorentzian_fit import LorentzianFit
from qmri_bids.estimation.spectra.lorentzian_maps import fit_status, masked, spectrum_noise
from qmri_bids.physics.zspectrum import apparent_exchange_relaxation

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
        Of V voxels, with water among its pools.
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
    amplitude, width, position = (fit.parameters[:, row::3] for row in (1, 2, 3))
    distance = fit.parameters[:, first + 2, None] - position
    square = 0.25 * width**2
    line = square / (square + distance**2)
    gradient = np.empty_like(fit.parameters)
    gradient[:, 0] = 1.0
    gradient[:, 1::3] = -line
    gradient[:, 2::3] = -2.0 * amplitude * line * (1.0 - line) / width
    gradient[:, 3::3] = -2.0 * amplitude * line**2 * distance / square
    # With the centre all other lines are met elsewhere; the slope of the own line is zero there.
    gradient[:, first + 2] = -gradient[:, 3::3].sum(axis=1)
    return fit.parameters[:, 0] - (amplitude * line).sum(axis=1), gradient
