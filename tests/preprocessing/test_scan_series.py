"""Fringes that move with the offset are not taken for motion."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from qmri_bids.physics.saturation_presets import wasabi_3t_001
from qmri_bids.physics.wasabi import WasabiProtocol, wasabi_signal
from qmri_bids.preprocessing.motion.scan_series import align_fringes
from qmri_bids.preprocessing.registration.resampling import resample
from qmri_bids.units import ppm_to_hertz

SHAPE = (40, 48, 40)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
SHIFT = np.array([1.5, -1.0, 0.5])
"""Of the moved volume [mm]."""


def test_fringes_of_a_still_head_do_not_move_it_and_a_moved_volume_is_found() -> None:
    rng = np.random.default_rng(5)
    axes = np.stack(np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in SHAPE), indexing="ij"))
    radius = np.sqrt(np.square(axes).sum(axis=0))
    tissue = 0.6 + 0.4 * (gaussian_filter(rng.normal(size=SHAPE), 2.0) > 0.0)
    m0 = gaussian_filter(np.where(radius < 0.8, tissue, 0.0) + 0.9 * ((radius > 0.85) & (radius < 0.95)), 0.5)
    b0, b1 = 60.0 * axes[2] + 20.0 * axes[0], 1.1 - 0.25 * radius
    offsets = [image.offset for image in wasabi_3t_001().images if not image.is_m0][::6]
    protocol = WasabiProtocol(offsets=tuple(ppm_to_hertz(each, 3.0) for each in offsets))
    z = wasabi_signal(b0, b1, c=0.85, d=1.5, protocol=protocol)
    volumes = np.concatenate([m0[..., None], m0[..., None] * z], axis=-1)
    moved = np.eye(4)
    moved[:3, 3] = SHIFT
    volumes[..., 2] = resample(
        volumes[..., 2], affine=AFFINE, target_shape=SHAPE, target_affine=AFFINE, transform=np.linalg.inv(moved)
    )
    volumes = np.abs(volumes + 0.01 * rng.normal(size=volumes.shape))
    found = align_fringes(volumes, affine=AFFINE, reference=0, processes=2)
    still = [index for index in range(volumes.shape[3]) if index != 2]
    assert 1e3 * np.linalg.norm(found.parameters[still, :3], axis=1).max() < 1.0  # a quarter of a voxel
    assert np.degrees(np.abs(found.parameters[still, 3:])).max() < 1.0
    error = 1e3 * found.parameters[2, :3] - SHIFT
    assert math.sqrt(float(error @ error)) < 0.8
    assert found.trusted.all()
