"""Series of saturated images from which pools are estimated together, and what they look like.

Sources: Finkelstein et al., Commun Phys 8:164 (2025), for the two stages; here nothing measured enters the model of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.excitation.transfer import FreeWater, Relaxometry, line_on_resonance
from qmri_bids.physics.pools import CestPool, PoolModel
from qmri_bids.physics.saturation import SaturationProtocol

PoolType = TypeVar("PoolType", bound=CestPool)

KNOWN = ("t1", "t2", "b1", "off_resonance")
"""Maps that enter as known, by the names of `bloch_mcconnell.reference.parameter_names`."""

QUANTITIES = ("fraction", "rate")
"""What is estimated of a pool."""

RELAXATION_TIMES = ("t1", "t2")
"""Known maps that may be estimated along instead."""

WATER = "water"
"""What stands before relaxation times of water that are estimated, where the name of a pool stands otherwise."""


def water_parameter(name: str) -> str:
    """Return what a relaxation time of water is called among the parameters of a scan: `water.T1` of `t1`."""
    return f"{WATER}.{name.upper()}"


@dataclass(frozen=True, kw_only=True)
class ExchangeScan:
    """Series of saturated images of one subject from which pools are estimated together.

    Parameters
    ----------
    protocols
        Protocols of the series. Each series has a scale (M0) of its own, and all volumes are part of the fit, unsaturated ones too.
    model
        The pools: shifts, T2, T1 and form are those of the model; fraction and rate of pools that are not estimated too.
    pools
        Names of the pools whose fraction and rate are estimated, in the order of the maps.
    least_noise
        Standard deviation of one image over the level of its series (`estimation.pools.input.series_scales`), where it is known:
        what a model leaves may be less, after denoising for instance, but counts as no less.
    fitted
        Relaxation times of water, of `RELAXATION_TIMES`, that no map gives and that are estimated along; what stands in
        `KnownVoxels` for them means nothing.

    Raises
    ------
    ValueError
        If there is no series or no pool, the model lacks a pool, or something else than a relaxation time is to be fitted.
    """

    protocols: tuple[SaturationProtocol, ...]
    model: PoolModel
    pools: tuple[str, ...]
    least_noise: float = 0.0
    fitted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.protocols:
            raise ValueError("an exchange scan needs at least one series, found none")
        if not self.pools or not set(self.pools) <= set(self.model.names):
            raise ValueError(f"pools must be among {list(self.model.names)} of the model, found {list(self.pools)}")
        if self.fitted != tuple(name for name in RELAXATION_TIMES if name in self.fitted):
            raise ValueError(
                f"fitted must hold some of {', '.join(RELAXATION_TIMES)} in this order, found {list(self.fitted)}"
            )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what is estimated: fraction and rate [1/s] of each pool in turn (`MT.fraction` …), then times of water [s]."""
        own = (f"{pool}.{quantity}" for pool in self.pools for quantity in QUANTITIES)
        return (*own, *(water_parameter(name) for name in self.fitted))

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the maps that enter as known: those of `KNOWN` that are not fitted."""
        return tuple(name for name in KNOWN if name not in self.fitted)

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

        def changed(pool: PoolType) -> PoolType:
            own: dict[str, Any] = {
                name: values[f"{pool.name}.{name}"] for name in QUANTITIES if f"{pool.name}.{name}" in values
            }
            return replace(pool, **own)

        mt = None if self.model.mt is None else changed(self.model.mt)
        return replace(self, model=replace(self.model, cest=tuple(changed(pool) for pool in self.model.cest), mt=mt))


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
    seen_by
        The bSSFP scan that has seen `t1`: it is apparent then, and that of water follows from it and the semisolid pool, one with
        the other. None where `t1` is that of water.

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
    seen_by: Relaxometry | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            values = getattr(self, each.name) if each.name != "seen_by" else None
            if values is not None and np.shape(values) != np.shape(self.t1):
                raise ValueError(
                    f"known maps must have the shape {np.shape(self.t1)} of t1, found {each.name} with {np.shape(values)}"
                )

    @classmethod
    def of(cls, maps: Mapping[str, NDArray[Any]], *, seen_by: Relaxometry | None = None) -> KnownVoxels:
        """Return known maps by their names."""
        given: dict[str, Any] = dict(maps)
        return cls(**given, seen_by=seen_by)

    def __getitem__(self, chosen: object) -> KnownVoxels:
        """Return some of the voxels."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "seen_by"}
        parts: dict[str, Any] = {name: None if value is None else value[chosen] for name, value in values.items()}
        return KnownVoxels(**parts, seen_by=self.seen_by)

    def stdev(self, name: str) -> NDArray[np.floating] | None:
        """Return the standard deviation of a known map, None where it counts as exact."""
        return getattr(self, f"{name}_stdev")


def voxel_parameters(
    scan: ExchangeScan, values: NDArray[np.floating], known: KnownVoxels | Mapping[str, NDArray[np.floating]]
) -> VoxelParameters:
    """Return the parameters of voxels for the forward model.

    Parameters
    ----------
    scan
        The pools.
    values
        Fractions, rates and times in the order of `ExchangeScan.parameters`, shape (V, P).
    known
        Maps of the voxels; relaxation times that are fitted come from `values`.
    """
    maps = {name: known[name] if isinstance(known, Mapping) else getattr(known, name) for name in KNOWN}
    maps |= {name: values[:, scan.parameters.index(water_parameter(name))] for name in scan.fitted}
    return VoxelParameters(
        **maps,
        fractions={pool: values[:, 2 * place] for place, pool in enumerate(scan.pools)},
        rates={pool: values[:, 2 * place + 1] for place, pool in enumerate(scan.pools)},
    )


