"""The smooth surface through B1: unbiased, robust, whole, and with a standard deviation that holds."""

import numpy as np
import pytest

from qmri_bids.preprocessing.b1_smoothing import coarsened, smooth_b1
from qmri_bids.preprocessing.loading.b1 import air_noise, load_b1, load_b1_pair

SIZES = np.array([8.0, 8.0, 8.0])
NOISE = 0.02


@pytest.fixture(scope="module")
def field():
    """The bell of a head at 3 T, and the head [8 mm voxels]."""
    x, y, z = np.meshgrid(*(np.arange(-11, 11) * 8.0,) * 3, indexing="ij")
    distance = (x / 75.0) ** 2 + (y / 90.0) ** 2 + (z / 75.0) ** 2
    return (0.7 + 0.5 * np.exp(-distance / 0.72)).astype(np.float32), distance < 1.0


def noisy(truth, seed=0):
    return truth + NOISE * np.random.default_rng(seed).standard_normal(truth.shape).astype(np.float32)


def test_the_surface_is_unbiased_and_its_standard_deviation_holds(field):
    truth, head = field
    found = smooth_b1(noisy(truth), valid=head, voxel_sizes=SIZES)
    error = (found.map / truth - 1.0)[head]
    assert np.median(np.abs(error)) < 0.2 * NOISE
    assert abs(np.median(error)) < 0.001
    assert found.single == pytest.approx(NOISE, rel=0.05)
    score = ((found.map - truth) / found.stdev)[head]
    assert 0.8 < np.sqrt(np.mean(score**2)) < 1.25
    assert np.isfinite(found.map).all()


def test_the_standard_deviation_grows_with_the_distance_to_what_was_measured(field):
    """And holds there: the lower part of the head, of which the surface knows nothing."""
    truth, head = field
    upper = head.copy()
    upper[..., :9] = False
    found = smooth_b1(noisy(truth), valid=upper, voxel_sizes=SIZES)
    column = found.stdev[11, 11]
    assert (np.diff(column[:9]) < 0.0).all()
    assert column[8] < 2.0 * column[9]
    assert column[4] > 5.0 * column[9]
    beyond = head & ~upper
    scores = np.abs(found.map - truth)[beyond] / found.stdev[beyond]
    assert np.mean(scores < 1.96) > 0.9


def test_noise_of_long_waves_is_seen_and_raises_the_standard_deviation(field):
    """Neighbouring voxels that share their noise are worth less than as many that do not."""
    from scipy.ndimage import gaussian_filter

    truth, head = field
    rng = np.random.default_rng(4)
    scores, rises = {}, {}
    for name, width in (("white", 0.0), ("shared", 0.9)):
        found, raised = [], []
        for _ in range(4):
            noise = rng.standard_normal(truth.shape)
            if width:
                noise = gaussian_filter(noise, width, mode="wrap")
            surface = smooth_b1(truth + NOISE * noise / noise.std(), valid=head, voxel_sizes=SIZES)
            found.append(((surface.map - truth) / surface.stdev)[head])
            raised.append(surface.long_waves)
        scores[name], rises[name] = np.sqrt(np.mean(np.square(found))), np.mean(raised)
    assert 1.0 <= rises["white"] < 1.1
    assert rises["shared"] > 1.5
    assert 0.8 < scores["white"] < 1.2
    assert 0.6 < scores["shared"] < 1.4


def test_outliers_are_passed_by(field):
    truth, head = field
    rng = np.random.default_rng(1)
    values = noisy(truth)
    wrong = head & (rng.random(head.shape) < 0.03)
    values[wrong] = 2.0
    found = smooth_b1(values, valid=head, voxel_sizes=SIZES)
    assert found.outliers == pytest.approx(0.03, abs=0.01)
    assert np.median(np.abs(found.map / truth - 1.0)[head]) < 0.2 * NOISE


