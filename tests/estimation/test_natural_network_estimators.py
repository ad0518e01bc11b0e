"""The protocol-free network: one set of weights for every protocol, refined to maximum likelihood."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps, ProtocolNotSupported, Status
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.profile_network import UNEVEN, BareNaturalNetwork, RefinedNaturalNetwork
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol

NOISE_REFERENCE = 0.074


def make_protocol(cycles, *, tr=4.8e-3, degrees=15.0, increments=None):
    made = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=tr, echo_time=tr / 2, flip_angle=math.radians(degrees)
    )
    if increments is None:
        return made
    return BssfpProtocol(
        repetition_time=tr, echo_time=tr / 2, flip_angle=made.flip_angle, rf_phase_increment=tuple(increments)
    )


def draw(number, protocol, *, snr=math.inf, seed=0):
    rng = np.random.default_rng(seed)
    t1, t2 = rng.uniform(0.36, 2.08, number), rng.uniform(0.02, 0.12, number)
    b1 = rng.uniform(0.7, 1.3, number)
    off_resonance = rng.uniform(-0.5, 0.5, number) / protocol.repetition_time
    cycles = signal(t1, t2, b1=b1, off_resonance=off_resonance, protocol=protocol)
    noise = rng.normal(size=(*cycles.shape, 2)).view(complex)[..., 0]
    return t1, t2, b1, cycles + NOISE_REFERENCE / (math.sqrt(2) * snr) * noise


@pytest.fixture(scope="module")
def bare():
    return BareNaturalNetwork()


@pytest.fixture(scope="module")
def refined():
    return RefinedNaturalNetwork()


@pytest.mark.parametrize(("cycles", "limit"), [(12, 0.010), (6, 0.015), (4, 0.025)])
def test_bare_network_without_noise_over_the_whole_circle(bare, cycles, limit):
    protocol = make_protocol(cycles)
    t1, t2, b1, data = draw(20_000, protocol)
    found = bare.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    assert np.mean(found.status == Status.CONVERGED) == 1.0
    assert np.mean(np.abs(found.values["T1"] / t1 - 1)) < limit
    assert np.mean(np.abs(found.values["T2"] / t2 - 1)) < limit


@pytest.mark.parametrize(
    ("cycles", "tr", "degrees"), [(8, 8e-3, 35.0), (10, 3.4e-3, 8.0), (5, 10e-3, 50.0), (18, 4.8e-3, 15.0)]
)
def test_the_same_weights_serve_other_protocols(bare, cycles, tr, degrees):
    protocol = make_protocol(cycles, tr=tr, degrees=degrees)
    t1, t2, b1, data = draw(5_000, protocol)
    found = bare.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    good = found.status == Status.CONVERGED
    assert good.mean() > 0.98
    assert np.mean(np.abs(found.values["T1"] / t1 - 1)[good]) < 0.04
    assert np.mean(np.abs(found.values["T2"] / t2 - 1)[good]) < 0.03


@pytest.mark.parametrize("cycles", [12, 6, 4])
def test_refined_is_maximum_likelihood(refined, cycles):
    protocol = make_protocol(cycles)
    _, _, b1, data = draw(3_000, protocol, snr=25)
    found = refined.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    expected = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    both = (found.status == Status.CONVERGED) & (expected.status == Status.CONVERGED)
    assert both.mean() > 0.995
    for name in ("T1", "T2", "M0"):
        # Both stop within about a hundredth of a standard deviation of the optimum.
        deviation = np.abs(found.values[name] - expected.values[name]) / expected.stdev[name]
        assert np.quantile(deviation[both], 0.999) < 0.03


def test_uneven_increments_begin_at_the_linear_solution_and_say_so(refined, bare):
    protocol = make_protocol(5, increments=(0.1, 1.5, 2.4, 4.1, 5.9))
    assert refined.remarks(protocol) == (UNEVEN,)
    assert refined.remarks(make_protocol(5)) == ()
    t1, t2, b1, data = draw(500, protocol)
    found = refined.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
    np.testing.assert_allclose(found.values["T1"], t1, rtol=1e-4)
    np.testing.assert_allclose(found.values["T2"], t2, rtol=1e-4)
    with pytest.raises(ProtocolNotSupported, match="3 to 18 evenly spaced RF phase increments"):
        bare.check(protocol)


def test_a_flip_angle_beyond_the_training_is_refused(refined, bare):
    protocol = make_protocol(8, degrees=85.0)
    for estimator in (refined, bare):
        with pytest.raises(ProtocolNotSupported, match=r"4-75°.*found 85\.0°.*--bssfp-estimator ml"):
            estimator.check(protocol)


def test_an_actual_flip_angle_beyond_the_training_is_flagged(refined):
    protocol = make_protocol(12, degrees=70.0)
    _, _, _, data = draw(50, protocol)
    found = refined.estimate(data, protocol=protocol, known=KnownMaps(b1=np.full(50, 1.2)))
    assert set(found.status) == {Status.OUT_OF_RANGE}


def test_b1_uncertainty_widens_t1_and_leaves_t2(refined, bare):
    protocol = make_protocol(12)
    _, _, b1, data = draw(200, protocol, snr=50)
    for estimator in (refined, bare):
        exact = estimator.estimate(data, protocol=protocol, known=KnownMaps(b1=b1))
        uncertain = estimator.estimate(data, protocol=protocol, known=KnownMaps(b1=b1, b1_stdev=np.full(len(b1), 0.05)))
        nudged = estimator.estimate(data, protocol=protocol, known=KnownMaps(b1=b1 + 1e-4))
        slope = (nudged.values["T1"].astype(float) - exact.values["T1"]) / 1e-4
        expected = np.hypot(exact.stdev["T1"], 0.05 * slope)
        np.testing.assert_allclose(uncertain.stdev["T1"], expected, rtol=0.03)
        np.testing.assert_allclose(uncertain.stdev["T2"], exact.stdev["T2"], rtol=1e-6)
