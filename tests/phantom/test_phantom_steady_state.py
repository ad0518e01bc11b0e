"""The signals of the phantom against brute force: pulses and pauses as matrices, repeated until nothing changes."""

import math

import numpy as np
import pytest

from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.signals.steady_state import balanced_signal, interleaved_echoes, spoiled_echo
from qmri_bids.physics import bssfp
from qmri_bids.physics.b1_signals import afi_signals, spoiled_signal

REPETITION_TIME, ECHO_TIME = 4.8e-3, 1.9e-3
INCREMENTS = np.deg2rad([0.0, 30.0, 100.0, 180.0, 271.0])


def _turn_about_z(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _turn_about_x(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _affine(matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = matrix, shift
    return out


def _pause(time: float, *, t1: float, t2: float, frequency: float) -> np.ndarray:
    """Relaxation and precession, positive for positive off-resonance."""
    decay = np.diag([math.exp(-time / t2), math.exp(-time / t2), math.exp(-time / t1)])
    rest = np.array([0.0, 0.0, 1.0 - math.exp(-time / t1)])
    return _affine(_turn_about_z(2.0 * math.pi * frequency * time) @ decay, rest)


def _brute_force(*, t1: float, t2: float, angle: float, frequency: float, increment: float) -> complex:
    """Magnetisation at the echo after many pulses, seen by a receiver that follows their phase; M0 = 1.

    In the frame of the pulses the phase increment is a turn by its negative in every repetition; doubling the matrix forty times
    plays 2^40 of them. A pulse about x turns z to -y, which this receiver calls its real axis.
    """
    cycle = _affine(_turn_about_z(-increment), np.zeros(3)) @ _pause(REPETITION_TIME, t1=t1, t2=t2, frequency=frequency)
    pulse = _affine(_turn_about_x(angle), np.zeros(3))
    train = pulse @ cycle
    for _ in range(40):
        train = train @ train
    after = train @ np.array([0.0, 0.0, 1.0, 1.0])
    x, y, *_ = _pause(ECHO_TIME, t1=t1, t2=t2, frequency=frequency) @ after
    return complex(x, y) * 1j


@pytest.mark.parametrize(("t1", "t2"), [(0.9, 0.06), (4.0, 1.5), (0.371, 0.133), (0.1, 0.01), (2.0, 0.6)])
@pytest.mark.parametrize("frequency", [0.0, 37.0, -434.0 + 61.0])
def test_balanced_signal_is_that_of_matrices(t1, t2, frequency):
    b1, angle = 0.83, math.radians(15.0)
    one = np.ones(1, dtype=np.float32)
    found = balanced_signal(
        np.float32(t1) * one,
        np.float32(t2) * one,
        np.float32(b1) * one,
        np.float32(frequency) * one,
        one.astype(np.complex64),
        REPETITION_TIME,
        ECHO_TIME,
        angle,
        INCREMENTS,
    )
    expected = [
        _brute_force(t1=t1, t2=t2, angle=b1 * angle, frequency=frequency, increment=increment)
        for increment in INCREMENTS
    ]
    np.testing.assert_allclose(found[0], expected, atol=2e-6)


def test_balanced_signal_agrees_with_that_of_the_estimators():
    rng = np.random.default_rng(0)
    protocol = simulated_protocol(phase_cycles=12)
    t1 = rng.uniform(0.1, 4.0, 500).astype(np.float32)
    t2 = (t1 * rng.uniform(0.02, 0.9, 500)).astype(np.float32)
    b1, frequency = rng.uniform(0.7, 1.25, 500).astype(np.float32), rng.uniform(-900.0, 900.0, 500).astype(np.float32)
    m0 = np.exp(1j * rng.uniform(0.0, 6.0, 500)).astype(np.complex64)
    found = balanced_signal(
        t1,
        t2,
        b1,
        frequency,
        m0,
        protocol.repetition_time,
        protocol.echo_time,
        protocol.flip_angle,
        np.array(protocol.rf_phase_increment),
    )
    doubles = (each.astype(float) for each in (t1, t2))
    expected = bssfp.signal(
        *doubles, b1=b1.astype(float), off_resonance=frequency.astype(float), m0=m0, protocol=protocol
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def _spoiled_train(angle: float, t1: float, times: tuple[float, ...]) -> list[float]:
    """Transverse magnetisation after every pulse of a train that is repeated until nothing changes; spoiling is perfect."""
    z = 1.0
    for _ in range(4000):
        seen = []
        for time in times:
            seen.append(z * math.sin(angle))
            z = 1.0 + (z * math.cos(angle) - 1.0) * math.exp(-time / t1)
    return seen


@pytest.mark.parametrize("t1", [0.3, 1.4, 4.0])
def test_spoiled_echoes_are_those_of_a_train(t1):
    angle, times = np.array(1.1), (0.02, 0.1)
    (single,) = _spoiled_train(1.1, t1, (0.03,))
    assert spoiled_echo(angle, t1=np.array(t1), repetition_time=0.03) == pytest.approx(single, rel=1e-9)
    both = interleaved_echoes(angle, t1=np.array(t1), repetition_times=times)
    assert np.array(both) == pytest.approx(_spoiled_train(1.1, t1, times), rel=1e-9)
    assert np.array(both) == pytest.approx(np.array(afi_signals(1.1, t1=t1, repetition_times=times)))
    assert single == pytest.approx(float(spoiled_signal(1.1, t1=t1, repetition_time=0.03)))
