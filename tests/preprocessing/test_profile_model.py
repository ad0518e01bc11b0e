import numpy as np
import pytest

from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.motion.predicted import ProfileModel

PROTOCOL = simulated_protocol(phase_cycles=12)


def mixtures(theta, seed=0):
    """Voxels of white matter, grey matter and fluid in random shares, of one off-resonance each and a receiver phase."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet((1.0, 1.0, 0.3), len(theta))
    total = np.zeros((len(theta), 12), dtype=complex)
    for share, t1, t2 in zip(shares.T, (0.9, 1.4, 4.0), (0.06, 0.09, 1.5), strict=True):
        one = np.ones(len(theta))
        total += share[:, None] * signal(
            t1 * one, t2 * one, b1=one, off_resonance=theta / (2 * np.pi * PROTOCOL.repetition_time), protocol=PROTOCOL
        )
    return total * np.exp(1j * rng.uniform(-np.pi, np.pi, len(theta)))[:, None]


def test_mixtures_of_tissues_leave_no_residual_whatever_their_off_resonance():
    theta = np.linspace(-np.pi, np.pi, 200)
    voxels = mixtures(theta)
    fit = ProfileModel(PROTOCOL, components=5).fit(voxels, iterations=10)
    scale = np.sqrt(np.mean(np.abs(voxels) ** 2))
    assert np.sqrt(np.mean(fit.residual.astype(float) ** 2)) < 4e-3 * scale
    np.testing.assert_allclose(np.angle(np.exp(1j * (fit.angles[1] - theta))), 0.0, atol=0.02)


def test_noise_outside_the_space_remains_and_inside_it_does_not():
    rng = np.random.default_rng(1)
    noise = 2e-3
    voxels = mixtures(rng.uniform(-np.pi, np.pi, 4000))
    voxels = voxels + noise * (rng.standard_normal(voxels.shape) + 1j * rng.standard_normal(voxels.shape))
    fit = ProfileModel(PROTOCOL, components=5).fit(voxels, iterations=8)
    expected = noise**2 * (24 - 7)
    assert np.median(np.sum(fit.residual.astype(float) ** 2, axis=1)) == pytest.approx(expected, rel=0.15)
    overlap = fit.tangent.swapaxes(1, 2) @ fit.residual[..., None]
    assert np.abs(overlap).max() < 1e-3 * noise * 24 + 1e-6


def test_uneven_or_few_increments_are_refused():
    uneven = BssfpProtocol(
        repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.26, rf_phase_increment=(0.0, 1.0, 2.0, 3.5, 4.0, 5.0)
    )
    with pytest.raises(ValueError, match="evenly spaced"):
        ProfileModel(uneven, components=3)
    with pytest.raises(ValueError, match="leave no residual"):
        ProfileModel(simulated_protocol(phase_cycles=3), components=4)
