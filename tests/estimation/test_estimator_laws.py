"""Laws that hold for every estimator in the table."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import EstimatorOptions, KnownMaps, ProtocolNotSupported, Status
from qmri_bids.estimation.estimators import DEFAULT_ESTIMATOR, ESTIMATORS
from qmri_bids.networks.checkpoint import find_weights
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol

NOISE_REFERENCE = 0.074


def make_protocol(cycles=12, *, tr=4.8e-3, degrees=15.0):
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=tr, echo_time=tr / 2, flip_angle=math.radians(degrees)
    )


def draw(number, protocol, *, snr=math.inf, seed=0, m0=2.0):
    rng = np.random.default_rng(seed)
    t1, t2 = rng.uniform(0.36, 2.08, number), rng.uniform(0.02, 0.12, number)
    b1 = rng.uniform(0.7, 1.3, number)
    theta = rng.uniform(-math.pi, math.pi, number)
    off_resonance = theta / (2 * math.pi * protocol.repetition_time)
    cycles = signal(
        t1,
        t2,
        b1=b1,
        off_resonance=off_resonance,
        protocol=protocol,
        m0=m0 * np.exp(1j * rng.uniform(-3, 3, number)),
    )
    noise = rng.normal(size=(*cycles.shape, 2)).view(complex)[..., 0]
    cycles = cycles + m0 * NOISE_REFERENCE / (math.sqrt(2) * snr) * noise
    return {"T1": t1, "T2": t2, "off_resonance": off_resonance, "M0": np.full(number, m0)}, cycles, b1


def has_weights(name):
    row = NETWORK_SYSTEMS.get(name)
    return row is None or bool(find_weights(kind="paper", system=row.system, prior=row.prior))


def is_wide(estimator):
    """Whether a network was trained on fluid too, of which tissue is a corner."""
    return estimator.name.endswith(("extended", "in-vivo"))


SERVED = sorted(filter(has_weights, ESTIMATORS))
"""All but the networks of the paper that ship no weights and are trained on demand."""


@pytest.fixture(params=SERVED)
def estimator(request):
    return ESTIMATORS[request.param].create(EstimatorOptions())


def test_the_default_is_in_the_table():
    assert DEFAULT_ESTIMATOR in ESTIMATORS


def test_noise_free_recovery_over_the_whole_circle(estimator):
    protocol = make_protocol()
    truth, cycles, b1 = draw(4000, protocol)
    found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    # A network of the paper may place a voxel at the very edge of its range beyond it.
    good = found.status == Status.CONVERGED
    assert np.mean(good) >= (0.995 if estimator.name in NETWORK_SYSTEMS else 1.0)
    # The fits are exact; MIRACLE aliases at the longest T2; networks are held to the published 0.9/0.6 % within a few tenths.
    limit = {"linear": 1e-5, "ml": 1e-5, "pinn": 1e-5, "planet": 1e-5, "miracle": 0.002, "pinn-bare": 0.01}.get(
        estimator.name, 0.025 if is_wide(estimator) else 0.014
    )
    for name in ("T1", "T2", "M0"):
        assert np.mean(np.abs(found.values[name] / truth[name] - 1)[good]) < limit
    turn = 2 * math.pi * protocol.repetition_time
    difference = np.angle(np.exp(1j * turn * (found.values["off_resonance"] - truth["off_resonance"])))[good]
    assert np.max(np.abs(difference)) < 0.08


def test_single_draw_error_and_coverage_at_snr_25(estimator):
    protocol = make_protocol()
    truth, cycles, b1 = draw(8000, protocol, snr=25.0)
    found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    good = found.status == Status.CONVERGED
    assert np.mean(good) > 0.93
    bars = {"linear": (10.0, 9.5), "planet": (9.8, 8.5)}.get(
        estimator.name, (8.2, 8.2) if is_wide(estimator) else (7.1, 7.6)
    )
    # What a network says beyond the noise of its input is not in its standard deviation.
    least = 0.52 if is_wide(estimator) else 0.60 if estimator.name in NETWORK_SYSTEMS else 0.64
    for name, low, high, bar in (("T1", 0.36, 2.08, bars[0]), ("T2", 0.02, 0.12, bars[1])):
        clamped = np.clip(found.values[name], low, high)
        assert 100 * np.mean(np.abs(clamped / truth[name] - 1)[good]) < bar
        assert abs(np.median((found.values[name] / truth[name])[good]) - 1) < 0.015
        covered = np.abs(found.values[name] - truth[name])[good] < found.stdev[name][good]
        assert least < np.mean(covered) < 0.72
    covered = np.abs(found.values["off_resonance"] - truth["off_resonance"])[good] < found.stdev["off_resonance"][good]
    assert least < np.mean(covered) < 0.72


def test_scale_and_receiver_phase_do_not_matter(estimator):
    protocol = make_protocol()
    _, cycles, b1 = draw(200, protocol, snr=50.0)
    plain = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    scaled = estimator.estimate(1e3 * np.exp(2j) * cycles, protocol=protocol, known=KnownMaps(b1=b1))
    for name in ("T1", "T2", "off_resonance"):
        np.testing.assert_allclose(scaled.values[name], plain.values[name], rtol=2e-3, atol=0.05)
    np.testing.assert_allclose(scaled.values["M0"], 1e3 * plain.values["M0"], rtol=2e-3)


def test_any_repetition_time_is_served(estimator):
    """T1/TR, T2/TR and the flip angle alone shape the signal: times scale with TR."""
    short, long = make_protocol(tr=4.8e-3), make_protocol(tr=9.6e-3)
    truth, cycles, b1 = draw(500, short)
    found = estimator.estimate(cycles, protocol=long, known=KnownMaps(b1=b1))
    good = found.status == Status.CONVERGED
    assert np.mean(good) > 0.98
    assert np.max(np.abs(found.values["T1"] / (2 * truth["T1"]) - 1)[good]) < 0.25
    np.testing.assert_allclose(found.values["off_resonance"][good], truth["off_resonance"][good] / 2, atol=1.5)


def test_shape_of_the_volume_is_kept(estimator):
    protocol = make_protocol()
    _, cycles, b1 = draw(24, protocol, snr=30)
    flat = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    volume = estimator.estimate(cycles.reshape(2, 3, 4, 12), protocol=protocol, known=KnownMaps(b1=b1.reshape(2, 3, 4)))
    for name in flat.values:
        np.testing.assert_allclose(volume.values[name].ravel(), flat.values[name], rtol=1e-5)
        assert volume.stdev[name].shape == (2, 3, 4)
    assert volume.status.dtype == np.uint8


def test_failed_voxels_are_nan_with_a_status(estimator):
    protocol = make_protocol()
    rng = np.random.default_rng(1)
    _, cycles, b1 = draw(6, protocol, seed=4)
    cycles[0] = np.nan
    cycles[1] = 0.0
    cycles[2] = rng.normal(size=12) + 1j * rng.normal(size=12)  # noise alone
    b1[3] = np.nan
    b1[4] = 4.0  # turns a nominal 15° into 60°
    found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
    assert found.status[[0, 1, 3]].tolist() == [Status.INVALID_INPUT] * 3
    assert found.status[2] in (Status.LOW_SIGNAL, Status.NO_ROOT, Status.OUT_OF_RANGE, Status.NOT_CONVERGED)
    assert found.status[5] == Status.CONVERGED
    if estimator.name in NETWORK_SYSTEMS:
        assert found.status[4] == Status.OUT_OF_RANGE
    failed = found.status != Status.CONVERGED
    for maps in (found.values, found.stdev):
        for values in maps.values():
            assert np.isnan(values[failed]).all()
            assert np.isfinite(values[~failed]).all()


def test_fluid_is_estimated_or_flagged_never_squeezed(estimator):
    protocol = make_protocol()
    ones = np.ones(50)
    cycles = signal(4.0 * ones, 1.5 * ones, b1=ones, off_resonance=np.linspace(-100, 100, 50), protocol=protocol)
    found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=ones))
    converged = found.status == Status.CONVERGED
    assert converged.any() or (found.status == Status.OUT_OF_RANGE).all()
    if estimator.name == "linear":
        np.testing.assert_allclose(found.values["T1"], 4.0, rtol=1e-3)
    error = np.abs(found.values["T1"][converged] / 4.0 - 1)
    # A prior in which fluid is rare pulls it: the network of the in-vivo prior is a third too low there, as its remarks say.
    assert error.size == 0 or np.median(error) < (0.35 if estimator.name.endswith("in-vivo") else 0.15)


def test_uneven_increments_are_served_or_refused_by_name(estimator):
    protocol = BssfpProtocol(
        repetition_time=4.8e-3,
        echo_time=2.4e-3,
        flip_angle=0.26,
        rf_phase_increment=(0.0, 1.0, 2.0, 3.0, 4.4, 5.0),
    )
    if estimator.name in ("pinn", "ml", "linear", "planet"):
        truth, cycles, b1 = draw(300, protocol)
        found = estimator.estimate(cycles, protocol=protocol, known=KnownMaps(b1=b1))
        np.testing.assert_allclose(found.values["T1"], truth["T1"], rtol=1e-3)
        np.testing.assert_allclose(found.values["T2"], truth["T2"], rtol=1e-3)
        return
    with pytest.raises(
        ProtocolNotSupported, match=rf"evenly spaced .*estimator {estimator.name}.* found .*0\.0, 57\.3"
    ):
        estimator.check(protocol)


def test_arrays_that_do_not_belong_together_are_refused(estimator):
    protocol = make_protocol()
    with pytest.raises(ValueError, match="cycles has 8 volumes, the protocol 12 increments"):
        estimator.estimate(np.ones((5, 8), complex), protocol=protocol, known=KnownMaps(b1=np.ones(5)))
    with pytest.raises(ValueError, match="B1 map has shape"):
        estimator.estimate(np.ones((5, 12), complex), protocol=protocol, known=KnownMaps(b1=np.ones(4)))


@pytest.mark.parametrize("cycles", [3, 4, 6, 7])
def test_linear_is_free_of_aliasing_for_any_number_of_cycles(cycles):
    protocol = make_protocol(cycles, degrees=25.0)
    truth, data, b1 = draw(1000, protocol)
    found = ESTIMATORS["linear"].create(EstimatorOptions()).estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    for name in ("T1", "T2", "M0"):
        np.testing.assert_allclose(found.values[name], truth[name], rtol=2e-4)


def test_miracle_warns_of_aliasing_below_twelve_cycles():
    miracle = ESTIMATORS["miracle"].create(EstimatorOptions())
    assert miracle.remarks(make_protocol(12)) == ()
    assert "6 phase cycles: aliasing" in miracle.remarks(make_protocol(6))[0]


def test_a_paper_network_refuses_what_it_was_not_trained_for():
    network = ESTIMATORS["pinn-complex-uniform"].create(EstimatorOptions())
    for protocol in (make_protocol(8), make_protocol(12, degrees=40.0)):
        with pytest.raises(
            ProtocolNotSupported, match=r"N = 4, 6, 12 .* within 9\.0-21\.0° .*--train-missing .*--bssfp-estimator ml"
        ):
            network.check(protocol)
