"""Moderated noise variance: homogeneous, varying and partly misfitted scans."""

import math

import numpy as np
import pytest

from qmri_bids.estimation.variance import FEWEST_VOXELS, moderated_variance


def residuals(variance, freedom, seed=0):
    return variance * np.random.default_rng(seed).chisquare(freedom, len(variance))


@pytest.mark.parametrize("freedom", [1, 3, 7, 19])
def test_homogeneous_noise_gives_every_voxel_the_true_variance(freedom):
    found = moderated_variance(residuals(np.full(40_000, 2.5), freedom), freedom)
    np.testing.assert_allclose(np.sqrt(found.variance), math.sqrt(2.5), rtol=0.06)
    assert found.freedom > 20 * freedom
    assert found.prior_variance == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("freedom", [3, 19])
def test_noise_that_varies_is_followed_better_than_by_either_extreme(freedom):
    rng = np.random.default_rng(1)
    truth = 6.0 / rng.chisquare(6.0, 40_000)
    raw = residuals(truth, freedom)
    found = moderated_variance(raw, freedom)

    def error(variance):
        return np.mean(np.square(np.log(variance / truth)))

    assert error(found.variance) < 0.9 * error(raw / freedom)
    assert error(found.variance) < 0.9 * error(np.full(len(truth), found.prior_variance))
    assert found.prior_freedom == pytest.approx(6.0, rel=0.2)
    assert found.prior_variance == pytest.approx(1.0, rel=0.05)
    assert found.freedom == pytest.approx(found.prior_freedom + freedom)


def test_gross_misfit_neither_moves_the_level_nor_is_hidden_by_it():
    raw = residuals(np.ones(20_000), 3)
    raw[:200] *= 1e4
    found = moderated_variance(raw, 3)
    assert found.prior_variance == pytest.approx(1.0, rel=0.05)
    assert np.mean(found.variance[:200] > 10.0) > 0.95
    assert np.median(found.variance[200:]) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("freedom", [1, 7])
def test_one_misfit_in_homogeneous_noise_keeps_its_own_variance(freedom):
    rng = np.random.default_rng(3)
    raw = rng.chisquare(freedom, 20_000)
    raw[0] = 60.0 * freedom
    found = moderated_variance(raw, freedom)
    assert found.variance[0] == pytest.approx(60.0)
    assert np.max(found.variance[1:]) < 2.0


def test_scale_of_the_data_does_not_matter():
    raw = residuals(np.ones(500), 7)
    np.testing.assert_allclose(
        moderated_variance(1e-12 * raw, 7).variance, 1e-12 * moderated_variance(raw, 7).variance, rtol=1e-6
    )


def test_failed_voxels_stay_nan_and_have_no_say():
    raw = residuals(np.ones(2000), 7)
    with_gaps = np.concatenate([raw, np.full(3000, math.nan), np.zeros(5)])
    found, plain = moderated_variance(with_gaps, 7), moderated_variance(raw, 7)
    assert np.isnan(found.variance[2000:5000]).all()
    np.testing.assert_allclose(found.variance[:2000], plain.variance)


def test_few_voxels_keep_their_own():
    raw = residuals(np.ones(FEWEST_VOXELS - 1), 7)
    found = moderated_variance(raw, 7)
    np.testing.assert_array_equal(found.variance, raw / 7)
    assert found.freedom == 7


def test_no_degree_of_freedom_is_refused():
    with pytest.raises(ValueError, match=r"freedom must be at least 1 .* found -1"):
        moderated_variance(np.ones(100), -1)


@pytest.mark.parametrize("freedom", [1, 3, 19])
def test_noise_that_varies_in_space_is_told_by_the_neighbours(freedom):
    inside = np.zeros((40, 30, 26), dtype=bool)
    inside[2:38, 3:27, 4:22] = True
    rise = np.broadcast_to(np.linspace(1.0, 9.0, 40)[:, None, None], inside.shape)[inside]
    found = moderated_variance(residuals(rise, freedom, seed=4), freedom, inside=inside)
    # At the edge of an image the neighbours lie to one side.
    np.testing.assert_allclose(np.sqrt(found.level / rise), 1.0, atol=0.3 if freedom == 1 else 0.22)
    assert np.std(np.log(found.level / rise)) < 0.12
    for low, high in ((1.0, 3.0), (7.0, 9.0)):
        part = (rise > low) & (rise < high)
        assert np.median(found.variance[part] / rise[part]) == pytest.approx(1.0, rel=0.08)


def test_voxels_that_the_model_misses_do_not_raise_the_noise_of_their_neighbours():
    inside = np.ones((30, 30, 30), dtype=bool)
    raw = residuals(np.ones(27_000), 19, seed=5)
    odd = np.random.default_rng(6).random(27_000) < 0.08
    raw[odd] *= 25.0
    found = moderated_variance(raw, 19, inside=inside)
    # Eight percent of outliers raise a mean threefold.
    assert np.median(found.level) == pytest.approx(1.0, rel=0.06)


def test_single_slices_have_neighbours_in_their_plane():
    inside = np.ones((60, 60, 1), dtype=bool)
    rise = np.broadcast_to(np.linspace(1.0, 4.0, 60)[:, None, None], inside.shape)[inside]
    found = moderated_variance(residuals(rise, 7, seed=7), 7, inside=inside)
    assert np.std(np.log(found.level / rise)) < 0.2
