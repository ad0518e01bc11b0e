import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import TISSUES, Label
from qmri_bids.physics.bloch_mcconnell.compiled import signal_and_jacobian
from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters
from qmri_bids.physics.pools import CestPool, Lineshape, MtForm, MtPool, PoolModel, Water
from qmri_bids.physics.saturation import Pulse, Saturation
from qmri_bids.physics.saturation_presets import z_spectrum
from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.motion.evidence import edge_correlation, linked, same_edges, shared_variance
from qmri_bids.preprocessing.motion.groupwise import Level
from qmri_bids.preprocessing.motion.saturated import apply_series_motion, correct_saturated_motion
from qmri_bids.preprocessing.registration.resampling import resample

HERTZ_PER_PPM = 127.7292
OFFSETS = (None, -4.0, -3.5, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 3.5, 4.0)
ROLES = ("m0",) + ("cest",) * 11
NEAR_WATER = 6
NOISE = 0.0075
"""A signal-to-noise ratio of 100 in brain without saturation."""
AFFINE = np.array([[4.0, 0, 0, -94.0], [0, 4.0, 0, -110.0], [0, 0, 4.0, -94.0], [0, 0, 0, 1.0]])
SHAPE = (48, 56, 48)
MOVED = {
    2: Pose(translation=(1.5, -1.0, 0.8), rotation=(0.02, 0.0, -0.03)),
    5: Pose(translation=(-2.0, 1.0, 1.5), rotation=(-0.03, 0.03, 0.0)),
    9: Pose(translation=(0.5, 2.0, -2.0), rotation=(0.0, -0.03, 0.03)),
}
SEMISOLID = {Label.WM: (0.11, 29.0), Label.GM: (0.06, 40.0), Label.MUSCLE: (0.08, 40.0)}


