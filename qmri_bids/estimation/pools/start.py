"""A start of the fit for any scan without a network: quadratic regression on simulated signals, made in a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.pools.fit import bounds_of
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.priors.pools import EXCHANGE_PRIOR

SAMPLES = 4000
"""Simulated voxels from which the regression is made."""
COMPONENTS = 8
"""Principal components of the signals; with the four known maps 12 variables, 91 terms."""

NOISE = 0.005
"""Standard deviation of the noise of the samples in units of M0: keeps the regression from leaning on details."""

Values = NDArray[np.float64]


def normalised(signal: NDArray[np.floating], scan: ExchangeScan) -> Values:
    """Return images over the norm of their series."""
    data = np.array(signal, dtype=np.float64)
    for part in scan.series:
        data[:, part] /= np.maximum(np.linalg.norm(data[:, part], axis=1, keepdims=True), 1e-300)
    return data


@dataclass(frozen=True, kw_only=True)
class RegressionStart:
    """From signals and known maps to logarithms of the parameters.

    Parameters
    ----------
    scan
        What the regression was made for.
    mean, components
        Mean and principal components of the normalised signals, shape (N,) and (N, C).
    centre, scale
        Mean and standard deviation of the variables, shape (C + 4,).
    coefficients
        Coefficients of the regression on the variables, their squares and products, shape (terms, P).
    low, high
        Logarithms that the start is held between, shape (P,).
    """

    scan: ExchangeScan
    mean: Values
    components: Values
    centre: Values
    scale: Values
    coefficients: Values
    low: Values
    high: Values

    @classmethod
    def of(cls, scan: ExchangeScan, *, threads: int = 1) -> RegressionStart:
        """Return the regression of a scan, made once."""
        return _regression(scan, threads)

    def predict(self, signal: NDArray[np.floating], known: KnownVoxels) -> Values:
        """Return a start for voxels, shape (V, P): within the ranges of the samples, NaN where something is not finite."""
        variables = (self._variables(signal, known) - self.centre) / self.scale
        with np.errstate(invalid="ignore"):
            found = _terms(np.clip(variables, -4.0, 4.0)) @ self.coefficients
        return np.exp(np.clip(found, self.low, self.high))

    def _variables(self, signal: NDArray[np.floating], known: KnownVoxels) -> Values:
        seen = (normalised(signal, self.scan) - self.mean) @ self.components
        return np.column_stack([seen, *_maps(known)])


def _maps(known: KnownVoxels) -> list[Values]:
    return [np.log(known.t1), np.log(known.t2), np.asarray(known.b1), np.asarray(known.off_resonance)]


def _terms(variables: Values) -> Values:
    first, second = np.triu_indices(variables.shape[1])
    return np.column_stack([np.ones(len(variables)), variables, variables[:, first] * variables[:, second]])


@lru_cache(maxsize=8)
def _regression(scan: ExchangeScan, threads: int) -> RegressionStart:
    rng = np.random.default_rng(0)
    low, high = (np.log(each) for each in bounds_of(scan))
    for place, name in enumerate(scan.parameters):
        if name in EXCHANGE_PRIOR.ranges:
            low[place], high[place] = np.log(EXCHANGE_PRIOR.ranges[name])
    logs = rng.uniform(low, high, (SAMPLES, len(low)))
    known = KnownVoxels.of(EXCHANGE_PRIOR.draw(SAMPLES, parameters=KNOWN, rng=rng))
    signal = exchange_signal(scan, np.exp(logs), known, threads=threads)
    data = normalised(signal + NOISE * rng.standard_normal(signal.shape), scan)
    mean = data.mean(axis=0)
    components = np.linalg.svd(data - mean, full_matrices=False)[2][:COMPONENTS].T
    variables = np.column_stack([(data - mean) @ components, *_maps(known)])
    centre, scale = variables.mean(axis=0), variables.std(axis=0)
    coefficients = np.asarray(np.linalg.lstsq(_terms((variables - centre) / scale), logs, rcond=None)[0], np.float64)
    return RegressionStart(
        scan=scan,
        mean=mean,
        components=components,
        centre=centre,
        scale=scale,
        coefficients=coefficients,
        low=low,
        high=high,
    )
