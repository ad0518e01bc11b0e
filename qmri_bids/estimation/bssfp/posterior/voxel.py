"""Posterior of T1 and T2 under an explicit prior, by quadrature.

Point, covariance and noise of the maximum-likelihood fit in natural coordinates are, to a good approximation, sufficient: in
coordinates close to (E2, b) the likelihood is Gaussian, or Student's t where the noise variance is itself an estimate, and B1, TR
and flip angle enter exactly. Any prior can follow without training.

A prior pulls. What comes out is to be named after its prior and is no replacement for the maximum-likelihood map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.bssfp.posterior.kernel import MEAN, QUANTILES, STDEV, integrate
from qmri_bids.estimation.bssfp.profile_fit import NaturalFit
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.system.blocks import run_blocks

LEVELS = (0.025, 0.16, 0.84, 0.975)
"""Probabilities of the quantiles: the ends of the central 95 % and 68 % intervals."""

CELLS = 36
"""Cells of the grid on each axis."""

PRIOR_NODES = 96
"""Nodes on each axis of the table into which a prior is sampled."""

OUTSIDE_PROBABILITY = 1e-3
"""A voxel of the support would be refused this often, at most, because its fit lies too far outside the support."""

BLOCK = 4096
"""Voxels handed to a thread at a time."""


class PriorDensity(Protocol):
    """What the quadrature asks of a prior; see `qmri_bids.priors.relaxation`."""

    @property
    def t1(self) -> tuple[float, float]:
        """Support of T1 (low, high) [s]."""
        ...

    @property
    def t2(self) -> tuple[float, float]:
        """Support of T2 (low, high) [s]."""
        ...

    def density(self, t1: NDArray, t2: NDArray) -> NDArray:
        """Return the density per unit T1 and T2, normalised or not."""
        ...


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """Posterior of one relaxation time, V voxels, all in [s]; NaN where there is none.

    Parameters
    ----------
    mean, stdev
        Shape (V,).
    interval_68, interval_95
        Lower and upper end of the central intervals, shape (V, 2).
    """

    mean: NDArray[np.float64]
    stdev: NDArray[np.float64]
    interval_68: NDArray[np.float64]
    interval_95: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Posterior of T1 and T2 of V voxels under one prior.

    Parameters
    ----------
    t1, t2
        The marginals.
    distance
        Distance from the maximum-likelihood point to the support of the prior in standard deviations, shape (V,): 0 inside (to the
        resolution of the grid), infinite where it is beyond the grid or not known.
    status
        CONVERGED; OUT_OF_RANGE where the likelihood lies outside the support; NOT_CONVERGED where the fit has no point or no
        covariance; INVALID_INPUT where B1 or the variance is not a positive number. uint8, shape (V,).
    """

    t1: Marginal
    t2: Marginal
    distance: NDArray[np.float64]
    status: NDArray[np.uint8]


