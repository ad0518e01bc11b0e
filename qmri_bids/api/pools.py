"""Pool fractions and exchange rates from arrays, and the signal of pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qmri_bids.api.arrays import (
    LONGEST_RELAXATION,
    Selection,
    check_place,
    check_time,
    count,
    deviation,
    generator,
    given,
    number,
    one_of,
    ratio_of_b1,
    relaxation,
    seconds,
    together,
)
from qmri_bids.api.cest import check_protocol, saturated_images
from qmri_bids.api.result import Result
from qmri_bids.api.words import advice_in_python, all_in_python
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.water_told import water_told
from qmri_bids.physics.fingerprint import QUANTITIES, ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.pools import LARGEST_SHIFT, LONGEST_T2, CestPool, MtPool, PoolModel, Water
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
    ValueError
        If it is no path.
    """
    from qmri_bids.scans.pools.pools import read_pool_file

    if not isinstance(path, str | Path):
        raise ValueError(f"path: expected the path of a file, found {path!r}: give one")
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
    one_of(estimator, EXCHANGE_ESTIMATORS, name="estimator")
    check_model(pools)
    workers = count(threads, name="threads")
    if not isinstance(protocol, list | tuple) or not protocol:
        check_protocol(protocol)
    elif not isinstance(images, list | tuple):
        raise ValueError(
            f"images: expected a list of arrays, one for each protocol, found {type(images).__name__}: give one"
        )
    protocols = (protocol,) if isinstance(protocol, SaturationProtocol) else tuple(protocol)
    estimated = _estimated(estimate, pools=pools)
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
        check_place(found, affine=like.affine, name=f"images[{place}]")
    fitted = tuple(name for name, value in (("t1", t1), ("t2", t2)) if isinstance(value, str) and value == FIT)
    scan = ExchangeScan(
        protocols=protocols,
        model=pools,
        pools=estimated,
        fitted=fitted,
    )
    untold = water_told(scan, threads=workers).untold if fitted else ()
    if untold:
        raise ValueError(
            f"{' and '.join(untold)}: expected a number or a map [s], found {FIT!r}, and the images do not tell it beside the pools"
        )
    known = known_voxels(
        chosen,
        t1=t1,
        t2=t2,
        fitted=fitted,
        b1=b1,
        off_resonance=off_resonance,
        t1_stdev=t1_stdev,
        t2_stdev=t2_stdev,
        b1_stdev=b1_stdev,
        off_resonance_stdev=off_resonance_stdev,
    )
    created = EXCHANGE_ESTIMATORS[estimator].create(ExchangeOptions(threads=workers))
    signal = np.concatenate([rows for _, _, rows in taken], axis=1)
    with advice_in_python():
        created.check(scan)
        fit = created.estimate(signal, scan=scan, known=known)
    names = {name: map_name(name) for name in fit.values}
    return Result(
        maps={names[name]: like.as_given(chosen.whole(values)) for name, values in fit.values.items()},
        stdev={names[name]: like.as_given(chosen.whole(values)) for name, values in fit.stdev.items()},
        status={pool: like.as_given(chosen.whole(codes, fill=Status.OUTSIDE)) for pool, codes in fit.status.items()},
        units={names[name]: UNITS[name.rpartition(".")[2]] for name in fit.values},
        decisions=all_in_python(created.remarks(scan)),
        like=like,
    )


def known_voxels(
    chosen: Selection,
    *,
    t1: Any,
    t2: Any,
    b1: Any,
    off_resonance: Any,
    fitted: Sequence[str] = (),
    **spreads: Any,
) -> KnownVoxels:
    """Return what is known of the voxels that are estimated; NaN for T1 or T2 where they are `fitted`.

    Raises
    ------
    ValueError
        If a map has another shape or lies elsewhere, a time is in milliseconds, B1 in percent, or a standard deviation negative.
    """
    shape = chosen.inside.shape
    values: dict[str, Any] = {name: chosen.spread(spread, name=name) for name, spread in spreads.items()}
    for name, time in (("t1", t1), ("t2", t2)):
        values[name] = np.full(int(np.count_nonzero(chosen.inside)), np.nan)
        if name not in fitted:
            check_time(time, name=name)
            values[name] = relaxation(chosen.known(time, name=name), name=name)
    values["b1"] = chosen.rows(ratio_of_b1(b1, shape=shape, affine=chosen.affine))
    values["off_resonance"] = chosen.known(off_resonance, name="off_resonance")
    return KnownVoxels.of({name: np.array(value) for name, value in values.items() if value is not None})


def _estimated(estimate: Any, *, pools: PoolModel) -> tuple[str, ...]:
    """Return the names of the pools that are estimated.

    Raises
    ------
    ValueError
        If the model has none or lacks one, or one is named twice.
    """
    if not pools.names:
        raise ValueError("pools: expected a pool beside water, found water alone: name it in pool_model")
    if estimate is None:
        return tuple(pools.names)
    expected = f"estimate: expected names of pools among {', '.join(pools.names)}"
    if isinstance(estimate, str) or not isinstance(estimate, Sequence) or not estimate:
        raise ValueError(f"{expected}, as ({pools.names[0]!r},), found {estimate!r}")
    unknown = [name for name in estimate if name not in pools.names]
    if unknown:
        raise ValueError(f"{expected}, found {unknown[0]!r}: name it as the model does")
    if len(set(estimate)) < len(estimate):
        raise ValueError(f"{expected}, found one of them twice in {list(estimate)}: name it once")
    return tuple(estimate)


def map_name(name: str) -> str:
    """Return the name of the map of `<pool>.<quantity>`."""
    return name.replace(".", "_")


