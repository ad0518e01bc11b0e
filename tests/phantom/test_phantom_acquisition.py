"""The scanner of the phantom: k-space, poses, noise, and the physics of its signal."""

from functools import partial

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from qmri_bids.phantom.heads.fields import receiver_phase
from qmri_bids.phantom.heads.geometry import FieldOfViewTooSmall, Grid, Pose, draw_poses, prescribe
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import Label
from qmri_bids.phantom.scans.acquisition import (
    acquire,
    bssfp_signal,
    noise_stdev,
    oversampling,
    scan_bssfp,
    truncate,
)
from qmri_bids.phantom.scans.b1 import PREPARATION_FLIP_ANGLE, coarse_grid, scan_b1
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.phantom.scans.truth import true_maps
from qmri_bids.physics import bssfp

VOXEL = 6.0
NO_RECEIVER = np.zeros(7)


@pytest.fixture(scope="module")
def head():
    return build_head(subject=1, seed=7)


@pytest.fixture(scope="module")
def grid() -> Grid:
    affine = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    affine[:3, 3] = -VOXEL * 17.5
    return Grid(shape=(36, 36, 36), affine=affine)


def _magnitude(head, grid, pose: Pose):
    images = acquire(
        head,
        grid=grid,
        placement=pose.matrix,
        signal=lambda sample, points: sample.m0[:, None].astype(np.complex64),
        volumes=1,
        factor=3,
    )
    return images[..., 0]


