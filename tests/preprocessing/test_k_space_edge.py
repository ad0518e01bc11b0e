import numpy as np
import pytest
from scipy.fft import fft, fftshift, ifft, ifftshift

from qmri_bids.preprocessing.gibbs.k_space_edge import k_space_edge, undo_alternation
from qmri_bids.preprocessing.gibbs.methods import remove_ringing


def zero_filled(cycles, factor, axes):
    for axis in axes:
        spectrum = fftshift(fft(cycles, axis=axis), axes=axis)
        pad = [(0, 0)] * 4
        pad[axis] = (int(cycles.shape[axis] * (factor - 1) / 2),) * 2
        cycles = ifft(ifftshift(np.pad(spectrum, pad), axes=axis), axis=axis)
    return cycles


def windowed(cycles, window, axes=(0, 1, 2)):
    for axis in axes:
        shape = [1] * 4
        shape[axis] = cycles.shape[axis]
        distance = 2.0 * np.abs(np.fft.fftfreq(cycles.shape[axis])).reshape(shape)
        cycles = ifft(fft(cycles, axis=axis) * window(distance), axis=axis)
    return cycles


def hamming(distance):
    return 0.54 + 0.46 * np.cos(np.pi * distance)


def test_scans_as_acquired_are_left_to_the_step(still_scan, moved_scan):
    for scan in (still_scan, moved_scan):
        edge = k_space_edge(scan.session.cycles)
        assert edge.axes_left == (0, 1, 2)
        assert edge.reasons == ()
        # Twice the distance of what is measured from the limit: noise-free images fall further.
        assert min(edge.edge_power) > 0.2


def test_noise_alone_is_as_acquired():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((32, 40, 24, 4)) + 1j * rng.standard_normal((32, 40, 24, 4))
    assert k_space_edge(noise).axes_left == (0, 1, 2)


@pytest.mark.parametrize("factor", [1.25, 1.5, 2.0])
def test_zero_filling_is_seen_along_the_axes_that_have_it(still_scan, factor):
    edge = k_space_edge(zero_filled(still_scan.session.cycles, factor, (0, 1)))
    assert edge.zero_filled == (True, True, False)
    assert edge.axes_left == (2,)
    assert edge.filled[0] == pytest.approx(1.0 / factor, abs=0.06)
    assert "zero-filled" in edge.reasons[0]


def test_partial_fourier_rings_and_is_no_zero_filling(still_scan):
    spectrum = fftshift(fft(still_scan.session.cycles, axis=1), axes=1)
    spectrum[:, :8] = 0.0
    assert k_space_edge(ifft(ifftshift(spectrum, axes=1), axis=1)).axes_left == (0, 1, 2)


@pytest.mark.parametrize(
    "window",
    [
        hamming,
        lambda x: np.exp(-((x / 0.6) ** 2)),
        lambda x: np.where(x < 0.8, 1.0, 0.5 + 0.5 * np.cos(np.pi * (x - 0.8) / 0.2)),
    ],
)
def test_filters_are_seen(still_scan, window):
    edge = k_space_edge(windowed(still_scan.session.cycles, window))
    assert edge.filtered == (True, True, True)
    assert "filtered before" in edge.reasons[2]


def test_step_is_left_out_with_a_reason_along_axes_that_need_none(still_scan):
    cycles = still_scan.session.cycles
    filtered = windowed(cycles, hamming)
    result = remove_ringing(filtered, method="subvoxel")
    np.testing.assert_array_equal(result.volumes, filtered.astype(np.complex64))
    assert len(result.decisions) == 3
    one = windowed(cycles, hamming, axes=(2,))
    result = remove_ringing(one, method="apodization")
    assert "Along axis 2" in result.decisions[0]
    assert "along axis 0 and 1" in result.decisions[1]
    before, after = (np.abs(fft(each[..., 0], axis=2))[:, :, 20].mean() for each in (one, result.volumes))
    assert after < before  # other axes were tapered
    with pytest.raises(ValueError, match=r"shape \(X, Y, Z, K\)"):
        k_space_edge(cycles[..., 0])


@pytest.mark.parametrize("shape", [(16, 16, 1, 3), (16, 16, 4, 3)])
def test_few_slices_have_no_edge_to_judge(shape):
    noise = np.random.default_rng(0).standard_normal((2, *shape))
    found = k_space_edge(noise[0] + 1j * noise[1])
    assert (found.filled[2], found.edge_power[2]) == (1.0, 1.0)
    assert found.axes_left == (0, 1, 2)


def test_nothing_alternates_in_scans_in_noise_and_in_few_slices(still_scan, moved_scan):
    noise = np.random.default_rng(0).standard_normal((2, 16, 40, 9, 4))
    for cycles in (still_scan.session.cycles, moved_scan.session.cycles, noise[0] + 1j * noise[1]):
        same, decisions = undo_alternation(cycles)
        assert same is cycles
        assert decisions == ()
    few = np.ones((16, 16, 4, 3), dtype=np.complex64) * np.array([1, -1, 1, -1]).reshape(1, 1, 4, 1)
    assert undo_alternation(few)[1] == ()
