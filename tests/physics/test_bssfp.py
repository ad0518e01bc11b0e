"""The bSSFP signal against a brute-force Bloch simulation, its limits and symmetries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qmri_bids.physics.bssfp import (
    amplitude,
    configuration_amplitudes,
    configurations,
    natural_coordinates,
    profile,
    relaxation_times,
    signal,
)
from qmri_bids.physics.protocol import BssfpProtocol


def make_protocol(cycles=12, *, tr=4.8e-3, te=2.4e-3, degrees=15.0):
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=tr, echo_time=te, flip_angle=math.radians(degrees)
    )


def bloch_steady_state(t1, t2, off_resonance, flip_angle, protocol, increment):
    """Pulse by pulse: rotation about the axis of the pulse, relaxation and precession; the receiver follows the pulse."""

    def rotation_z(angle):
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    c, s = math.cos(flip_angle), math.sin(flip_angle)
    rotation_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])

    def free(time):
        decay = np.diag([math.exp(-time / t2), math.exp(-time / t2), math.exp(-time / t1)])
        return decay @ rotation_z(2 * math.pi * off_resonance * time), np.array([0, 0, 1 - math.exp(-time / t1)])

    advance, recovery = free(protocol.repetition_time)
    # In the frame that turns with the phase of the pulse, one period is: pulse, free precession, turn back by the increment.
    period = rotation_z(-increment) @ advance @ rotation_x
    before = np.linalg.solve(np.eye(3) - period, rotation_z(-increment) @ recovery)
    advance, recovery = free(protocol.echo_time)
    at_echo = advance @ rotation_x @ before + recovery
    return complex(at_echo[0], at_echo[1])


@pytest.mark.parametrize(("t1", "t2"), [(0.939, 0.062), (1.4, 0.085), (4.0, 1.5), (0.36, 0.36)])
@pytest.mark.parametrize("off_resonance", [0.0, 31.0, -97.0])
def test_signal_is_the_bloch_steady_state(t1, t2, off_resonance):
    protocol = make_protocol()
    expected = np.array(
        [
            bloch_steady_state(t1, t2, off_resonance, 0.9 * protocol.flip_angle, protocol, increment)
            for increment in protocol.rf_phase_increment
        ]
    )
    found = signal(
        np.array(t1), np.array(t2), b1=np.array(0.9), off_resonance=np.array(off_resonance), protocol=protocol
    )
    # The rotation about +x puts the transverse magnetisation along -y: one constant phase that belongs to the receiver.
    receiver = np.vdot(found, expected) / np.vdot(found, found)
    assert abs(abs(receiver) - 1.0) < 1e-10
    np.testing.assert_allclose(found * receiver, expected, atol=1e-10 * np.abs(expected).max())


@settings(max_examples=50, deadline=None)
@given(
    t1=st.floats(0.1, 5.0),
    ratio=st.floats(0.01, 0.99),
    b1=st.floats(0.5, 1.5),
    degrees=st.floats(5.0, 60.0),
    tr=st.floats(3e-3, 12e-3),
)
def test_natural_coordinates_invert(t1, ratio, b1, degrees, tr):
    protocol = make_protocol(tr=tr, te=tr / 2, degrees=degrees)
    t2 = t1 * ratio
    e2, b = natural_coordinates(np.array(t1), np.array(t2), b1=np.array(b1), protocol=protocol)
    assert 0 < e2 < 1
    assert 0 < b < 1
    found = relaxation_times(e2, b, b1=np.array(b1), protocol=protocol)
    np.testing.assert_allclose(found, (t1, t2), rtol=1e-7)


def test_no_relaxation_time_is_invented_where_there_is_none():
    t1, t2 = relaxation_times(
        np.array([0.9, 0.9, 1.1]), np.array([0.999, -0.1, 0.5]), b1=np.ones(3), protocol=make_protocol()
    )
    assert np.isnan(t1[:2]).all()
    assert np.isnan(t2[2])


def test_signal_is_amplitude_times_profile_and_linear_in_m0():
    protocol = make_protocol(7)
    t1, t2, b1, off = (np.array([each]) for each in (1.4, 0.085, 1.1, 40.0))
    e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
    theta = 2 * math.pi * protocol.repetition_time * off
    product = amplitude(t1, t2, b1=b1, off_resonance=off, protocol=protocol)[:, None] * profile(
        e2, b, theta, rf_phase_increment=protocol.rf_phase_increment
    )
    m0 = np.array([3.0 * np.exp(0.4j)])
    found = signal(t1, t2, b1=b1, off_resonance=off, m0=m0, protocol=protocol)
    np.testing.assert_allclose(found, m0[:, None] * product, rtol=1e-12)


def test_off_resonance_of_one_increment_shifts_the_cycles_by_one():
    protocol = make_protocol(12)
    values = {"b1": np.array(1.0), "protocol": protocol}
    step = 1.0 / (12 * protocol.repetition_time)
    here = signal(np.array(0.9), np.array(0.06), off_resonance=np.array(0.0), **values)
    shifted = signal(np.array(0.9), np.array(0.06), off_resonance=np.array(step), **values)
    np.testing.assert_allclose(np.abs(shifted), np.roll(np.abs(here), 1), rtol=1e-10)


def test_opposite_off_resonance_conjugates_and_mirrors_the_cycles():
    protocol = make_protocol(12)
    values = {"b1": np.array(1.0), "protocol": protocol}
    plus = signal(np.array(0.9), np.array(0.06), off_resonance=np.array(27.0), **values)
    minus = signal(np.array(0.9), np.array(0.06), off_resonance=np.array(-27.0), **values)
    np.testing.assert_allclose(minus, plus[::-1].conj(), rtol=1e-10)


def test_configurations_reach_their_closed_form_and_signs():
    protocol = make_protocol(96)
    t1, t2, b1 = np.array([0.939, 1.4]), np.array([0.062, 0.085]), np.array([1.0, 0.8])
    off_resonance = np.array([13.0, -60.0])
    cycles = signal(t1, t2, b1=b1, off_resonance=off_resonance, protocol=protocol)
    orders = (-2, -1, 0, 1, 2)
    found = configurations(cycles, rf_phase_increment=protocol.rf_phase_increment, orders=orders)
    theta = 2 * math.pi * protocol.repetition_time * off_resonance
    phase = np.exp(1j * theta[:, None] * (np.array(orders) + protocol.echo_time / protocol.repetition_time))
    amplitudes = configuration_amplitudes(t1, t2, b1=b1, protocol=protocol, orders=orders)
    np.testing.assert_allclose(found, amplitudes * phase, atol=1e-9)
    assert (amplitudes[:, 1] < 0).all()
    assert (amplitudes[:, 2:4] > 0).all()


@pytest.mark.parametrize(("cycles", "aliasing"), [(12, 5e-5), (6, 0.02), (4, 0.15)])
def test_aliasing_of_f0_in_white_matter(cycles, aliasing):
    protocol = make_protocol(cycles)
    off_resonance = np.linspace(-100, 100, 41)
    ones = np.ones_like(off_resonance)
    data = signal(0.939 * ones, 0.062 * ones, b1=ones, off_resonance=off_resonance, protocol=protocol)
    f0 = configurations(data, rf_phase_increment=protocol.rf_phase_increment, orders=(0,))[:, 0]
    limit = configuration_amplitudes(
        np.array(0.939), np.array(0.062), b1=np.array(1.0), protocol=protocol, orders=(0,)
    )[0]
    error = np.max(np.abs(np.abs(f0) - limit)) / limit
    assert aliasing / 10 < error < aliasing


def test_torch_and_numpy_agree_and_torch_differentiates():
    protocol = make_protocol()
    arguments = {"t1": 0.939, "t2": 0.062, "b1": 1.0, "off_resonance": 20.0}
    by_numpy = signal(
        np.array(arguments["t1"]),
        np.array(arguments["t2"]),
        b1=np.array(arguments["b1"]),
        off_resonance=np.array(arguments["off_resonance"]),
        protocol=protocol,
    )
    t1, t2, b1, off = (torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in arguments.values())
    by_torch = signal(t1, t2, b1=b1, off_resonance=off, protocol=protocol)
    np.testing.assert_allclose(by_torch.detach().numpy(), by_numpy, rtol=1e-13)
    assert torch.autograd.gradcheck(
        lambda *each: torch.view_as_real(
            signal(each[0], each[1], b1=each[2], off_resonance=each[3], protocol=protocol)
        ),
        (t1, t2, b1, off),
    )


def test_configurations_refuse_a_wrong_number_of_increments():
    with pytest.raises(ValueError, match="12 volumes on its last axis, rf_phase_increment 3"):
        configurations(np.ones((2, 12), complex), rf_phase_increment=(0.0, 1.0, 2.0), orders=(0,))
