"""Least-squares fit of a sum of Lorentzian pools to Z-spectra, with covariance and bounds.

For noise that is equal at all offsets, least squares is maximum likelihood. The water pool is one of the pools: with
its position free no other correction of B0 is needed for it, but the positions of all pools count from the nominal frequency of
water, so that a known shift of water is given to the fit, which moves the offsets and interpolates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.blocks import run_blocks
from qmri_bids.estimation.lorentzian_kernels import RELATIVE_GAIN, fit_voxels
from qmri_bids.estimation.lorentzian_pools import PARAMETERS, POOLS, Bounded, LorentzianPool

ITERATIONS = 200
"""Most evaluations. At noise of 1 % one voxel of five pools in a hundred takes more than 100."""

BLOCK = 1024
"""Voxels handed to a thread at a time."""

FILLED = ("parameters", "covariance", "residual_sum", "at_bound", "converged")
"""Arrays that the kernel fills, in the order of its arguments."""


@dataclass(frozen=True, kw_only=True)
class LorentzianFit:
    """Least-squares point of V voxels.

    Parameters
    ----------
    pools
        Names, in order.
    parameters
        Baseline, then amplitude, width [ppm] and position [ppm] of each pool, shape (V, 1 + 3P); NaN where there was no spectrum.
    covariance
        Of the parameters for noise of unit standard deviation, shape (V, 1 + 3P, 1 + 3P), single precision (1 KiB a voxel for five
        pools). Zero for parameters that are fixed or held by a bound, infinite where the information is singular.
    residual_sum
        Σ (z - model)², shape (V,).
    signal_sum
        Σ z², shape (V,).
    at_bound
        Whether a bound holds the parameter, shape (V, 1 + 3P).
    converged
        Whether the point is within a hundredth of a standard deviation of the optimum, shape (V,).
    fixed
        Whether equal bounds fix the parameter, shape (1 + 3P,).
    freedom
        Offsets less free parameters.
    """

    pools: tuple[str, ...]
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float32]
    residual_sum: NDArray[np.float64]
    signal_sum: NDArray[np.float64]
    at_bound: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    freedom: int

    def columns(self, pool: str) -> slice:
        """Return the columns of amplitude, width and position of a pool.

        Raises
        ------
        ValueError
            If the pool was not fitted.
        """
        if pool not in self.pools:
            raise ValueError(f"the fit has the pools {', '.join(self.pools)}, found {pool!r}; fit it too")
        first = 1 + 3 * self.pools.index(pool)
        return slice(first, first + 3)


def fit_lorentzian(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    pools: Mapping[str, LorentzianPool] = POOLS,
    baseline: Bounded | None = None,
    water_shift: NDArray[np.floating] | None = None,
    iterations: int = ITERATIONS,
    threads: int = 1,
) -> LorentzianFit:
    """Fit Lorentzian pools to Z-spectra.

    Parameters
    ----------
    z
        Z-spectra, shape (V, N); a value that is NaN is left out.
    offsets
        Nominal offsets [ppm], shape (N,).
    pools
        Pools by name; any subset of `POOLS`, or others.
    baseline
        Z without saturation; 1 exactly by default.
    water_shift
        Known shift of water [ppm], shape (V,): the offsets count from there. Zero by default.
    iterations
        Most evaluations.
    threads
        Threads to use; the result does not depend on it.

    Raises
    ------
    ValueError
        If shapes do not belong together, or there are no more offsets than free parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from qmri_bids.physics.zspectrum import lorentzian_spectrum
    >>> offsets = np.linspace(-6.0, 6.0, 25)
    >>> line = {"amplitude": np.array([0.8]), "width": np.array([2.0]), "position": np.array([0.1])}
    >>> z = lorentzian_spectrum(offsets, **line)[None]
    >>> fit = fit_lorentzian(z, offsets=offsets, pools={"water": POOLS["water"]})
    >>> [round(float(each), 4) for each in fit.parameters[0]]
    [1.0, 0.8, 2.0, 0.1]
    """
    offsets = np.ascontiguousarray(offsets, dtype=np.float64)
    if z.ndim != 2 or offsets.shape != (z.shape[1],):
        raise ValueError(
            f"z must have shape (V, N) with one column an offset, found {z.shape} and {offsets.shape} offsets"
        )
    voxels = len(z)
    shift = np.zeros(voxels) if water_shift is None else np.ascontiguousarray(water_shift, dtype=np.float64)
    if shift.shape != (voxels,):
        raise ValueError(f"water_shift must have shape ({voxels},) as z has voxels, found {shift.shape}")
    rows = [baseline or Bounded(start=1.0, lower=1.0, upper=1.0)]
    rows += [getattr(pool, name) for pool in pools.values() for name in PARAMETERS]
    start, lower, upper = (np.array([getattr(row, name) for row in rows]) for name in ("start", "lower", "upper"))
    freedom = len(offsets) - int(np.count_nonzero(upper > lower))
    if freedom < 1:
        raise ValueError(
            f"{len(offsets)} offsets cannot tell {len(offsets) - freedom} parameters; fit fewer pools or fix some"
        )
    size = len(rows)
    fit = LorentzianFit(
        pools=tuple(pools),
        parameters=np.empty((voxels, size)),
        covariance=np.empty((voxels, size, size), dtype=np.float32),
        residual_sum=np.empty(voxels),
        signal_sum=np.nansum(np.square(z), axis=1, dtype=np.float64),
        at_bound=np.empty((voxels, size), dtype=np.bool_),
        converged=np.empty(voxels, dtype=np.bool_),
        fixed=~(upper > lower),
        freedom=freedom,
    )

    second_start = start.copy()
    second_start[2::3] = np.sqrt(start[2::3] * upper[2::3])

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        data = np.ascontiguousarray(z[part], dtype=np.float64)
        outputs = [getattr(fit, name)[part] for name in FILLED]
        fit_voxels(data, offsets, shift[part], start, lower, upper, iterations, *outputs)
        # A pool at a bound may be a local optimum: of lines that began too narrow. Wider ones decide.
        held = np.flatnonzero(fit.at_bound[part].any(axis=1))
        second = [np.empty_like(each[held]) for each in outputs]
        fit_voxels(data[held], offsets, shift[part][held], second_start, lower, upper, iterations, *second)
        better = (
            second[FILLED.index("residual_sum")]
            < fit.residual_sum[part][held] - RELATIVE_GAIN * fit.signal_sum[part][held]
        )
        for each, other in zip(outputs, second, strict=True):
            each[held[better]] = other[better]

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    return fit
