"""Z at nominal B1 from spectra at several powers: laws, standard deviations, and what lies beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.powers import (
    FARTHEST,
    OtherSpectra,
    Powers,
    at_one_shift,
    correct_power,
    power_sentences,
    typical_exponents,
)
from qmri_bids.estimation.spectra.series import Spectra

OFFSETS = np.concatenate([np.arange(-8.0, 0.0, 0.5), [0.0], np.arange(0.5, 8.1, 0.5)])


def z_of(power: np.ndarray, *, shift: float = 0.0) -> np.ndarray:
    """Return 1/(1 + Rex/R1) of direct saturation and of one exchanging pool at 3.5 ppm; `power` is relative (V,)."""
    away = OFFSETS[None, :] - shift
    square = np.asarray(power, dtype=np.float64)[:, None] ** 2
    direct = 1.2 * square / (away**2 + 0.4 * square)
    pool = 0.12 * square / (square + 0.5) / (1.0 + ((away - 3.5) / 0.6) ** 2)
    return 1.0 / (1.0 + direct + pool)


def spectra(z: np.ndarray, noise: float, *, scale: float = 0.0) -> Spectra:
    voxels = len(z)
    return Spectra(
        values=z,
        stdev=np.full(voxels, noise),
        scale_stdev=np.full(voxels, scale),
        status=np.full(voxels, Status.CONVERGED, dtype=np.uint8),
    )


def powers(z: dict[float, np.ndarray], b1: np.ndarray, noise: float, **more: object) -> Powers:
    whole = np.full(len(b1), noise)
    others = tuple(
        OtherSpectra(ratio=ratio, values=each, stdev=whole, scale_stdev=0.0 * whole) for ratio, each in z.items()
    )
    return Powers(others=others, b1=b1, **more)  # type: ignore[arg-type]


def corrected(own: Spectra, given: Powers) -> Spectra:
    return correct_power(own, given, exponents=typical_exponents(own, given))


def test_at_nominal_b1_the_own_spectrum_is_left_as_it_is() -> None:
    rng = np.random.default_rng(0)
    one = np.ones(50)
    own = spectra(z_of(one) + 0.01 * rng.normal(size=(50, len(OFFSETS))), 0.01)
    found = corrected(own, powers({1.5: z_of(1.5 * one), 0.7: z_of(0.7 * one)}, one, 0.01))
    np.testing.assert_allclose(found.values, own.values, atol=1e-9)
    np.testing.assert_allclose(found.stdev, 0.01, rtol=0.02)


def test_a_spectrum_measured_at_the_nominal_power_of_the_own_one_takes_its_place() -> None:
    b1 = np.full(5, 0.8)
    own = spectra(z_of(b1), 1e-4)
    other = z_of(np.ones(5))
    found = corrected(own, powers({1.25: other}, b1, 1e-4))
    np.testing.assert_allclose(found.values, other, atol=1e-6)


@pytest.mark.parametrize(("ratios", "allowed"), [((1.5,), 0.018), ((0.75, 1.5), 0.005), ((0.7, 1.2, 1.6), 0.004)])
def test_little_is_left_of_what_b1_does(ratios: tuple[float, ...], allowed: float) -> None:
    b1 = np.linspace(0.72, 1.24, 60)
    own = spectra(z_of(b1), 1e-4)
    found = corrected(own, powers({ratio: z_of(ratio * b1) for ratio in ratios}, b1, 1e-4))
    left = np.abs(found.values - z_of(np.ones(60))).max()
    assert left < allowed
    assert left < 0.15 * np.abs(own.values - z_of(np.ones(60))).max()


def test_the_standard_deviations_hold_noise_of_all_spectra_m0_and_b1() -> None:
    rng = np.random.default_rng(1)
    voxels, noise = 4000, 0.01
    b1 = rng.uniform(0.8, 1.2, voxels)
    scale = 1.0 + noise * rng.normal(size=(voxels, 1))
    own = spectra(z_of(b1) * scale + noise * rng.normal(size=(voxels, len(OFFSETS))), noise, scale=noise)
    other = z_of(1.5 * b1) + noise * rng.normal(size=(voxels, len(OFFSETS)))
    low = z_of(0.75 * b1) + noise * rng.normal(size=(voxels, len(OFFSETS)))
    measured = b1 + 0.02 * rng.normal(size=voxels)
    given = powers({1.5: other, 0.75: low}, measured, noise, b1_stdev=np.full(voxels, 0.02))
    found = corrected(own, given)
    assert found.directions is not None
    error = found.values - z_of(np.ones(voxels))
    whole = np.sqrt(np.square(found.stdev)[:, None] + np.square(found.directions).sum(axis=1))
    inside = [100.0 * np.mean(np.abs(error) <= limit * whole) for limit in (1.0, 2.0)]
    assert 62.0 < inside[0] < 76.0
    assert 92.0 < inside[1] < 98.0


def test_noise_beyond_nothing_and_everything_is_no_failure() -> None:
    """Z of no more than noise at water, and of more than 1 far away, have no logarithm of their own."""
    rng = np.random.default_rng(2)
    b1 = np.full(500, 0.85)
    flat = np.where(np.abs(OFFSETS) < 1.0, 0.0, 0.995) * np.ones((500, 1))
    noisy = [flat + 0.02 * rng.normal(size=flat.shape) for _ in range(2)]
    found = corrected(spectra(noisy[0], 0.02), powers({1.4: noisy[1]}, b1, 0.02))
    assert np.isfinite(found.values).all()
    assert np.abs(found.values - flat).max() < 0.15


def test_what_lies_beyond_the_powers_is_wider_and_then_has_no_value() -> None:
    b1 = np.array([0.95, 1.05, 1.2, 1.3, 0.9, np.nan])
    own = spectra(z_of(np.nan_to_num(b1, nan=1.0)), 1e-3)
    given = powers({1.5: z_of(1.5 * np.nan_to_num(b1, nan=1.0))}, b1, 1e-3)
    found = corrected(own, given)
    assert found.status.tolist() == [1, 1, 1, Status.OUT_OF_RANGE, 1, Status.INVALID_INPUT]
    assert found.directions is not None
    model = np.abs(found.directions[:3, 3]).max(axis=1)
    assert model[0] == 0.0
    assert model[2] > 3.0 * model[1] > 0.0
    decisions, warnings = power_sentences(given, found.status)
    assert "In 40.0 % of the voxels the nominal power lies within those measured." in decisions[0]
    assert "IN 60.0 % OF THE VOXELS" in warnings[0]
    assert f"a factor of {FARTHEST:g} of B1" in warnings[0]
    assert "16.7 % lie further out" in warnings[0]
    nowhere = replace(given, b1=np.full(6, np.nan))
    assert power_sentences(nowhere, found.status)[1] == [
        "B1 has no value in any voxel: no spectrum was taken to nominal power."
    ]


def test_spectra_are_brought_to_one_shift_of_water() -> None:
    ones = np.ones(3)
    given = powers({1.5: z_of(ones, shift=0.2)}, ones, 1e-3)
    shifted = replace(given, others=(replace(given.others[0], water_shift=np.full(3, 0.2)),))
    (moved,) = at_one_shift(shifted, offsets=OFFSETS, water_shift=np.full(3, 0.05)).others
    away = np.abs(OFFSETS) > 1.5  # the spline rounds a dip of so few offsets
    np.testing.assert_allclose(moved.values[:, away], z_of(ones, shift=0.05)[:, away], atol=3e-3)
    assert np.isfinite(moved.values).all()


def test_without_any_whole_voxel_there_is_nothing_to_go_by() -> None:
    ones = np.ones(3)
    own = spectra(np.full((3, len(OFFSETS)), np.nan), 1e-3)
    with pytest.raises(ValueError, match="no voxel has a spectrum at every power"):
        typical_exponents(own, powers({1.5: z_of(ones)}, ones, 1e-3))
