"""The fields of the head against what is known in closed form."""

import numpy as np
import pytest

from qmri_bids.phantom.heads.fields import (
    AIR_MINUS_TISSUE,
    receiver_phase,
    shim,
    smooth_variation,
    susceptibility_field,
    transmit_field,
)
from qmri_bids.phantom.heads.volume import empty_volume
from qmri_bids.units import GYROMAGNETIC_RATIO


def test_field_of_a_sphere_is_that_of_a_dipole():
    radius, spacing = 12.0, 1.0
    grid = empty_volume(lower=(-40.0, -40.0, -40.0), upper=(40.0, 40.0, 40.0), spacing=spacing)
    x, y, z = grid.points()
    distance = np.sqrt(x**2 + y**2 + z**2)
    air = np.clip((distance - radius) / spacing + 0.5, 0.0, 1.0).reshape(grid.data.shape)
    field = susceptibility_field(air, spacing=spacing, field_strength=3.0).ravel()
    outside = (distance > radius + 3.0) & (distance < 38.0)
    scale = -AIR_MINUS_TISSUE / 3.0 * GYROMAGNETIC_RATIO * 3.0
    expected = scale * (radius / distance[outside]) ** 3 * (3.0 * z[outside] ** 2 / distance[outside] ** 2 - 1.0)
    assert np.abs(field[outside] - expected).max() < 0.02 * abs(scale)
    # Inside a sphere the field is homogeneous and, with the sphere of Lorentz, zero.
    assert np.abs(field[distance < radius - 3.0]).max() < 0.02 * abs(scale)


def test_shim_removes_any_field_of_second_order_and_nothing_sharper():
    grid = empty_volume(lower=(-60.0, -60.0, -60.0), upper=(60.0, 60.0, 60.0), spacing=6.0)
    x, y, z = (axis.reshape(grid.data.shape) / 100.0 for axis in grid.points())
    smooth = 5.0 - 30.0 * x + 12.0 * z + 40.0 * x * y + 25.0 * (2.0 * z**2 - x**2 - y**2)
    spot = 100.0 * np.exp(-((x - 0.2) ** 2 + y**2 + z**2) / 0.01)
    region = np.ones(grid.data.shape, dtype=bool)
    assert np.abs(shim(smooth.astype(np.float32), points=grid.points(), region=region)).max() < 1e-3
    left = shim((smooth + spot).astype(np.float32), points=grid.points(), region=region)
    assert left.max() > 0.8 * spot.max()


@pytest.mark.parametrize("seed", range(5))
def test_transmit_field_stays_in_its_range_and_is_brightest_in_the_middle(seed):
    grid = empty_volume(lower=(-96.0, -110.0, -100.0), upper=(96.0, 110.0, 100.0), spacing=6.0)
    field = transmit_field(grid, semi_axes=(80.0, 94.0, 84.0), rng=np.random.default_rng(seed)).data
    assert field.min() >= 0.70
    assert field.max() <= 1.25
    brightest = grid.points()[:, np.argmax(field)]
    assert np.linalg.norm(brightest) < 30.0


def test_variation_is_smooth_and_bounded():
    grid = empty_volume(lower=(0.0, 0.0, 0.0), upper=(120.0, 120.0, 120.0), spacing=4.0)
    field = smooth_variation(grid, length=25.0, rng=np.random.default_rng(0)).data
    assert np.abs(field).max() < 1.0
    assert field.std() > 0.3
    assert np.abs(np.diff(field, axis=0)).max() < 0.5


def test_receiver_phase_is_its_polynomial():
    phase = receiver_phase(
        np.array([[100.0], [0.0], [-100.0]]), coefficients=np.array([0.1, 1.0, 5.0, 2.0, 0.5, 7.0, 0.25])
    )
    assert phase == pytest.approx([0.1 + 1.0 - 2.0 + 0.5 + 0.25])
