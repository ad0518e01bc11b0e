"""What is found in the content of scans, and what honest scans are spared."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from qmri_bids.physics.bssfp import signal as bssfp_signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.content.cycles import (
    check_cycles,
    check_phase,
)
from qmri_bids.preprocessing.content.images import check_field, check_magnitudes
from qmri_bids.preprocessing.content.misfit import profile_misfit
from qmri_bids.preprocessing.content.unexplained import unexplained_sentences, unexplained_signal
from qmri_bids.preprocessing.gibbs.k_space_edge import undo_alternation

SHAPE = (18, 20, 16)


def protocol(cycles: int) -> BssfpProtocol:
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=np.radians(15.0)
    )


def scan(
    cycles: int = 12, *, seed: int = 0, snr: float = 25.0, field: float = 120.0, shape: tuple[int, int, int] = SHAPE
) -> tuple[NDArray[np.complex64], tuple[float, ...]]:
    """A ball of two tissues with fluid around them, bands across it, receive phase, noise in the air."""
    rng = np.random.default_rng(seed)
    place = np.stack(
        np.meshgrid(*[np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(1) for size in shape], indexing="ij")
    )
    radius = np.sqrt((place**2).sum(axis=0))
    grey = gaussian_filter(rng.standard_normal(shape), 1.5) > 0.0
    t1, t2 = np.where(grey, 1.4, 0.9), np.where(grey, 0.09, 0.065)
    t1, t2 = np.where(radius > 0.65, 4.0, t1), np.where(radius > 0.65, 1.5, t2)
    chosen = protocol(cycles)
    signal = bssfp_signal(
        t1,
        t2,
        m0=np.ones(shape),
        off_resonance=field * place[0] + 60.0 * place[2] ** 2,
        b1=np.ones(shape),
        protocol=chosen,
    )
    signal = signal * (radius < 0.8)[..., None] * np.exp(1j * (0.7 * place[1] + 0.4))[..., None]
    level = np.abs(signal[radius < 0.6]).mean() / snr / np.sqrt(2.0)
    noise = rng.standard_normal((2, *signal.shape)) * level
    return (signal + noise[0] + 1j * noise[1]).astype(np.complex64), chosen.rf_phase_increment


@pytest.mark.parametrize(
    ("cycles", "more"),
    [
        (12, {}),
        (12, {"seed": 1, "snr": 8.0}),
        (8, {"seed": 2, "field": 10.0}),
        (6, {"seed": 3, "field": 300.0}),
        (6, {"seed": 4, "shape": (40, 44, 1)}),
        (4, {"seed": 5}),
    ],
)
def test_honest_cycles_are_spared(cycles: int, more: dict[str, object]) -> None:
    """Whatever bands, noise, number of cycles; in either sense, cropped, with drift, motion and air set to 0."""
    data, increments = scan(cycles, **more)  # type: ignore[arg-type]
    moved = data.copy()
    moved[..., 1] = np.roll(moved[..., 1], 1, axis=1)
    first = data.copy()
    first[..., 0] *= 0.95
    drift = data * np.exp(1j * np.linspace(0.0, 0.15, cycles)).astype(np.complex64)
    bright = np.abs(data).mean(axis=3) > 0.5 * np.abs(data).mean()
    masked = data * bright[..., None]
    others = (data.conj(), data[5:-5, 6:-6], data[:9], first, drift)
    for honest in (data, moved, masked, *(others if cycles == 6 else ())):
        check_phase(honest, rf_phase_increment=increments)
        assert check_cycles(honest, rf_phase_increment=increments).warnings == ()


@pytest.mark.parametrize("cycles", [12, 6])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[..., 2] * 0, "is empty: its magnitude has one value everywhere"),
        (lambda data: data[..., 2] * 0 + 5, "is empty: its magnitude has one value everywhere"),
        (lambda data: data[..., 1], r"cycle 3 of \d+ is a copy of cycle 2"),
        (lambda data: data[..., 2] * 0.5, r"stands out: its signal is 0\.5\d? times"),
        (lambda data: data[..., 2] * 10.0, r"stands out: its signal is (9\.9|10)"),
        (lambda data: np.random.default_rng(7).permutation(data[..., 2].ravel()).reshape(SHAPE), "noise and no image"),
        (lambda data: data[..., 2] * (np.arange(SHAPE[2]) < 9), r"holds nothing in \d+ of 16 slices across axis 2"),
        (lambda data: data[..., 2] * np.where(np.arange(SHAPE[2]) == 3, np.nan, 1.0), "NaN or infinite"),
    ],
)
def test_a_cycle_that_stands_out_is_refused(cycles: int, change, message: str) -> None:
    data, increments = scan(cycles)
    data[..., 2] = change(data)
    with pytest.raises(ValueError, match=message):
        check_cycles(data, rf_phase_increment=increments)


@pytest.mark.parametrize("gain", [0.8, 1.25])
def test_a_cycle_of_another_scale_is_warned_about(gain: float) -> None:
    data, increments = scan(8)
    data[..., 3] *= gain
    (warning,) = check_cycles(data, rf_phase_increment=increments).warnings
    assert warning.startswith(f"Cycle 4 of 8 stands out: its signal is {gain:.1f}"[:-1])
    assert "column `valid`" in warning


@pytest.mark.parametrize(("factor", "said"), [(1 / 0.9, "in gon"), (2.0, "twice what"), (0.5, "half of what")])
@pytest.mark.parametrize("cycles", [12, 10, 6])
def test_increments_of_another_unit_are_refused(cycles: int, factor: float, said: str) -> None:
    data, increments = scan(cycles)
    with pytest.raises(ValueError, match=rf"RFPhaseIncrement: .* {said}"):
        check_cycles(data, rf_phase_increment=factor * np.array(increments))


def test_increments_in_another_order_are_warned_about() -> None:
    data, increments = scan(12)
    order = np.random.default_rng(3).permutation(12)
    try:
        warnings = check_cycles(data, rf_phase_increment=np.array(increments)[order]).warnings
    except ValueError as error:
        warnings = (str(error),)
    assert any("do not follow the signal" in warning or "stands out" in warning for warning in warnings)


@pytest.mark.parametrize("cycles", [8, 6])
def test_phase_that_is_none_is_refused(cycles: int) -> None:
    data, increments = scan(cycles)
    magnitude, phase = np.abs(data), np.angle(data)
    stored = np.round(4095.0 * magnitude / magnitude.max())
    for wrong, message in (
        (magnitude * np.exp(1j * phase / np.pi), "in half turns"),
        (magnitude * np.exp(0.5j * phase / np.pi), "in turns"),
        (magnitude * np.exp(1j * (phase % (2.0 * np.pi)) / np.pi), "in half turns"),
        ((phase % (2.0 * np.pi)) * np.exp(3j * magnitude / magnitude.max()), "magnitude and phase are exchanged"),
        (
            np.round(2048.0 + phase * 2048.0 / np.pi) * np.exp(1j * np.pi * (stored - 2048.0) / 2048.0),
            "magnitude and phase are exchanged",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            check_phase(wrong, rf_phase_increment=increments)


def test_misfit_is_noise_alone_where_increments_are_right() -> None:
    found = [profile_misfit(scan(12, snr=snr)[0][8, 8], protocol(12).rf_phase_increment) for snr in (20.0, 40.0, 1e6)]
    assert found[0] > 1.5 * found[1] > 100.0 * found[2]


@pytest.mark.parametrize("shape", [SHAPE, (20, 22, 9)])
def test_signs_that_alternate_are_undone_and_bands_are_not(shape: tuple[int, int, int]) -> None:
    signs = np.where(np.arange(shape[2]) % 2 == 0, 1.0, -1.0).astype(np.float32)[:, None]
    for field in (0.0, 120.0, 400.0):
        data, _ = scan(12, field=field, shape=shape)
        same, silent = undo_alternation(data)
        assert silent == ()
        assert same is data
        back, said = undo_alternation(data * signs)
        np.testing.assert_array_equal(back, data)
        assert "Along axis 2 the sign of the images alternated" in said[0]


def test_what_is_no_magnitude_is_refused() -> None:
    for values, found in (
        ([0.0, 0.0], "found 0 everywhere"),
        ([1.0, np.nan], "1 values that are NaN"),
        ([1.0, -2.0], "negative values down to -2"),
        ([100.0, -0.5], "as denoising and interpolation leave: set them to 0"),
    ):
        with pytest.raises(ValueError, match=rf"a\.nii: volume 2: .*{found}"):
            check_magnitudes(np.array(values), name="a.nii: volume 2")


def test_a_field_is_smooth_and_noise_is_none() -> None:
    rng = np.random.default_rng(0)
    place = np.linspace(-1.0, 1.0, 20)
    field = 1.1 - 0.3 * (place[:, None, None] ** 2 + place[:, None] ** 2 + place**2) / 1.5
    head = field > 0.8
    for noise in (0.0, 0.03, 0.08):
        check_field(field + noise * rng.standard_normal(field.shape), inside=head, what="the B1 map")
    check_field(np.ones_like(field) + 0.05 * rng.standard_normal(field.shape), inside=head, what="the B1 map")
    with pytest.raises(ValueError, match="the B1 map holds noise and no field: neighbouring voxels"):
        check_field(1.0 + 0.2 * rng.standard_normal(field.shape), inside=head, what="the B1 map")
    with pytest.raises(ValueError, match="holds noise"):
        check_field(rng.permutation(field.ravel()).reshape(field.shape), inside=head, what="the B1 map")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stated: stated[[0, 2, 1, *range(3, len(stated))]], "cycles 2 and 3 exchanged"),
        (lambda stated: stated[0] + 1.08 * (stated - stated[0]), "steps of 0.9"),
        (lambda stated: stated + np.radians(60.0) * (np.arange(len(stated)) == 3), "° of cycle 4"),
    ],
)
@pytest.mark.parametrize("cycles", [12, 8])
def test_other_increments_are_named(cycles: int, change, said: str) -> None:
    data, increments = scan(cycles, seed=6)
    warnings = check_cycles(data, rf_phase_increment=change(np.array(increments))).warnings
    (named,) = [each for each in warnings if "EXPLAINED BETTER BY OTHER INCREMENTS" in each]
    assert said in named


@pytest.mark.parametrize("turn", [np.linspace(0.0, 1.5, 12), 0.8 * (np.arange(12) == 5)])
def test_a_phase_of_its_own_is_no_other_increment(turn: NDArray[np.float64]) -> None:
    data, increments = scan(12, seed=7)
    warnings = check_cycles(data * np.exp(1j * turn).astype(np.complex64), rf_phase_increment=increments).warnings
    assert not [each for each in warnings if "OTHER INCREMENTS" in each]


def test_what_is_not_in_the_model_is_told_from_noise() -> None:
    data, increments = scan(12, seed=8, shape=(30, 34, 28))
    inside = np.abs(data).mean(axis=3) > 0.5 * np.abs(data).mean(axis=3).max()
    misfit, noise = unexplained_signal(data, mask=inside, rf_phase_increment=increments)
    assert misfit == pytest.approx(noise, rel=0.15)
    assert unexplained_sentences((misfit, noise))[1] == ()
    phase = np.angle(data)[..., ::-1]
    moved = np.abs(data) * np.exp(1j * phase)
    (warning,) = unexplained_sentences(unexplained_signal(moved, mask=inside, rf_phase_increment=increments))[1]
    assert "something is in the cycles that is not in the model" in warning
    louder = (np.abs(data) + 0.3 * np.abs(data).max()) * np.exp(1j * np.angle(data))
    found = unexplained_signal(louder, mask=inside, rf_phase_increment=increments)
    assert unexplained_sentences(found)[1]
