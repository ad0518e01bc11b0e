"""From a point of every voxel to covariance, noise level, status and maps: what all estimators of pools share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.estimation.pools.fit import ExchangeFit, fit_at
from qmri_bids.estimation.pools.input import by_image
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.fingerprint import KNOWN, WATER, ExchangeScan, KnownVoxels

RIDGE = 1e-10
"""Share of the diagonal added to information matrices before they are inverted: a pool that is not there leaves none."""

BLOCK = 4096
"""Voxels in memory with all their derivatives at a time."""

VAGUE = 1.0
"""Standard deviation over value beyond which fraction and rate of a pool are not told apart."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExchangePoint:
    """Least-squares point of V voxels with its linearisation, before the level of the noise is known.

    Parameters
    ----------
    log_values, amplitude, residual_sum, at_bound, settled
        Logarithms of the parameters, scales of the series, misfit, and how the iteration ended; see `fit.ExchangeFit`.
    signal, jacobian
        Z of the model and its derivatives in the logarithms, single precision, shape (V, N) and (V, N, P).
    covariance
        Covariance of logarithms and scales for noise of unit standard deviation, shape (V, P + S, P + S).
    known_gain
        Change of the logarithms with T1, T2, B1 and off-resonance, shape (V, P, 4).
    """

    log_values: Values
    amplitude: Values
    residual_sum: Values
    at_bound: NDArray[np.bool_]
    settled: NDArray[np.bool_]
    signal: NDArray[np.float32]
    jacobian: NDArray[np.float32]
    covariance: Values
    known_gain: Values

    def __getitem__(self, part: slice) -> ExchangePoint:
        """Return some of the voxels."""
        return ExchangePoint(**{each.name: getattr(self, each.name)[part] for each in fields(self)})


def linearised(fit: ExchangeFit, *, scan: ExchangeScan) -> ExchangePoint:
    """Return a fit with its covariance and what the known maps do to it."""
    full = full_jacobian(fit.signal, fit.jacobian, fit.amplitude, scan=scan)
    covariance = inverse_information(full)
    scaled = by_image(fit.amplitude, scan)[..., None] * fit.known_jacobian
    pull = np.matmul(full.swapaxes(1, 2), scaled)
    return ExchangePoint(
        log_values=fit.log_values,
        amplitude=fit.amplitude,
        residual_sum=fit.residual_sum,
        at_bound=fit.at_bound,
        settled=fit.settled,
        signal=fit.signal.astype(np.float32),
        jacobian=fit.jacobian.astype(np.float32),
        covariance=covariance,
        known_gain=-np.matmul(covariance, pull)[:, : len(scan.parameters)],
    )


def point_at(
    values: Values, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels, threads: int
) -> ExchangePoint:
    """Return the point of given parameters (V, P), block by block."""
    return joined(
        [
            linearised(
                fit_at(signal[part], scan=scan, known=known[part], values=values[part], threads=threads), scan=scan
            )
            for part in (slice(begin, begin + BLOCK) for begin in range(0, max(1, len(signal)), BLOCK))
        ]
    )


def joined(parts: list[ExchangePoint]) -> ExchangePoint:
    """Return the voxels of several points as one."""
    return ExchangePoint(
        **{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(ExchangePoint)}
    )


def full_jacobian(z: NDArray[Any], slopes: NDArray[Any], amplitude: Values, *, scan: ExchangeScan) -> Values:
    """Return the derivatives of the scaled signal in logarithms and scales, shape (V, N, P + S)."""
    count = len(scan.parameters)
    full = np.zeros((*z.shape, count + len(scan.protocols)))
    for place, part in enumerate(scan.series):
        full[:, part, :count] = amplitude[:, place, None, None] * slopes[:, part]
        full[:, part, count + place] = z[:, part]
    return full


def inverse_information(full: Values) -> Values:
    """Return (JᵀJ)⁻¹ of every voxel, columns scaled before; directions that the data do not see get a large variance."""
    matrix = np.matmul(full.swapaxes(1, 2), full)
    scale = np.sqrt(np.maximum(np.einsum("vpp->vp", matrix), 1e-300))
    scaled = matrix / (scale[:, :, None] * scale[:, None, :]) + RIDGE * np.eye(matrix.shape[1])
    bad = ~np.isfinite(scaled).all(axis=(1, 2))
    scaled[bad] = np.eye(matrix.shape[1])
    inverse = np.linalg.inv(scaled) / (scale[:, :, None] * scale[:, None, :])
    inverse[bad] = np.nan
    return inverse


