"""One slice and few slices: motion within the plane, and nothing said of what was not looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import Label
from qmri_bids.phantom.scans.acquisition import acquire, scan_bssfp
from qmri_bids.phantom.scans.session import simulated_protocol
from qmri_bids.physics import bssfp
from qmri_bids.pipeline.results.report_parts import motion_light
from qmri_bids.preprocessing.b1 import register_b1
from qmri_bids.preprocessing.calibration.cycles import calibrate_cycles
from qmri_bids.preprocessing.motion.parameters import known_motion
from qmri_bids.preprocessing.motion.phase_cycles import correct_motion
from qmri_bids.preprocessing.motion.saturated import correct_saturated_motion
from qmri_bids.preprocessing.motion.scan_series import align_fringes, align_scans
from qmri_bids.preprocessing.registration.resampling import grid_coverage, resample
from qmri_bids.preprocessing.registration.rigid_freedom import freedom_of
from qmri_bids.reports.content import Level
from qmri_bids.reports.drawing.planes import View
from qmri_bids.reports.figures.motion import motion_figure

VOXEL, THICKNESS, HEIGHT = 2.5, 6.0, 20.0
WIDTH, DEPTH = 80, 92
"""Axes: left-right, back-front."""
OFFSETS = (None, -4.0, -3.5, -3.0, -2.0, 2.0, 3.0, 3.5, 4.0)
ROLES = ("m0",) + ("cest",) * 8


def grid_of(slices: int, *, through: int = 2) -> Grid:
    """Return axial slices whose short axis is the given one of the file."""
    directions = {2: (0, 1, 2), 0: (2, 0, 1), 1: (0, 2, 1)}[through]
    sizes = {0: (WIDTH, VOXEL), 1: (DEPTH, VOXEL), 2: (slices, THICKNESS)}
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for axis, direction in enumerate(directions):
        affine[direction, axis] = sizes[direction][1]
    shape = tuple(sizes[direction][0] for direction in directions)
    affine[:3, 3] = np.array([0.0, 0.0, HEIGHT]) - affine[:3, :3] @ (0.5 * (np.array(shape) - 1.0))
    return Grid(shape=shape, affine=affine)


def in_plane(x: float, y: float, degrees: float) -> Pose:
    return Pose(translation=(x, y, 0.0), rotation=(0.0, 0.0, math.radians(degrees)))


MOVED = (Pose(), in_plane(1.0, -0.5, 1.0), Pose(), in_plane(5.0, 0.0, 0.0), *(in_plane(5.0, 0.0, 0.0),) * 4, Pose())
"""From half way on by two voxels, as a head that nods off."""


@pytest.fixture(scope="module")
def head():
    return build_head(subject=1, seed=0)


def series_of(head, grid, poses, *, noise=0.005):
    """Return saturated magnitudes: tissues fall with the offset, each in its own way, and fat not at all."""
    fall = {Label.WM: 0.5, Label.GM: 0.35, Label.CSF: 0.05, Label.MUSCLE: 0.5}

    def signal(index):
        offset = OFFSETS[index % len(OFFSETS)]

        def of(sample, points):
            value = sample.m0.astype(float)
            if offset is not None:
                for label, share in fall.items():
                    value = np.where(sample.label == label, value * (1.0 - share * (2.0 / abs(offset)) ** 0.5), value)
            return value[:, None].astype(np.complex64)

        return of

    rng = np.random.default_rng(3)
    volumes = [
        acquire(head, grid=grid, placement=pose.matrix, signal=signal(index), volumes=1, factor=2, threads=1)[..., 0]
        for index, pose in enumerate(poses)
    ]
    noisy = [each + noise * (rng.normal(size=each.shape) + 1j * rng.normal(size=each.shape)) for each in volumes]
    return np.abs(np.stack(noisy, axis=-1)).astype(np.float32)


def errors(transforms, poses, reference, *, centre=(0.0, 0.0, HEIGHT)):
    """Return the mean distance [mm] within the slice, over a disc of the size of a brain."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-70.0, 70.0, (2000, 2))
    points = points[np.linalg.norm(points, axis=1) < 65.0]
    points = np.column_stack([points, np.zeros(len(points)), np.zeros(len(points))]) + np.append(centre, 1.0)
    matrices = np.stack([pose.matrix for pose in poses])
    truth = matrices @ np.linalg.inv(matrices[reference])
    return np.linalg.norm(np.einsum("nij,pj->npi", transforms - truth, points)[..., :3], axis=2).mean(axis=1)


