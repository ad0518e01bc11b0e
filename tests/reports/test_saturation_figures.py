"""The pictures of CEST and MT runs: protocols, series, spectra, and what they say."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from protocol_presets import PROTOCOL_PRESETS

from qmri_bids.estimation.spectra.lorentzian.fit import fit_lorentzian
from qmri_bids.estimation.spectra.lorentzian.pools import POOLS
from qmri_bids.physics.saturation import (
    Pulse,
    Readout,
    SaturatedImage,
    Saturation,
    SaturationProtocol,
    Start,
)
from qmri_bids.physics.zspectrum import lorentzian_spectrum
from qmri_bids.reports import figure_table as figures
from qmri_bids.reports.content import Figure
from qmri_bids.reports.drawing.encode import DOTS_PER_INCH
from qmri_bids.reports.drawing.planes import WIDTH
from qmri_bids.reports.drawing.spectra import asymmetry_of, mean_curves, mean_spectrum
from qmri_bids.reports.figures.saturation import duration_text, envelope
from qmri_bids.reports.figures.series import MOST_VOLUMES, choice
from qmri_bids.reports.figures.wasabi import example_voxels
from qmri_bids.units import tesla_to_microtesla

GEOMETRY: dict[str, Any] = {"affine": np.eye(4), "mask": np.ones((12, 14, 10))}


def pixels(figure: Figure) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(figure.image)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def near(image: NDArray[np.int64], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.abs(image - np.array(color)).max(axis=-1) < 24


BLUE = (0, 114, 178)
"""Colour of the first region."""


# ---- protocols


@pytest.mark.parametrize("name", sorted(PROTOCOL_PRESETS))
def test_every_preset_is_drawn_with_its_numbers(name: str) -> None:
    protocol = PROTOCOL_PRESETS[name]()
    figure = figures.saturation_figure(protocol)
    image = pixels(figure)
    assert image.shape[1] == round(WIDTH * DOTS_PER_INCH)
    assert near(image, BLUE).sum() > 3000
    number = int(re.search(r"repetition of image (\d+)", figure.caption).group(1)) - 1  # type: ignore[union-attr]
    drawn = protocol.images[number]
    assert drawn.saturation is not None
    assert not drawn.is_m0
    assert f"B1 of {tesla_to_microtesla(drawn.saturation.b1_rms):.3g} µT" in figure.caption
    assert duration_text(drawn.saturation.pulse.duration) in figure.caption
    assert f"{protocol.number_of_images} images" in figure.caption
    assert ("not to scale" in figure.caption) == (protocol.readout is None)
    assert ("spin-lock" in figure.caption) == (drawn.saturation.spin_lock.value != "none")


def test_the_repetition_shown_is_a_usual_one() -> None:
    # The first fingerprint image recovers for 15 s, all others for 1 s.
    assert (
        "repetition of image 3, to scale in time: recovery of 1 s"
        in figures.saturation_figure(PROTOCOL_PRESETS["MRF_MT_3T"]()).caption
    )


def gradient_echo() -> SaturationProtocol:
    pulse = Saturation(pulse=Pulse.gauss(mean_amplitude=6e-6, duration=8e-3), spoiler=1e-3)
    return SaturationProtocol(
        field_strength=3.0,
        images=(SaturatedImage(saturation=None, offset=None), SaturatedImage(saturation=pulse, offset=15.6)),
        start=Start.STEADY_STATE,
        readout=Readout(number=1, flip_angle=math.radians(6.0), spacing=16e-3),
    )


def test_the_mt_pulse_of_a_gradient_echo_is_drawn() -> None:
    figure = figures.saturation_figure(gradient_echo())
    assert "one pulse of 8 ms" in figure.caption
    assert "enlarged" not in figure.caption
    assert "An image without a dot has no saturation." in figure.caption
    assert "M0" not in figure.caption


def test_a_series_without_any_saturation_has_no_timeline() -> None:
    bare = SaturationProtocol(
        field_strength=3.0, images=(SaturatedImage(saturation=None, offset=None, is_m0=True),) * 3
    )
    figure = figures.saturation_figure(bare)
    assert "repetition" not in figure.caption
    assert "M0, without saturation" in figure.caption
    assert pixels(figure).shape[0] < 400


def test_wassr_and_m0_images_are_told_apart() -> None:
    protocol = PROTOCOL_PRESETS["APTw_3T_000"]()
    roles = ("m0", *["wassr"] * 10, *["cest"] * 23)
    green = (0, 158, 115)
    assert near(pixels(figures.saturation_figure(protocol, roles=roles)), green).sum() > 500
    assert near(pixels(figures.saturation_figure(protocol)), green).sum() < 50
    with pytest.raises(ValueError, match="one of m0, cest, wassr for each of the 34 images, found 2: dummy, m0"):
        figures.saturation_figure(protocol, roles=("m0", "dummy"))


@pytest.mark.parametrize(("number", "tolerance"), [(1, 1e-9), (80, 0.02)])
def test_the_envelope_has_the_power_of_the_pulses(number: int, tolerance: float) -> None:
    train = Saturation(pulse=Pulse.gauss(mean_amplitude=1e-6, duration=20e-3), number=number, gap=20e-3)
    time, height = envelope(train)
    assert np.all(np.diff(time) >= -1e-12)
    assert time[-1] == pytest.approx(train.duration)
    # Flat between corners: upright flanks take no time.
    steps = np.diff(time)
    power = float((np.square(np.minimum(np.abs(height[:-1]), np.abs(height[1:]))) * steps).sum())
    assert power == pytest.approx(number * 1e12 * train.pulse.power, rel=tolerance)


def test_a_lobe_of_opposite_phase_is_drawn_below_zero() -> None:
    shape = np.sinc(4.0 * (np.arange(64) + 0.5) / 64 - 2.0)
    train = Saturation(pulse=Pulse.shaped(shape, mean_amplitude=1e-6, duration=20e-3))
    _, height = envelope(train)
    assert height.min() < 0.0 < height.max()
    assert height.min() / height.max() == pytest.approx(shape.min() / shape.max(), rel=1e-6)


def test_times_are_read_in_the_unit_that_suits_them() -> None:
    assert [duration_text(each) for each in (3.5, 0.02048, 0.0, 0.0065)] == ["3.5 s", "20.48 ms", "0 s", "6.5 ms"]


# ---- series


@pytest.mark.parametrize("count", [1, 2, 12, 13, 34, 111])
def test_a_choice_holds_first_and_last_and_the_reference(count: int) -> None:
    for reference in (None, *range(count)):
        chosen = choice(count, reference=reference)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == min(count, MOST_VOLUMES)
        assert chosen[0] == 0
        assert reference is None or reference in chosen
    assert choice(count)[-1] == count - 1


def test_a_series_is_shown_with_what_was_left_out() -> None:
    volumes = np.random.default_rng(1).uniform(0.5, 1.0, (12, 14, 10, 34))
    volumes[0, 0, 0] = np.nan
    labels = [f"{number} ppm" for number in range(34)]
    figure = figures.series_figure(volumes, labels=labels, reference=7, remark="Extra.", **GEOMETRY)
    assert figure.caption.startswith("12 of the 34 images")
    assert "Extra." in figure.caption
    assert figures.series_figure(volumes[..., :3], labels=labels[:3], **GEOMETRY).caption.startswith("All 3 images")
    with pytest.raises(ValueError, match=r"shape \(X, Y, Z, 2\) for 2 labels, found \(12, 14, 10, 34\)"):
        figures.series_figure(volumes, labels=labels[:2], **GEOMETRY)


def test_all_images_of_a_series_have_one_window() -> None:
    volumes = np.ones((12, 14, 10, 2))
    volumes[..., 1] = 0.25
    image = pixels(figures.series_figure(volumes, labels=["M0", "+3.5 ppm"], **GEOMETRY))
    row = image[image.shape[0] // 2, :, 0]
    # Mean, M0, and the saturated image at a quarter of its brightness.
    third = len(row) // 3
    assert np.median(row[third + 20 : 2 * third - 20]) == pytest.approx(255, abs=3)
    assert np.median(row[2 * third + 20 : -20]) == pytest.approx(64, abs=6)


# ---- spectra

OFFSETS = np.linspace(-4.0, 4.0, 33)


def line(amide: float = 0.05) -> NDArray[np.float64]:
    return lorentzian_spectrum(
        OFFSETS,
        amplitude=np.array([[0.85, amide]]),
        width=np.array([[1.5, 2.0]]),
        position=np.array([[0.0, 3.5]]),
    )


def test_mean_and_quartiles_leave_out_what_has_no_value() -> None:
    spectra = np.arange(80.0).reshape(20, 4)
    spectra[19, 1] = np.nan
    spectra[:, 3] = np.nan
    mean, lower, upper = mean_spectrum(spectra)
    assert mean[:3] == pytest.approx([38.0, 37.0, 40.0])
    assert (lower[0], upper[0]) == (19.0, 57.0)
    assert np.isnan([mean[3], lower[3], upper[3]]).all()


def test_no_mean_where_a_shift_decides_which_voxels_have_a_value() -> None:
    spectra = np.ones((20, 2))
    spectra[:3, 1] = np.nan
    mean, _, _ = mean_spectrum(spectra)
    assert mean[0] == 1.0
    assert np.isnan(mean[1])


def test_the_curves_are_those_of_the_fit() -> None:
    pools = {name: POOLS[name] for name in ("water", "amide")}
    fit = fit_lorentzian(np.repeat(line(), 3, axis=0), offsets=OFFSETS, pools=pools)
    parameters = fit.parameters.copy()
    parameters[1] = np.nan
    curves = mean_curves(parameters, pools=fit.pools, offsets=OFFSETS)
    assert curves is not None
    dense, total, lines = curves
    assert (dense.min(), dense.max()) == (-4.0, 4.0)
    np.testing.assert_allclose(np.interp(OFFSETS, dense, total), line()[0], atol=2e-3)
    np.testing.assert_allclose(total, 1.0 - lines["water"] - lines["amide"], atol=1e-12)
    assert dense[np.argmax(lines["amide"])] == pytest.approx(3.5, abs=0.03)
    assert mean_curves(np.full((3, 7), np.nan), pools=fit.pools, offsets=OFFSETS) is None
    with pytest.raises(ValueError, match=r"shape \(V, 4\) for 1 pools, found \(3, 7\)"):
        mean_curves(fit.parameters, pools=("water",), offsets=OFFSETS)


def test_curves_reach_as_far_as_the_offsets_on_both_sides() -> None:
    parameters = np.array([[1.0, 0.8, 2.0, 0.0]])
    curves = mean_curves(parameters, pools=("water",), offsets=np.array([-100.0, 0.0, 50.0]))
    assert curves is not None
    assert curves[0][[0, -1]] == pytest.approx([-100.0, 50.0])
    assert np.all(np.diff(curves[0]) > 0.0)


def test_the_asymmetry_is_that_of_measured_pairs_and_changes_sign_with_the_spectrum() -> None:
    positive, asymmetry = asymmetry_of(OFFSETS, line()[0])
    assert len(positive) == 16
    assert asymmetry[np.argmin(np.abs(positive - 3.5))] == pytest.approx(0.05, abs=0.002)
    np.testing.assert_allclose(asymmetry_of(OFFSETS, line()[0, ::-1])[1], -asymmetry)
    assert asymmetry_of(np.array([1.0, 2.0, -2.01]), np.ones(3))[0].size == 0


def test_downfield_is_at_the_left() -> None:
    z = np.where(OFFSETS == 3.0, 0.2, 0.9)
    image = pixels(figures.spectrum_figure(OFFSETS, {"white matter": mean_spectrum(z[None])}))
    upper = image[: int(0.5 * image.shape[0])]
    # The dip: blue in the lower part of the upper panel.
    rows, columns = np.nonzero(near(upper, BLUE))
    dip = columns[rows > 0.45 * image.shape[0] - 60]
    assert dip.size
    assert dip.max() < 0.3 * image.shape[1]


def test_spectra_say_what_they_hold() -> None:
    bands = {"white matter": mean_spectrum(line()), "grey matter": mean_spectrum(line(0.03))}
    plain = figures.spectrum_figure(OFFSETS, bands, asymmetry=(3.5, 2.0), remark="B0 by WASABI.")
    assert "white matter, grey matter" in plain.caption
    assert "fits" not in plain.caption
    assert "logarithmic" not in plain.caption
    assert "Dashed: 3.5, 2 ppm" in plain.caption
    assert plain.caption.endswith("B0 by WASABI.")
    curves = mean_curves(np.array([[1.0, 0.8, 2.0, 0.0, 0.05, 2.0, 3.5]]), pools=("water", "other"), offsets=OFFSETS)
    assert curves is not None
    fitted = figures.spectrum_figure(OFFSETS, bands, fitted={"white matter": curves, "not drawn": curves})
    assert "mean of the fits" in fitted.caption
    assert pixels(fitted).shape[0] > pixels(plain).shape[0]


def test_far_offsets_stand_in_panels_of_their_own_in_any_order() -> None:
    offsets = np.concatenate([OFFSETS, [-100.0, 100.0, 30.0, -30.0]])
    z = np.interp(np.abs(offsets), [0.0, 4.0, 100.0], [0.0, 0.8, 1.0])
    shuffled = np.random.default_rng(3).permutation(len(offsets))
    first = figures.spectrum_figure(offsets, {"brain": mean_spectrum(z[None])})
    second = figures.spectrum_figure(offsets[shuffled], {"brain": mean_spectrum(z[None, shuffled])})
    assert "Beyond 8 ppm the axis is logarithmic" in first.caption
    assert first.image == second.image
    one_side = figures.spectrum_figure(
        offsets[:-1][offsets[:-1] > -20], {"brain": mean_spectrum(z[None, :-1][:, offsets[:-1] > -20])}
    )
    assert "logarithmic" in one_side.caption


def test_a_region_without_any_value_still_gives_a_picture() -> None:
    figure = figures.spectrum_figure(OFFSETS, {"white matter": mean_spectrum(np.full((3, 33), np.nan))})
    assert pixels(figure).std() > 1


def test_spectra_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one region"):
        figures.spectrum_figure(OFFSETS, {})
    with pytest.raises(ValueError, match=r"each of the 32 offsets, found \(33,\) in brain"):
        figures.spectrum_figure(OFFSETS[1:], {"brain": mean_spectrum(line())})


# ---- WASABI


def test_example_voxels_lie_at_their_percentiles() -> None:
    b1 = np.linspace(0.5, 1.5, 101)
    b1[50] = np.nan
    chosen = example_voxels(b1)
    assert list(chosen) == ["low B1", "median B1", "high B1"]
    assert b1[list(chosen.values())] == pytest.approx([0.55, 1.0, 1.45], abs=0.011)
    assert example_voxels(np.full(4, np.nan)) == {}


def test_wasabi_is_drawn_with_dense_or_measured_fits_and_without_any() -> None:
    spectra = np.abs(np.cos(OFFSETS))[None] * np.array([[0.9], [0.8]])
    names = ("low B1: 81 %", "high B1: 119 %")
    brain = mean_spectrum(spectra)
    dense = np.linspace(-4.0, 4.0, 200)
    curves = np.abs(np.cos(dense))[None] * np.array([[0.9], [0.8]])
    smooth = figures.wasabi_figure(OFFSETS, spectra, curves, names, fitted_offsets=dense, brain=brain)
    assert "low B1: 81 %, high B1: 119 %" in smooth.caption
    assert "in the brain" in smooth.caption
    coarse = figures.wasabi_figure(OFFSETS, spectra, spectra, names)
    assert "in the brain" not in coarse.caption
    none = figures.wasabi_figure(OFFSETS, spectra[:0], spectra[:0], ())
    assert "Single voxels" not in none.caption
    assert pixels(none).std() > 1
    with pytest.raises(ValueError, match=r"measured must have shape \(2, 33\) and fitted \(2, 33\) for 2 names"):
        figures.wasabi_figure(OFFSETS, spectra, curves, names)
    with pytest.raises(ValueError, match="brain must have one value for each of the 33 offsets"):
        figures.wasabi_figure(OFFSETS, spectra, spectra, names, brain=mean_spectrum(curves))
