"""Cycles without the duration of their pulses, against the steady state of the Bloch equations by steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.finite_pulse import FARTHEST
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.scans.bssfp.hard_cycles import CorrectedCycles, cycles_of_hard_pulses

SHAPE = (15, 8, 2)
VOXELS = math.prod(SHAPE)
T1 = np.where(np.arange(VOXELS) % 2, 0.94, 1.4)
T2 = np.where(np.arange(VOXELS) % 2, 0.062, 0.09)
B1 = np.tile(np.linspace(0.8, 1.2, VOXELS // 15), 15)
PLAYED = {"rect": RfPulse.rect, "sinc": RfPulse.sinc, "gauss": RfPulse.gauss}


def protocol_of(cycles: int) -> BssfpProtocol:
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )


def field(reach: float) -> np.ndarray:
    """Return an off-resonance [Hz] that grows along the first axis: over ±200 Hz it passes two periods of 1/TR."""
    return np.repeat(np.linspace(-reach, reach, SHAPE[0]), VOXELS // SHAPE[0])


def played(shape: str, duration: float, protocol: BssfpProtocol, off_resonance: np.ndarray) -> np.ndarray:
    sequence = PulseSequence(
        repetition_time=protocol.repetition_time,
        echo_time=protocol.echo_time,
        flip_angle=protocol.flip_angle,
        increments=tuple(protocol.rf_phase_increment),
        pulse=PLAYED[shape](duration),
    )
    m0 = np.full(VOXELS, 0.8 * np.exp(0.4j))
    found: np.ndarray = simulate_cycles(T1, T2, B1, off_resonance, m0, sequence=sequence).astype(np.complex64)
    return found


def corrected(cycles: np.ndarray, pulse: ExcitationPulse, protocol: BssfpProtocol) -> CorrectedCycles:
    return cycles_of_hard_pulses(
        cycles,
        b1=B1.astype(np.float32),
        inside=np.ones(SHAPE, dtype=bool),
        pulse=pulse,
        source="a test",
        protocol=protocol,
    )


def errors(cycles: np.ndarray, protocol: BssfpProtocol) -> dict[str, float]:
    """Return the largest relative error of every map of maximum likelihood."""
    found = MaximumLikelihood().estimate(cycles, protocol=protocol, known=KnownMaps(b1=B1))
    true = {"T1": T1, "T2": T2, "M0": 0.8}
    return {name: float(np.abs(found.values[name] / value - 1.0).max()) for name, value in true.items()}


@pytest.mark.parametrize("cycles", [12, 6])
@pytest.mark.parametrize(
    ("shape", "duration", "before"),
    [("rect", 0.3e-3, 0.01), ("rect", 1e-3, 0.1), ("sinc", 1e-3, 0.015), ("gauss", 2e-3, 0.02)],
)
def test_t1_of_pulses_that_take_time(shape: str, duration: float, before: float, cycles: int) -> None:
    protocol = protocol_of(cycles)
    scanned = played(shape, duration, protocol, field(200.0))
    assert errors(scanned, protocol)["T1"] > before
    found = corrected(scanned, ExcitationPulse.of(shape, duration), protocol)
    assert found.changed.all()
    after = errors(found.cycles, protocol)
    assert after["T1"] < 0.005
    assert max(after["T2"], after["M0"]) < 0.002


def test_pulses_of_no_length_change_nothing() -> None:
    protocol = protocol_of(6)
    ones = np.ones(VOXELS)
    scanned = signal(T1, T2, b1=B1, off_resonance=20.0 * ones, protocol=protocol).astype(np.complex64)
    found = corrected(scanned, ExcitationPulse.of("rect", 1e-5), protocol)
    np.testing.assert_allclose(found.cycles, scanned, rtol=1e-3)


def test_samples_are_the_shape_that_they_sample() -> None:
    protocol = protocol_of(6)
    scanned = played("sinc", 1e-3, protocol, field(200.0))
    time = (np.arange(400) + 0.5) / 400 - 0.5
    samples = np.sinc(2.7 * time) * np.square(np.cos(np.pi * time))
    pulse = ExcitationPulse.from_samples(7.0 * samples, 1e-3, name="400 samples of 1 ms")
    assert errors(corrected(scanned, pulse, protocol).cycles, protocol)["T1"] < 0.005
    assert pulse.form == "400 samples"


def test_what_a_pulse_hardly_excites_has_no_value() -> None:
    protocol = protocol_of(6)
    scanned = played("rect", 2e-3, protocol, field(300.0))
    found = corrected(scanned, ExcitationPulse.of("rect", 2e-3), protocol)
    far = np.abs(field(300.0)) * 2e-3 > FARTHEST
    assert far.any()
    assert not found.changed[far].any()
    assert np.isnan(found.told[far]).all()
    before = MaximumLikelihood().estimate(found.cycles, protocol=protocol, known=KnownMaps(b1=B1))
    after, (said,) = found.withhold(before)
    assert np.isnan(after.values["T1"][~found.changed]).all()
    assert (after.status[far] != 1).all()
    assert "beyond what the excitation pulse excites" in said
    kept = found.changed
    np.testing.assert_array_equal(after.values["T1"][kept], before.values["T1"][kept])
    assert float(np.abs(after.values["T1"][kept] / T1[kept] - 1.0).max()) < 0.005


def test_it_is_told_what_was_changed_and_by_how_much() -> None:
    protocol = protocol_of(6)
    found = corrected(played("rect", 1e-3, protocol, field(5.0)), ExcitationPulse.of("rect", 1e-3), protocol)
    (said,) = found.sentences
    assert said.startswith("The excitation pulse takes time (rect of 1 ms, from a test)")
    assert "to 1170 ms (-3." in said


def test_nothing_to_fit_is_told() -> None:
    protocol = protocol_of(6)
    found = corrected(np.full((VOXELS, 6), np.nan, dtype=np.complex64), ExcitationPulse.of("rect", 1e-3), protocol)
    assert not found.changed.any()
    assert "could not be accounted for" in found.sentences[0]
