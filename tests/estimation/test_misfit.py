"""What the model leaves beyond noise: silent on scans that follow it, heard where they do not. Signals are the phantom's own."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps, Status
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.misfit import beyond_noise, model_misfit
from qmri_bids.phantom.signals.bloch.sequence import Approach, PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.reports.content import Level
from qmri_bids.scans.bssfp.outputs import misfit_light

SHAPE = (24, 20, 10)
NOISE = 0.074 / (math.sqrt(2.0) * 25.0)


def scan(cycles, *, approach=None, gain=None, seed=0):
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )
    sequence = PulseSequence(
        repetition_time=4.8e-3,
        echo_time=2.4e-3,
        flip_angle=math.radians(15.0),
        increments=protocol.rf_phase_increment,
        pulse=RfPulse.hard(),
        approach=approach,
    )
    x, y, _ = np.indices(SHAPE)
    off_resonance = (8.0 * x + 2.0 * y - 110.0).ravel()
    white = (x % 12 < 6).ravel()
    t1, t2 = np.where(white, 0.94, 1.4), np.where(white, 0.062, 0.085)
    data = simulate_cycles(t1, t2, 1.0, off_resonance, 0.75, sequence=sequence, gain=gain)
    drawn = np.random.default_rng(seed).standard_normal((2, *data.shape))
    return (data + NOISE * (drawn[0] + 1j * drawn[1])).astype(np.complex64), protocol


def judged(data, protocol):
    inside = np.ones(SHAPE, dtype=bool)
    ones = np.ones(len(data))
    found = MaximumLikelihood().estimate(data, protocol=protocol, known=KnownMaps(b1=ones, inside=inside))
    left = model_misfit(data, found, b1=ones, protocol=protocol, inside=inside)
    return found, left


def light_of(found, left):
    return misfit_light(
        {"misfit_shared": np.array(left.shared), "misfit_by_cycle": left.by_cycle, "status": found.status},
        increments=tuple(math.pi * (2 * index + 1) / len(left.by_cycle) for index in range(len(left.by_cycle))),
    )


@pytest.mark.parametrize("cycles", [4, 6, 12])
def test_a_scan_that_follows_the_model_has_nothing_in_common(cycles):
    found, left = judged(*scan(cycles))
    assert left.shared < 0.2
    np.testing.assert_allclose(left.by_cycle, 1.0, atol=0.12 if cycles > 4 else 0.3)
    assert np.mean(found.status == Status.MISFIT) < 0.003
    assert light_of(found, left).level is Level.GOOD
    assert left.carpet.shape[1] == cycles
    # Residual of tissue that is fitted, over the noise: its degrees of freedom are missing.
    assert np.median(found.misfit) == pytest.approx(1.0, abs=0.12)
    assert np.median(found.noise) == pytest.approx(NOISE, rel=0.06)


@pytest.mark.parametrize("cycles", [6, 12])
def test_a_cycle_that_is_low_is_named(cycles):
    gain = np.ones(cycles)
    gain[2] = 0.85
    found, left = judged(*scan(cycles, gain=gain))
    light = light_of(found, left)
    assert light.level in (Level.CHECK, Level.BAD)
    assert left.shared > 0.5
    if cycles == 12:
        assert np.argmax(left.by_cycle) == 2
        assert "cycle" in light.value
        assert "75°" in light.value


@pytest.mark.parametrize("cycles", [4, 6, 12])
def test_a_transient_that_no_single_voxel_shows_is_shared(cycles):
    approach = Approach(dummies=256, repetitions=2000, continued=True)
    found, left = judged(*scan(cycles, approach=approach))
    assert left.shared > 0.8
    assert light_of(found, left).level is Level.BAD


def test_few_voxels_say_nothing():
    data, protocol = scan(12)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[:5, :5, :4] = True
    flat = inside.ravel()
    known = KnownMaps(b1=np.ones(100), inside=inside)
    found = MaximumLikelihood().estimate(data[flat], protocol=protocol, known=known)
    assert model_misfit(data[flat], found, b1=np.ones(100), protocol=protocol, inside=inside) is None
    assert misfit_light({"status": found.status}, increments=protocol.rf_phase_increment) is None


def test_what_noise_leaves_once_in_ten_thousand_is_beyond_it():
    freedom = np.full(200_000, 7)
    residual = np.random.default_rng(1).chisquare(7, 200_000)
    found = beyond_noise(residual, signal_sum=np.full(200_000, 100.0), freedom=freedom, level=np.ones(200_000))
    assert 8 < np.count_nonzero(found) < 40
    tiny = beyond_noise(residual, signal_sum=np.full(200_000, 1e9), freedom=freedom, level=np.ones(200_000))
    assert not tiny.any()
    unknown = beyond_noise(residual, signal_sum=residual, freedom=freedom, level=np.full(200_000, np.nan))
    assert not unknown.any()
