"""Phase that differs between cycles is found by the residuals of the model, and nothing is found where there is none."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.base import KnownMaps
from qmri_bids.estimation.bssfp.linear import Linear
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.phase_drift import remove_phase_drift

SHAPE = (24, 28, 22)


def brain(cycles: int, *, snr: float = 25.0, seed: int = 0):
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
    )
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size) for size in SHAPE], indexing="ij")
    mask = x**2 + y**2 + z**2 < 1
    grey = np.sin(7 * x) + np.sin(6 * y) + np.sin(8 * z) > 0
    t1, t2 = np.where(grey, 1.4, 0.939), np.where(grey, 0.085, 0.062)
    b1 = 1.15 - 0.3 * (x**2 + y**2)
    data = signal(t1, t2, b1=b1, off_resonance=40 * x + 30 * y * z, protocol=protocol, m0=np.where(mask, 1.0, 0.0))
    noise = rng.normal(size=(*data.shape, 2)).view(complex)[..., 0] * 0.074 / (math.sqrt(2) * snr)
    return protocol, data + noise, mask, b1, {"T1": t1, "T2": t2}


def drift(cycles: int, size: float, seed: int = 1) -> np.ndarray:
    """A smooth phase for every cycle [rad], of zero mean over the cycles."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, z, x**2, y**2, z**2], axis=-1)
    coefficients = size * rng.normal(size=(7, cycles))
    return terms @ (coefficients - coefficients.mean(axis=1, keepdims=True))


def bias(protocol: BssfpProtocol, cycles: np.ndarray, mask: np.ndarray, b1: np.ndarray, truth: dict) -> float:
    found = Linear().estimate(cycles[mask], protocol=protocol, known=KnownMaps(b1=b1[mask]))
    return max(abs(np.nanmedian(found.values[name] / truth[name][mask]) - 1) for name in ("T1", "T2"))


@pytest.mark.parametrize("cycles", [6, 12])
def test_a_drift_is_found_and_the_bias_gone(cycles: int) -> None:
    protocol, data, mask, b1, truth = brain(cycles)
    phase = drift(cycles, 0.01)
    result = remove_phase_drift(data * np.exp(1j * phase), mask=mask, b1=b1, protocol=protocol)
    ratio = np.angle(result.cycles[mask] * np.conj(data[mask]))
    left = ratio - ratio.mean(axis=1, keepdims=True)
    assert np.sqrt(np.mean(left**2)) < 0.15 * np.sqrt(np.mean(phase[mask] ** 2))
    assert "mrad" in result.decisions[0]
    clean = bias(protocol, data, mask, b1, truth)
    assert bias(protocol, data * np.exp(1j * phase), mask, b1, truth) > clean + 0.006
    assert bias(protocol, result.cycles, mask, b1, truth) < clean + 0.005


def test_nothing_is_found_where_there_is_none() -> None:
    protocol, data, mask, b1, _ = brain(12)
    result = remove_phase_drift(data, mask=mask, b1=b1, protocol=protocol)
    assert result.root_mean_square.max() < 1.5e-3
    assert result.warnings == ()


def test_large_phase_differences_are_said_and_left_alone() -> None:
    protocol, data, mask, b1, _ = brain(12)
    wild = data * np.exp(1j * drift(12, 0.4))
    result = remove_phase_drift(wild, mask=mask, b1=b1, protocol=protocol)
    assert "was not corrected" in result.decisions[0]
    assert "RFPhaseIncrement is in the order of the volumes" in result.warnings[0]
    np.testing.assert_allclose(result.cycles, wild.astype(np.complex64))


def test_too_few_cycles_are_said() -> None:
    protocol, data, mask, b1, _ = brain(3)
    result = remove_phase_drift(data, mask=mask, b1=b1, protocol=protocol)
    assert "too few cycles" in result.decisions[0]
    np.testing.assert_allclose(result.cycles, data.astype(np.complex64))