@pytest.mark.parametrize(("slices", "through"), [(1, 2), (1, 0), (1, 1), (3, 2)])
def test_slices_of_a_z_spectrum_that_move_within_their_plane_are_brought_back(head, slices, through):
    grid = grid_of(slices, through=through)
    volumes = series_of(head, grid, MOVED)
    found = correct_saturated_motion(volumes, affine=grid.affine, roles=ROLES, offsets=OFFSETS)
    assert errors(found.transforms, MOVED, found.reference).max() < 0.15
    assert found.assessed.tolist() == [True, True, False, False, False, True]
    assert np.isnan(found.parameters[:, ~found.assessed]).all()
    assert np.nanmax(found.remaining) < 0.4e-3
    assert found.trusted.all()
    assert any("MOTION THROUGH THE PLANE WAS NOT ASSESSED" in each for each in found.decisions)
    light = motion_light(
        {name: getattr(found, name) for name in ("framewise_displacement", "assessed", "remaining", "trusted")},
        affine=grid.affine,
    )
    assert light.level is Level.CHECK
    assert "through the plane not assessed" in light.value


def test_asymmetry_of_a_slice_that_moved_by_two_voxels_is_that_of_one_that_did_not(head):
    grid = grid_of(1)
    still, moved = (series_of(head, grid, poses) for poses in ((Pose(),) * 9, MOVED))
    found = correct_saturated_motion(moved, affine=grid.affine, roles=ROLES, offsets=OFFSETS).volumes

    def asymmetry(series):
        inside = series[..., 0] > 0.3
        low, high = (series[..., OFFSETS.index(offset)][inside] for offset in (-3.5, 3.5))
        return 100.0 * float(np.abs((low - high) / series[..., 0][inside]).mean())

    assert asymmetry(moved) > 4.0
    assert asymmetry(found) < 1.3 * asymmetry(still)


def test_a_slice_of_phase_cycles_is_aligned_within_its_plane_and_a_still_one_rests(head):
    protocol = simulated_protocol(phase_cycles=6)
    grid = grid_of(1)
    poses = (Pose(), in_plane(1.5, -1.0, 1.0), in_plane(-1.0, 0.5, 0.0), Pose(), in_plane(0.0, 1.0, -1.5), Pose())
    for placed, limit in ((poses, 0.3), ((Pose(),) * 6, 0.2)):
        cycles = scan_bssfp(
            head, grid=grid, placement=np.eye(4), poses=placed, protocol=protocol, receiver=np.zeros(7), snr=50.0,
            rng=np.random.default_rng(1), threads=1,
        )  # fmt: skip
        found = correct_motion(cycles, affine=grid.affine, protocol=protocol)
        assert errors(found.transforms, placed, found.reference).mean() < limit
        assert found.coverage.any()
        assert found.assessed.tolist() == [True, True, False, False, False, True]
        np.testing.assert_allclose(found.transforms[:, 2, 3], 0.0, atol=1e-9)


def test_scans_and_fringes_of_one_slice_are_registered_within_it(head):
    grid = grid_of(1)
    poses = (Pose(), in_plane(2.0, 1.0, 2.0), Pose())
    volumes = series_of(head, grid, poses)
    for found in (
        align_scans(volumes, affine=grid.affine),
        align_fringes(volumes, affine=grid.affine, reference=0),
    ):
        assert errors(found.transforms, poses, 0).max() < 0.5
        assert not found.assessed.all()
        assert "within the plane" in found.decisions[0]
        assert np.isfinite(found.remaining).all()


def test_a_line_of_voxels_tells_no_motion():
    volumes = np.random.default_rng(0).uniform(1.0, 2.0, (4, 3, 40, 3)).astype(np.float32)
    found = correct_saturated_motion(volumes, affine=np.eye(4), roles=("cest",) * 3, offsets=(1.0, 2.0, 3.0))
    assert not found.assessed.any()
    assert np.isnan(found.framewise_displacement).all()
    np.testing.assert_array_equal(found.volumes, volumes)
    assert "Motion was not corrected: a grid of 4 × 3 × 40 voxels tells none." in found.decisions


def test_oblique_slices_are_free_within_their_own_plane():
    affine = Pose(rotation=(0.3, 0.1, 0.0)).matrix @ np.diag([2.0, 2.0, 5.0, 1.0])
    found = freedom_of((64, 64, 1), affine=affine)
    normal = affine[:3, 2] / 5.0
    np.testing.assert_allclose(found.basis[:3].T @ normal, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.basis[3:, 2], normal, atol=1e-12)
    shift = np.eye(3)
    shift[0, 2] = 3.0
    np.testing.assert_allclose(found.in_space(shift)[:3, 3], 3.0 * affine[:3, 0] / 2.0, atol=1e-12)


