"""Starts of the fit for any scan without a network.

MT and amide in tissue: quadratic regression on simulated signals, made in a second. Any other pools: the simulated signals that are
nearest, drawn over fractions and rates of all solutes and the known maps of the voxels themselves. There the regression fails: from
slow amides to fast hydroxyl protons the signal bends too much for it.
"""

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

DRAWS = {"fraction": (1e-5, 0.05), "rate": (3.0, 3e4), "T1": (0.5, 5.0), "T2": (0.02, 2.5)}
"""Lowest and highest fraction and rate [1/s] of solutes, and relaxation times of water [s] where they are fitted, in simulated
signals that a voxel is matched with: within the bounds of the fit, which goes on from there."""

MATCHES = 2
"""Starts of a voxel."""

APART = 0.7
"""Least distance between them, in logarithms of some parameter: a factor of two."""

CANDIDATES = 200
"""Nearest simulated signals among which the second start is looked for."""

MATCH_BLOCK = 2000
"""Voxels matched at a time."""

Values = NDArray[np.float64]


def has_regression(scan: ExchangeScan) -> bool:
    """Return whether a regression serves a scan: MT and amide in tissue."""
    return scan.model.mt is not None and all(name in EXCHANGE_PRIOR.ranges for name in scan.parameters)


def matched_starts(
    signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels, threads: int = 1
) -> tuple[Values, ...]:
    """Return starts of voxels from the nearest of `SAMPLES` simulated signals and the nearest that is `APART` from it.

    Parameters
    ----------
    signal
        Images of the voxels, shape (V, N), finite.
    scan
        Series and pools.
    known
        Maps of the voxels.
    threads
        Threads of the simulation; the result does not depend on it.

    Returns
    -------
    tuple of array
        `MATCHES` arrays of shape (V, P).
    """
    voxels = len(signal)
    if not voxels:
        return (np.empty((0, len(scan.parameters))),)
    rng = np.random.default_rng(0)
    low, high = (np.log(each) for each in bounds_of(scan))
    for place, name in enumerate(scan.parameters):
        one, two = EXCHANGE_PRIOR.ranges.get(name, DRAWS[name.rpartition(".")[2]])
        low[place], high[place] = max(low[place], np.log(one)), min(high[place], np.log(two))
    logs = rng.uniform(low, high, (SAMPLES, len(low)))
    drawn = known[rng.integers(voxels, size=SAMPLES)]
    entries = normalised(exchange_signal(scan, np.exp(logs), drawn, threads=threads), scan)
    data = normalised(signal, scan)
    first, second = np.empty((voxels, len(low))), np.empty((voxels, len(low)))
    # Series count alike here; what each tells, the fit finds out.
    length = np.einsum("en,en->e", entries, entries)
    for begin in range(0, voxels, MATCH_BLOCK):
        part = slice(begin, begin + MATCH_BLOCK)
        away = length - 2.0 * data[part] @ entries.T
        near = np.argpartition(away, CANDIDATES, axis=1)[:, :CANDIDATES]
        order = np.argsort(np.take_along_axis(away, near, axis=1), axis=1)
        found = logs[np.take_along_axis(near, order, axis=1)]
        apart = np.abs(found - found[:, :1]).max(axis=2) > APART
        # Where all are alike, the last of them: the two starts may then be one.
        other = np.where(apart.any(axis=1), apart.argmax(axis=1), CANDIDATES - 1)
        first[part], second[part] = found[:, 0], found[np.arange(len(found)), other]
    return np.exp(first), np.exp(second)


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
