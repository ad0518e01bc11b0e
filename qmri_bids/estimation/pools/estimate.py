"""What the estimators of pool fractions and exchange rates return, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels


@dataclass(frozen=True, kw_only=True)
class ExchangeEstimate:
    """Pool fractions and exchange rates of V voxels with their uncertainty.

    Parameters
    ----------
    values
        Fractions relative to water and rates from the pool to water [1/s] by the names of `ExchangeScan.parameters`, shape (V,).
        NaN where the status of the pool is neither CONVERGED nor MISFIT.
    stdev
        Standard deviations, same names and units: noise of the images and of the known maps.
    correlation
        Correlation of fraction and rate by pool, shape (V,).
    status
        `estimation.base.Status` by pool, uint8, shape (V,).
    amplitude
        M0 of each series, shape (V, S).
    fitted
        Model of the signal, shape (V, N).
    residual
        Root mean square of signal minus model, relative to that of the signal, shape (V,).
    noise
        Standard deviation of the noise of one image relative to M0, shape (V,).
    gain
        Change of the logarithm of each parameter with the known maps, in the order of `physics.fingerprint.KNOWN`, shape (V, 4).
    """

    values: Mapping[str, NDArray[np.float64]]
    stdev: Mapping[str, NDArray[np.float64]]
    correlation: Mapping[str, NDArray[np.float64]]
    status: Mapping[str, NDArray[np.uint8]]
    amplitude: NDArray[np.float64]
    fitted: NDArray[np.float64]
    residual: NDArray[np.float64]
    noise: NDArray[np.float64]
    gain: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class ExchangeEstimator(Protocol):
    """Turns series of saturated images into pool fractions and exchange rates."""

    name: str
    frees_t1: bool
    """Whether T1 that a bSSFP scan has seen is freed of magnetisation transfer in the model itself (`KnownVoxels.seen_by`)."""

    @property
    def model(self) -> Mapping[str, str]:
        """What identifies the network behind the estimator, for the sidecar: name and sha256; empty without one."""
        ...

    def check(self, scan: ExchangeScan) -> None:
        """Raise `estimation.base.ProtocolNotSupported` if the estimator cannot serve the scan."""
        ...

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        """Return what a reader of the maps must know of this estimator for this scan, one sentence each."""
        ...

    def estimate(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        """Estimate from the images of all series side by side, shape (V, N), any scale."""
        ...

    def point(self, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels) -> NDArray[np.float64]:
        """Return the point estimate (V, P) with nothing flagged: what an evaluation scores."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExchangeOptions:
    """How an estimator of pools is made; each uses what concerns it.

    Parameters
    ----------
    threads
        Threads of compiled kernels.
    weights_folder
        Folder of further network weights, searched before those of the package; where a network trained on a subject is kept.
    device
        Device of networks and their training: `auto`, `cpu`, `cuda` or `cuda:N`; all else stays on the processor.
    seed
        Seed of what an estimator draws at random: the training on a subject, the entries of a dictionary.
    """

    threads: int = 1
    weights_folder: Path | None = None
    device: str = "cpu"
    seed: int = 0
