"""B1 of two images: the equations against the signals they invert, their noise, and what their approximations cost."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.b1_maps import actual_flip_angle, afi_bias, double_angle, double_angle_bias
from qmri_bids.physics.b1_signals import afi_signals, spoiled_signal

ANGLE = math.radians(60.0)
B1 = np.linspace(0.4, 1.4, 21)
TIMES = (0.02, 0.1)


def test_the_double_angle_inverts_fully_relaxed_signals():
    first, second = (np.abs(spoiled_signal(n * B1 * ANGLE, t1=1.4, repetition_time=100.0)) for n in (1.0, 2.0))
    found = double_angle(first, second, flip_angle=ANGLE)
    np.testing.assert_allclose(found.b1, B1, rtol=1e-5)
    assert found.stdev is None


def test_actual_flip_angle_imaging_inverts_its_signals_where_tr_is_far_below_t1():
    first, second = afi_signals(B1 * ANGLE, t1=1e4, repetition_times=TIMES)
    found = actual_flip_angle(first, second, flip_angle=ANGLE, repetition_times=TIMES)
    np.testing.assert_allclose(found.b1, B1, rtol=1e-4)
    turned = actual_flip_angle(second, first, flip_angle=ANGLE, repetition_times=TIMES[::-1])
    np.testing.assert_allclose(turned.b1, found.b1, rtol=1e-5)


def test_the_signals_of_actual_flip_angle_imaging_are_the_steady_state_of_the_bloch_equations():
    angle, t1 = math.radians(50.0), 0.9
    mz, seen = 1.0, []
    for pulse in range(2000):
        seen.append(mz * math.sin(angle))
        delay = TIMES[pulse % 2]
        mz = 1.0 + (mz * math.cos(angle) - 1.0) * math.exp(-delay / t1)
    expected = afi_signals(angle, t1=t1, repetition_times=TIMES)
    np.testing.assert_allclose(seen[-2:], expected, rtol=1e-9)


def test_the_first_order_costs_less_than_a_percent_in_the_brain():
    for t1 in (0.9, 1.4):
        assert -0.005 < afi_bias(flip_angle=ANGLE, repetition_times=TIMES, t1=t1) < 0.0
    assert afi_bias(flip_angle=ANGLE, repetition_times=(0.05, 0.25), t1=0.9) < -0.007


def test_a_short_tr_makes_the_double_angle_too_large():
    assert double_angle_bias(flip_angle=ANGLE, repetition_time=1.5, t1=1.4) > 0.1
    assert double_angle_bias(flip_angle=ANGLE, repetition_time=10.0, t1=1.4) < 1e-3


@pytest.mark.parametrize("method", ["double angle", "actual flip angle"])
def test_the_standard_deviation_is_that_of_repeated_scans(method):
    rng, noise, b1 = np.random.default_rng(0), 0.005, 0.9
    if method == "double angle":
        pair = [np.abs(spoiled_signal(n * b1 * ANGLE, t1=1.0, repetition_time=50.0)) for n in (1.0, 2.0)]
        noisy = [each + noise * rng.standard_normal(40_000) for each in pair]
        found = double_angle(*noisy, flip_angle=ANGLE, noise=noise)
    else:
        pair = [each * 5.0 for each in afi_signals(b1 * ANGLE, t1=1.0, repetition_times=TIMES)]
        noisy = [each + noise * rng.standard_normal(40_000) for each in pair]
        found = actual_flip_angle(*noisy, flip_angle=ANGLE, repetition_times=TIMES, noise=noise)
    assert np.std(found.b1) == pytest.approx(float(np.median(found.stdev)), rel=0.03)


def test_what_belongs_to_no_flip_angle_has_no_value():
    found = double_angle(np.array([1.0, 0.0, 1.0]), np.array([2.5, 1.0, 1.0]), flip_angle=ANGLE, noise=0.01)
    assert np.isnan(found.b1).tolist() == [True, True, False]
    assert np.isnan(found.stdev).tolist() == [True, True, False]


def test_equal_repetition_times_tell_nothing():
    with pytest.raises(ValueError, match="needs two different repetition times"):
        actual_flip_angle(np.ones(1), np.ones(1), flip_angle=ANGLE, repetition_times=(0.02, 0.02))
