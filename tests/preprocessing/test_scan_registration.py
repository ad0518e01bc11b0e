import numpy as np
import pytest

from qmri_bids.phantom.heads.geometry import Grid, Pose
from qmri_bids.phantom.heads.template import build_head
from qmri_bids.phantom.heads.tissues import Label
from qmri_bids.preprocessing.registration import scans as scan_registration
from qmri_bids.preprocessing.registration.quality import MIRROR_DOUBT, RegistrationQuality
from qmri_bids.preprocessing.registration.scans import RegistrationFailed, bring, register_scans

SHAPE = (48, 56, 48)
AFFINE = np.array([[4.0, 0, 0, -94.0], [0, 4.0, 0, -110.0], [0, 0, 4.0, -94.0], [0, 0, 0, 1.0]])
PROTON_DENSITY = {Label.GM: 0.8, Label.WM: 0.7, Label.CSF: 1.0, Label.FAT: 0.8, Label.MUSCLE: 0.75}
RELAXED = {Label.GM: 0.5, Label.WM: 0.65, Label.CSF: 0.15, Label.FAT: 1.0, Label.MUSCLE: 0.5}
POSE = Pose(translation=(4.0, -3.0, 5.0), rotation=(0.05, -0.03, 0.04))


@pytest.fixture(scope="module")
def image():
    head = build_head(subject=1, seed=0)

    def simulate(contrast, pose, affine=AFFINE, shape=SHAPE):
        fine = Grid(shape=shape, affine=affine).finer(2)
        inverse = np.linalg.inv(pose.matrix)
        planes = []
        for plane in range(shape[0]):
            points = fine.slab_points(2 * plane, 2 * plane + 2)
            inside, sample = head.sample(inverse[:3, :3] @ points + inverse[:3, 3:])
            full = np.zeros(points.shape[1])
            full[inside] = np.select([sample.label == label for label in contrast], list(contrast.values()))
            planes.append(full.reshape(2, shape[1], 2, shape[2], 2).mean(axis=(0, 2, 4)))
        noise = 0.01 * np.random.default_rng(1).standard_normal(shape)
        return np.abs(np.stack(planes) + noise).astype(np.float32)

    return simulate


@pytest.fixture(scope="module")
def fixed(image):
    return image(PROTON_DENSITY, Pose())


def test_scan_of_another_contrast_and_grid_is_found(image, fixed):
    affine = AFFINE @ np.diag([1.25, 1.25, 1.25, 1.0])
    affine[:3, 3] += 6.0
    moving = image(RELAXED, POSE, affine=affine, shape=(38, 44, 38))
    found = register_scans(fixed, fixed_affine=AFFINE, moving=moving, moving_affine=affine)
    points = np.column_stack([np.random.default_rng(0).uniform(-50.0, 50.0, size=(500, 3)), np.ones(500)])
    error = np.linalg.norm((points @ (found.transform - POSE.matrix).T)[:, :3], axis=1).mean()
    assert error < 0.6
    assert found.similarity[1] > found.similarity[0]
    assert found.decisions[0].startswith("Registered rigidly, by ")


def test_mirrored_scan_is_told_from_the_scan_itself(image, fixed):
    moving = image(RELAXED, POSE)
    found = register_scans(fixed, fixed_affine=AFFINE, moving=moving, moving_affine=AFFINE)
    assert found.quality.mirrored < 0.9 * MIRROR_DOUBT
    assert found.warnings == ()
    assert found.quality.overlap[1] > 0.9
    with pytest.raises(RegistrationFailed, match="left and right of two scans are exchanged"):
        register_scans(fixed, fixed_affine=AFFINE, moving=moving[::-1].copy(), moving_affine=AFFINE)


def test_map_comes_to_where_the_scan_shows_it(image, fixed):
    moved = image(PROTON_DENSITY, POSE)
    brought = bring({"PD": moved}, affine=AFFINE, target_shape=SHAPE, target_affine=AFFINE, transform=POSE.matrix)
    inside = fixed > 0.5
    assert np.abs(brought["PD"] - fixed)[inside].mean() < 0.4 * np.abs(moved - fixed)[inside].mean()


