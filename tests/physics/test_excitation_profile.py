"""Profiles of bSSFP under pulses that take time: their limits, symmetries, and the Bloch equations by steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.bssfp import signal as hard_signal
from qmri_bids.physics.excitation.profile import PulsedProfile, pulsed_profile
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol

PROTOCOL = BssfpProtocol.evenly_spaced(
    number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.1e-3, flip_angle=math.radians(15.0)
)
"""The echo is not in the middle, so that what happens before and after it counts apart."""

PLAYED = {"rect": RfPulse.rect, "sinc": RfPulse.sinc, "gauss": RfPulse.gauss}
VOXELS = 60
T1 = np.where(np.arange(VOXELS) % 2, 0.94, 1.4)
T2 = np.where(np.arange(VOXELS) % 2, 0.062, 0.4)
B1 = np.tile(np.linspace(0.8, 1.2, 5), VOXELS // 5)
FIELD = np.linspace(-300.0, 300.0, VOXELS)


def profile(pulse: ExcitationPulse, **more: Any) -> PulsedProfile:
    given: dict[str, Any] = {"t1": T1, "t2": T2, "b1": B1, "off_resonance": FIELD, "protocol": PROTOCOL} | more
    return pulsed_profile(given.pop("t1"), given.pop("t2"), pulse=pulse, **given)


def cycles(pulse: ExcitationPulse, **more: Any) -> NDArray[np.complex128]:
    return profile(pulse, **more).signal(PROTOCOL.rf_phase_increment)


def judged(shape: str, duration: float, *, off_resonance: NDArray[np.float64] = FIELD) -> NDArray[np.complex128]:
    sequence = PulseSequence(
        repetition_time=PROTOCOL.repetition_time,
        echo_time=PROTOCOL.echo_time,
        flip_angle=PROTOCOL.flip_angle,
        increments=tuple(PROTOCOL.rf_phase_increment),
        pulse=PLAYED[shape](duration),
    )
    return simulate_cycles(T1, T2, B1, off_resonance, np.ones(VOXELS, dtype=complex), sequence=sequence)


@pytest.mark.parametrize("shape", ["rect", "sinc", "gauss"])
def test_a_pulse_of_no_length_is_a_hard_pulse(shape: str) -> None:
    """What two short pulses say of one of no duration, in a straight line."""
    hard = hard_signal(T1, T2, b1=B1, off_resonance=FIELD, protocol=PROTOCOL)
    short, longer = profile(ExcitationPulse.of(shape, 1e-5)), profile(ExcitationPulse.of(shape, 2e-5))
    none = 2.0 * short.signal(PROTOCOL.rf_phase_increment) - longer.signal(PROTOCOL.rf_phase_increment)
    np.testing.assert_allclose(none, hard, rtol=0.0, atol=1e-4 * np.abs(hard).max())
    np.testing.assert_allclose(2.0 * short.c - longer.c, np.exp(-PROTOCOL.repetition_time / T2), rtol=1e-4)


def test_the_change_grows_with_the_duration() -> None:
    """Of first order: half of the duration makes half of the change."""
    hard = hard_signal(T1, T2, b1=B1, off_resonance=FIELD, protocol=PROTOCOL)
    changes = [np.abs(cycles(ExcitationPulse.of("rect", time)) - hard).max() for time in (2e-5, 1e-5)]
    assert changes[0] / changes[1] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "duration"), [("rect", 0.3e-3), ("rect", 1e-3), ("sinc", 1e-3), ("gauss", 1e-3), ("gauss", 2e-3)]
)
def test_the_bloch_equations_by_steps_say_the_same(shape: str, duration: float) -> None:
    expected = judged(shape, duration)
    size = np.abs(expected).max(axis=1, keepdims=True)
    error = np.abs(cycles(ExcitationPulse.of(shape, duration)) - expected) / size
    assert error.max() < 2e-4
    # What the pulse does is much more.
    hard = hard_signal(T1, T2, b1=B1, off_resonance=FIELD, protocol=PROTOCOL)
    assert (np.abs(hard - expected) / size).max() > 0.015


def test_off_resonance_counts_beyond_its_period() -> None:
    pulse = ExcitationPulse.of("rect", 1e-3)
    near = np.full(VOXELS, 20.0)
    far = near + 1.0 / PROTOCOL.repetition_time
    expected = judged("rect", 1e-3, off_resonance=far)
    found = cycles(pulse, off_resonance=far)
    assert np.abs(found - expected).max() < 2e-4 * np.abs(expected).max()
    assert np.abs(np.abs(found) / np.abs(cycles(pulse, off_resonance=near)) - 1.0).max() > 0.05


@pytest.mark.parametrize("shape", ["rect", "sinc", "gauss"])
def test_field_and_increments_of_the_other_sign_give_the_mirrored_signal(shape: str) -> None:
    """A reflection of the transverse plane in the axis of magnetisation after a pulse on resonance."""
    found = profile(ExcitationPulse.of(shape, 1e-3))
    mirrored = profile(ExcitationPulse.of(shape, 1e-3), off_resonance=-FIELD)
    increments = np.asarray(PROTOCOL.rf_phase_increment)
    on_axis = profile(ExcitationPulse.of(shape, 1e-3), off_resonance=0.0 * FIELD).amplitude
    axis = on_axis / np.abs(on_axis)
    expected = np.conj(found.signal(increments) / axis[:, None])
    np.testing.assert_allclose(mirrored.signal(-increments) / axis[:, None], expected, rtol=1e-9, atol=1e-12)


def test_what_is_not_known_has_no_profile() -> None:
    for name in ("t1", "t2", "b1", "off_resonance"):
        given = {"t1": T1, "t2": T2, "b1": B1, "off_resonance": FIELD}
        given[name] = np.where(np.arange(VOXELS) == 3, np.nan, given[name])
        found = cycles(ExcitationPulse.of("rect", 1e-3), **given)
        assert np.isnan(found[3]).all(), name
        assert np.isfinite(np.delete(found, 3, axis=0)).all(), name


def test_threads_and_parts_change_nothing() -> None:
    pulse = ExcitationPulse.of("sinc", 1e-3)
    many = {
        name: np.tile(values, 100) for name, values in {"t1": T1, "t2": T2, "b1": B1, "off_resonance": FIELD}.items()
    }
    one, two = profile(pulse, **many), profile(pulse, threads=2, **many)
    np.testing.assert_array_equal(one.amplitude, two.amplitude)
    part = slice(7, 19)
    increments = PROTOCOL.rf_phase_increment
    np.testing.assert_array_equal(one[part].signal(increments), one.signal(increments)[part])


def test_a_pulse_that_reaches_the_echo_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pulse of 4.4 ms does not fit between echoes at 2.1 ms of 4.8 ms"):
        profile(ExcitationPulse.of("rect", 4.4e-3))
