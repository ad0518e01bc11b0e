"""The WASABI signal: the Bloch equations without relaxation, symmetries, and refusals."""

import math

import numpy as np
import pytest

from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal

OFFSETS = tuple(np.linspace(-255.0, 255.0, 31))
PROTOCOL = WasabiProtocol(offsets=OFFSETS)


def test_ideal_signal_is_a_rotation_about_the_effective_field():
    """Mz after a rectangular pulse, by Rodrigues' rotation of the equilibrium about (f1, 0, Δ)."""
    off_resonance, b1 = 37.0, 0.8
    nutation = b1 * PROTOCOL.nutation_frequency
    for offset, z in zip(OFFSETS, wasabi_signal(np.array(off_resonance), np.array(b1), protocol=PROTOCOL), strict=True):
        field = np.array([nutation, 0.0, off_resonance - offset])
        norm = np.linalg.norm(field)
        angle = 2.0 * math.pi * norm * PROTOCOL.pulse_duration
        along = field[2] / norm
        assert z == pytest.approx(abs(math.cos(angle) + (1.0 - math.cos(angle)) * along**2), abs=1e-12)


def test_signal_moves_with_water_and_is_even_about_it():
    rng = np.random.default_rng(0)
    shift, b1 = rng.uniform(-50.0, 50.0, 5), rng.uniform(0.5, 1.5, 5)
    moved = WasabiProtocol(offsets=tuple(offset + 20.0 for offset in OFFSETS))
    mirrored = WasabiProtocol(offsets=tuple(-offset for offset in OFFSETS))
    here = wasabi_signal(shift, b1, c=0.8, d=1.5, protocol=PROTOCOL)
    np.testing.assert_allclose(wasabi_signal(shift + 20.0, b1, c=0.8, d=1.5, protocol=moved), here, atol=1e-12)
    np.testing.assert_allclose(wasabi_signal(-shift, b1, c=0.8, d=1.5, protocol=mirrored), here, atol=1e-12)


def test_far_off_resonance_the_pulse_does_nothing():
    far = WasabiProtocol(offsets=(1e6, 2e6, 3e6, 4e6, 5e6))
    np.testing.assert_allclose(wasabi_signal(np.zeros(1), np.ones(1), c=0.7, d=1.4, protocol=far), 0.7, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": (1.0, 2.0, 3.0, 3.0, 2.0)}, "at least 5 different values"),
        ({"offsets": (1.0, 2.0, 3.0, 4.0, math.inf)}, "must be finite"),
        ({"b1_nominal": 3.7}, "b1_nominal must lie in"),
        ({"pulse_duration": 0.0}, "pulse_duration must lie in"),
    ],
)
def test_impossible_protocols_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        WasabiProtocol(**{"offsets": OFFSETS, **changes})