def check_model(pools: Any) -> None:
    """Refuse what is no model of pools, numbers in other units, and names that become one.

    Raises
    ------
    ValueError
        If there is such a pool.
    """
    if not isinstance(pools, PoolModel):
        raise ValueError(f"pools: expected a model of pool_model or read_pools, found {type(pools).__name__}: make one")
    first: dict[str, str] = {}
    for pool in pools.exchanging:
        if abs(pool.shift) > LARGEST_SHIFT:
            raise ValueError(
                f"shift of {pool.name}: expected ppm within {LARGEST_SHIFT:g} of water, found {pool.shift:g}: is it in Hz?"
            )
        longest = LONGEST_T2[MtPool if isinstance(pool, MtPool) else CestPool]
        seconds(pool.t2, name=f"t2 of {pool.name}", longest=longest)
        other = first.setdefault(map_name(pool.name), pool.name)
        if other != pool.name:
            raise ValueError(
                f"pools: expected names that differ in maps, found {other!r} and {pool.name!r}, which both become "
                f"{map_name(pool.name)!r}: rename one of them"
            )


QUANTITIES_OF_POOL = ("fraction", "rate", "shift", "t2")


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

    Raises
    ------
    ValueError
        If a value is missing, has no physical meaning or another unit, or two names become one.
    """
    if mt is not None and not isinstance(mt, MtPool):
        raise ValueError(f"mt: expected an MtPool of qmri_bids.physics.pools, found {type(mt).__name__}: make one")
    water = Water(
        t1=seconds(water_t1, name="water_t1", longest=LONGEST_RELAXATION),
        t2=seconds(water_t2, name="water_t2", longest=LONGEST_RELAXATION),
    )
    model = PoolModel(water=water, cest=tuple(_solute(name, values) for name, values in solutes.items()), mt=mt)
    check_model(model)
    return model


def _solute(name: str, values: Any) -> CestPool:
    """Return a pool of the values that a user names.

    Raises
    ------
    ValueError
        If they are others than a pool has.
    """
    expected = f"{name}: expected {', '.join(QUANTITIES_OF_POOL)} and perhaps t1"
    if not isinstance(values, Mapping):
        raise ValueError(f"{expected}, found {values!r}: give dict(fraction=1e-3, rate=50.0, shift=3.5, t2=0.01)")
    missing = [key for key in QUANTITIES_OF_POOL if key not in values]
    if missing:
        raise ValueError(f"{expected}, found no {missing[0]}: add it")
    unknown = [key for key in values if key not in (*QUANTITIES_OF_POOL, "t1")]
    if unknown:
        raise ValueError(f"{expected}, found {unknown[0]!r}: correct or remove it")
    numbers = {key: number(value, name=f"{key} of {name}") for key, value in values.items() if value is not None}
    if "t1" in numbers:
        seconds(numbers["t1"], name=f"t1 of {name}", longest=LONGEST_RELAXATION)
    return CestPool(name=name, **numbers)


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
    kind: Literal["magnitude", "signed"] = "magnitude",
    threads: int = 1,
) -> Any:
    """Return saturated images relative to M0, by the Bloch-McConnell equations.

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
        Standard deviation of Gaussian noise, which is added before the magnitude is taken, and its seed.
    kind
        `magnitude`: what scanners store and all fits take. `signed`: the longitudinal magnetisation itself, which a short pulse
        may turn over, as in WASABI.
    threads
        The result does not depend on it.

    Returns
    -------
    array
        Shape (..., N); NaN where a map of T1 or T2 is not positive.

    Raises
    ------
    ValueError
        If a number has no physical meaning or another unit, the model lacks a pool, or maps do not fit together.
    """
    check_protocol(protocol)
    check_model(pools)
    level = float(deviation(noise, name="noise", zero=True))
    one_of(kind, ("magnitude", "signed"), name="kind")
    workers = count(threads, name="threads")
    if values is not None and not isinstance(values, Mapping):
        raise ValueError(f"values: expected maps by name, as {{'amide_fraction': 1e-3}}, found {values!r}")
    own = dict(values or {})
    names = [f"{pool}_{quantity}" for pool in pools.names for quantity in QUANTITIES]
    unknown = sorted(set(own) - set(names))
    if unknown:
        raise ValueError(f"values: expected some of {names}, found {unknown[0]!r}")
    # Fractions and rates enter by pool; water alone is water with a pool that is empty.
    model = pools if pools.names else replace(pools, cest=(EMPTY,))
    scan = ExchangeScan(protocols=(protocol,), model=model, pools=model.names)
    for name, time in (("t1", t1), ("t2", t2)):
        check_time(time, name=name)
    first = given(t1, name="t1")
    maps = together(t1=t1, t2=t2, b1=b1, off_resonance=off_resonance, **own)
    shape = maps["t1"].shape
    for name in own:
        if np.iscomplexobj(maps[name]) or (maps[name] < 0.0).any():
            raise ValueError(f"{name}: expected numbers of 0 or more in values, found others: correct them")
    chosen = Selection(inside=np.ones(shape, dtype=bool))
    known = known_voxels(chosen, t1=maps["t1"], t2=maps["t2"], b1=maps["b1"], off_resonance=maps["off_resonance"])
    columns = [
        np.broadcast_to(maps.get(f"{pool.name}_{quantity}", getattr(pool, quantity)), shape).ravel()
        for pool in model.exchanging
        for quantity in QUANTITIES
    ]
    clean = exchange_signal(scan, np.stack(columns, axis=1), known, threads=workers).reshape(
        (*shape, protocol.number_of_images)
    )
    drawn = generator(seed).standard_normal(clean.shape) if level else 0.0
    signed = clean + level * drawn
    return first.as_given(np.abs(signed) if kind == "magnitude" else signed)
