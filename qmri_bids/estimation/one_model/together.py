"""Pools and T1 of free water of one subject from fingerprints and the T1 that a bSSFP scan has seen.

The likelihood has both in one model: T1 of water follows from the apparent one and the semisolid pool at every step of the fit
(`physics.fingerprint.free_water`), and the covariance of fractions and rates holds it. Estimators that match or predict take T1 as
given; for them pools and T1 are found by turns, which settles in two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.one_model.transfer import ApparentMaps, SemisolidPool, TransferMaps, freed_of_transfer
from qmri_bids.estimation.pools.estimate import ExchangeEstimate, ExchangeEstimator
from qmri_bids.physics.excitation.transfer import line_on_resonance
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, free_water

TURNS = 2
"""Estimates after the first of estimators that take T1 as given."""

COMPARED, FEWEST_COMPARED = 1500, 20
"""About how many voxels are estimated without freeing T1, to say what it changes, and the fewest of which something is said."""


@dataclass(frozen=True, kw_only=True)
class TogetherEstimate:
    """Pools with the T1 of water that goes with them.

    Parameters
    ----------
    pools
        Fractions and rates.
    water
        T1 of V voxels; NaN where the semisolid pool has no value.
    """

    pools: ExchangeEstimate
    water: TransferMaps


def estimate_together(
    estimator: ExchangeEstimator, signal: NDArray[np.floating], *, scan: ExchangeScan, known: KnownVoxels
) -> TogetherEstimate:
    """Estimate pools and T1 of free water together.

    Parameters
    ----------
    estimator
        Any estimator of pools.
    signal
        Images of all series side by side, shape (V, N).
    scan
        Series and pools; the model has a semisolid pool.
    known
        Maps of the voxels with the bSSFP scan that has seen T1 (`seen_by`).

    Raises
    ------
    ValueError
        If no bSSFP scan has seen T1, or the scan does not estimate its semisolid pool.
    """
    pool = scan.model.mt
    if known.seen_by is None or pool is None or pool.name not in scan.pools:
        raise ValueError("expected a T1 that bSSFP has seen and a semisolid pool to estimate, found none")
    if estimator.frees_t1:
        found = estimator.estimate(signal, scan=scan, known=known)
    else:
        found = estimator.estimate(signal, scan=scan, known=replace(known, seen_by=None))
        for _ in range(TURNS):
            values = np.stack([found.values[name] for name in scan.parameters], axis=1)
            with np.errstate(all="ignore"):
                water = free_water(scan, values, known)
            if water is None:
                break
            # Without a pool there is nothing to free T1 of: it stays what it was.
            freed = np.where(np.isfinite(water.t1), water.t1, known.t1)
            found = estimator.estimate(signal, scan=scan, known=replace(known, t1=freed, seen_by=None))
    return TogetherEstimate(pools=found, water=_water(found, scan=scan, known=known))


def _water(found: ExchangeEstimate, *, scan: ExchangeScan, known: KnownVoxels) -> TransferMaps:
    pool, seen_by = scan.model.mt, known.seen_by
    # Of `estimate_together`, which has checked both.
    assert pool is not None
    assert seen_by is not None
    name = pool.name
    none = np.zeros(len(known.t1))
    return freed_of_transfer(
        ApparentMaps(
            t1=np.asarray(known.t1, dtype=np.float64),
            t1_stdev=none if known.t1_stdev is None else np.asarray(known.t1_stdev, dtype=np.float64),
            t2=np.asarray(known.t2, dtype=np.float64),
            m0=none + 1.0,
            m0_stdev=none,
            b1=np.asarray(known.b1, dtype=np.float64),
            b1_stdev=None if known.b1_stdev is None else np.asarray(known.b1_stdev, dtype=np.float64),
        ),
        pool=SemisolidPool(
            fraction=found.values[f"{name}.fraction"],
            fraction_stdev=found.stdev[f"{name}.fraction"],
            rate=found.values[f"{name}.rate"],
            rate_stdev=found.stdev[f"{name}.rate"],
            correlation=found.correlation[name],
            line=line_on_resonance(pool),
            r1=None if pool.t1 is None else 1.0 / pool.t1,
        ),
        pulse=seen_by.pulse,
        protocol=seen_by.protocol,
    )


def before_and_after(
    estimator: ExchangeEstimator,
    signal: NDArray[np.floating],
    together: TogetherEstimate,
    *,
    scan: ExchangeScan,
    known: KnownVoxels,
) -> tuple[str, ...]:
    """Say what solving T1 and pools together has changed, in medians over some of the voxels.

    Parameters
    ----------
    estimator, signal, scan, known
        Those of `estimate_together`, T1 of `known` taken for that of water.
    together
        What it has found.
    """
    chosen = np.flatnonzero(np.isfinite(together.water.free_t1))
    chosen = chosen[:: max(1, len(chosen) // COMPARED)]
    if len(chosen) < FEWEST_COMPARED:
        return ("T1 of free water has next to no value: what it changes is not said.",)
    times = ", ".join(
        f"{name} {_signed(_median_change(known.t1[chosen], after[chosen]))}"
        for name, after in (
            ("of free water", together.water.free_t1),
            ("as an inversion recovery sees it", together.water.recovery_t1),
        )
    )
    said = f"Against the apparent T1 of bSSFP, T1 {times} (medians)."
    if not estimator.frees_t1:  # it may have to learn anew what it is compared with
        return (said,)
    alone = estimator.estimate(signal[chosen], scan=scan, known=replace(known[chosen], seen_by=None))
    pools = ", ".join(
        f"{name.replace('.', ' ')} {_signed(_median_change(together.pools.values[name][chosen], alone.values[name]))}"
        for name in scan.parameters
    )
    return (f"{said} With the apparent T1 taken for that of water the pools would be: {pools}.",)


def _signed(change: float) -> str:
    return "unknown" if math.isnan(change) else f"{100.0 * change:+.1f} %"


def _median_change(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return the median relative change of a map, NaN where nothing has both."""
    with np.errstate(all="ignore"):
        change = np.asarray(after) / np.asarray(before) - 1.0
    good = np.isfinite(change)
    return float(np.median(change[good])) if good.any() else math.nan
