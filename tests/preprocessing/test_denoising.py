"""Denoising of an aligned series, and what is known of the noise of a series that was read."""

from __future__ import annotations

import numpy as np
import pytest

from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.denoising import denoise_series, patch_radius
from qmri_bids.preprocessing.loading.noise import noise_as_read

OFFSETS = np.linspace(-4.0, 4.0, 24)
NOISE = 1.0


def disc(rng: np.random.Generator, *, noise: float = NOISE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one slice of an object whose spectra vary smoothly (Rician), the same without noise, and where it is."""
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64), indexing="ij")
    inside = (np.hypot(x, y) < 0.85)[..., None]
    width, shift = 0.8 + 0.2 * x, 0.3 * y
    dip = 0.8 / (1.0 + ((OFFSETS - shift[..., None]) / width[..., None]) ** 2)
    clean = np.where(inside, 100.0 * (1.0 + 0.2 * np.sin(2.0 * x))[..., None] * (1.0 - dip), 0.0)[:, :, None, :]
    draws = rng.normal(size=(2, *clean.shape))
    return np.hypot(clean + noise * draws[0], noise * draws[1]).astype(np.float32), clean, inside


@pytest.mark.parametrize("stated", [None, NOISE])
def test_what_is_left_of_the_noise_is_stated(stated: float | None) -> None:
    series, clean, inside = disc(np.random.default_rng(1))
    found = denoise_series(series, mask=inside, noise=stated)
    true = np.sqrt(np.mean((found.series - clean)[inside] ** 2))
    assert true < 0.55 * NOISE
    assert found.left is not None
    assert found.before is not None
    assert 0.8 < found.left / true < 1.3
    assert found.before == pytest.approx(NOISE, rel=0.1)
    np.testing.assert_array_equal(found.series[~inside], series[~inside])
    assert any("MP-PCA" in said for said in found.decisions)


def test_a_short_series_and_a_denoised_one_are_left_as_they_are() -> None:
    series, _, inside = disc(np.random.default_rng(2))
    short = denoise_series(series[..., :10], mask=inside, noise=0.7, noise_before=0.7)
    assert short.left == 0.7
    assert "it has 10 volumes, at least 12 are needed" in short.warnings[0]
    again = denoise_series(series, mask=inside, noise=0.4, noise_before=1.0)
    assert (again.left, again.before) == (0.4, 1.0)
    assert "denoised before it came here" in again.warnings[0]
    np.testing.assert_array_equal(again.series, series)


def test_patches_of_slices_lie_in_their_plane() -> None:
    assert patch_radius((64, 64, 1), volumes=24) == (3, 3, 0)
    assert patch_radius((5, 5, 1), volumes=24) is None


def test_noise_that_is_stated_is_used() -> None:
    series, _, _ = disc(np.random.default_rng(3))
    for saturated in (True, False):
        found = noise_as_read(series, affine=np.eye(4), stated=0.3, saturated=saturated)
        assert (found.level, found.before) == (0.3, 0.3)
        assert "--noise-sd" in found.decisions[0]


@pytest.mark.parametrize(
    ("stated", "taken", "word"), [(1e-30, 1e-7, "LESS THAN ROUNDING"), (1e6, 1e6, "OF THE BRIGHTEST")]
)
def test_noise_in_other_units_is_doubted(stated: float, taken: float, word: str) -> None:
    series, _, _ = disc(np.random.default_rng(3))
    found = noise_as_read(series, affine=np.eye(4), stated=stated, saturated=True)
    assert found.level is not None
    assert found.level >= taken
    assert word in found.warnings[0]


def test_a_small_object_does_not_tell_what_denoising_left() -> None:
    """Two hundred voxels: the number would be wrong by a factor of up to a hundred."""
    grid = np.stack(np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in (12, 12, 6)), indexing="ij"), axis=-1)
    inside = np.sum((grid / (np.array([12, 12, 6]) * 0.4)) ** 2, axis=-1) < 1
    dip = 0.8 / (1.0 + (OFFSETS / 0.9) ** 2)
    clean = 1000.0 * (inside * (1.0 + 0.1 * np.sin(grid[..., 0] / 2.0)))[..., None] * (1.0 - dip)
    noisy = np.abs(clean + 10.0 * np.random.default_rng(0).standard_normal(clean.shape))
    u, s, v = np.linalg.svd(noisy.reshape(-1, 24), full_matrices=False)
    denoised = ((u[:, :5] * s[:5]) @ v[:5]).reshape(clean.shape).clip(0.0)
    with pytest.raises(ContentError, match=r"too few to tell what is left .*--noise-sd"):
        noise_as_read(denoised, affine=np.diag([3.0, 3.0, 3.0, 1.0]), saturated=True)


def test_a_series_that_was_denoised_is_said_to_be_and_has_noise() -> None:
    series, clean, inside = disc(np.random.default_rng(4))
    assert noise_as_read(series, affine=np.diag([3.0, 3.0, 5.0, 1.0]), saturated=True).level is None
    u, s, v = np.linalg.svd(series.reshape(-1, 24).astype(float), full_matrices=False)
    denoised = ((u[:, :8] * s[:8]) @ v[:8]).reshape(series.shape).clip(0.0).astype(np.float32)
    found = noise_as_read(denoised, affine=np.diag([3.0, 3.0, 5.0, 1.0]), saturated=True)
    assert found.level is not None
    assert found.before is not None
    assert 0.8 < found.level / np.sqrt(np.mean((denoised - clean)[inside] ** 2)) < 1.3
    assert found.before > found.level
    assert "WAS DENOISED" in found.warnings[0]


def test_images_without_noise_have_that_of_their_rounding_and_say_so() -> None:
    flat = np.zeros((40, 40, 8, 2), dtype=np.float32)
    flat[6:-6, 6:-6] = 100.0
    flat[6:-6, 6:-6, :, 1] = 70.0
    found = noise_as_read(flat, affine=np.diag([3.0, 3.0, 3.0, 1.0]), saturated=False)
    assert found.level is not None
    assert found.level > 0.0
    assert "CANNOT BE TOLD" in found.warnings[0]
