"""What the estimators of pool fractions and exchange rates are given and return, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell import VoxelParameters
from qmri_bids.physics.bloch_mcconnell_compiled import signal_and_jacobian
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import SaturationProtocol

KNOWN = ("t1", "t2", "b1", "off_resonance")
"""Maps that enter as known, by the names of `bloch_mcconnell.parameter_names`."""

QUANTITIES = ("fraction", "rate")
"""What is estimated of a pool."""


@dataclass(frozen=True, kw_only=True)
class ExchangeScan:
    """Series of saturated images of one subject from which pools are estimated together.

    Parameters
    ----------
    protocols
        Of the series; each has a scale (M0) of its own, and all volumes are part of the fit, those without saturation too.
    model
        The pools: shifts, T2, T1 and form are those of the model; fraction and rate of pools that are not estimated too.
    pools
        Names of the pools whose fraction and rate are estimated, in the order of the maps.

    Raises
    ------
    ValueError
        If there is no series or no pool, or the model lacks a pool.
    """

    protocols: tuple[SaturationProtocol, ...]
    model: PoolModel
    pools: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.protocols:
            raise ValueError("an exchange scan needs at least one series, found none")
        if not self.pools or not set(self.pools) <= set(self.model.names):
            raise ValueError(f"pools must be among {list(self.model.names)} of the model, found {list(self.pools)}")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what is estimated: fraction and rate [1/s] of each pool in turn, such as `MT.fraction`."""
        return tuple(f"{pool}.{quantity}" for pool in self.pools for quantity in QUANTITIES)

    @property
    def number_of_images(self) -> int:
        """Images of all series."""
        return sum(protocol.number_of_images for protocol in self.protocols)

    @property
    def series(self) -> tuple[slice, ...]:
        """Where the images of each series lie on the last axis."""
        ends = np.cumsum([protocol.number_of_images for protocol in self.protocols]).tolist()
        return tuple(slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False))

    def with_values(self, values: Mapping[str, float]) -> ExchangeScan:
        """Return the scan with other values of parameters (`MT.fraction` …) in its model."""
        changed = {}
        for pool in self.model.exchanging:
            own = {name: values[f"{pool.name}.{name}"] for name in QUANTITIES if f"{pool.name}.{name}" in values}
            changed[pool.name] = replace(pool, **own)
        cest = tuple(changed[pool.name] for pool in self.model.cest)
        mt = None if self.model.mt is None else changed[self.model.mt.name]
        return replace(self, model=replace(self.model, cest=cest, mt=mt))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class KnownVoxels:
    """What is known of V voxels from other scans, shape (V,) each.

    Parameters
    ----------
    t1, t2
        Relaxation times of water [s].
    b1
        Actual over nominal B1.
    off_resonance
        ΔB0 [Hz].
    t1_stdev, t2_stdev, b1_stdev, off_resonance_stdev
        Standard deviations in the same units; None where a map counts as exact.

    Raises
    ------
    ValueError
        If the shapes differ.
    """

    t1: NDArray[np.floating]
    t2: NDArray[np.floating]
    b1: NDArray[np.floating]
    off_resonance: NDArray[np.floating]
    t1_stdev: NDArray[np.floating] | None = None
    t2_stdev: NDArray[np.floating] | None = None
    b1_stdev: NDArray[np.floating] | None = None
    off_resonance_stdev: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            values = getattr(self, each.name)
            if values is not None and np.shape(values) != np.shape(self.t1):
                raise ValueError(f"known maps must have the shape {np.shape(self.t1)} of t1, found {each.name} with {np.shape(values)}")

    def __getitem__(self, chosen: object) -> KnownVoxels:
        """Return some of the voxels."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return KnownVoxels(**{name: None if value is None else value[chosen] for name, value in values.items()})

    def stdev(self, name: str) -> NDArray[np.floating] | None:
        """Return the standard deviation of a known map, None where it counts as exact."""
        return getattr(self, f"{name}_stdev")


@dataclass(frozen=True, kw_only=True)
class ExchangeEstimate:
    """Pool fractions and exchange rates of V voxels with their uncertainty.

    Parameters
    ----------
    values
        By the names of `ExchangeScan.parameters`: fractions relative to water, rates from the pool to water [1/s]; shape (V,). NaN
        where the status of the pool is not CONVERGED.
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
    """

    values: Mapping[str, NDArray[np.float64]]
    stdev: Mapping[str, NDArray[np.float64]]
    correlation: Mapping[str, NDArray[np.float64]]
    status: Mapping[str, NDArray[np.uint8]]
    amplitude: NDArray[np.float64]
    fitted: NDArray[np.float64]
    residual: NDArray[np.float64]
    noise: NDArray[np.float64]


class ExchangeEstimator(Protocol):
    """Turns series of saturated images into pool fractions and exchange rates."""

    name: str
    model: Mapping[str, str]
    """What identifies the network behind the estimator, for the sidecar: name and sha256; empty without one."""

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
    """

    threads: int = 1
    weights_folder: Path | None = None


def voxel_parameters(
    scan: ExchangeScan, values: NDArray[np.floating], known: KnownVoxels | Mapping[str, NDArray[np.floating]]
) -> VoxelParameters:
    """Return the parameters of voxels for the forward model.

    Parameters
    ----------
    scan
        The pools.
    values
        Fractions and rates in the order of `ExchangeScan.parameters`, shape (V, P).
    known
        Maps of the voxels.
    """
    maps = {name: known[name] if isinstance(known, Mapping) else getattr(known, name) for name in KNOWN}
    return VoxelParameters(
        **maps,
        fractions={pool: values[:, 2 * place] for place, pool in enumerate(scan.pools)},
        rates={pool: values[:, 2 * place + 1] for place, pool in enumerate(scan.pools)},
    )


def exchange_signal(
    scan: ExchangeScan, values: NDArray[np.floating], known: KnownVoxels, *, threads: int = 1
) -> NDArray[np.float64]:
    """Return the signed Z of water in all images of a scan, shape (V, N); see `exchange_jacobian`."""
    voxels = voxel_parameters(scan, values, known)
    parts = [signal_and_jacobian(scan.model, protocol, voxels, threads=threads).signal for protocol in scan.protocols]
    return np.concatenate(parts, axis=1)


def exchange_jacobian(
    scan: ExchangeScan,
    values: NDArray[np.floating],
    known: KnownVoxels,
    *,
    parameters: tuple[str, ...],
    threads: int = 1,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the signed Z of water in all images and its derivatives.

    Parameters
    ----------
    scan
        Series and pools.
    values
        Fractions and rates, shape (V, P).
    known
        Maps of the voxels.
    parameters
        What to differentiate in.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    signal, jacobian
        Shape (V, N) and (V, N, len(parameters)).
    """
    voxels = voxel_parameters(scan, values, known)
    parts = [
        signal_and_jacobian(scan.model, protocol, voxels, parameters=parameters, threads=threads)
        for protocol in scan.protocols
    ]
    return (
        np.concatenate([part.signal for part in parts], axis=1),
        np.concatenate([part.jacobian for part in parts], axis=1),
    )
