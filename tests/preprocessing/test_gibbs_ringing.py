import numpy as np
import pytest
from scipy.fft import fft, fftshift, ifft, ifftshift

from qmri_bids.preprocessing.gibbs.methods import remove_ringing
from qmri_bids.preprocessing.gibbs.subvoxel import STEPS, directional_weights, remove_gibbs_ringing, shift_matrices

SIZE, SLICES = 48, 3


def cropped(fine, size, axes):
    """The middle of k-space of a fine image, whose voxels are whole multiples of its own."""
    for axis in axes:
        number = fine.shape[axis]
        factor = number // size
        spectrum = fftshift(fft(fine, axis=axis), axes=axis)
        middle = np.arange(number // 2 - size // 2, number // 2 - size // 2 + size)
        kept = ifftshift(np.take(spectrum, middle, axis=axis), axes=axis)
        frequencies = np.fft.fftfreq(size, d=1.0 / size).reshape(
            [-1 if each == axis else 1 for each in range(fine.ndim)]
        )
        # The first fine voxel lies before the middle of the first coarse one.
        fine = ifft(kept * np.exp(1j * np.pi * frequencies * (factor - 1) / (factor * size)) / factor, axis=axis)
    return fine


def truncated_disc(noise=0.0, phased=True, seed=0):
    """A disc on a dark ground under a phase ramp, of limited resolution: image, truth, and where the truth is flat."""
    fine = 8 * SIZE
    x, y = (np.indices((fine, fine)) + 0.5) / fine - 0.5
    truth = np.where(np.hypot(x, y) < 0.33, 1.0, 0.02) + np.where(np.hypot(x - 0.1, y) < 0.1, 0.6, 0.0)
    small = truth.reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3))
    wave = np.exp(1j * (0.7 + 1.5 * x)) if phased else 1.0
    image = cropped(truth * wave, SIZE, (0, 1))
    flat = (small == 1.0) & (np.hypot(x, y).reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3)) < 0.33 - 1.0 / SIZE)
    volume = np.repeat(image[:, :, None], SLICES, axis=2)[..., None]
    rng = np.random.default_rng(seed)
    volume = volume + noise * (rng.standard_normal(volume.shape) + 1j * rng.standard_normal(volume.shape))
    return volume.astype(np.complex64), small, flat


def truncated_ball(seed=0):
    """A bright ball whose surface lies anywhere between voxels: image and distance from its surface [voxels]."""
    size, factor = 32, 4
    x, y, z = (np.indices((size * factor,) * 3) + 0.5) / factor - size / 2.0
    radius = np.sqrt((x - 0.3) ** 2 + (1.1 * (y + 0.2)) ** 2 + (0.9 * z) ** 2)
    image = cropped((radius < 10.4).astype(np.complex64), size, (0, 1, 2))
    depth = 10.4 - radius.reshape(size, factor, size, factor, size, factor).mean(axis=(1, 3, 5))
    return image.astype(np.complex64), depth


def test_ringing_of_complex_images_is_reduced_and_their_phase_kept():
    volume, _, flat = truncated_disc()
    cleaned = remove_gibbs_ringing(volume, axes=(0, 1)).volumes
    before, after = (np.abs(each[..., 0])[flat].std() for each in (volume, cleaned))
    assert before > 0.02
    assert after < 0.4 * before
    np.testing.assert_allclose(np.angle(cleaned[flat]), np.angle(volume[flat]), atol=0.05)


def test_it_removes_what_dipy_removes_where_dipy_can_be_asked():
    """dipy takes real images above zero. It smooths more, since it bridges up to 1.8 voxels."""
    from dipy.denoise.gibbs import gibbs_removal

    volume, truth, flat = truncated_disc(phased=False)
    image = np.abs(volume[:, :, 0, 0]).astype(np.float64)
    theirs = gibbs_removal(image, inplace=False)
    ours = remove_gibbs_ringing(image[:, :, None, None], axes=(0, 1)).volumes[:, :, 0, 0]
    assert np.abs(ours.imag).max() < 1e-5
    error = {
        name: np.abs(each - truth)[flat].mean()
        for name, each in (("none", image), ("dipy", theirs), ("own", ours.real))
    }
    assert error["own"] < 0.5 * error["none"]
    assert error["own"] < 2.0 * error["dipy"]
    # Both remove the same: what is left differs by a fraction of what went.
    removed_theirs, removed_ours = (image - theirs)[flat], (image - ours.real)[flat]
    assert np.corrcoef(removed_theirs, removed_ours)[0, 1] > 0.9


def test_all_three_axes_are_cleaned():
    image, depth = truncated_ball()
    inside = depth >= 2.0
    errors = {
        axes: np.abs(remove_gibbs_ringing(image[..., None], axes=axes).volumes[..., 0] - 1.0)[inside].mean()
        for axes in ((0,), (0, 1), (0, 1, 2))
    }
    before = np.abs(image - 1.0)[inside].mean()
    assert before > errors[0,] > errors[0, 1] > errors[0, 1, 2]
    assert errors[0, 1, 2] < 0.4 * before


