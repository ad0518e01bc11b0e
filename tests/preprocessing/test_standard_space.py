"""Positions through transforms, and one interpolation there."""

import ants
import numpy as np
import pytest

from qmri_bids.preprocessing.registration.standard_space import interpolate, positions
from qmri_bids.preprocessing.tissues.region_statistics import COLUMNS, as_columns, region_statistics

SHAPE = (6, 7, 8)
AFFINE = np.array([[-3.0, 0, 0, 10.0], [0, 0, 2.0, -8.0], [0, 2.5, 0, 4.0], [0, 0, 0, 1.0]])
MATRIX = np.array([[1.1, 0.1, 0, 5.0], [-0.1, 0.9, 0.05, -3.0], [0.02, 0, 1.2, 7.0], [0, 0, 0, 1.0]])
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def expected(matrix):
    voxels = np.stack(np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij"))
    whole = matrix @ AFFINE
    return np.tensordot(whole[:3, :3], voxels, axes=1) + whole[:3, 3].reshape(3, 1, 1, 1)


def test_without_a_transform_positions_are_those_of_the_affine():
    np.testing.assert_allclose(positions(shape=SHAPE, affine=AFFINE, after=MATRIX), expected(MATRIX), atol=1e-4)


@pytest.mark.parametrize("extension", [".h5", ".mat"])
def test_file_of_ants_moves_positions_as_it_says(tmp_path, extension):
    path = tmp_path / f"transform{extension}"
    lps = LPS @ MATRIX @ LPS
    transform = ants.create_ants_transform(transform_type="AffineTransform", matrix=lps[:3, :3], translation=lps[:3, 3])
    ants.write_transform(transform, str(path))
    shift = np.eye(4)
    shift[:3, 3] = (1.0, 2.0, 3.0)
    found = positions(shape=SHAPE, affine=AFFINE, transform=path, after=shift)
    np.testing.assert_allclose(found, expected(shift @ MATRIX), atol=2e-3)


def test_linear_function_is_interpolated_exactly_and_missing_values_do_not_enter():
    voxels = np.stack(np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij")).astype(float)
    values = voxels[0] + 2.0 * voxels[1] - voxels[2]
    inverse = np.linalg.inv(AFFINE)
    inside = AFFINE[:3, :3] @ np.array([2.25, 3.5, 4.75]) + AFFINE[:3, 3]
    at = inside.reshape(3, 1)
    assert interpolate(values, affine=AFFINE, at=at)[0] == pytest.approx(2.25 + 7.0 - 4.75, abs=1e-4)
    constant = np.full(SHAPE, 4.0)
    constant[3:] = np.nan
    assert interpolate(constant, affine=AFFINE, at=at)[0] == pytest.approx(4.0, abs=1e-5)
    constant[2:] = np.nan
    assert np.isnan(interpolate(constant, affine=AFFINE, at=at)[0])
    assert inverse.shape == (4, 4)


def test_nowhere_is_no_value_and_no_label():
    at = np.full((3, 2), np.nan)
    at[:, 1] = 1e5
    assert np.isnan(interpolate(np.ones(SHAPE), affine=AFFINE, at=at)).all()
    assert (interpolate(np.ones(SHAPE), affine=AFFINE, at=at, nearest=True) == 0).all()


def test_labels_are_never_averaged():
    labels = np.random.default_rng(0).integers(0, 9, SHAPE)
    at = positions(shape=SHAPE, affine=AFFINE @ np.diag([0.7, 0.7, 0.7, 1.0]))
    assert set(np.unique(interpolate(labels, affine=AFFINE, at=at, nearest=True))) <= set(np.unique(labels))
    own = positions(shape=SHAPE, affine=AFFINE)
    np.testing.assert_array_equal(interpolate(labels, affine=AFFINE, at=own, nearest=True), labels)


def test_wraps_are_interpolated_on_the_circle():
    period = 200.0
    values = np.full(SHAPE, 95.0)
    values[3:] = -95.0  # 10 apart, across the wrap
    point = AFFINE[:3, :3] @ np.array([2.5, 3.0, 3.0]) + AFFINE[:3, 3]
    found = interpolate(values, affine=AFFINE, at=point.reshape(3, 1), period=period)[0]
    assert abs(found) == pytest.approx(100.0, abs=1e-2)


def test_statistics_of_regions_are_those_of_their_values():
    rng = np.random.default_rng(1)
    values, labels = rng.standard_normal(SHAPE), rng.integers(0, 4, SHAPE)
    values[0] = np.nan
    stdev = np.where(rng.random(SHAPE) < 0.1, np.nan, rng.uniform(0.5, 1.5, SHAPE))
    rows = region_statistics(values, labels=labels, stdev=stdev)
    assert [row.label for row in rows] == [1, 2, 3]
    for row in rows:
        inside = values[(labels == row.label) & np.isfinite(values)]
        assert row.voxels == inside.size
        assert row.mean == pytest.approx(inside.mean())
        assert row.median == pytest.approx(np.median(inside))
        assert row.standard_deviation == pytest.approx(inside.std(ddof=1))
        assert row.size == np.count_nonzero(labels == row.label) > row.voxels
        assert row.stated == pytest.approx(np.nanmean(stdev[(labels == row.label) & np.isfinite(values)]))
        assert row.standard_error == pytest.approx(inside.std(ddof=1) / np.sqrt(inside.size))
    columns = as_columns({"T1map": rows}, regions={1: "left"})
    assert columns["name"] == ["left", "2", "3"]
    assert set(columns) == set(COLUMNS)


def test_region_without_a_value_has_none():
    (row,) = region_statistics(np.full(3, np.nan), labels=np.ones(3, dtype=int))
    assert row.voxels == 0
    assert np.isnan(row.mean)


def test_no_region_in_the_run_gives_no_row():
    assert region_statistics(np.ones(4), labels=np.zeros(4, dtype=int)) == ()
