import numpy as np
import pytest

from qmri_bids.pipeline.options import DEFAULT_GIBBS_METHOD, GIBBS_CHOICES
from qmri_bids.preprocessing.gibbs.apodization import apodize, apodize_magnitudes, tukey
from qmri_bids.preprocessing.gibbs.methods import GIBBS_METHODS


def truncated_box(number: int = 48, fine: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A bright cube in a dim one, truncated in k-space, and a mask of voxels two voxels or more from an edge."""
    axis = (np.arange(number * fine) + 0.5) / fine
    profile = ((axis > 10.3) & (axis < 37.6)).astype(float)
    spectrum = np.fft.fft(profile)
    frequencies = np.fft.fftfreq(number, 1 / number).astype(int)
    shift = np.exp(-2j * np.pi * frequencies * (0.5 / fine - 0.5) / number)
    line = np.fft.ifft(spectrum[frequencies] * shift / fine)
    image = line[:, None, None] * line[None, :, None] * line[None, None, :]
    inner = np.zeros(number, dtype=bool)
    inner[14:34] = True
    return image.astype(np.complex64), inner[:, None, None] & inner[None, :, None] & inner[None, None, :]


def test_ringing_inside_is_reduced_and_the_level_kept() -> None:
    image, inner = truncated_box()
    turned = image * np.exp(0.8j)
    before = np.abs(image[inner] - 1)
    cleaned = apodize(turned[..., None], processes=1).volumes[..., 0]
    after = np.abs(cleaned[inner] * np.exp(-0.8j) - 1)
    assert before.mean() > 0.01
    assert after.mean() < before.mean() / 5
    assert abs(np.mean(cleaned[inner] * np.exp(-0.8j)) - 1) < 3e-3


def test_it_is_linear_and_alike_for_all_volumes() -> None:
    rng = np.random.default_rng(0)
    volumes = (rng.normal(size=(12, 10, 8, 3)) + 1j * rng.normal(size=(12, 10, 8, 3))).astype(np.complex64)
    together = apodize(volumes).volumes
    for index in range(3):
        np.testing.assert_allclose(apodize(volumes[..., [index]]).volumes[..., 0], together[..., index], atol=1e-6)
    np.testing.assert_allclose(apodize(2j * volumes).volumes, 2j * together, atol=1e-5)


def test_the_noise_falls_as_stated() -> None:
    rng = np.random.default_rng(1)
    noise = (rng.normal(size=(40, 40, 40, 1)) + 1j * rng.normal(size=(40, 40, 40, 1))).astype(np.complex64)
    assert np.std(apodize(noise).volumes) / np.std(noise) == pytest.approx(0.829**3, abs=0.02)


def test_the_window_keeps_the_middle_and_ends_at_zero() -> None:
    window = tukey(64, taper=0.5)
    assert (window[:17] == 1).all()
    assert window[32] == pytest.approx(0.0, abs=1e-7)
    assert (np.diff(window[16:33]) <= 0).all()


@pytest.mark.parametrize("taper", [0.0, -1.0, 1.5])
def test_an_impossible_taper_is_refused(taper: float) -> None:
    with pytest.raises(ValueError, match="taper must lie in"):
        apodize(np.ones((4, 4, 4, 1), dtype=np.complex64), taper=taper)


def test_the_command_line_offers_the_table() -> None:
    assert set(GIBBS_CHOICES) == set(GIBBS_METHODS)
    assert DEFAULT_GIBBS_METHOD == "subvoxel"


def test_magnitudes_stay_magnitudes_and_ring_less() -> None:
    """A cube of which the edge of k-space was cut off, as a scanner does: its inside becomes even again."""
    cube = np.zeros((64, 64, 64))
    cube[17:46, 17:46, 17:46] = 100.0
    spectrum = np.fft.fftshift(np.fft.fftn(cube))[16:48, 16:48, 16:48]
    scanned = np.abs(np.fft.ifftn(np.fft.ifftshift(spectrum)))[..., None].astype(np.float32) / 8.0
    found, _ = apodize_magnitudes(scanned)
    assert found.dtype == np.float32
    assert found.min() >= 0.0
    inside = (slice(12, 20), slice(12, 20), slice(12, 20))
    assert found[inside].std() < 0.5 * scanned[inside].std()