def test_what_is_as_wide_as_a_voxel_stays():
    """A bright point and a thin sheet between voxels: dipy's shifts of up to 0.9 voxels would take most of either."""
    point = np.zeros((24, 24, 24, 1), dtype=np.complex64)
    point[12, 12, 12] = 1j
    assert abs(remove_gibbs_ringing(point).volumes[12, 12, 12, 0]) > 0.9
    matrix = shift_matrices(24)[STEPS // 2]
    sheet = np.zeros((24, 24, 24, 1), dtype=np.complex64)
    sheet[...] = matrix[:, 12].reshape(24, 1, 1, 1)  # between two voxels
    kept = np.abs(remove_gibbs_ringing(sheet).volumes).max() / np.abs(sheet).max()
    assert kept > 0.7


def test_noise_and_flat_regions_stay_unbiased_with_any_number_of_threads():
    volume, _, flat = truncated_disc(noise=0.02)
    clean, _, _ = truncated_disc()
    result = remove_gibbs_ringing(volume, axes=(0, 1), processes=2)
    difference = (result.volumes - clean)[flat]
    tolerance = 4 * 0.02 / np.sqrt(difference.size)
    assert abs(difference.real.mean()) < tolerance
    assert abs(difference.imag.mean()) < tolerance
    again = remove_gibbs_ringing(volume, axes=(0, 1), processes=1)
    np.testing.assert_array_equal(again.volumes, result.volumes)


def test_every_volume_and_every_phase_is_treated_alike():
    rng = np.random.default_rng(3)
    one = truncated_disc(noise=0.01)[0]
    volumes = np.concatenate([one, one * np.exp(1j * rng.uniform(0, 6)), 5.0 * one], axis=3).astype(np.complex64)
    cleaned = remove_gibbs_ringing(volumes, axes=(0, 1)).volumes
    # Real and imaginary parts share their shift: a turn of the phase turns the result.
    turned = cleaned[..., 1] * np.exp(-1j * np.angle(volumes[0, 0, 0, 1] / volumes[0, 0, 0, 0]))
    close = np.abs(turned - cleaned[..., 0]) < 1e-4
    assert close.mean() > 0.995  # where two shifts are equally good, rounding chooses
    assert (np.abs(cleaned[..., 2] / 5.0 - cleaned[..., 0]) < 1e-4).mean() > 0.995


def test_weights_add_up_and_take_each_edge_from_its_own_axis():
    weights = directional_weights((16, 12, 10), axes=(0, 1, 2))
    total = sum(np.broadcast_to(each, (16, 12, 10)) for each in weights.values())
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    np.testing.assert_allclose(weights[0][8, :6, :5], 1.0, atol=1e-6)  # edge of axis 0, not of the others
    np.testing.assert_allclose([each[0, 0, 0] for each in weights.values()], 1.0 / 3.0, atol=1e-6)


def test_shifts_are_those_of_the_fourier_transform():
    x = np.arange(20) / 20.0
    for frequency in (0, 3, 9):
        shifted = shift_matrices(20) @ np.cos(2 * np.pi * frequency * x + 0.4)
        for step in range(STEPS):
            np.testing.assert_allclose(
                shifted[step], np.cos(2 * np.pi * frequency * (x + step / STEPS / 20.0) + 0.4), atol=1e-5
            )


def test_slices_that_were_excited_one_by_one_are_cleaned_in_their_plane():
    image, _ = truncated_ball()
    cycles = np.repeat(image[..., None], 3, axis=3)
    result = remove_ringing(cycles, method="subvoxel", in_slices=True)
    alone = remove_ringing(cycles[:, :, 16:17], method="subvoxel", in_slices=True)
    np.testing.assert_allclose(result.volumes[:, :, 16:17], alone.volumes, atol=1e-6)
    assert any("excited one by one" in sentence for sentence in result.decisions)
    assert any("Along axis 2 there are 1 voxels" in sentence for sentence in alone.decisions)
    assert any("along axis 0 and 1" in sentence for sentence in alone.decisions)


@pytest.mark.parametrize("method", ["subvoxel", "apodization"])
@pytest.mark.parametrize("axis", [0, 2])
def test_signs_that_alternate_are_undone_and_nothing_is_lost(method, axis):
    """As files of some scanners are, where a shift of the Fourier transform was left out."""
    image, _ = truncated_ball()
    cycles = np.stack([image, 1j * image, -image], axis=3)
    signs = np.where(np.arange(32) % 2, -1.0, 1.0).reshape([-1 if each == axis else 1 for each in range(4)])
    plain = remove_ringing(cycles, method=method)
    found = remove_ringing((cycles * signs).astype(np.complex64), method=method)
    np.testing.assert_allclose(found.volumes, plain.volumes, atol=1e-5)
    assert f"Along axis {axis} the sign of the images alternated" in found.decisions[0]
    assert not any("alternated" in sentence for sentence in plain.decisions)


def test_wrong_arguments_are_refused():
    volume, _, _ = truncated_disc()
    with pytest.raises(ValueError, match=r"axes must be different ones of 0, 1 and 2, found \(3,\)"):
        remove_gibbs_ringing(volume, axes=(3,))
    with pytest.raises(ValueError, match=r"axes must be different ones of 0, 1 and 2, found \(1, 1\)"):
        remove_gibbs_ringing(volume, axes=(1, 1))
    with pytest.raises(ValueError, match=r"shape \(X, Y, Z, K\)"):
        remove_gibbs_ringing(volume[..., 0])
