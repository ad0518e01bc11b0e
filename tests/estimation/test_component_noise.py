"""The weakest components of a long series are its noise."""

import numpy as np
import pytest

from qmri_bids.estimation.component_noise import component_noise
from qmri_bids.physics.zspectrum import lorentzian_spectrum

OFFSETS = np.linspace(-4.0, 4.0, 33)


def spectra(number: int, rng: np.random.Generator) -> np.ndarray:
    draw = rng.uniform
    return 100.0 * lorentzian_spectrum(
        OFFSETS,
        amplitude=np.stack([draw(0.6, 0.9, number), draw(0.05, 0.3, number)], axis=1),
        width=np.stack([draw(1.0, 2.0, number), draw(20.0, 60.0, number)], axis=1),
        position=np.stack([draw(-0.4, 0.4, number), np.full(number, -2.5)], axis=1),
    )


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_noise_of_spectra_of_many_shapes(noise: float) -> None:
    rng = np.random.default_rng(1)
    signal = spectra(20_000, rng)
    found = component_noise(signal + noise * rng.normal(size=signal.shape))
    assert found == pytest.approx(noise, rel=0.1)


def test_voxels_without_a_value_do_not_count() -> None:
    rng = np.random.default_rng(2)
    signal = spectra(5_000, rng) + rng.normal(size=(5_000, len(OFFSETS)))
    broken = np.concatenate([signal, np.full((100, len(OFFSETS)), np.nan)])
    assert component_noise(broken) == component_noise(signal)


def test_a_short_series_or_few_voxels_tell_nothing() -> None:
    rng = np.random.default_rng(3)
    assert component_noise(rng.normal(size=(5_000, 11))) is None
    assert component_noise(rng.normal(size=(100, 33))) is None