def test_a_single_slice_has_its_value_across_its_thickness():
    affine = np.diag([2.0, 2.0, 6.0, 1.0])
    image = np.random.default_rng(0).uniform(1.0, 2.0, (12, 14, 1)).astype(np.float32)
    for height, inside in ((0.0, True), (2.9, True), (3.1, False)):
        target = affine.copy()
        target[2, 3] = height
        known = {"affine": affine, "target_shape": image.shape, "target_affine": target, "transform": np.eye(4)}
        found = resample(image, **known)
        np.testing.assert_allclose(found, image if inside else 0.0, atol=1e-5)
        grid = {"shape": image.shape, "affine": affine, "target_affine": target, "target_shape": image.shape}
        assert grid_coverage(transform=np.eye(4), **grid).all() == inside


def test_slices_turned_in_an_oblique_plane_keep_their_first_and_last():
    affine = Pose(rotation=(0.3, 0.1, 0.0)).matrix @ np.diag([2.0, 2.0, 5.0, 1.0])
    turn = np.eye(3)
    turn[:2, :2] = [[math.cos(0.1), -math.sin(0.1)], [math.sin(0.1), math.cos(0.1)]]
    transform = freedom_of((20, 20, 4), affine=affine).in_space(turn)
    found = resample(
        np.ones((20, 20, 4), dtype=np.float32), affine=affine, target_shape=(20, 20, 4), target_affine=affine,
        transform=transform,
    )  # fmt: skip
    np.testing.assert_allclose(found[8:12, 8:12], 1.0, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_drift_of_phase_is_removed_from_one_slice(axis):
    shape = tuple(1 if each == axis else 48 for each in range(3))
    rng = np.random.default_rng(2)
    protocol = simulated_protocol(phase_cycles=6)
    t1, t2 = rng.uniform(0.8, 1.4, shape), rng.uniform(0.06, 0.1, shape)
    field = np.linspace(-60.0, 60.0, 48 * 48).reshape(shape)
    clean = bssfp.signal(t1, t2, b1=np.ones(shape), off_resonance=field, protocol=protocol).astype(np.complex64)
    drifted = clean * np.exp(1j * np.array([0.0, 0.02, -0.01, 0.015, -0.02, 0.01]))
    found = calibrate_cycles(drifted, mask=np.ones(shape, dtype=bool), protocol=protocol)
    ratio = np.angle(found.cycles / clean)
    ratio -= ratio.mean(axis=-1, keepdims=True)
    assert np.isfinite(found.cycles).all()
    assert np.abs(ratio).max() < 2e-3


@pytest.mark.parametrize("shape", [(40, 44, 1), (1, 40, 44), (40, 1, 44), (40, 44, 3)])
def test_b1_of_few_slices_is_made_smooth_and_brought_by_its_header(shape):
    affine = np.diag([5.0 if size > 3 else 2.0 for size in shape] + [1.0])
    axes = np.ix_(*(np.linspace(-1.0, 1.0, size) * (size > 3) for size in shape))
    radius = sum(axis**2 for axis in axes)
    image = np.where(radius < 0.8, 100.0, 0.5).astype(np.float32)
    b1 = np.where(radius < 0.8, 1.0 - 0.2 * radius, 0.0)
    found = register_b1(b1, b1_affine=affine, anatomical=image, target_magnitude=image, target_affine=affine)
    inside = radius < 0.5
    np.testing.assert_allclose(found.map[inside], b1[inside], atol=0.02)
    np.testing.assert_array_equal(found.transform, np.eye(4))
    assert "WAS NOT ASSESSED" in found.decisions[0]


def test_pictures_of_slices_show_their_plane():
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        shape = tuple(1 if each == axis else 30 for each in range(3))
        view = View(affine=np.diag([2.0, 2.0, 2.0, 1.0]), mask=np.ones(shape, dtype=bool))
        assert [cut.plane for row in view.standard_rows() for cut in row] == [plane]
        assert {cut.plane for cut in view.mixed_row()} == {plane}


def test_a_figure_names_what_was_not_assessed():
    parameters = np.zeros((4, 6))
    parameters[:, 2:5] = np.nan
    caption = motion_figure(parameters, np.zeros(4)).caption
    assert "Not assessed, since there are too few slices: translation z, rotation x, rotation y." in caption
    assert motion_figure(np.full((4, 6), np.nan), np.full(4, np.nan)).image


def test_a_given_motion_is_known_as_far_as_it_goes():
    affine = Pose(rotation=(0.3, 0.1, 0.0)).matrix @ np.diag([2.0, 2.0, 5.0, 1.0])
    shift = np.eye(3)
    shift[0, 2] = 3.0
    within = freedom_of((64, 64, 1), affine=affine).in_space(shift)[None]
    beyond = within.copy()
    beyond[0, :3, 3] += affine[:3, 2]
    assert known_motion(within, shape=(64, 64, 1), affine=affine).tolist() == [True, True, False, False, False, True]
    assert known_motion(beyond, shape=(64, 64, 1), affine=affine).all()
    assert not known_motion(np.eye(4)[None], shape=(4, 3, 40), affine=affine).any()
