import numpy as np
import pytest

from qmri_bids.physics.bssfp import configurations
from qmri_bids.preprocessing.gibbs import remove_gibbs_from_modes, remove_gibbs_ringing

SIZE, SLICES = 48, 3


def truncated_disc(noise, seed=0):
    """A disc on a dark ground under a phase ramp, of limited resolution: sharp truth and ringing image."""
    fine = 8 * SIZE
    x, y = (np.indices((fine, fine)) + 0.5) / fine - 0.5
    radius = np.hypot(x, y)
    truth = np.where(radius < 0.33, 1.0, 0.02) + np.where(np.hypot(x - 0.1, y) < 0.1, 0.6, 0.0)
    phased = truth * np.exp(1j * (0.7 + 1.5 * x))
    spectrum = np.fft.fftshift(np.fft.fft2(phased))
    middle = slice(fine // 2 - SIZE // 2, fine // 2 + SIZE // 2)
    image = np.fft.ifft2(np.fft.ifftshift(spectrum[middle, middle])) / 64
    # The centres of coarse and fine voxels differ by a part of a voxel: compare where the truth is flat.
    small = truth.reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3))
    distance = radius.reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3))
    flat = (small == 1.0) & (distance < 0.33 - 1.0 / SIZE)
    volume = np.repeat(image[:, :, None], SLICES, axis=2)[..., None]
    rng = np.random.default_rng(seed)
    volume = volume + noise * (rng.standard_normal(volume.shape) + 1j * rng.standard_normal(volume.shape))
    return volume.astype(np.complex64), flat


def test_ringing_of_complex_images_is_reduced():
    volume, flat = truncated_disc(noise=0.0)
    result = remove_gibbs_ringing(volume, slice_axis=2, processes=1)
    before = np.abs(volume[..., 0])[flat].std()
    after = np.abs(result.volumes[..., 0])[flat].std()
    assert before > 0.02
    assert after < 0.5 * before
    # Signs survive: dipy alone would have returned magnitudes.
    np.testing.assert_allclose(np.angle(result.volumes[flat]), np.angle(volume[flat]), atol=0.1)


def test_noise_and_flat_regions_stay_unbiased():
    volume, flat = truncated_disc(noise=0.02)
    clean, _ = truncated_disc(noise=0.0)
    result = remove_gibbs_ringing(volume, slice_axis=2, processes=2)
    difference = (result.volumes - clean)[flat]
    tolerance = 4 * 0.02 / np.sqrt(difference.size)
    assert abs(difference.real.mean()) < tolerance
    assert abs(difference.imag.mean()) < tolerance
    again = remove_gibbs_ringing(volume, slice_axis=2, processes=1)
    np.testing.assert_array_equal(again.volumes, result.volumes)


def test_only_the_modes_asked_for_change():
    volume, _ = truncated_disc(noise=0.002)
    increments = np.pi * (2 * np.array([3, 1, 4, 2, 6, 5]) - 1) / 6  # evenly spaced, in any order
    orders = np.arange(-3, 3)
    weights = np.array([0.05, 0.1, 0.5, 1.0, 0.4, 0.2])
    cycles = (volume * weights) @ np.exp(-1j * np.outer(orders, increments))
    result = remove_gibbs_from_modes(
        cycles.astype(np.complex64), rf_phase_increment=increments, slice_axis=2, processes=1
    )
    before = configurations(cycles, rf_phase_increment=increments, orders=orders)
    after = configurations(result.volumes.astype(np.complex128), rf_phase_increment=increments, orders=orders)
    changed = np.abs(after - before).max(axis=(0, 1, 2))
    untouched = np.abs(orders) > 1
    assert changed[untouched].max() < 1e-5
    assert changed[~untouched].min() > 1e-2
    assert "-1, 0, 1" in result.decisions[-1]


def test_uneven_increments_clean_every_cycle_and_say_so():
    volume, flat = truncated_disc(noise=0.0)
    cycles = np.concatenate([volume, 0.5 * volume, -volume], axis=3)
    result = remove_gibbs_from_modes(cycles, rf_phase_increment=(0.0, 1.0, 2.0), slice_axis=2, processes=1)
    assert "not evenly spaced" in result.decisions[-1]
    for cycle in range(3):
        assert (
            np.abs(result.volumes[..., cycle])[flat[..., None].repeat(SLICES, 2)].std()
            < 0.5 * np.abs(cycles[..., cycle])[flat].std()
        )


def test_wrong_arguments_are_refused():
    volume, _ = truncated_disc(noise=0.0)
    with pytest.raises(ValueError, match="slice_axis must be 0, 1 or 2, found 3"):
        remove_gibbs_ringing(volume, slice_axis=3)
    with pytest.raises(ValueError, match="cycles has 1 volumes, rf_phase_increment 2"):
        remove_gibbs_from_modes(volume, rf_phase_increment=(0.0, 1.0), slice_axis=2)
