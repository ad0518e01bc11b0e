"""Pools and T1 of free water from fingerprints and an apparent T1, solved together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.estimation.one_model.together import (
    FEWEST_COMPARED,
    TogetherEstimate,
    before_and_after,
    estimate_together,
)
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.evaluation.pools.sets import TISSUES
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import (
    Relaxometry,
    apparent_rate,
    line_on_resonance,
    recovery_rate,
    saturation_rate,
)
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.pools.shipped import PLAYED_SCAN

SEEN_BY = Relaxometry(
    pulse=ExcitationPulse.of("sinc", 1e-3),
    protocol=BssfpProtocol.evenly_spaced(
        number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    ),
)
NOISE = 1e-5
"""Of the images over M0: next to none, so that errors are those of the model."""

SETS: dict[float | None, ExchangeScan] = {
    r1m: replace(
        PLAYED_SCAN,
        model=replace(PLAYED_SCAN.model, mt=replace(PLAYED_SCAN.model.mt, t1=None if r1m is None else 1.0 / r1m)),
    )
    for r1m in (None, 1.0)
}


class Drawn:
    """Voxels of three tissues whose T1 bSSFP has seen; T1 of water, of inversion recovery and apparent [s]."""

    def __init__(self, r1m: float | None, *, each: int = 4) -> None:
        rng = np.random.default_rng(0)
        self.scan = SETS[r1m]
        tissues = [tissue for tissue in TISSUES.values() for _ in range(each)]
        number = len(tissues)
        self.values = np.array([[tissue[name] for name in self.scan.parameters] for tissue in tissues])
        self.free = np.array([tissue["t1"] for tissue in tissues])
        b1 = rng.uniform(0.85, 1.15, number)
        water = KnownVoxels(
            t1=self.free,
            t2=np.array([tissue["t2"] for tissue in tissues]),
            b1=b1,
            off_resonance=rng.uniform(-20.0, 20.0, number),
        )
        pool = self.scan.model.mt
        assert pool is not None
        power = saturation_rate(SEEN_BY.pulse, SEEN_BY.protocol, b1=b1, line=line_on_resonance(pool))
        r1 = 1.0 / self.free
        own = r1 if r1m is None else np.full(number, r1m)
        two = {"fraction": self.values[:, 0], "rate": self.values[:, 1], "r1m": own}
        self.apparent = 1.0 / apparent_rate(r1, saturation=power, **two)
        self.recovery = 1.0 / recovery_rate(r1, **two)
        clean = exchange_signal(self.scan, self.values, water)
        self.images = clean + NOISE * rng.standard_normal(clean.shape)
        self.known = replace(water, t1=self.apparent, t1_stdev=0.03 * self.apparent, seen_by=SEEN_BY)

    def errors(self, found: TogetherEstimate) -> NDArray[np.float64]:
        """Return relative errors of fractions and rates, shape (V, P)."""
        got = np.stack([found.pools.values[name] for name in self.scan.parameters], axis=1)
        return got / self.values - 1.0


def together(name: str, drawn: Drawn) -> TogetherEstimate:
    estimator = EXCHANGE_ESTIMATORS[name].create(ExchangeOptions(threads=2))
    return estimate_together(estimator, drawn.images, scan=drawn.scan, known=drawn.known)


@pytest.mark.parametrize(("name", "r1m"), [("ml", None), ("ml", 1.0), ("pinn", None)])
def test_pools_and_free_t1_come_back_from_an_apparent_t1(name: str, r1m: float | None) -> None:
    drawn = Drawn(r1m)
    found = together(name, drawn)
    assert np.abs(drawn.errors(found)).max() < 2e-3
    np.testing.assert_allclose(found.water.free_t1, drawn.free, rtol=1e-4)
    np.testing.assert_allclose(found.water.recovery_t1, drawn.recovery, rtol=1e-4)
    assert (found.water.free_t1_stdev > 0.03 * found.water.free_t1).all(), "it holds that of the apparent T1"


def test_the_apparent_t1_taken_for_that_of_water_makes_pools_too_large() -> None:
    drawn = Drawn(None)
    estimator = EXCHANGE_ESTIMATORS["ml"].create(ExchangeOptions(threads=2))
    plain = estimator.estimate(drawn.images, scan=drawn.scan, known=replace(drawn.known, seen_by=None))
    for place, name in enumerate(("MT.fraction", "MT.rate", "amide.fraction")):
        too_large = plain.values[name] / drawn.values[:, place] - 1.0
        assert 0.05 < np.median(too_large) < 0.4, name


def test_by_turns_a_network_comes_closer() -> None:
    """A network that takes T1 as given: what is left is the error that it has with the true T1, too."""
    drawn = Drawn(None, each=12)
    estimator = EXCHANGE_ESTIMATORS["pinn-bare"].create(ExchangeOptions(threads=2))
    assert not estimator.frees_t1
    right = replace(drawn.known, seen_by=None, t1=drawn.free)
    plain, best = (
        estimator.estimate(drawn.images, scan=drawn.scan, known=known)
        for known in (replace(drawn.known, seen_by=None), right)
    )
    found = together("pinn-bare", drawn)
    for place, name in enumerate(drawn.scan.parameters[:3]):
        truth = drawn.values[:, place]
        before, after, least = (
            float(np.nanmedian(np.abs(each[name] / truth - 1.0)))
            for each in (plain.values, found.pools.values, best.values)
        )
        assert after < 0.5 * before, (name, before, after)
        assert after < least + 0.03, (name, after, least)
    np.testing.assert_allclose(np.nanmedian(found.water.free_t1 / drawn.free), 1.0, atol=0.02)


def test_what_changed_is_said() -> None:
    drawn = Drawn(None, each=8)
    estimator = EXCHANGE_ESTIMATORS["ml"].create(ExchangeOptions(threads=2))
    found = estimate_together(estimator, drawn.images, scan=drawn.scan, known=drawn.known)
    plain = replace(drawn.known, seen_by=None)
    (said,) = before_and_after(estimator, drawn.images, found, scan=drawn.scan, known=plain)
    growth = 100.0 * (np.median(drawn.free / drawn.apparent) - 1.0)
    assert said.startswith(
        f"Against the apparent T1 of bSSFP, T1 of free water {growth:+.1f} %, as an inversion recovery"
    )
    assert "With the apparent T1 taken for that of water the pools would be: MT fraction +" in said
    few = slice(0, FEWEST_COMPARED - 1)
    fewer = estimate_together(estimator, drawn.images[few], scan=drawn.scan, known=drawn.known[few])
    (said,) = before_and_after(estimator, drawn.images[few], fewer, scan=drawn.scan, known=plain[few])
    assert said == "T1 of free water has next to no value: what it changes is not said."


def test_a_voxel_without_pools_has_no_free_t1() -> None:
    drawn = Drawn(None)
    images = drawn.images.copy()
    images[1, 5] = np.nan
    t1 = drawn.apparent.copy()
    t1[2] = np.nan
    estimator = EXCHANGE_ESTIMATORS["ml"].create(ExchangeOptions(threads=2))
    found = estimate_together(estimator, images, scan=drawn.scan, known=replace(drawn.known, t1=t1))
    lost = np.isnan(found.water.free_t1)
    np.testing.assert_array_equal(np.flatnonzero(lost), [1, 2])
    assert np.isnan(found.water.recovery_t1_stdev[lost]).all()


def test_without_what_it_takes_nothing_is_solved_together() -> None:
    drawn = Drawn(None)
    estimator = EXCHANGE_ESTIMATORS["ml"].create(ExchangeOptions())
    amide = replace(drawn.scan, pools=("amide",))
    for scan, known in ((drawn.scan, replace(drawn.known, seen_by=None)), (amide, drawn.known)):
        with pytest.raises(ValueError, match="expected a T1 that bSSFP has seen and a semisolid pool to estimate"):
            estimate_together(estimator, drawn.images, scan=scan, known=known)
