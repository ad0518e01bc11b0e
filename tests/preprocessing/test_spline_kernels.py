"""Cubic splines at positions, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, spline_filter

from qmri_bids.preprocessing.registration.spline_kernels import sample_spline


def scipy_values(coefficients: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    return map_coordinates(coefficients.astype(float), voxels.T, order=3, prefilter=False, mode="mirror")


@pytest.mark.parametrize("shape", [(9, 11, 8), (9, 11, 1)])
def test_value_and_central_difference(shape: tuple[int, int, int]) -> None:
    drawn = np.random.default_rng(0)
    coefficients = spline_filter(drawn.normal(size=shape), order=3, output=np.float32)
    turned = np.eye(4)
    turned[:3, :3] = np.array([[0.0, 0.5, 0.0], [-0.5, 0.0, 0.0], [0.0, 0.0, 1.0 if shape[2] > 1 else 0.0]])
    turned[:3, 3] = [0.0, 8.0, 0.0]
    voxels = drawn.uniform(0.0, np.array(shape) - 1.0, (500, 3))
    inverse = np.linalg.pinv(turned[:3, :3])
    points = (voxels - turned[:3, 3]) @ inverse.T
    value, gradient, inside = sample_spline(coefficients, points=points, voxel_map=turned)
    assert inside.all()
    np.testing.assert_allclose(value, scipy_values(coefficients, voxels), atol=2e-6)
    steps = np.eye(3)
    away = np.all((voxels >= 1.0) & (voxels <= np.array(shape) - 2.0) | (np.array(shape) == 1), axis=1)
    assert away.sum() > 100
    by_voxel = np.stack(
        [
            0.5 * (scipy_values(coefficients, voxels + step) - scipy_values(coefficients, voxels - step))
            for step in steps
        ],
        axis=1,
    )
    np.testing.assert_allclose(gradient[away], (by_voxel @ turned[:3, :3])[away], atol=2e-6)


def test_outside_is_the_border_and_told() -> None:
    coefficients = spline_filter(np.random.default_rng(1).normal(size=(6, 6, 6)), order=3, output=np.float32)
    points = np.array([[-2.0, 3.0, 3.0], [5.0 + 1e-7, 3.0, 3.0], [0.0, 3.0, 3.0]])
    value, _, inside = sample_spline(coefficients, points=points, voxel_map=np.eye(4))
    assert inside.tolist() == [False, True, True]
    assert value[0] == value[2]
