"""Volumes of another scale are told by their noise, and by nothing else that differs between volumes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.preprocessing.content.floor import check_floor
from qmri_bids.preprocessing.content.scale import check_scale, noise_levels
from qmri_bids.preprocessing.content.shared_noise import check_shared_noise

SHAPE = (32, 36, 28)


def series(signals: list[float], *, seed: int = 0, ghost: float = 0.0) -> NDArray[np.float32]:
    """A ball of each signal with the same noise, and a ghost of it in the air."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, size) for size in SHAPE], indexing="ij"))
    ball = (np.sqrt((place**2).sum(axis=0)) < 0.6)[..., None] * np.array(signals)
    noise = rng.normal(size=(*ball.shape, 2)).view(complex)[..., 0]
    return np.abs(ball + ghost * np.roll(ball, SHAPE[0] // 2, axis=0) + noise).astype(np.float32)


def names(number: int) -> list[str]:
    return [f"volume {index + 1}" for index in range(number)]


@pytest.mark.parametrize("signals", [[25.0, 30.0, 12.0, 40.0, 33.0, 21.0], [100.0, 5.0], [30.0, 60.0, 20.0]])
def test_contrast_is_no_scale(signals: list[float]) -> None:
    assert check_scale(series(signals), names=names(len(signals))) == ()


@pytest.mark.parametrize("factor", [0.5, 0.88, 1.15, 3.0])
def test_a_volume_of_another_scale_is_named(factor: float) -> None:
    volumes = series([25.0, 30.0, 12.0, 40.0, 33.0, 21.0], seed=1)
    volumes[..., 3] *= np.float32(factor)
    (said,) = check_scale(volumes, names=names(6))
    assert float(said.split("volume 4 (")[1].split()[0]) == pytest.approx(factor, rel=0.05)
    assert "volume 3 (" not in said


def test_a_drift_of_the_scale_is_told() -> None:
    volumes = series([25.0, 30.0, 12.0, 40.0, 33.0, 21.0], seed=3) * np.linspace(1.0, 0.7, 6, dtype=np.float32)
    (said,) = check_scale(volumes, names=names(6))
    assert "volume 1 (1.1" in said
    assert "volume 6 (0.8" in said


def test_the_noise_is_known() -> None:
    found = noise_levels(series([25.0, 30.0, 12.0, 40.0], seed=4))
    assert found is not None
    assert found.stdev == pytest.approx(1.0, rel=0.03)
    assert found.scatter < 0.03


def test_of_a_pair_the_second_is_compared_with_the_first() -> None:
    volumes = series([60.0, 40.0], seed=2)
    volumes[..., 1] *= 2.0
    (said,) = check_scale(volumes, names=names(2))
    assert "that of volume 1 in volume 2 (" in said
    assert float(said.split("volume 2 (")[1].split()[0]) == pytest.approx(2.0, rel=0.05)


def test_ghosts_and_air_without_noise_say_nothing() -> None:
    found = noise_levels(series([20.0, 20.0, 20.0, 20.0, 200.0, 20.0], ghost=0.02))
    assert found is None or not (np.abs(found.levels - 1.0) > 0.06).any()
    silent = series([25.0, 30.0, 12.0, 40.0])
    silent[silent < 8.0] = 0.0
    assert noise_levels(silent) is None


def test_an_offset_under_the_images_is_told() -> None:
    volumes = series([40.0, 30.0], seed=5)
    assert check_floor(volumes) == ()
    (said,) = check_floor(volumes + np.float32(6.0))
    assert "Air is" in said
    assert "an offset" in said


def test_volumes_that_were_made_of_others_are_told() -> None:
    volumes = series([25.0, 30.0, 12.0, 40.0, 33.0, 21.0], seed=6)
    assert check_shared_noise(volumes, names=names(6)) == ()
    volumes[..., 2] = (volumes[..., 1] + volumes[..., 3]) / 2.0
    (said,) = check_shared_noise(volumes, names=names(6))
    assert "volume 2 and volume 3" in said
    assert "volume 3 and volume 4" in said
    assert "volume 1" not in said


def test_a_ghost_in_all_volumes_is_no_shared_noise() -> None:
    assert check_shared_noise(series([25.0, 30.0, 12.0, 40.0], seed=7, ghost=0.2), names=names(4)) == ()