@pytest.mark.parametrize("factor", [2, 3])
def test_truncation_keeps_what_the_matrix_resolves(factor):
    number = 16
    points = (np.arange(number * factor) + 0.5) / factor - 0.5
    for frequency in (0, 3, -7):
        wave = np.exp(2j * np.pi * frequency * points / number)
        image = np.fft.ifft(truncate(wave, number=number, axis=0))
        np.testing.assert_allclose(image, np.exp(2j * np.pi * frequency * np.arange(number) / number), atol=1e-12)
    finer = np.exp(2j * np.pi * (number // 2 + 1) * points / number)
    assert np.abs(truncate(finer, number=number, axis=0)).max() < 1e-12


def test_an_edge_rings_as_gibbs_found():
    number, factor = 64, 16
    step = np.repeat((np.arange(number) >= number // 2).astype(complex), factor)
    spectrum = np.zeros(number * factor, dtype=complex)
    frequencies = np.fft.fftfreq(number, d=1.0 / number).astype(int)
    spectrum[frequencies] = truncate(step, number=number, axis=0) * factor
    assert np.fft.ifft(spectrum).real.max() == pytest.approx(1.0895, abs=0.02)


def test_points_lie_at_most_two_millimetres_apart():
    assert [oversampling(size) for size in (1.0, 1.3, 2.0, 4.5, 6.0)] == [2, 2, 2, 3, 3]


def test_a_pose_carries_the_head_to_where_it_says(head, grid):
    rest = _magnitude(head, grid, Pose())
    moved = _magnitude(head, grid, Pose(translation=(2 * VOXEL, 0.0, -VOXEL)))
    np.testing.assert_allclose(moved, np.roll(rest, (2, -1), axis=(0, 2)), atol=2e-3)
    # A quarter turn about z, right-handed: the nose turns from anterior (+y) to left (-x).
    turned = _magnitude(head, grid, Pose(rotation=(0.0, 0.0, np.pi / 2.0)))
    expected = np.rot90(rest, k=1, axes=(0, 1))
    assert np.corrcoef(np.abs(turned).ravel(), np.abs(expected).ravel())[0, 1] > 0.999


def test_rotations_apply_about_x_first():
    pose = Pose(rotation=(np.pi / 2.0, 0.0, np.pi / 2.0))
    np.testing.assert_allclose(pose.matrix[:3, :3] @ (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(pose.matrix[:3, :3] @ (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), atol=1e-12)


def test_poses_rest_in_the_reference_and_within_their_range():
    poses = draw_poses(number=12, motion=1.5, reference=6, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(poses[6].matrix, np.eye(4))
    assert all(np.abs(pose.translation).max() <= 1.5 for pose in poses)
    assert all(np.abs(pose.rotation).max() <= np.deg2rad(1.5) for pose in poses)
    assert len(set(poses)) == 12
    assert set(draw_poses(number=12, motion=0.0, reference=6, rng=np.random.default_rng(0))) == {Pose()}


def test_signal_is_that_of_the_physics(head, grid):
    inside, sample = head.sample(grid.slab_points(15, 18))
    points = grid.slab_points(15, 18)[:, inside]
    protocol = simulated_protocol(phase_cycles=6)
    receiver = np.array([0.3, 0.5, -0.2, 0.4, 0.1, 0.2, -0.3])
    found = bssfp_signal(sample, points, protocol=protocol, cycles=(1, 4), receiver=receiver)
    expected = bssfp.signal(
        sample.t1.astype(float),
        sample.t2.astype(float),
        b1=sample.b1.astype(float),
        off_resonance=(sample.off_resonance + sample.chemical_shift).astype(float),
        m0=sample.m0 * np.exp(1j * receiver_phase(points, coefficients=receiver)),
        protocol=protocol,
    )
    np.testing.assert_allclose(found, expected[:, [1, 4]], atol=2e-4)


def test_pure_voxels_follow_the_true_maps(head):
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -4.0 * 26.5
    grid = Grid(shape=(54, 54, 54), affine=affine)
    protocol = simulated_protocol(phase_cycles=4)
    images = scan_bssfp(
        head,
        grid=grid,
        placement=np.eye(4),
        poses=(Pose(),) * 4,
        protocol=protocol,
        receiver=NO_RECEIVER,
        snr=np.inf,
        rng=np.random.default_rng(0),
    )
    truth = true_maps(head, grid=grid, placement=np.eye(4))
    pure = binary_erosion(truth.fractions[Label.WM] == 1.0)
    predicted = bssfp.signal(
        truth.t1[pure],
        truth.t2[pure],
        b1=truth.b1[pure],
        off_resonance=truth.off_resonance[pure],
        m0=truth.m0[pure],
        protocol=protocol,
    )
    error = np.linalg.norm(images[pure] - predicted, axis=-1) / np.linalg.norm(predicted, axis=-1)
    assert np.count_nonzero(pure) > 500
    # Ringing of brighter neighbours and the spread of the field within a voxel are what remains.
    assert np.median(error) < 0.08
    scale = np.vdot(predicted, images[pure]) / np.vdot(predicted, predicted)
    assert abs(scale - 1.0) < 0.02


def test_noise_has_the_stated_standard_deviation(head, grid):
    images = scan_bssfp(
        head,
        grid=grid,
        placement=np.eye(4),
        poses=(Pose(),) * 3,
        protocol=simulated_protocol(phase_cycles=3),
        receiver=NO_RECEIVER,
        snr=2.0,
        rng=np.random.default_rng(0),
    )
    corner = images[:6, :6, :6]
    assert noise_stdev(2.0) == pytest.approx(0.074 / np.sqrt(2.0) / 2.0)
    assert corner.real.std() == pytest.approx(noise_stdev(2.0), rel=0.1)
    assert corner.imag.std() == pytest.approx(noise_stdev(2.0), rel=0.1)
    assert abs(np.corrcoef(corner.real.ravel(), corner.imag.ravel())[0, 1]) < 0.15


def test_threads_do_not_change_the_image(head, grid):
    work = partial(
        acquire,
        head,
        grid=grid,
        placement=np.eye(4),
        signal=lambda sample, points: sample.m0[:, None].astype(np.complex64),
        volumes=1,
        factor=2,
    )
    np.testing.assert_array_equal(work(threads=1), work(threads=3))


def test_b1_scan_measures_the_transmit_field(head):
    coarse = coarse_grid(head=head.surface_points(), voxel_size=2.0, motion=1.0)
    scan = scan_b1(head, grid=coarse, placement=np.eye(4), receiver=NO_RECEIVER, snr=25.0, rng=np.random.default_rng(0))
    truth = true_maps(head, grid=coarse, placement=np.eye(4))
    brain = truth.brain & (scan.flip_angle > 0.0)
    assert np.count_nonzero(brain) > 0.99 * np.count_nonzero(truth.brain)
    error = scan.flip_angle[brain] / PREPARATION_FLIP_ANGLE - truth.b1[brain]
    assert abs(np.median(error)) < 0.005
    assert 0.005 < np.std(error) < 0.05
    assert np.all(coarse.contains(head.surface_points()))


def test_the_long_axis_of_a_sagittal_matrix_holds_the_head(head):
    skin = head.surface_points()
    axial, said = prescribe(matrix=(96, 112, 96), voxel_size=2.0, centre=np.zeros(3), head=skin, motion=1.0)
    assert said.startswith("axial")
    assert np.all(axial.contains(skin))
    sagittal, said = prescribe(matrix=(176, 176, 128), voxel_size=1.3, centre=np.zeros(3), head=skin, motion=0.5)
    assert said.startswith("sagittal")
    assert np.all(sagittal.contains(skin))
    np.testing.assert_allclose(np.linalg.det(sagittal.affine[:3, :3]), 1.3**3)


def test_a_field_of_view_that_cuts_the_head_is_refused(head):
    with pytest.raises(
        FieldOfViewTooSmall, match=r"needs a field of view of .* mm .left-right.*, found 192 × 128 × 192 mm"
    ):
        prescribe(matrix=(96, 64, 96), voxel_size=2.0, centre=np.zeros(3), head=head.surface_points(), motion=0.0)