def free_water(scan: ExchangeScan, values: NDArray[np.floating], known: KnownVoxels) -> FreeWater | None:
    """Return T1 of water beside the semisolid pool; None where `known.t1` is that of water or is fitted, or there is no such pool.

    Parameters
    ----------
    scan
        The pools.
    values
        Fractions and rates in the order of `ExchangeScan.parameters`, shape (V, P).
    known
        Maps of the voxels.
    """
    pool = scan.model.mt
    if known.seen_by is None or pool is None or "t1" in scan.fitted:
        return None
    fraction, rate = (
        np.asarray(values[:, scan.parameters.index(f"{pool.name}.{quantity}")], dtype=np.float64)
        if pool.name in scan.pools
        else np.full(len(values), getattr(pool, quantity))
        for quantity in QUANTITIES
    )
    return known.seen_by.free_water(
        np.asarray(known.t1, dtype=np.float64),
        b1=np.asarray(known.b1, dtype=np.float64),
        fraction=fraction,
        rate=rate,
        r1m=None if pool.t1 is None else 1.0 / pool.t1,
        line=line_on_resonance(pool),
    )


def exchange_signal(
    scan: ExchangeScan, values: NDArray[np.floating], known: KnownVoxels, *, threads: int = 1
) -> NDArray[np.float64]:
    """Return the signed Z of water in all images of a scan, shape (V, N); see `exchange_jacobian`."""
    water = free_water(scan, values, known)
    voxels = voxel_parameters(scan, values, known if water is None else _with_t1(known, water.t1))
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
        Z and its derivatives, shape (V, N) and (V, N, len(parameters)). Where `t1` is apparent, so is that in which is
        differentiated, and T1 of water changes with fraction and rate of the semisolid pool.
    """
    water = free_water(scan, values, known)
    voxels = voxel_parameters(scan, values, known if water is None else _with_t1(known, water.t1))
    asked = parameters if water is None or "t1" in parameters else (*parameters, "t1")
    # A fitted time of water has two names: that of the parameter, and that of the map that it stands for.
    names = {water_parameter(name): name for name in scan.fitted}
    columns = [names.get(name, name) for name in asked]
    computed = tuple(dict.fromkeys(columns))
    parts = [
        signal_and_jacobian(scan.model, protocol, voxels, parameters=computed, threads=threads)
        for protocol in scan.protocols
    ]
    signal = np.concatenate([part.signal for part in parts], axis=1)
    jacobian = np.concatenate([part.jacobian for part in parts], axis=1)
    if names:
        jacobian = jacobian[..., [computed.index(name) for name in columns]]
    if water is None or scan.model.mt is None:
        return signal, jacobian
    by_t1 = jacobian[..., asked.index("t1")].copy()
    name = scan.model.mt.name
    slopes = {f"{name}.fraction": water.by_fraction, f"{name}.rate": water.by_rate, "b1": water.by_b1}
    for place, parameter in enumerate(parameters):
        if parameter in slopes:
            jacobian[..., place] += by_t1 * slopes[parameter][:, None]
        elif parameter == "t1":
            jacobian[..., place] = by_t1 * water.by_t1[:, None]
    return signal, jacobian[..., : len(parameters)]


def _with_t1(known: KnownVoxels, t1: NDArray[np.floating]) -> KnownVoxels:
    """Return known maps with T1 of water in place of the apparent one."""
    return replace(known, t1=t1, seen_by=None)


@dataclass(frozen=True, kw_only=True)
class ScaledModel:
    """The model of V voxels with the best scale of every series.

    Parameters
    ----------
    amplitude
        The scales, shape (V, S).
    residual
        Data less scaled model, shape (V, N).
    projected
        Derivatives of the scaled model without what a change of the scales explains, shape (V, N, P).
    """

    amplitude: NDArray[np.float64]
    residual: NDArray[np.float64]
    projected: NDArray[np.float64]

    @property
    def cost(self) -> NDArray[np.float64]:
        """Sum of squares of the residual, shape (V,)."""
        return np.einsum("vn,vn->v", self.residual, self.residual)


def scaled_model(
    data: NDArray[np.float64], z: NDArray[np.float64], jacobian: NDArray[np.float64], *, scan: ExchangeScan
) -> ScaledModel:
    """Return the model with its scales profiled out (variable projection: Golub and Pereyra, SIAM J Numer Anal 10:413, 1973).

    Parameters
    ----------
    data
        Images, shape (V, N).
    z, jacobian
        Model and its derivatives, shape (V, N) and (V, N, P).
    scan
        Which images share a scale.
    """
    amplitude = np.empty((len(data), len(scan.protocols)))
    residual, projected = np.empty_like(data), np.empty_like(jacobian)
    for place, part in enumerate(scan.series):
        own, slopes = z[:, part], jacobian[:, part]
        power = np.einsum("vn,vn->v", own, own)
        scale = np.einsum("vn,vn->v", data[:, part], own) / power
        along = np.einsum("vn,vnp->vp", own, slopes) / power[:, None]
        amplitude[:, place] = scale
        residual[:, part] = data[:, part] - scale[:, None] * own
        projected[:, part] = scale[:, None, None] * (slopes - own[:, :, None] * along[:, None, :])
    return ScaledModel(amplitude=amplitude, residual=residual, projected=projected)
