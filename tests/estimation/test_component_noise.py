"""The weakest components of a long series are its noise."""

import numpy as np
import pytest

from qmri_bids.estimation.component_noise import component_noise, denoised_noise, rounding_noise, value_step
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


def patchwork(rng: np.random.Generator, *, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a series of 40 × 40 × 8 voxels of spectra that vary smoothly, with noise, and without."""
    x, y, z = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 40), np.linspace(0, 1, 8), indexing="ij")
    slow = [np.ravel(np.sin(3.0 * x + shift) * np.cos(2.0 * y - shift) + 0.3 * z) for shift in (0.0, 1.0, 2.0, 3.0)]
    signal = 100.0 * lorentzian_spectrum(
        OFFSETS,
        amplitude=np.stack([0.75 + 0.1 * slow[0], 0.15 + 0.1 * slow[1]], axis=1),
        width=np.stack([1.5 + 0.3 * slow[2], 40.0 + 10.0 * slow[1]], axis=1),
        position=np.stack([0.2 * slow[3], np.full(x.size, -2.5)], axis=1),
    ).reshape(*x.shape, len(OFFSETS))
    return signal + noise * rng.normal(size=signal.shape), signal


def truncated(series: np.ndarray, rank: int) -> np.ndarray:
    u, s, v = np.linalg.svd(series.reshape(-1, series.shape[3]), full_matrices=False)
    return ((u[:, :rank] * s[:rank]) @ v[:rank]).reshape(series.shape).astype(np.float32)


@pytest.mark.parametrize("rank", [8, 13, 20])
def test_a_truncated_series_has_the_noise_of_its_components(rank: int) -> None:
    series, clean = patchwork(np.random.default_rng(4), noise=1.0)
    inside = np.ones(series.shape[:3], dtype=bool)
    denoised = truncated(series, rank)
    assert component_noise(denoised.reshape(-1, len(OFFSETS))) < 1e-3
    found = denoised_noise(denoised, inside=inside)
    assert found is not None
    assert found.before == pytest.approx(1.0, rel=0.15)
    assert 0.8 < found.left / np.sqrt(np.mean((denoised - clean) ** 2)) < 1.3


def test_a_series_as_scanned_is_not_taken_for_denoised() -> None:
    series, _ = patchwork(np.random.default_rng(5), noise=1.0)
    assert denoised_noise(series, inside=np.ones(series.shape[:3], dtype=bool)) is None


def test_a_cliff_of_eigenvalues_tells_where_there_are_few_voxels() -> None:
    series, _ = patchwork(np.random.default_rng(6), noise=1.0)
    inside = np.zeros(series.shape[:3], dtype=bool)
    inside[10:14, 10:20, 3:7] = True
    assert denoised_noise(series, inside=inside) is None
    found = denoised_noise(truncated(series, 10), inside=inside)
    assert found is not None
    assert not found.sure
    assert 0.5 < found.left / np.sqrt(10.0 / len(OFFSETS)) < 2.0


def test_integers_have_a_step_and_floats_have_none() -> None:
    rng = np.random.default_rng(7)
    values = rng.uniform(0.0, 1000.0, (20, 20, 5, 3)).astype(np.float32)
    step = np.float32(0.37)
    assert value_step(np.round(values / step) * step) == pytest.approx(0.37, rel=1e-3)
    assert rounding_noise(np.round(values / step) * step) == pytest.approx(0.37 / np.sqrt(12.0), rel=1e-3)
    assert value_step(values) == 0.0
    assert 0.0 < rounding_noise(values) < 1e-4