def test_noisy_voxels_count_less(field):
    truth, head = field
    rng = np.random.default_rng(2)
    stdev = np.where(rng.random(head.shape) < 0.5, 0.01, 0.1)
    values = truth + stdev * rng.standard_normal(head.shape)
    weighted = smooth_b1(values, valid=head, voxel_sizes=SIZES, stdev=stdev)
    alike = smooth_b1(values, valid=head, voxel_sizes=SIZES)
    errors = [np.std((found.map / truth)[head]) for found in (weighted, alike)]
    assert errors[0] < 0.8 * errors[1]


def test_what_was_not_measured_goes_on_with_its_slope(field):
    truth, head = field
    upper = head.copy()
    upper[..., :7] = False
    found = smooth_b1(truth, valid=upper, voxel_sizes=SIZES)
    near = head & ~upper
    near[..., :5] = False
    assert np.abs(found.map / truth - 1.0)[near].max() < 0.03
    assert 0.3 < found.map.min() < found.map.max() < 1.7


def test_fine_voxels_are_averaged_by_their_weights(field):
    truth, head = field
    fine = np.kron(truth, np.ones((3, 3, 3), dtype=np.float32))
    inside = np.kron(head, np.ones((3, 3, 3))) > 0
    affine = np.diag([8.0 / 3.0, 8.0 / 3.0, 8.0 / 3.0, 1.0])
    stdev = np.where(np.random.default_rng(5).random(fine.shape) < 0.5, 0.01, 0.02)
    noise = np.random.default_rng(6).standard_normal(fine.shape)
    coarse = coarsened(fine + stdev * noise, valid=inside, stdev=stdev, affine=affine)
    np.testing.assert_allclose(np.linalg.norm(coarse.affine[:3, :3], axis=0), 16.0 / 3.0)
    expected = coarsened(fine, valid=inside, stdev=None, affine=affine)
    assert expected.stdev is None
    score = ((coarse.b1 - expected.b1) / coarse.stdev)[coarse.valid]
    # Weighted and plain means of a slope differ by little: the rest is noise.
    assert np.sqrt(np.mean(score**2)) == pytest.approx(1.0, abs=0.25)
    same = coarsened(truth, valid=head, stdev=None, affine=np.diag([8.0, 8.0, 8.0, 1.0]))
    np.testing.assert_array_equal(same.b1, truth)


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError, match="not measured in any voxel"):
        smooth_b1(np.ones((8, 8, 8)), valid=np.zeros((8, 8, 8), dtype=bool), voxel_sizes=SIZES)


def test_noise_is_told_from_the_air_where_there_is_some(field):
    _, head = field
    rng = np.random.default_rng(3)
    image = np.abs(head + 0.03 * (rng.standard_normal(head.shape) + 1j * rng.standard_normal(head.shape)))
    assert air_noise(image, head=head) == pytest.approx(0.03, rel=0.05)
    assert air_noise(np.where(head, image, 0.0), head=head) is None


def test_maps_are_read_with_offset_and_pairs_are_computed(tmp_path, field):
    import nibabel as nib

    _, head = field
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    path = tmp_path / "rfm.nii.gz"
    nib.save(nib.Nifti1Image(np.where(head, 3072.0, 0.0).astype(np.float32), affine), path)
    loaded = load_b1(map_path=path, scale=1.0 / 1024.0, offset=2048.0)
    np.testing.assert_allclose(loaded.ratio[head], 1.0)
    assert (loaded.ratio[~head] == 0.0).all()

    from qmri_bids.estimation.b1_maps import double_angle

    both = np.stack([head * np.sin(1.0), head * np.sin(2.0)], axis=-1)
    both += 1e-3 * np.random.default_rng(4).random(both.shape)
    both[11, 11, 11, 1] = 5.0
    pair = tmp_path / "pair.nii.gz"
    nib.save(nib.Nifti1Image(both.astype(np.float32), affine), pair)
    found = load_b1_pair(
        paths=(pair, pair),
        volumes=(0, 1),
        compute=lambda first, second, noise: double_angle(first, second, flip_angle=1.0, noise=noise),
    )
    assert np.median(found.ratio[head]) == pytest.approx(1.0, abs=2e-3)
    assert found.ratio[11, 11, 11] == 0.0
    assert "belongs to no flip angle in" in found.decisions[0]
    assert found.stdev is not None
