"""Whether images tell T1 and T2 of water beside the pools, before anything is fitted: the Cramér-Rao bound at typical values.

Typical are the pools of the model within a factor of three, and water of phantoms and tissue: T1 of 1 to 4 s, T2 of 0.05 to
1.5 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from qmri_bids.estimation.pools.fit import bounds_of
from qmri_bids.physics.fingerprint import WATER, ExchangeScan, KnownVoxels, water_parameter
from qmri_bids.physics.saturation_bound import exchange_bound

VOXELS = 64
"""Simulated voxels over which the median is taken."""

SPREAD = 3.0
"""Largest factor between fraction or rate of a voxel and that of the model."""

WATERS = {"t1": (1.0, 4.0), "t2": (0.05, 1.5)}
"""Lowest and highest relaxation times of water in these voxels [s]."""

NOISE = 0.01
"""Standard deviation of one image in units of M0."""

POOL_LIMIT, WATER_LIMIT = 0.5, 0.3
"""Median standard deviation over value of fractions and rates, and of relaxation times of water, from which they are not told."""


@dataclass(frozen=True, kw_only=True)
class WaterTold:
    """What images tell of water and pools that are fitted together.

    Parameters
    ----------
    relative
        Median bound of the standard deviation over the value, by parameter of the scan.
    untold
        Relaxation times of those that are fitted, of `physics.fingerprint.RELAXATION_TIMES`, that must be known; empty where
        all are told.
    pools_told
        Whether fractions and rates are told where all of water is known: where not, no map of T1 or T2 helps.
    """

    relative: Mapping[str, float]
    untold: tuple[str, ...]
    pools_told: bool


def water_told(scan: ExchangeScan, *, threads: int = 1) -> WaterTold:
    """Return whether the images of a scan tell the relaxation times of water that it leaves open.

    A time is not told where its own bound is too large, or where the pools become usable once it is known.

    Parameters
    ----------
    scan
        Series, pools, and what of water is fitted.
    threads
        Threads to use; the result does not depend on it.
    """
    whole = _relative(scan, threads=threads)
    own = tuple(name for name in scan.fitted if not whole[water_parameter(name)] < WATER_LIMIT)
    if own or _pools_usable(whole):
        return WaterTold(relative=whole, untold=own, pools_told=True)
    cured = tuple(
        name
        for name in scan.fitted
        if _pools_usable(
            _relative(replace(scan, fitted=tuple(other for other in scan.fitted if other != name)), threads=threads)
        )
    )
    known = _pools_usable(_relative(replace(scan, fitted=()), threads=threads))
    return WaterTold(relative=whole, untold=cured or scan.fitted, pools_told=known)


def _relative(scan: ExchangeScan, *, threads: int) -> dict[str, float]:
    """Return the median bound over the value by parameter, of the same voxels whatever is fitted."""
    rng = np.random.default_rng(0)
    water = {name: np.exp(rng.uniform(np.log(low), np.log(high), VOXELS)) for name, (low, high) in WATERS.items()}
    pools = {pool.name: pool for pool in scan.model.exchanging}
    least, most = bounds_of(scan)
    columns = []
    for place, parameter in enumerate(scan.parameters):
        pool, _, quantity = parameter.rpartition(".")
        if pool == WATER:
            columns.append(water[quantity.lower()])
            continue
        factor = np.exp(rng.uniform(-np.log(SPREAD), np.log(SPREAD), VOXELS))
        columns.append(np.clip(getattr(pools[pool], quantity) * factor, least[place], most[place]))
    values, one = np.stack(columns, axis=1), np.ones(VOXELS)
    known = KnownVoxels.of({**water, "b1": one, "off_resonance": 0.0 * one})
    bound = exchange_bound(scan, values, known, noise_stdev=NOISE, threads=threads) / values
    return dict(zip(scan.parameters, np.median(bound, axis=0).tolist(), strict=True))


def _pools_usable(relative: Mapping[str, float]) -> bool:
    return all(value < POOL_LIMIT for name, value in relative.items() if not name.startswith(f"{WATER}."))
