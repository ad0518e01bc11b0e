"""Pool fractions and exchange rates from arrays, and the signal of pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qmri_bids.api.arrays import Selection, check_relaxation, given, ratio_of_b1, spread_over
from qmri_bids.api.cest import saturated_images
from qmri_bids.api.result import Result
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.water_told import water_told
from qmri_bids.physics.fingerprint import KNOWN, QUANTITIES, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.pools import CestPool, PoolModel, Water
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation import SaturationProtocol

EMPTY = CestPool(name="none", fraction=0.0, rate=0.0, shift=0.0, t2=0.1)

FIT = "fit"
"""In place of T1 or T2 of water: it is fitted along."""

UNITS = {"fraction": "", "rate": "1/s", "T1": "s", "T2": "s"}

Protocols = SaturationProtocol | Sequence[SaturationProtocol]


def read_pools(path: str | Path) -> PoolModel:
    """Return the pools of a file in the YAML of pulseq-CEST (`water_pool`, `cest_pool`, `mt_pool`).

    Raises
    ------
    qmri_bids.bids.refusal.RefusedError
        If the file cannot be read or a value has no physical meaning.
    """
    from qmri_bids.scans.pools.pools import read_pool_file

    return read_pool_file(Path(path)).model


def fit_pools(
    images: Any,
    protocol: Protocols,
    *,
    t1: Any,
    t2: Any,
    b1: Any = 1.0,
    off_resonance: Any = 0.0,
    t1_stdev: Any = None,
    t2_stdev: Any = None,
    b1_stdev: Any = None,
    off_resonance_stdev: Any = None,
    pools: PoolModel = PUBLISHED_POOLS,
    estimate: Sequence[str] | None = None,
    estimator: str = "ml",
    mask: Any = None,
    threads: int = 1,
) -> Result:
    """Estimate fraction and exchange rate of pools from one series of saturated images, or several together.

    Parameters
    ----------
    images
        Magnitudes, shape (..., N), or one such array for each protocol.
    protocol
        What was played (`cest_protocol`), one or several.
    t1, t2
        T1 and T2 of water [s], numbers or maps (...); "fit" to fit them along (`ml` alone), where the images tell them.
    b1, off_resonance
        Actual over nominal B1 and ΔB0 [Hz], numbers or maps.
    t1_stdev, t2_stdev, b1_stdev, off_resonance_stdev
        Their standard deviations; a map without counts as exact.
    pools
        The pools (`read_pools`); those of Finkelstein et al. 2025 (semisolid and amide) by default.
    estimate
        Names of the pools that are estimated; all of the model by default. The others keep fraction and rate.
    estimator
        Row of the table of estimators of pools (`ml`, `pinn` …).
    mask
        Where to estimate, shape (...).
    threads
        The result does not depend on it.

    Returns
    -------
    Result
        `<pool>_fraction`, relative to water, and `<pool>_rate` [1/s]; `water_T1` and `water_T2` [s] where they were fitted;
        `status` by pool.

    Raises
    ------
    ValueError
        If arrays do not belong together, a time is in milliseconds, the model lacks a pool, or a time of water is to be fitted
        that the images do not tell.

    Examples
    --------
    >>> import numpy as np, qmri_bids as q
    >>> offsets, powers = [float("nan")] + [3.5] * 6, [0, 1, 2, 3, 4, 5, 6]
    >>> protocol = q.cest_protocol(offsets, b1=powers, duration=3.0, field_strength=9.4, recovery=8)
    >>> pools = q.pool_model(amide=dict(fraction=1e-3, rate=200.0, shift=3.5, t2=0.01))
    >>> images = q.simulate_cest(protocol, pools=pools, t1=2.5, t2=0.5, noise=1e-4, seed=0)
    >>> found = q.fit_pools(images, protocol, pools=pools, t1=2.5, t2=0.5)
    >>> bool(abs(found.maps["amide_rate"] - 200.0) < 3.0 * found.stdev["amide_rate"])
    True
    """
    if estimator not in EXCHANGE_ESTIMATORS:
        raise ValueError(f"estimator: expected one of {', '.join(EXCHANGE_ESTIMATORS)}, found {estimator!r}")
    protocols = (protocol,) if isinstance(protocol, SaturationProtocol) else tuple(protocol)
    arrays = (images,) if isinstance(protocol, SaturationProtocol) else tuple(images)
    if len(arrays) != len(protocols):
        raise ValueError(f"images: expected one array for each of the {len(protocols)} protocols, found {len(arrays)}")
    taken = [
        saturated_images(array, own, mask=mask, name="images" if len(arrays) == 1 else f"images[{place}]")
        for place, (array, own) in enumerate(zip(arrays, protocols, strict=True))
    ]
    like, chosen, _ = taken[0]
    shape = chosen.inside.shape
    for place, (found, _, _) in enumerate(taken):
        if found.values.shape[:-1] != shape:
            raise ValueError(
                f"images[{place}]: expected shape {shape} as of the first series, found {found.values.shape[:-1]}"
            )
    fitted = tuple(name for name, value in (("t1", t1), ("t2", t2)) if isinstance(value, str) and value == FIT)
    scan = ExchangeScan(
        protocols=protocols,
        model=pools,
        pools=tuple(pools.names if estimate is None else estimate),
        fitted=fitted,
    )
    untold = water_told(scan, threads=threads).untold if fitted else ()
    if untold:
        raise ValueError(
            f"{' and '.join(untold)}: expected a number or a map [s], found {FIT!r}, and the images do not tell it beside the pools"
        )
    t1, t2 = (np.nan if name in fitted else value for name, value in (("t1", t1), ("t2", t2)))
    known = known_voxels(
        chosen,
        t1=t1,
        t2=t2,
        b1=b1,
        off_resonance=off_resonance,
        t1_stdev=t1_stdev,
        t2_stdev=t2_stdev,
        b1_stdev=b1_stdev,
        off_resonance_stdev=off_resonance_stdev,
    )
    created = EXCHANGE_ESTIMATORS[estimator].create(ExchangeOptions(threads=threads))
    created.check(scan)
    signal = np.concatenate([rows for _, _, rows in taken], axis=1)
    fit = created.estimate(signal, scan=scan, known=known)
    names = {name: name.replace(".", "_") for name in fit.values}
    return Result(
        maps={names[name]: like.as_given(chosen.whole(values)) for name, values in fit.values.items()},
        stdev={names[name]: like.as_given(chosen.whole(values)) for name, values in fit.stdev.items()},
        status={pool: like.as_given(chosen.whole(codes, fill=Status.OUTSIDE)) for pool, codes in fit.status.items()},
        units={names[name]: UNITS[name.rpartition(".")[2]] for name in fit.values},
        decisions=created.remarks(scan),
        like=like,
    )


def known_voxels(chosen: Selection, *, b1: Any, **maps: Any) -> KnownVoxels:
    """Return what is known of the voxels that are estimated.

    Raises
    ------
    ValueError
        If a map has another shape, a time is in milliseconds, or B1 in percent.
    """
    shape = chosen.inside.shape
    values = {name: spread_over(value, shape=shape, name=name) for name, value in maps.items() if value is not None}
    for name in ("t1", "t2"):
        check_relaxation(values[name], name=name)
    values["b1"] = ratio_of_b1(b1, shape=shape)
    return KnownVoxels.of({name: np.array(chosen.rows(value)) for name, value in values.items()})


def pool_model(
    *, water_t1: float = 1.0, water_t2: float = 0.07, mt: Any = None, **solutes: Mapping[str, float]
) -> PoolModel:
    """Return a model of solute pools by name, with or without a semisolid pool.

    Parameters
    ----------
    water_t1, water_t2
        Relaxation times of water [s] where no map gives them.
    mt
        The semisolid pool (`qmri_bids.physics.pools.MtPool`).
    solutes
        `fraction` (relative to water), `rate` [1/s], `shift` [ppm], `t2` [s] and, where it is not that of water, `t1` [s] of each.
    """
    cest = tuple(CestPool(name=name, **values) for name, values in solutes.items())
    return PoolModel(water=Water(t1=water_t1, t2=water_t2), cest=cest, mt=mt)


def simulate_cest(
    protocol: SaturationProtocol,
    *,
    t1: Any,
    t2: Any,
    b1: Any = 1.0,
    off_resonance: Any = 0.0,
    pools: PoolModel = PUBLISHED_POOLS,
    values: Mapping[str, Any] | None = None,
    noise: float = 0.0,
    seed: int | None = None,
    threads: int = 1,
) -> Any:
    """Return the signal of saturated images relative to M0, by the Bloch-McConnell equations.

    It has a sign: a short pulse may turn magnetisation over, of which an image of magnitudes shows the modulus.

    Parameters
    ----------
    protocol
        What is played.
    t1, t2, b1, off_resonance
        T1 and T2 of water [s], actual over nominal B1 and ΔB0 [Hz]: numbers or maps of one shape (...).
    pools
        The pools.
    values
        Maps in place of fraction or rate of the model, as `{"amide_fraction": …}`.
    noise, seed
        Standard deviation of Gaussian noise, and its seed.
    threads
        The result does not depend on it.

    Returns
    -------
    array
        Shape (..., N).
    """
    if noise < 0.0:
        raise ValueError(f"noise: expected 0 or more, found {noise:g}")
    own = dict(values or {})
    names = [f"{pool}_{quantity}" for pool in pools.names for quantity in QUANTITIES]
    unknown = sorted(set(own) - set(names))
    if unknown:
        raise ValueError(f"values: expected some of {names}, found {unknown[0]!r}")
    # Fractions and rates enter by pool; water alone is water with a pool that is empty.
    model = pools if pools.names else replace(pools, cest=(EMPTY,))
    scan = ExchangeScan(protocols=(protocol,), model=model, pools=model.names)
    first = given(t1)
    known_maps = {"t1": t1, "t2": t2, "b1": b1, "off_resonance": off_resonance}
    arrays = [given(value).values for value in (*known_maps.values(), *own.values())]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    chosen = Selection(inside=np.ones(shape, dtype=bool))
    known = known_voxels(chosen, **{name: np.broadcast_to(given(known_maps[name]).values, shape) for name in KNOWN})
    columns = [
        np.broadcast_to(given(own.get(f"{pool.name}_{quantity}", getattr(pool, quantity))).values, shape).ravel()
        for pool in model.exchanging
        for quantity in QUANTITIES
    ]
    clean = exchange_signal(scan, np.stack(columns, axis=1), known, threads=threads).reshape(
        (*shape, protocol.number_of_images)
    )
    drawn = np.random.default_rng(seed).standard_normal(clean.shape) if noise else 0.0
    return first.as_given(clean + noise * drawn)
