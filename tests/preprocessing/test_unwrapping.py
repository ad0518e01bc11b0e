"""Off-resonance over several whole turns, with holes and islands."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.preprocessing.unwrapping import unwrap_off_resonance

PERIOD = 208.3
SHAPE = (30, 34, 28)


def smooth_field(strength: float) -> NDArray[np.float64]:
    """A field that rises near one side, as above the sinuses, and drifts through the head; its median is near 0."""
    x, y, z = np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in SHAPE), indexing="ij")
    field = strength * (1.5 * np.exp(-((x - 0.1) ** 2 + (y - 0.9) ** 2 + (z + 0.5) ** 2) / 0.3) + 0.4 * x - 0.3 * y * z)
    return field - np.median(field)


def head() -> NDArray[np.bool_]:
    x, y, z = np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in SHAPE), indexing="ij")
    return x**2 + y**2 + z**2 < 0.9


def wrapped(field: NDArray[np.float64]) -> NDArray[np.float64]:
    return (field + PERIOD / 2.0) % PERIOD - PERIOD / 2.0


@pytest.mark.parametrize("strength", [50.0, 300.0, 500.0])
def test_a_field_of_several_turns_with_holes_comes_back(strength: float) -> None:
    field = smooth_field(strength)
    inside = head() & (np.random.default_rng(1).random(SHAPE) > 0.05)
    inside[10:13, 12:15, 12:15] = False
    field -= PERIOD * np.round(np.median(field[inside]) / PERIOD)
    noisy = field + np.random.default_rng(2).normal(0.0, 2.0, SHAPE)
    found, decisions = unwrap_off_resonance(np.where(inside, wrapped(noisy), np.nan), period=PERIOD)
    np.testing.assert_array_equal(np.isfinite(found), inside)
    np.testing.assert_allclose(found[inside], noisy[inside], atol=1e-3)
    assert f"multiples of {PERIOD} Hz" in decisions[0]
    assert "nearest to 0" in decisions[0]


def test_the_multiple_of_all_is_the_one_nearest_to_resonance() -> None:
    """A field far off resonance cannot be told from one that is a period nearer: it is said, not hidden."""
    field = smooth_field(100.0) + 0.8 * PERIOD
    found, _ = unwrap_off_resonance(wrapped(field), period=PERIOD)
    np.testing.assert_allclose(found, field - PERIOD, atol=1e-3)
    assert abs(np.median(found)) <= PERIOD / 2.0


def test_islands_join_the_largest_part_by_their_nearest_voxels() -> None:
    field = smooth_field(400.0)
    inside = head()
    inside[:, :, 13] = False
    inside[22:] = False
    inside[24:26, 16:20, 10:12] = True
    expected = field - PERIOD * np.round(np.median(field[inside]) / PERIOD)
    found, _ = unwrap_off_resonance(np.where(inside, wrapped(field), np.nan), period=PERIOD)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)


def test_a_field_without_wraps_stays_as_it_is() -> None:
    field = smooth_field(30.0)
    found, decisions = unwrap_off_resonance(field, period=PERIOD)
    np.testing.assert_allclose(found, field, atol=1e-4)
    assert "0.0 % of its voxels moved" in decisions[0]


def test_one_slice_is_unwrapped_in_its_plane() -> None:
    field = smooth_field(400.0)[:, :, 12:13]
    field -= PERIOD * np.round(np.median(field) / PERIOD)
    found, _ = unwrap_off_resonance(wrapped(field), period=PERIOD)
    np.testing.assert_allclose(found, field, atol=1e-3)


@pytest.mark.parametrize(
    ("field", "period", "message"),
    [
        (np.zeros((3, 3)), 200.0, "three dimensions"),
        (np.zeros((3, 3, 3)), 0.0, "must be positive"),
        (np.full((3, 3, 3), np.nan), 200.0, "no value in any voxel"),
    ],
)
def test_what_cannot_be_unwrapped_is_refused(field: NDArray[np.float64], period: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unwrap_off_resonance(field, period=period)