def posterior(
    fit: NaturalFit,
    *,
    variance: NDArray[np.floating],
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    prior: PriorDensity,
    freedom: float = math.inf,
    threads: int = 1,
) -> Posterior:
    """Return the posterior of T1 and T2.

    Parameters
    ----------
    fit
        Maximum-likelihood fit of V voxels.
    variance
        Noise variance of each of real and imaginary part of a cycle, shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.
    prior
        The prior.
    freedom
        Degrees of freedom behind `variance`; infinite where it is known. The likelihood is Student's t of so many.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Posterior
        A voxel whose likelihood lies outside the support has NaN and a status: nothing is squeezed in.

    Raises
    ------
    ValueError
        If shapes do not belong together or the freedom is not positive.
    """
    voxels = len(fit.e2)
    for name, values in (("variance", variance), ("b1", b1)):
        if values.shape != (voxels,):
            raise ValueError(f"{name} must have shape ({voxels},) as the fit has, found {values.shape}")
    if not freedom > 0.0:
        raise ValueError(f"freedom must be positive (infinite where the variance is known), found {freedom}")
    known = np.isfinite(variance) & (variance > 0.0) & np.isfinite(b1) & (b1 > 0.0)
    points = _elliptical_points(fit, variance)
    fitted = np.isfinite(points).all(axis=1) & fit.converged
    points[~(known & fitted)] = math.nan
    cosine = np.cos(np.asarray(b1, dtype=np.float64) * protocol.flip_angle)
    farthest = _squared_radius(OUTSIDE_PROBABILITY, freedom)
    # The grid reaches beyond the farthest point that is accepted, so that its posterior is not cut off.
    radius = max(math.sqrt(_squared_radius(1e-7, math.inf)), 1.3 * math.sqrt(farthest))
    support = np.log(np.array([*prior.t1, *prior.t2], dtype=np.float64))
    table = _tabulate(prior)
    levels = np.array(LEVELS)
    moments = np.full((voxels, 2, QUANTILES + len(LEVELS)), math.nan)
    distance = np.empty(voxels)

    def integrate_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        integrate(
            points[part],
            cosine[part],
            float(protocol.repetition_time),
            radius,
            farthest,
            freedom,
            table,
            support,
            levels,
            CELLS,
            moments[part],
            distance[part],
        )

    run_blocks(integrate_block, voxels, block=BLOCK, threads=threads)
    status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
    status[distance > farthest] = Status.OUT_OF_RANGE
    status[~fitted] = Status.NOT_CONVERGED
    status[~known] = Status.INVALID_INPUT
    return Posterior(
        t1=_marginal(moments[:, 0]), t2=_marginal(moments[:, 1]), distance=np.sqrt(distance), status=status
    )


def _elliptical_points(fit: NaturalFit, variance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return û, ŵ and their variances and covariance, shape (V, 5)."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rate = -np.log(fit.e2)
        u = np.sqrt(np.sqrt(rate))
        w = np.sqrt(np.sqrt(fit.b / (1.0 - fit.b)))
        du = -0.25 * u / (rate * fit.e2)
        dw = 0.25 * w / (fit.b * (1.0 - fit.b))
        scaled = fit.covariance[:, :2, :2] * np.asarray(variance, dtype=np.float64)[:, None, None]
        points = np.stack([u, w, scaled[:, 0, 0] * du**2, scaled[:, 0, 1] * du * dw, scaled[:, 1, 1] * dw**2], axis=1)
        definite = (points[:, 2] > 0.0) & (points[:, 2] * points[:, 4] > points[:, 3] ** 2)
    points[~definite] = math.nan
    return points


def _squared_radius(probability: float, freedom: float) -> float:
    """Return the squared distance that a draw of the bivariate likelihood exceeds with this probability."""
    if math.isinf(freedom):
        return -2.0 * math.log(probability)
    return freedom * (probability ** (-2.0 / freedom) - 1.0)


def _tabulate(prior: PriorDensity) -> NDArray[np.float32]:
    """Return the density on a grid from edge to edge of the support, T2 along rows, relative to its maximum."""
    t1 = np.geomspace(*prior.t1, PRIOR_NODES)
    t2 = np.geomspace(*prior.t2, PRIOR_NODES)
    table = np.ascontiguousarray(prior.density(t1[None, :], t2[:, None]), dtype=np.float64)
    largest = table.max()
    if table.shape != (PRIOR_NODES, PRIOR_NODES) or not (np.isfinite(table).all() and largest > 0.0):
        raise ValueError(
            "the density of a prior must be finite and somewhere positive on its support "
            f"T1 {prior.t1} s, T2 {prior.t2} s, found shape {table.shape}, largest value {largest}"
        )
    return (table / largest).astype(np.float32)


def _marginal(moments: NDArray[np.float64]) -> Marginal:
    outer_low, inner_low, inner_high, outer_high = moments[:, QUANTILES:].T
    return Marginal(
        mean=moments[:, MEAN],
        stdev=moments[:, STDEV],
        interval_68=np.stack([inner_low, inner_high], axis=1),
        interval_95=np.stack([outer_low, outer_high], axis=1),
    )
