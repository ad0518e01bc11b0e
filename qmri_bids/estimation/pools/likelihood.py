r"""Maximum likelihood of pool fractions and exchange rates, its bias removed to second order, with covariance and status.

The errors of fraction and rate of a pool are strongly correlated and far from small, so that the least-squares estimate is skewed:
its mean lies beside the truth by a share of its variance. For a nonlinear model of unknowns β with Jacobian J, Hessians H_n and
covariance C = σ²(JᵀJ)⁻¹ that bias is

.. math:: -\tfrac12\,(J^TJ)^{-1}J^T m,\qquad m_n = \mathrm{tr}(C H_n)

(Box, J R Stat Soc B 33:171, 1971). The unknowns are the logarithms of fractions and rates and the scales of the series; the trace
comes from second differences of the signal along the columns of a root of C. Half of the variance of a logarithm is taken off too,
the bias of its exponential. Nothing here knows a prior: at high signal-to-noise ratio the correction vanishes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.fit import best_of, fit_exchange
from qmri_bids.estimation.pools.input import ExchangeInput
from qmri_bids.estimation.pools.point import (
    BLOCK,
    ExchangePoint,
    assembled,
    full_jacobian,
    joined,
    known_covariance,
    linearised,
    noise_level,
)
from qmri_bids.estimation.pools.start import RegressionStart, has_regression, matched_starts
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_signal

LONGEST_DIFFERENCE = 0.5
"""Longest step of a logarithm in the second differences."""

LARGEST_CORRECTION = 0.5
"""Largest correction of a logarithm: where more were needed the second order does not hold, and the pool is not identifiable."""

Values = NDArray[np.float64]


class ExchangeLikelihood:
    """Maximum likelihood on all images, from a start that needs no network.

    Parameters
    ----------
    threads
        Threads of the compiled kernels; the result does not depend on it.
    """

    name = "ml"
    frees_t1 = True

    def __init__(self, *, threads: int = 1) -> None:
        self.threads = threads

    @property
    def model(self) -> Mapping[str, str]:
        """There is no network behind the maps."""
        return {}

    def check(self, scan: ExchangeScan) -> None:
        """Accept every scan: what it cannot tell is said voxel by voxel."""

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Return what a reader must know."""
        return ()

    def start(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return where the fit begins, shape (V, P)."""
        return RegressionStart.of(scan, threads=self.threads).predict(signal, known)

    def starts(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> tuple[Values, ...]:
        """Return all places where the fit begins, shape (V, P) each: the best of them counts."""
        if has_regression(scan):
            return (self.start(signal, scan=scan, known=known),)
        return matched_starts(signal, scan=scan, known=known, threads=self.threads)

    def fit(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangePoint:
        """Return the least-squares point of every voxel; NaN where something is not finite."""
        starts = self.starts(signal, scan=scan, known=known)
        parts = []
        for begin in range(0, max(1, len(signal)), BLOCK):
            part = slice(begin, begin + BLOCK)
            fits = [
                fit_exchange(signal[part], scan=scan, known=known[part], start=start[part], threads=self.threads)
                for start in starts
            ]
            parts.append(linearised(best_of(fits), scan=scan))
        return joined(parts)

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return the plain least-squares point (V, P), its bias left in, nothing flagged."""
        return np.exp(self.fit(signal, scan=scan, known=known).log_values)

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate pools with their uncertainty; see `ExchangeEstimator`."""
        given = ExchangeInput.of(signal, scan=scan, known=known, fits_water=True)
        found = self.fit(given.signal, scan=scan, known=given.known)
        return given.whole(infer(found, signal=given.signal, scan=scan, known=given.known, threads=self.threads))


def relative_bias(
    found: ExchangePoint, *, noise: Values, scan: ExchangeScan, known: KnownVoxels, threads: int
) -> Values:
    """Return the bias of the logarithms of the mean estimate, of second order in the noise, shape (V, P).

    Parameters
    ----------
    found
        Least-squares point.
    noise
        Standard deviation of the noise of one image in units of the signal, shape (V,).
    scan, known, threads
        Series and pools, maps of the voxels, and number of threads: those of the fit.
    """
    count = len(scan.parameters)
    covariance = found.covariance * noise[:, None, None] ** 2
    own = covariance[:, :count, :count]
    values, vectors = np.linalg.eigh(np.nan_to_num(own))
    steps = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    shrink = np.minimum(1.0, LONGEST_DIFFERENCE / np.maximum(np.abs(steps).max(axis=1), 1e-300))
    base = exchange_signal(scan, np.exp(found.log_values), known, threads=threads)
    trace = np.zeros_like(base)
    for column in range(count):
        move = steps[:, :, column] * shrink[:, column, None]
        ahead, behind = (
            exchange_signal(scan, np.exp(found.log_values + sign * move), known, threads=threads) for sign in (1, -1)
        )
        trace += (ahead + behind - 2.0 * base) / np.maximum(shrink[:, column, None], 1e-12) ** 2
    jacobian = found.jacobian.astype(np.float64)
    for place, part in enumerate(scan.series):
        mixed = np.einsum("vnp,vp->vn", jacobian[:, part], covariance[:, :count, count + place])
        trace[:, part] = found.amplitude[:, place, None] * trace[:, part] + 2.0 * mixed
    full = full_jacobian(base, jacobian, found.amplitude, scan=scan)
    bias = -0.5 * np.einsum("vpq,vnq,vn->vp", found.covariance, full, trace, optimize=True)[:, :count]
    return bias + 0.5 * np.einsum("vpp->vp", own)


def infer(
    found: ExchangePoint, *, signal: NDArray[np.floating], scan: ExchangeScan, known: KnownVoxels, threads: int
) -> ExchangeEstimate:
    """Return the estimate of voxels whose input is usable, from their least-squares point.

    Parameters
    ----------
    found
        Least-squares point.
    signal
        Images, shape (V, N).
    scan, known, threads
        Series and pools, maps of the voxels, and number of threads: those of the fit.
    """
    count = len(scan.parameters)
    noise = noise_level(found, scan=scan)
    bias = np.concatenate(
        [
            relative_bias(found[part], noise=noise[part], scan=scan, known=known[part], threads=threads)
            for part in (slice(begin, begin + BLOCK) for begin in range(0, max(1, len(signal)), BLOCK))
        ]
    )
    held = np.clip(bias, -LARGEST_CORRECTION, LARGEST_CORRECTION)
    own = found.covariance[:, :count, :count] * noise[:, None, None] ** 2
    return assembled(
        found,
        signal=signal,
        scan=scan,
        log_values=found.log_values - held,
        covariance=own + known_covariance(found, known, scan=scan),
        noise=noise,
        vague=held != bias,
        outside=np.zeros_like(bias, dtype=np.bool_),
    )
