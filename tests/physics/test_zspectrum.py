"""Equations of MT and CEST maps: inverses of their signals, limits and symmetries."""

import math

import numpy as np
import pytest
from spoiled_gradient_echo import spoiled_signal

from qmri_bids.physics.zspectrum import (
    apparent_exchange_relaxation,
    dual_angle_relaxation,
    lorentzian,
    lorentzian_spectrum,
    magnetization_transfer_ratio,
    mt_saturation,
)

RATES = 1.0 / np.linspace(0.4, 4.5, 20)


def test_spoiled_signal_is_the_steady_state_of_its_own_recursion():
    angle, tr, saturation, rate = math.radians(12.0), 0.025, 0.03, 0.9
    z = 1.0
    for _ in range(5000):
        z = 1.0 + (z * math.cos(angle) * (1.0 - saturation) - 1.0) * math.exp(-tr * rate)
    found = spoiled_signal(1.0, np.array(rate), flip_angle=angle, repetition_time=tr, mt_saturation=saturation)
    assert float(found) == pytest.approx(z * math.sin(angle), rel=1e-12)


@pytest.mark.parametrize("repetition_times", [(0.025, 0.025), (0.024, 0.0185)])
def test_dual_angle_relaxation_inverts_the_equation_of_ernst(repetition_times):
    angles = math.radians(6.0), math.radians(21.0)
    signals = [
        spoiled_signal(300.0, RATES, flip_angle=angle, repetition_time=tr)
        for angle, tr in zip(angles, repetition_times, strict=True)
    ]
    rate, amplitude = dual_angle_relaxation(*signals, flip_angles=angles, repetition_times=repetition_times)
    np.testing.assert_allclose(rate, RATES, rtol=1e-3)
    np.testing.assert_allclose(amplitude, 300.0, rtol=1e-4)


def test_mt_saturation_is_that_of_the_signal_to_first_order_in_the_repetition_time():
    angle = math.radians(6.0)
    error = []
    for tr in (0.025, 0.0025):
        saturation = 1.2 * tr
        signal = spoiled_signal(1.0, RATES, flip_angle=angle, repetition_time=tr, mt_saturation=saturation)
        found = mt_saturation(signal, relaxation_rate=RATES, amplitude=1.0, flip_angle=angle, repetition_time=tr)
        error.append(np.abs(found / saturation - 1.0 + 0.25 * angle**2).max())
    assert error[0] < 0.04
    assert error[1] < 0.12 * error[0]


def test_mt_saturation_without_saturation_is_nothing():
    angle, tr = math.radians(8.0), 0.02
    signal = spoiled_signal(7.0, RATES, flip_angle=angle, repetition_time=tr)
    found = mt_saturation(signal, relaxation_rate=RATES, amplitude=7.0, flip_angle=angle, repetition_time=tr)
    assert np.abs(found).max() < 1e-5


def test_magnetization_transfer_ratio_has_its_limits():
    np.testing.assert_allclose(
        magnetization_transfer_ratio(np.array([0.0, 50.0, 100.0]), np.array(100.0)), [1.0, 0.5, 0.0]
    )


def test_lorentzian_is_symmetric_and_half_as_high_half_a_width_off():
    offsets = np.array([-1.0, 0.0, 1.0]) + 3.5
    np.testing.assert_allclose(lorentzian(offsets, amplitude=0.2, width=2.0, position=3.5), [0.1, 0.2, 0.1])


def test_spectrum_shifts_with_its_pools_and_takes_offsets_by_voxel():
    offsets = np.linspace(-5.0, 5.0, 11)
    pools = {"amplitude": np.array([[0.8, 0.1], [0.7, 0.05]]), "width": np.array([[1.5, 3.0], [1.0, 2.0]])}
    position = np.array([[0.0, 3.5], [0.0, 3.5]])
    still = lorentzian_spectrum(offsets, position=position, **pools)
    shift = np.array([0.3, -0.2])[:, None]
    moved = lorentzian_spectrum(offsets + shift, position=position + shift, **pools)
    assert still.shape == (2, 11)
    np.testing.assert_allclose(moved, still, rtol=1e-12)
    assert lorentzian_spectrum(np.array([1e6]), position=position, baseline=0.9, **pools) == pytest.approx(0.9)


def test_exchange_relaxation_does_not_know_the_water_line():
    """Inverse Z adds rates: R_ex is the rate that was put in, whatever saturation is under it and whatever T1."""
    water, exchange = np.linspace(0.0, 3.0, 7), 0.4
    for t1 in (0.8, 1.6):
        reference = 1.0 / (1.0 + t1 * water)
        label = 1.0 / (1.0 + t1 * (water + exchange))
        np.testing.assert_allclose(apparent_exchange_relaxation(label, reference, np.array(t1)), exchange, rtol=1e-12)
        halved = apparent_exchange_relaxation(label, reference, np.array(t1), duty_cycle=0.5)
        np.testing.assert_allclose(halved, 2.0 * exchange, rtol=1e-12)