def tissue_model(label):
    water = Water(t1=TISSUES[label].t1, t2=TISSUES[label].t2)
    if label not in SEMISOLID:
        return PoolModel(water=water)
    fraction, rate = SEMISOLID[label]
    return PoolModel(
        water=water,
        cest=(CestPool(name="amide", fraction=2e-3, rate=200.0, shift=3.5, t2=0.04),),
        mt=MtPool(
            name="MT", fraction=fraction, rate=rate, shift=-2.5, t2=1e-5, t1=1.0,
            form=MtForm.Z_ONLY, lineshape=Lineshape.SUPER_LORENTZIAN,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def head():
    return build_head(subject=1, seed=0)


@pytest.fixture(scope="module")
def tables():
    dense = np.linspace(-9.0, 9.0, 145)
    train = Saturation(pulse=Pulse.block(amplitude=1.5e-6, duration=2.0))
    protocol = z_spectrum(train, dense, recovery=3.5)
    labels = (Label.GM, Label.WM, Label.CSF, Label.FAT, Label.MUSCLE)
    return {
        label: CubicSpline(dense, signal_and_jacobian(tissue_model(label), protocol, VoxelParameters()).signal[1:])
        for label in labels
    }


@pytest.fixture(scope="module")
def scan(head, tables):
    """Scan the head in given poses, sampled where it is: nothing is interpolated."""

    def simulate(poses, seed=0):
        fine = Grid(shape=SHAPE, affine=AFFINE).finer(2)
        volumes = np.zeros((*SHAPE, len(OFFSETS)), dtype=np.float32)
        groups = {}
        for index in range(len(OFFSETS)):
            groups.setdefault(poses.get(index, Pose()), []).append(index)
        for pose, members in groups.items():
            inverse = np.linalg.inv(pose.matrix)
            for plane in range(SHAPE[0]):
                points = fine.slab_points(2 * plane, 2 * plane + 2)
                inside, sample = head.sample(inverse[:3, :3] @ points + inverse[:3, 3:])
                shift = sample.off_resonance / HERTZ_PER_PPM
                for index in members:
                    signal = sample.m0.astype(float)
                    if OFFSETS[index] is not None:
                        for label, table in tables.items():
                            here = sample.label == label
                            fat = 3.4 if label is Label.FAT else 0.0
                            signal[here] *= table(np.clip(OFFSETS[index] - shift[here] + fat, -9.0, 9.0))
                    full = np.zeros(points.shape[1])
                    full[inside] = signal
                    volumes[plane, :, :, index] = full.reshape(2, 56, 2, 48, 2).mean(axis=(0, 2, 4))
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(volumes.shape) + 1j * rng.standard_normal(volumes.shape)
        return np.abs(volumes + NOISE * noise).astype(np.float32)

    return simulate


@pytest.fixture(scope="module")
def moved(scan):
    return scan(MOVED)


@pytest.fixture(scope="module")
def corrected(moved):
    return correct_saturated_motion(moved, affine=AFFINE, roles=ROLES, offsets=OFFSETS, processes=2)


def true_transforms(poses, reference):
    matrices = np.stack([poses.get(index, Pose()).matrix for index in range(len(OFFSETS))])
    return matrices @ np.linalg.inv(matrices[reference])


def position_error(transforms, truth):
    """Mean distance [mm] over a ball of the size of a brain."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((2000, 3))
    points *= 70.0 * rng.uniform(size=(2000, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1, keepdims=True)
    points = np.column_stack([points, np.ones(2000)])
    return np.linalg.norm(np.einsum("nij,pj->npi", transforms - truth, points)[..., :3], axis=2).mean(axis=1)


def test_saturation_alone_is_no_motion(scan):
    found = correct_saturated_motion(scan({}), affine=AFFINE, roles=ROLES, offsets=OFFSETS, processes=2)
    error = position_error(found.transforms, true_transforms({}, found.reference))
    saturated = np.array([role == "cest" for role in ROLES])
    # At voxels of 2 mm 0.02 mm; errors grow with the voxel. The unsaturated volume has another contrast.
    assert error[saturated].mean() < 0.1
    assert error.max() < 0.4
    assert found.trusted.all()
    assert 1e3 * np.median(found.framewise_displacement[1:]) < 0.1


def test_drawn_motion_is_found_near_water_too(corrected):
    truth = true_transforms(MOVED, corrected.reference)
    before = position_error(np.tile(np.eye(4), (len(OFFSETS), 1, 1)), truth)
    after = position_error(corrected.transforms, truth)
    assert before[list(MOVED)].min() > 2.0
    assert after.mean() < 0.2
    assert after[NEAR_WATER] < 0.4
    assert ROLES[corrected.reference] == "cest"
    np.testing.assert_array_equal(corrected.transforms[corrected.reference], np.eye(4))


def test_aligned_volumes_are_those_of_the_true_motion(moved, corrected):
    truth = true_transforms(MOVED, corrected.reference)
    inside = (moved[..., 0] > 0.3) & corrected.coverage
    assert corrected.volumes.dtype == np.float32
    for index in MOVED:
        ideal = resample(
            moved[..., index], affine=AFFINE, target_shape=SHAPE, target_affine=AFFINE, transform=truth[index]
        )
        rough = np.abs(moved[..., index] - ideal)[inside].mean()
        assert np.abs(corrected.volumes[..., index] - ideal)[inside].mean() < 0.2 * rough


def test_volume_of_noise_is_not_believed_and_moves_with_its_neighbours(moved):
    spoilt = moved.copy()
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE)
    spoilt[..., 3] = NOISE * np.abs(noise)
    spoilt[..., 7] = 0.0
    found = correct_saturated_motion(
        spoilt, affine=AFFINE, roles=ROLES, offsets=OFFSETS, b1_rms=(0.0,) + (1.5e-6,) * 11, processes=2
    )
    assert np.flatnonzero(~found.trusted).tolist() == [3, 7]
    expected = 0.5 * (found.parameters[2] + found.parameters[4])
    np.testing.assert_allclose(found.parameters[3], expected, atol=1e-9)
    assert any("4 (-3 ppm, 1.5 µT), 8 (1 ppm, 1.5 µT) was not believed" in each for each in found.decisions)
    good = np.setdiff1d(np.arange(len(OFFSETS)), [3, 7])
    assert position_error(found.transforms, true_transforms(MOVED, found.reference))[good].mean() < 0.2


def test_result_does_not_depend_on_the_number_of_threads(moved):
    known = {"affine": AFFINE, "roles": ROLES[1:5], "offsets": OFFSETS[1:5]}
    first, second = (correct_saturated_motion(moved[..., 1:5], **known, processes=number) for number in (1, 2))
    np.testing.assert_allclose(second.transforms, first.transforms, atol=1e-9)
    np.testing.assert_allclose(second.volumes, first.volumes, atol=1e-6)


def test_images_that_share_nothing_explain_nothing():
    rng = np.random.default_rng(0)
    shape = (20, 20, 20)
    common = rng.standard_normal(shape)
    images = np.stack([common, 0.01 * common, 2.0 * common, rng.standard_normal(shape)], axis=-1)
    images += 1e-4 * rng.standard_normal(images.shape)
    share = shared_variance(
        edge_correlation(
            images.astype(np.float32),
            affine=np.eye(4),
            transforms=np.tile(np.eye(4), (4, 1, 1)),
            samples=np.ones(shape, dtype=bool),
            level=Level(smoothing=0.7, high_pass=1.5, steps=1),
        )
    )
    assert (share[:3] > 0.99).all()
    assert share[3] < 0.05


def test_images_are_linked_from_one_to_the_next():
    alike = np.eye(6, dtype=bool)
    for first, second in ((0, 3), (3, 5), (1, 2)):
        alike[first, second] = alike[second, first] = True
    assert linked(alike, reference=0).tolist() == [True, False, False, True, False, True]


def test_volumes_that_lie_elsewhere_together_are_not_linked_to_the_reference(moved, corrected):
    reference = len(OFFSETS) - 1
    known = {
        "affine": AFFINE,
        "samples": head_mask(moved.mean(axis=3)),
        "level": Level(smoothing=0.7, high_pass=1.5, steps=1),
    }

    def linked_with(transforms):
        found = edge_correlation(moved.astype(np.float32), transforms=transforms, **known)
        return linked(same_edges(found), reference=reference)

    near = linked_with(corrected.transforms)
    assert near.sum() >= 4
    off = corrected.transforms.copy()
    off[np.delete(np.arange(len(off)), reference), 0, 3] += 2.0
    assert linked_with(off).sum() == 1


def test_a_volume_that_was_left_where_it_is_is_seen(moved, corrected):
    forgotten = corrected.transforms.copy()
    forgotten[5] = np.eye(4)
    known = {"affine": AFFINE, "reference": corrected.reference, "trusted": corrected.trusted, "centre": np.zeros(3)}
    found = apply_series_motion(moved, transforms=forgotten, **known)
    rest = np.delete(found.remaining, 5)
    true = position_error(corrected.transforms, true_transforms(MOVED, corrected.reference))
    # An estimate: of the size of the error that is there, not far below it.
    assert corrected.remaining.max() < 0.25 * 4e-3
    assert 1e3 * corrected.remaining.mean() > 0.5 * true.mean()
    assert found.remaining[5] > 0.5 * 4e-3 > rest.max()


def test_brain_of_another_grid_is_refused(moved):
    known = {"affine": AFFINE, "roles": ROLES, "offsets": OFFSETS}
    with pytest.raises(
        ValueError, match=r"brain mask must have the shape \(48, 56, 48\) of the images, found \(2, 2, 2\)"
    ):
        correct_saturated_motion(moved, brain=np.ones((2, 2, 2), dtype=bool), **known)
    with pytest.raises(ValueError, match="brain mask is empty"):
        correct_saturated_motion(moved, brain=np.zeros(SHAPE, dtype=bool), **known)


def test_bad_input_is_refused(moved):
    known = {"affine": AFFINE, "roles": ROLES, "offsets": OFFSETS}
    with pytest.raises(ValueError, match=r"shape \(X, Y, Z, N\) with N of 2 or more, found \(48, 56, 48\)"):
        correct_saturated_motion(moved[..., 0], **known)
    with pytest.raises(ValueError, match="roles must be as many as volumes, expected 11, found 12"):
        correct_saturated_motion(moved[..., 1:], **known)
    spoilt = moved.copy()
    spoilt[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        correct_saturated_motion(spoilt, **known)
