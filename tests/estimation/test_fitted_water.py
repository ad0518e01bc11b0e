"""T1 and T2 of water fitted along with pools: derivatives, the truth, stated errors, and when the images do not tell them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.estimation.base import ProtocolNotSupported, Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, estimator_for
from qmri_bids.estimation.pools.estimate import ExchangeOptions
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.water_told import water_told
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_jacobian, exchange_signal
from qmri_bids.physics.pools import CestPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, Readout, SaturatedImage, Saturation, SaturationProtocol, Start

SHIFT = 4.3
POWERS = (3.0, 0.8, 6.0, 1.5, 8.0, 2.2, 5.0, 1.1, 7.0, 4.0, 0.5, 3.5)


def phantom(*fitted: str, beside_water: bool = True, powers: tuple[float, ...] = POWERS * 2) -> ExchangeScan:
    """Return iohexol at 9.4 T under blocks of 2.5 s; images beside water and several recoveries tell T1 and T2 of it."""
    images = [SaturatedImage(saturation=None, offset=None, recovery=20.0, is_m0=True)]
    for place, power in enumerate(powers):
        block = Saturation(pulse=Pulse.block(amplitude=power * 1e-6, duration=2.5))
        offset = (SHIFT, -SHIFT, 0.5)[place % 3] if beside_water else SHIFT
        recovery = (1.0, 4.0, 2.0, 8.0)[place % 4] if beside_water else 4.0
        images.append(SaturatedImage(saturation=block, offset=offset, recovery=recovery))
    readout = Readout(number=1, flip_angle=np.pi / 2, spacing=0.01)
    protocol = SaturationProtocol(field_strength=9.4, images=tuple(images), start=Start.PREVIOUS, readout=readout)
    pool = CestPool(name="iohexol", fraction=1e-3, rate=500.0, shift=SHIFT, t2=0.1)
    model = PoolModel(water=Water(t1=2.5, t2=1.0), cest=(pool,))
    return ExchangeScan(protocols=(protocol,), model=model, pools=("iohexol",), fitted=fitted)


def voxels(number: int) -> KnownVoxels:
    rng = np.random.default_rng(2)
    return KnownVoxels(
        t1=rng.uniform(1.0, 4.0, number),
        t2=np.exp(rng.uniform(np.log(0.05), np.log(1.5), number)),
        b1=rng.uniform(0.9, 1.1, number),
        off_resonance=rng.uniform(-10.0, 10.0, number),
    )


def drawn(number: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.column_stack(
        [np.exp(rng.uniform(np.log(low), np.log(high), number)) for low, high in ((4e-4, 3e-3), (200.0, 3000.0))]
    )


def unknown(known: KnownVoxels, scan: ExchangeScan) -> KnownVoxels:
    """Return known maps without those that are fitted."""
    nothing = np.full(known.t1.shape, np.nan)
    return KnownVoxels.of({name: getattr(known, name) for name in scan.known} | dict.fromkeys(scan.fitted, nothing))


def test_a_fitted_time_takes_the_place_of_its_map() -> None:
    known, pools = voxels(5), drawn(5)
    plain, scan = phantom(), phantom("t1", "t2")
    assert scan.parameters == ("iohexol.fraction", "iohexol.rate", "water.T1", "water.T2")
    values = np.column_stack([pools, known.t1, known.t2])
    # The T1 of the solute is that of water: it follows the fitted one.
    signal, jacobian = exchange_jacobian(scan, values, unknown(known, scan), parameters=scan.parameters)
    expected, slopes = exchange_jacobian(plain, pools, known, parameters=(*plain.parameters, "t1", "t2"))
    np.testing.assert_array_equal(signal, expected)
    np.testing.assert_array_equal(jacobian, slopes)
    for place in (2, 3):
        step = np.zeros_like(values)
        step[:, place] = 1e-5 * values[:, place]
        ahead, behind = (exchange_signal(scan, values + sign * step, known) for sign in (1.0, -1.0))
        by_difference = (ahead - behind) / (2.0 * step[:, place, None])
        np.testing.assert_allclose(jacobian[..., place], by_difference, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("fitted", [("t1", "t2"), ("t1",), ("t2",)])
def test_the_truth_is_found_without_noise(fitted: tuple[str, ...]) -> None:
    scan, known, pools = phantom(*fitted), voxels(60), drawn(60)
    signal = exchange_signal(phantom(), pools, known)
    found = ExchangeLikelihood().estimate(signal, scan=scan, known=unknown(known, scan))
    assert np.all(found.status["iohexol"] == Status.CONVERGED)
    assert np.all(found.status["water"] == Status.CONVERGED)
    for name, true in zip(scan.parameters, [*pools.T, *(getattr(known, name) for name in fitted)], strict=True):
        np.testing.assert_allclose(found.values[name], true, rtol=1e-4)


def test_standard_deviations_hold_the_errors_of_water_and_pools() -> None:
    scan, known, pools = phantom("t1", "t2"), voxels(1000), drawn(1000)
    clean = exchange_signal(phantom(), pools, known)
    signal = clean + 0.005 * np.random.default_rng(3).standard_normal(clean.shape)
    found = ExchangeLikelihood().estimate(signal, scan=scan, known=unknown(known, scan))
    assert np.mean(found.status["water"] == Status.CONVERGED) > 0.99
    for name, true in zip(scan.parameters, [*pools.T, known.t1, known.t2], strict=True):
        good = np.isfinite(found.values[name])
        away = np.abs(found.values[name] - true)[good] / found.stdev[name][good]
        assert 0.64 < np.mean(away < 1.0) < 0.73, name
        assert 0.93 < np.mean(away < 1.96) < 0.97, name


def test_a_stated_error_of_a_fitted_time_counts_for_nothing() -> None:
    scan, known, pools = phantom("t1"), voxels(20), drawn(20)
    signal = exchange_signal(phantom(), pools, known) + 0.005 * np.random.default_rng(3).standard_normal((20, 25))
    plain, stated = (
        ExchangeLikelihood().estimate(signal, scan=scan, known=each)
        for each in (known, replace(known, t1=10.0 * known.t1, t1_stdev=known.t1))
    )
    np.testing.assert_array_equal(plain.values["iohexol.rate"], stated.values["iohexol.rate"])
    np.testing.assert_array_equal(plain.stdev["iohexol.rate"], stated.stdev["iohexol.rate"])


def test_a_time_that_runs_to_its_bound_leaves_no_value() -> None:
    # Whatever T1 is, these images never saw it: M0 and images after full recovery, saturated for a moment.
    block = Saturation(pulse=Pulse.block(amplitude=2e-6, duration=0.002))
    images = tuple(
        SaturatedImage(saturation=None if power is None else block, offset=power, recovery=60.0, is_m0=power is None)
        for power in (None, *np.linspace(0.5, 5.0, 8))
    )
    scan = phantom("t1")
    scan = replace(scan, protocols=(replace(scan.protocols[0], images=images),))
    known = voxels(30)
    signal = exchange_signal(replace(scan, fitted=()), drawn(30), known)
    signal += 0.01 * np.random.default_rng(0).standard_normal(signal.shape)
    found = ExchangeLikelihood().estimate(signal, scan=scan, known=unknown(known, scan))
    assert set(np.unique(found.status["water"])) <= {Status.AT_BOUND, Status.NOT_IDENTIFIABLE, Status.NOT_CONVERGED}
    assert np.isnan(found.values["water.T1"]).all()
    stopped = found.status["water"] == Status.AT_BOUND
    assert np.all(found.status["iohexol"][stopped] == Status.AT_BOUND)


def test_what_images_tell_is_known_before_the_fit() -> None:
    told = water_told(phantom("t1", "t2"))
    assert told.untold == ()
    assert told.relative["water.T1"] < 0.1
    assert told.relative["water.T2"] < 0.1
    assert water_told(phantom("t1", "t2", beside_water=False, powers=POWERS)).untold == ("t2",)
    assert water_told(phantom("t1", beside_water=False, powers=POWERS)).untold == ()
    few = water_told(phantom("t1", "t2", beside_water=False, powers=(0.1, 0.2, 0.1, 0.2)))
    assert few.untold == ("t1", "t2")


def test_pools_that_nothing_tells_are_no_fault_of_water() -> None:
    weak = phantom("t1", powers=tuple(0.05 * power for power in POWERS * 2))
    told = water_told(weak)
    assert told.untold == ("t1",)
    assert not told.pools_told


def test_only_maximum_likelihood_fits_water() -> None:
    scan, known = phantom("t1"), voxels(2)
    signal = exchange_signal(phantom(), drawn(2), known)
    for name in ("dictionary", "supervised", "quesp", "train-by-fit"):
        created = EXCHANGE_ESTIMATORS[name].create(ExchangeOptions())
        with pytest.raises((ProtocolNotSupported, ValueError), match=r"known|range|trained|QUESP"):
            created.estimate(signal, scan=scan, known=known)
    name, (sentence,) = estimator_for("pinn", pools=("MT", "amide"), fitted=("t1",))
    assert name == "ml"
    assert "with T1 fitted along the estimator is ml" in sentence
    with pytest.raises(ValueError, match="fitted must hold some of t1, t2 in this order"):
        phantom("t2", "t1")
