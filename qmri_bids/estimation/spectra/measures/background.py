"""The background of a Z-spectrum without solutes: lines of water and MT, fitted to offsets that solutes leave alone.

Lorentzian difference analysis (Jones et al., NeuroImage 77:114, 2013) takes the distance of Z from it at a solute. Their background
is one line of water; here MT has a line too, which reaches below all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.lorentzian.fit import broad_lines
from qmri_bids.estimation.spectra.lorentzian.lines import spectrum
from qmri_bids.estimation.spectra.lorentzian.optima import LARGER_NOISE, Search, fit_optima
from qmri_bids.estimation.spectra.measures.linearised import Linearised, Measured, combined, sampled
from qmri_bids.estimation.spectra.measures.plan import DIFFERENCE_AT, of_background
from qmri_bids.estimation.spectra.spline import SplineOperator

SMALLEST_SIGNAL = 3.0
"""Z must exceed its noise so many times for its inverse to be taken."""


@dataclass(frozen=True, kw_only=True)
class Background:
    """Fitted background of V voxels.

    Parameters
    ----------
    parameters
        Baseline, then height, width [ppm] and position [ppm] of water and MT, shape (V, 7).
    gain
        Derivatives of the parameters by the values of Z, shape (V, 7, K): 0 at offsets that do not count.
    covariance
        Covariance of the parameters for unit noise, that of what is known beforehand included, shape (V, 7, 7).
    by_shift
        Derivatives of the parameters by the shift of water, shape (V, 7).
    excess
        Variance of what the background leaves over that of noise, 1 where it is no more, shape (V,).
    good
        Whether the fit converged, shape (V,).
    broad
        Whether the lines are super-Lorentzian, shape (2,).
    """

    parameters: NDArray[np.float64]
    gain: NDArray[np.float64]
    covariance: NDArray[np.float64]
    by_shift: NDArray[np.float64]
    excess: NDArray[np.float64]
    good: NDArray[np.bool_]
    broad: NDArray[np.bool_]

    def at(self, offset: float) -> Linearised:
        """Return the background at an offset from true water [ppm]."""
        values, gradient, _ = spectrum(self.parameters, np.array([offset]), broad=self.broad)
        slope = gradient[:, 0]
        weights = np.einsum("vp,vpk->vk", slope, self.gain)
        whole = np.einsum("vp,vpq,vq->v", slope, self.covariance, slope)
        # What the bounds are taken to know, beyond what the noise of the spectrum says, and what the lines do not describe.
        apart = np.maximum(self.excess * whole - np.square(weights).sum(axis=1), 0.0)
        return Linearised(
            values=np.where(self.good, values[:, 0], np.nan),
            weights=weights,
            by_shift=np.einsum("vp,vp->v", slope, self.by_shift),
            apart=apart,
        )


def fit_background(
    measured: Measured,
    search: Search,
    *,
    counts: Callable[[NDArray[np.float64]], NDArray[np.bool_]] = of_background,
) -> Background:
    """Fit the lines of water and MT to the offsets that solutes leave alone.

    Parameters
    ----------
    measured
        The spectra.
    search
        The lines and where their fit begins (`image_fit.image_search` of `BACKGROUND_POOLS`, counting `of_background`).
    counts
        Which offsets from true water [ppm] those are.
    """
    shift = np.where(np.isfinite(measured.shift), measured.shift, 0.0)
    away = measured.offsets - shift[:, None]
    counted = counts(away) & np.isfinite(measured.z)
    found = fit_optima(
        np.where(counted, measured.z, np.nan),
        offsets=measured.offsets,
        search=search,
        noise=measured.stdev,
        water_shift=shift,
    )
    fit, broad = found.fit, broad_lines(search.pools)
    with np.errstate(all="ignore"):
        _, gradient, slope = spectrum(fit.parameters, away, broad=broad)
        covariance = fit.covariance.astype(np.float64)
        gain = np.einsum("vpq,vkq,vk->vpk", covariance, gradient, counted.astype(np.float64))
        freedom = np.maximum(counted.sum(axis=1) - np.count_nonzero(~fit.fixed), 1)
        excess = fit.residual_sum / freedom / np.square(measured.stdev)
        clearly = excess > 1.0 + LARGER_NOISE * np.sqrt(2.0 / freedom)
    return Background(
        parameters=fit.parameters,
        gain=gain,
        covariance=covariance,
        by_shift=np.einsum("vpk,vk->vp", gain, slope),
        excess=np.where(clearly, excess, 1.0),
        good=fit.converged & np.isfinite(fit.residual_sum),
        broad=broad,
    )


def lorentzian_difference(
    measured: Measured, operator: SplineOperator, background: Background, solute: str
) -> Linearised:
    """Return the background minus Z at a solute of `DIFFERENCE_AT`, as a fraction, shape (V,)."""
    reference, label = background.at(DIFFERENCE_AT[solute]), sampled(measured, operator, DIFFERENCE_AT[solute])
    return combined([reference, label], [1.0, -1.0], reference.values - label.values)


def inverse_difference(measured: Measured, operator: SplineOperator, background: Background, solute: str) -> Linearised:
    """Return MTR_Rex = 1/Z - 1/Z_ref at a solute of `DIFFERENCE_AT`, shape (V,), with the background as Z_ref.

    Zaiss et al., NMR Biomed 27:240 (2014), of the steady state. NaN where Z does not stand out of its noise.
    """
    reference, label = background.at(DIFFERENCE_AT[solute]), sampled(measured, operator, DIFFERENCE_AT[solute])
    with np.errstate(all="ignore"):
        slopes = [1.0 / reference.values**2, -1.0 / label.values**2]
        inverse = 1.0 / label.values - 1.0 / reference.values
        told = label.values > SMALLEST_SIGNAL * label.stdev(measured)
        return combined([reference, label], slopes, np.where(told & (reference.values > 0.0), inverse, np.nan))
