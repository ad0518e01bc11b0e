"""Starts for pools that no regression serves: from slow to fast solutes, with and without a semisolid pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, estimator_for
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.fit import bounds_of
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.start import MATCHES, has_regression, matched_starts
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.pools import CestPool, PoolModel, Water
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.physics.saturation import Pulse, SaturatedImage, Saturation, SaturationProtocol, Start
from qmri_bids.physics.saturation_presets import mrf_amide

POWERS = (3.0, 0.8, 6.0, 1.5, 8.0, 2.2, 5.0, 1.1, 7.0, 4.0, 0.5, 12.0)


def phantom(shift: float, *, strongest: float = 12.0) -> ExchangeScan:
    """Return a solute in water at 9.4 T under blocks of 2.5 s."""
    images = [SaturatedImage(saturation=None, offset=None, recovery=20.0, is_m0=True)]
    for power in POWERS:
        block = Saturation(pulse=Pulse.block(amplitude=power * strongest / 12.0 * 1e-6, duration=2.5))
        images.append(SaturatedImage(saturation=block, offset=shift, recovery=5.0))
    protocol = SaturationProtocol(field_strength=9.4, images=tuple(images), start=Start.RELAXED)
    pool = CestPool(name="solute1", fraction=1e-3, rate=100.0, shift=shift, t2=0.1)
    return ExchangeScan(
        protocols=(protocol,), model=PoolModel(water=Water(t1=2.5, t2=1.0), cest=(pool,)), pools=("solute1",)
    )


def voxels(number: int) -> KnownVoxels:
    rng = np.random.default_rng(2)
    return KnownVoxels(
        t1=rng.uniform(1.5, 3.0, number),
        t2=rng.uniform(0.2, 1.5, number),
        b1=rng.uniform(0.9, 1.1, number),
        off_resonance=rng.uniform(-10.0, 10.0, number),
    )


@pytest.mark.parametrize(
    ("shift", "strongest", "rates"), [(3.5, 4.0, (20.0, 300.0)), (4.3, 12.0, (300.0, 6000.0)), (-3.5, 4.0, (8.0, 60.0))]
)
def test_the_truth_is_found_from_slow_to_fast(shift: float, strongest: float, rates: tuple[float, float]) -> None:
    scan, rng = phantom(shift, strongest=strongest), np.random.default_rng(1)
    true = np.column_stack([10.0 ** rng.uniform(-3.5, -2.3, 60), np.exp(rng.uniform(*np.log(rates), 60))])
    known = voxels(60)
    found = ExchangeLikelihood().estimate(exchange_signal(scan, true, known), scan=scan, known=known)
    assert np.all(found.status["solute1"] == Status.CONVERGED)
    for place, name in enumerate(scan.parameters):
        np.testing.assert_allclose(found.values[name], true[:, place], rtol=1e-4)


def test_very_fast_protons_lie_within_the_bounds() -> None:
    scan = phantom(4.3, strongest=12.0)
    true, known = np.array([[5e-3, 4e4]]), voxels(1)
    start = ExchangeLikelihood().starts(exchange_signal(scan, true, known), scan=scan, known=known)
    assert len(start) == MATCHES
    low, high = bounds_of(scan)
    assert low[1] < 5.0
    assert high[1] == 1e5
    found = ExchangeLikelihood().point(exchange_signal(scan, true, known), scan=scan, known=known)
    np.testing.assert_allclose(found, true, rtol=1e-3)


def test_starts_differ_and_do_not_depend_on_threads() -> None:
    scan, known = phantom(4.3), voxels(20)
    signal = exchange_signal(scan, np.tile([1e-3, 900.0], (20, 1)), known)
    first, second = matched_starts(signal, scan=scan, known=known)
    assert np.all(np.abs(np.log(first / second)).max(axis=1) > 0.0)
    for one, other in zip((first, second), matched_starts(signal, scan=scan, known=known, threads=2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_published_pools_begin_where_they_did() -> None:
    published = ExchangeScan(protocols=(mrf_amide(),), model=PUBLISHED_POOLS, pools=("MT", "amide"))
    assert has_regression(published)
    assert bounds_of(published)[1].tolist() == [0.6, 500.0, 0.05, 5000.0]
    assert not has_regression(replace(published, model=replace(PUBLISHED_POOLS, mt=None), pools=("amide",)))
    assert not has_regression(phantom(4.3))


def test_who_serves_other_pools() -> None:
    assert estimator_for("pinn", pools=("MT", "amide")) == ("pinn", ())
    name, (sentence,) = estimator_for("pinn", pools=("MT", "rNOE"))
    assert name == "ml"
    assert "Networks are made for MT and amide alone: with rNOE the estimator is ml" in sentence
    assert estimator_for("dictionary", pools=("rNOE",)) == ("dictionary", ())
    with pytest.raises(ProtocolNotSupported, match=r"found none for solute1\.fraction"):
        EXCHANGE_ESTIMATORS["dictionary"].create(ExchangeOptions()).check(phantom(4.3))