def noise_level(found: ExchangePoint, *, scan: ExchangeScan) -> Values:
    """Return the standard deviation of the noise of one image, in units of the signal, shape (V,).

    It is what the model leaves, and no less than what is known of the noise (`ExchangeScan.least_noise`).
    """
    freedom = scan.number_of_images - len(scan.parameters) - len(scan.protocols)
    # Relative to M0, so that receive sensitivity does not make the noise look as if it varied.
    m0 = np.maximum(np.abs(found.amplitude[:, 0]), 1e-300)
    left = np.sqrt(moderated_variance(found.residual_sum / m0**2, freedom).variance) * m0
    return np.maximum(left, scan.least_noise)


def known_covariance(found: ExchangePoint, known: KnownVoxels, *, scan: ExchangeScan) -> Values:
    """Return what the uncertainty of the known maps adds to the covariance of the logarithms, shape (V, P, P)."""
    count = found.log_values.shape[1]
    total = np.zeros((len(found.log_values), count, count))
    for place, name in enumerate(KNOWN):
        stdev = known.stdev(name)
        if stdev is not None and name in scan.known:
            gain = found.known_gain[:, :, place] * stdev[:, None]
            total += gain[:, :, None] * gain[:, None, :]
    return total


def assembled(
    found: ExchangePoint,
    *,
    signal: NDArray[np.floating],
    scan: ExchangeScan,
    log_values: Values,
    covariance: Values,
    noise: Values,
    vague: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> ExchangeEstimate:
    """Return maps with their uncertainty and status.

    Parameters
    ----------
    found
        The point in which model and residual were computed.
    signal
        Images, shape (V, N).
    scan
        Series and pools.
    log_values, covariance
        Logarithms of the parameters and their covariance, shape (V, P) and (V, P, P).
    noise
        Standard deviation of one image, in units of the signal, shape (V,).
    vague, outside
        Parameters that are not identifiable beside those whose standard deviation says so, or lie outside the range of the
        estimator, shape (V, P).
    """
    relative = np.sqrt(np.maximum(np.einsum("vpp->vp", covariance), 0.0))
    values = np.exp(log_values)
    status, correlation = {}, {}
    maps, stdev = {}, {}
    of_water = slice(2 * len(scan.pools), len(scan.parameters))
    # A time of water at its bound is no least-squares point of what hangs on it, which is everything.
    stopped = found.at_bound[:, of_water].any(axis=1)
    groups = [(pool, slice(2 * place, 2 * place + 2)) for place, pool in enumerate(scan.pools)]
    groups += [(WATER, of_water)] if scan.fitted else []
    for name, own in groups:
        codes = np.full(len(signal), Status.CONVERGED, dtype=np.uint8)
        codes[~found.settled] = Status.NOT_CONVERGED
        codes[(~(relative[:, own] <= VAGUE) | vague[:, own]).any(axis=1)] = Status.NOT_IDENTIFIABLE
        codes[outside[:, own].any(axis=1)] = Status.OUT_OF_RANGE
        codes[found.at_bound[:, own].any(axis=1) | stopped] = Status.AT_BOUND
        status[name] = codes
        if name != WATER:
            one, two = own.start, own.start + 1
            correlation[name] = covariance[:, one, two] / np.maximum(relative[:, one] * relative[:, two], 1e-300)
        for column in range(own.start, own.stop):
            good = codes == Status.CONVERGED
            maps[scan.parameters[column]] = np.where(good, values[:, column], np.nan)
            stdev[scan.parameters[column]] = np.where(good, relative[:, column] * values[:, column], np.nan)
    power = np.einsum("vn,vn->v", signal, signal, dtype=np.float64)
    return ExchangeEstimate(
        values=maps,
        stdev=stdev,
        correlation=correlation,
        status=status,
        amplitude=found.amplitude,
        fitted=found.signal * by_image(found.amplitude, scan),
        residual=np.sqrt(found.residual_sum / np.maximum(power, 1e-300)),
        noise=noise / np.maximum(np.abs(found.amplitude[:, 0]), 1e-300),
        gain={name: found.known_gain[:, column] for column, name in enumerate(scan.parameters)},
    )
