"""What the pool model leaves of a scan beyond noise.

A model that does not hold (another line of the semisolid pool, a pool that it lacks, a wrong known map) leaves residuals that
neighbouring voxels share. They are looked at in even surroundings, the half of the tissue where T1 varies least: where tissues and
fluid meet, mixtures leave some, too. The residual shows the smaller part of such an error; most of it goes into the values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.input import by_image
from qmri_bids.estimation.shared_residual import locally_shared, shared_over_noise
from qmri_bids.physics.fingerprint import ExchangeScan

FLUID_T1 = 2.2
"""T1 above which a voxel holds too much fluid for its pools to be told, and for its misfit to count [s]."""

FITTED = (Status.CONVERGED, Status.AT_BOUND, Status.NOT_IDENTIFIABLE, Status.OUT_OF_RANGE)
"""Codes of voxels in which there is a fit whose residual means something."""

MOSTLY_MODEL = 1.0
"""Shared residual over noise about a voxel from which its pools have the code MISFIT: most of what is left is no noise."""

SURROUNDINGS = 3
"""Edge of the box in which the spread of T1 about a voxel is taken [voxels]."""


@dataclass(frozen=True, kw_only=True)
class PoolMisfit:
    """What the pool model leaves of V voxels.

    Parameters
    ----------
    shared
        Residual that neighbours have in common over the noise, in even surroundings; NaN where there are too few pairs of voxels.
    width
        By parameter (`MT.fraction` …): median over the voxels of the standard deviation relative to the value; NaN without any.
    estimate
        The estimate, with `Status.MISFIT` where what is left about a voxel is mostly no noise.
    """

    shared: float
    width: Mapping[str, float]
    estimate: ExchangeEstimate


def pool_misfit(
    signal: NDArray[np.floating],
    estimate: ExchangeEstimate,
    *,
    scan: ExchangeScan,
    t1: NDArray[np.floating],
    inside: NDArray[np.bool_],
) -> PoolMisfit:
    """Return what a fit of pools leaves beyond noise in tissue.

    Parameters
    ----------
    signal
        Images, shape (V, N).
    estimate
        What was estimated of them.
    scan
        Series and pools.
    t1
        T1 of water [s], shape (V,).
    inside
        Where in the image the voxels lie, V of them True.
    """
    residual = (np.asarray(signal, dtype=np.float64) - estimate.fitted) / by_image(estimate.amplitude, scan)
    with np.errstate(invalid="ignore"):
        counted = np.isfinite(residual).all(axis=1)
        if scan.model.mt is not None:  # else it is a phantom, of water that may have any T1
            counted &= t1 <= FLUID_T1
    counted &= np.any([np.isin(codes, FITTED) for codes in estimate.status.values()], axis=0)
    even = counted & _even(t1, counted=counted, inside=inside)
    mostly = np.zeros(len(counted), dtype=bool)
    with np.errstate(invalid="ignore"):
        mostly[counted] = locally_shared(residual[counted], counted=counted, inside=inside) >= MOSTLY_MODEL
    status = {
        pool: np.where(mostly & (codes == Status.CONVERGED), np.uint8(Status.MISFIT), codes)
        for pool, codes in estimate.status.items()
    }
    return PoolMisfit(
        shared=shared_over_noise(residual[even], counted=even, inside=inside),
        width={name: _width(estimate, name) for name in scan.parameters},
        estimate=replace(estimate, status=status),
    )


def _even(t1: NDArray[np.floating], *, counted: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the half of the voxels that count about which T1 varies least, shape (V,)."""
    image, there = np.zeros(inside.shape), np.zeros(inside.shape)
    places = np.flatnonzero(inside.ravel())[counted]
    image.flat[places], there.flat[places] = t1[counted], 1.0
    number, mean, square = (
        uniform_filter(values, size=SURROUNDINGS, mode="constant").flat[places] for values in (there, image, image**2)
    )
    mean, square = mean / number, square / number
    spread = np.full(len(counted), np.inf)
    # Voxels at the rim have few neighbours, and those beyond the rim are fluid: they are no even surroundings.
    spread[counted] = np.where(
        number > 0.99 * number.max(initial=0.0), np.sqrt(np.maximum(square - mean**2, 0.0)) / mean, np.inf
    )
    finite = spread[np.isfinite(spread)]
    found: NDArray[np.bool_] = spread <= (np.median(finite) if finite.size else -1.0)
    return found


def _width(estimate: ExchangeEstimate, name: str) -> float:
    values, stdev = estimate.values[name], estimate.stdev[name]
    known = np.isfinite(values) & np.isfinite(stdev) & (values > 0.0)
    return float(np.median(stdev[known] / values[known])) if known.any() else math.nan
