"""Maps of each pool of a Lorentzian fit, with standard deviations and status."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.spectra.lorentzian.fit import LorentzianFit
from qmri_bids.estimation.spectra.lorentzian.pools import PARAMETERS
from qmri_bids.estimation.variance import moderated_variance


def spectrum_noise(fit: LorentzianFit, noise: NDArray[np.floating] | float | None = None) -> NDArray[np.float64]:
    """Return the standard deviation of the noise of Z, shape (V,).

    Parameters
    ----------
    fit
        Fit of V voxels.
    noise
        Known standard deviation of Z, shape (V,) or one for all; None to take it from the residual, moderated over all voxels that
        the model describes; one with values left out counts as if it had all.

    Raises
    ------
    ValueError
        If `noise` has another shape.
    """
    voxels = len(fit.residual_sum)
    if noise is not None:
        if np.shape(noise) not in ((), (voxels,)):
            raise ValueError(f"noise must be one number or of shape ({voxels},), found shape {np.shape(noise)}")
        return np.broadcast_to(np.asarray(noise, dtype=np.float64), (voxels,))
    variance = moderated_variance(np.where(fit.converged, fit.residual_sum, math.nan), fit.freedom).variance
    return np.sqrt(np.where(fit.converged, variance, fit.residual_sum / fit.freedom))


def fit_status(fit: LorentzianFit, pool: str) -> NDArray[np.uint8]:
    """Return the status of one pool of a fit, shape (V,).

    A pool with a parameter held by a bound is AT_BOUND; the others of that voxel are not, but count what is held as known.
    """
    columns = fit.columns(pool)
    status = np.full(len(fit.residual_sum), Status.CONVERGED, dtype=np.uint8)
    status[fit.at_bound[:, columns].any(axis=1)] = Status.AT_BOUND
    status[~fit.converged] = Status.NOT_CONVERGED
    status[~np.isfinite(fit.residual_sum)] = Status.INVALID_INPUT
    return status


def pool_estimates(fit: LorentzianFit, *, noise: NDArray[np.floating] | float | None = None) -> Mapping[str, Estimate]:
    """Return the maps of every pool by its name.

    Parameters
    ----------
    fit
        Fit of V voxels.
    noise
        Known standard deviation of Z, shape (V,) or one for all; None to take it from the residual (`spectrum_noise`).

    Returns
    -------
    Mapping
        Estimate of each pool with `amplitude`, `width` [ppm] and `position` [ppm], those that were free, shape (V,). The values
        of a pool at a bound are NaN here and stay in `fit.parameters`.
    """
    sigma = spectrum_noise(fit, noise)
    with np.errstate(all="ignore"):
        residual = np.sqrt(fit.residual_sum / fit.signal_sum)
        gain = np.sqrt(np.einsum("vii->vi", fit.covariance).astype(np.float64))
    found = {}
    for pool in fit.pools:
        status = fit_status(fit, pool)
        good = status == Status.CONVERGED
        first = fit.columns(pool).start
        free = {name: first + row for row, name in enumerate(PARAMETERS) if not fit.fixed[first + row]}
        found[pool] = Estimate(
            values={name: masked(fit.parameters[:, column], good) for name, column in free.items()},
            stdev={name: masked(gain[:, column] * sigma, good) for name, column in free.items()},
            residual=masked(residual, status != Status.INVALID_INPUT),
            status=status,
        )
    return found


def masked(values: NDArray[np.floating], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return values in single precision, NaN where they are not good."""
    return np.where(good, values, math.nan).astype(np.float32)