def test_thin_scan_is_placed_by_its_coordinates(fixed):
    found = register_scans(fixed[:, :, 20:22], fixed_affine=AFFINE, moving=fixed, moving_affine=AFFINE)
    np.testing.assert_array_equal(found.transform, np.eye(4))
    assert np.isnan(found.similarity).all()
    assert "coordinates of the scanner alone: 2 slices" in found.decisions[0]


def test_noise_is_no_scan_of_the_head(fixed):
    noise = np.abs(np.random.default_rng(3).standard_normal(SHAPE)).astype(np.float32)
    with pytest.raises(RegistrationFailed, match="share next to nothing after registration"):
        register_scans(fixed, fixed_affine=AFFINE, moving=noise, moving_affine=AFFINE)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"distance": 60.0}, "moves the head by 60 mm and 2°, expected at most 50 mm and 45°"),
        ({"angle": 90.0}, "moves the head by 3 mm and 90°"),
        ({"similarity": (0.5, 0.4)}, "lowered their mutual information from 0.500 to 0.400"),
        ({"covered": 0.3}, "covers only 30 % of the head"),
        ({"mirrored": 1.4}, r"left and right of two scans are exchanged.*1.40 times as high"),
    ],
)
def test_failed_registrations_say_by_what_it_was_seen(found, message):
    good = {"distance": 3.0, "angle": 2.0, "similarity": (0.3, 0.6), "covered": 1.0, "mirrored": 0.5}

    def check(*, distance, angle, **measured):
        quality = RegistrationQuality(overlap=(0.9, 0.95), **measured)
        scan_registration._check(distance=distance, angle=angle, quality=quality)

    check(**good)
    with pytest.raises(RegistrationFailed, match=message):
        check(**(good | found))


def test_bad_images_are_refused(fixed):
    with pytest.raises(ValueError, match="fixed image must have three dimensions"):
        register_scans(fixed[..., None], fixed_affine=AFFINE, moving=fixed, moving_affine=AFFINE)
    with pytest.raises(ValueError, match="moving image is constant"):
        register_scans(fixed, fixed_affine=AFFINE, moving=np.zeros(SHAPE), moving_affine=AFFINE)


def test_missing_neighbours_do_not_enter():
    values = np.full((6, 6, 6), 2.0, dtype=np.float32)
    values[3:] = np.nan
    shift = np.eye(4)
    brought = {}
    for part in (0.0, 0.25, 0.5, 0.75):
        shift[0, 3] = part
        brought[part] = bring(
            {"T1": values}, affine=np.eye(4), target_shape=(6, 6, 6), target_affine=np.eye(4), transform=shift
        )["T1"][:, 2, 2]
    for line in brought.values():
        np.testing.assert_allclose(line[:2], 2.0, atol=1e-5)
        assert np.isnan(line[3:]).all()
    # The last voxel with a value keeps it while half of its weight is valid.
    assert [bool(np.isfinite(line[2])) for line in brought.values()] == [True, True, True, False]
    np.testing.assert_allclose(brought[0.25][2], 2.0, atol=1e-5)


def test_same_place_gives_the_map_back():
    values = np.random.default_rng(0).standard_normal((5, 6, 7)).astype(np.float32)
    values[2, 3, 4] = np.nan
    brought = bring(
        {"a": values, "b": values + 1.0},
        affine=AFFINE,
        target_shape=values.shape,
        target_affine=AFFINE,
        transform=np.eye(4),
    )
    np.testing.assert_array_equal(brought["a"], values)
    assert brought["b"].dtype == np.float32


@pytest.mark.parametrize("seed", [1, 3])
def test_a_ball_that_is_its_own_mirror_image_is_not_refused(seed):
    """Inside a ball of one liquid only noise differs from its mirror image, which then fits better by chance."""
    shape, affine, rng = (20, 22, 18), np.diag([4.0, 4.0, 4.0, 1.0]), np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.arange(n) - 0.5 * (n - 1) for n in shape], indexing="ij"), axis=-1)
    ball = np.linalg.norm(places, axis=-1) < 7.0

    def scan(level):
        noise = rng.normal(size=(*shape, 2)).view(complex)[..., 0]
        return np.abs(level * ball + 5.0 * noise).astype(np.float32)

    found = register_scans(scan(900.0), fixed_affine=affine, moving=scan(740.0), moving_affine=affine)
    assert found.quality.mirrored <= 1.0
    assert not found.quality.sides_told
