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
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.exchange import ExchangeEstimate
from qmri_bids.estimation.exchange_fit import RIDGE, fit_exchange
from qmri_bids.estimation.exchange_start import RegressionStart
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.exchange_scan import KNOWN, ExchangeScan, KnownVoxels, exchange_signal

BLOCK = 4096
"""Voxels in memory with all their derivatives at a time."""

LONGEST_DIFFERENCE = 0.5
"""Longest step of a logarithm in the second differences."""

LARGEST_CORRECTION = 0.5
"""Largest correction of a logarithm: where more were needed the second order does not hold, and the pool is not identifiable."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExchangePoint:
    """Least-squares point of V voxels with its linearisation, before the level of the noise is known.

    Parameters
    ----------
    log_values, amplitude, residual_sum, at_bound, settled
        As of `exchange_fit.ExchangeFit`.
    signal, jacobian
        Z of the model and its derivatives in the logarithms, single precision, shape (V, N) and (V, N, P).
    covariance
        Of logarithms and scales for noise of unit standard deviation, shape (V, P + S, P + S).
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


class ExchangeLikelihood:
    """Maximum likelihood on all images, from a start that needs no network.

    Parameters
    ----------
    threads
        Threads of the compiled kernels; the result does not depend on it.
    """

    name = "ml"
    model: Mapping[str, str]

    def __init__(self, *, threads: int = 1) -> None:
        self.threads = threads
        self.model = {}

    def check(self, scan: ExchangeScan) -> None:
        """Accept every scan: what it cannot tell is said voxel by voxel."""

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Return what a reader must know."""
        return ()

    def start(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return where the fit begins, shape (V, P)."""
        return RegressionStart.of(scan, threads=self.threads).predict(signal, known)

    def fit(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangePoint:
        """Return the least-squares point of every voxel; NaN where something is not finite."""
        start = self.start(signal, scan=scan, known=known)
        parts = []
        for begin in range(0, max(1, len(signal)), BLOCK):
            part = slice(begin, begin + BLOCK)
            parts.append(
                _linearised(signal[part], start=start[part], scan=scan, known=known[part], threads=self.threads)
            )
        return ExchangePoint(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(ExchangePoint)
            }
        )

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> Values:
        """Return the plain least-squares point (V, P), its bias left in, nothing flagged."""
        return np.exp(self.fit(signal, scan=scan, known=known).log_values)

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate pools with their uncertainty; see `ExchangeEstimator`."""
        check_exchange_shapes(signal, scan=scan, known=known)
        usable = usable_voxels(signal, known)
        found = self.fit(np.ascontiguousarray(signal[usable]), scan=scan, known=known[usable])
        inner = infer(found, signal=signal[usable], scan=scan, known=known[usable], threads=self.threads)
        return spread(inner, usable)


def check_exchange_shapes(signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> None:
    """Raise `ValueError` unless images (V, N), scan and known maps (V,) belong together."""
    if signal.ndim != 2 or signal.shape[1] != scan.number_of_images:
        raise ValueError(
            f"signal must have shape (V, {scan.number_of_images}), the images of the scan, found {signal.shape}"
        )
    if known.t1.shape != signal.shape[:1]:
        raise ValueError(f"known maps must have shape {signal.shape[:1]}, found {known.t1.shape}")


def usable_voxels(signal: NDArray[np.floating], known: KnownVoxels) -> NDArray[np.bool_]:
    """Return which voxels have finite images and known maps that mean something."""
    usable = np.isfinite(signal).all(axis=1) & (signal > 0.0).any(axis=1)
    for name in KNOWN:
        values, stdev = getattr(known, name), known.stdev(name)
        usable &= np.isfinite(values) if name == "off_resonance" else np.isfinite(values) & (values > 0.0)
        if stdev is not None:
            usable &= np.isfinite(stdev)
    return usable


def _linearised(
    signal: NDArray[np.floating], *, start: Values, scan: ExchangeScan, known: KnownVoxels, threads: int
) -> ExchangePoint:
    fit = fit_exchange(signal, scan=scan, known=known, start=start, threads=threads)
    full = full_jacobian(fit.signal, fit.jacobian, fit.amplitude, scan=scan)
    covariance = inverse_information(full)
    scaled = fit.known_jacobian.copy()
    for place, part in enumerate(scan.series):
        scaled[:, part] *= fit.amplitude[:, place, None, None]
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
        As of the fit.
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
        As of the fit.
    """
    count = len(scan.parameters)
    freedom = scan.number_of_images - count - len(scan.protocols)
    # Relative to M0, so that receive sensitivity does not make the noise look as if it varied.
    m0 = np.abs(found.amplitude[:, 0])
    level = moderated_variance(found.residual_sum / np.maximum(m0, 1e-300) ** 2, freedom)
    noise = np.sqrt(level.variance) * m0
    bias = np.concatenate(
        [
            relative_bias(found[part], noise=noise[part], scan=scan, known=known[part], threads=threads)
            for part in (slice(begin, begin + BLOCK) for begin in range(0, max(1, len(signal)), BLOCK))
        ]
    )
    values = np.exp(found.log_values - np.clip(bias, -LARGEST_CORRECTION, LARGEST_CORRECTION))
    covariance = found.covariance[:, :count, :count] * noise[:, None, None] ** 2
    for place, name in enumerate(KNOWN):
        stdev = known.stdev(name)
        if stdev is not None:
            gain = found.known_gain[:, :, place] * stdev[:, None]
            covariance = covariance + gain[:, :, None] * gain[:, None, :]
    relative = np.sqrt(np.maximum(np.einsum("vpp->vp", covariance), 0.0))
    status = {}
    for place, pool in enumerate(scan.pools):
        own = slice(2 * place, 2 * place + 2)
        codes = np.full(len(signal), Status.CONVERGED, dtype=np.uint8)
        vague = (relative[:, own] > 1.0) | (np.abs(bias[:, own]) > LARGEST_CORRECTION)
        codes[~found.settled] = Status.NOT_CONVERGED
        codes[vague.any(axis=1)] = Status.NOT_IDENTIFIABLE
        codes[found.at_bound[:, own].any(axis=1)] = Status.AT_BOUND
        status[pool] = codes
    fitted = found.signal * _by_image(found.amplitude, scan)
    power = np.einsum("vn,vn->v", signal, signal, dtype=np.float64)
    maps, stdevs, correlation = {}, {}, {}
    for place, name in enumerate(scan.parameters):
        good = status[scan.pools[place // 2]] == Status.CONVERGED
        maps[name] = np.where(good, values[:, place], np.nan)
        stdevs[name] = np.where(good, relative[:, place] * values[:, place], np.nan)
    for place, pool in enumerate(scan.pools):
        one, two = 2 * place, 2 * place + 1
        correlation[pool] = covariance[:, one, two] / np.maximum(relative[:, one] * relative[:, two], 1e-300)
    return ExchangeEstimate(
        values=maps,
        stdev=stdevs,
        correlation=correlation,
        status=status,
        amplitude=found.amplitude,
        fitted=fitted,
        residual=np.sqrt(found.residual_sum / np.maximum(power, 1e-300)),
        noise=noise / np.maximum(m0, 1e-300),
    )


def _by_image(amplitude: Values, scan: ExchangeScan) -> Values:
    """Return the scale of every image, shape (V, N)."""
    return np.repeat(amplitude, [protocol.number_of_images for protocol in scan.protocols], axis=1)


def spread(estimate: ExchangeEstimate, usable: NDArray[np.bool_]) -> ExchangeEstimate:
    """Return the estimate of all voxels from that of the usable ones; the others are NaN and INVALID_INPUT."""

    def whole(values: NDArray[Any], fill: float) -> NDArray[Any]:
        full = np.full((len(usable), *values.shape[1:]), fill, dtype=values.dtype)
        full[usable] = values
        return full

    def each(maps: Mapping[str, NDArray[Any]], fill: float = np.nan) -> dict[str, NDArray[Any]]:
        return {name: whole(values, fill) for name, values in maps.items()}

    return ExchangeEstimate(
        values=each(estimate.values),
        stdev=each(estimate.stdev),
        correlation=each(estimate.correlation),
        status=each(estimate.status, Status.INVALID_INPUT),
        **{name: whole(getattr(estimate, name), np.nan) for name in ("amplitude", "fitted", "residual", "noise")},
    )
