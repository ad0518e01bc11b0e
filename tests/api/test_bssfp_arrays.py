"""Phase cycles from arrays: the right answer, or the right word; what judges is the phantom's own signal."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

import qmri_bids as q
from qmri_bids.estimation.base import EstimatorOptions, KnownMaps, Status
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.phantom.signals.bloch.sequence import PulseSequence, RfPulse
from qmri_bids.phantom.signals.bloch.simulate import simulate_cycles

INCREMENTS = np.arange(12) * 30.0
SCAN = {"tr": 4.8e-3, "te": 2.4e-3, "flip_angle": 15, "rf_phase_increment": INCREMENTS}
SHAPE = (8, 7, 3)


def judged(increments=INCREMENTS, *, shape=SHAPE, noise=2e-4, seed=0):
    """Return cycles of the Bloch equations by steps, and the truth, for an image of two tissues."""
    voxels = int(np.prod(shape))
    x = np.indices(shape)[0].ravel()
    truth = {
        "T1": np.where(x < shape[0] // 2, 0.94, 1.4),
        "T2": np.where(x < shape[0] // 2, 0.062, 0.085),
        "off_resonance": np.linspace(-60.0, 60.0, voxels),
    }
    sequence = PulseSequence(
        repetition_time=4.8e-3,
        echo_time=2.4e-3,
        flip_angle=np.deg2rad(15.0),
        increments=tuple(np.deg2rad(increments)),
        pulse=RfPulse.hard(),
    )
    data = simulate_cycles(truth["T1"], truth["T2"], 1.0, truth["off_resonance"], 0.75, sequence=sequence)
    drawn = np.random.default_rng(seed).standard_normal((2, *data.shape))
    cycles = (data + noise * (drawn[0] + 1j * drawn[1])).reshape((*shape, len(increments)))
    return cycles, {name: values.reshape(shape) for name, values in truth.items()}


@pytest.mark.parametrize("estimator", ["pinn", "ml", "linear"])
def test_seconds_and_degrees_give_the_truth(estimator):
    cycles, truth = judged()
    found = q.fit_bssfp(cycles, **SCAN, estimator=estimator)
    for name in ("T1", "T2"):
        np.testing.assert_allclose(found.maps[name], truth[name], rtol=0.06)
    np.testing.assert_allclose(found.maps["off_resonance"], truth["off_resonance"], atol=1.5)
    assert [found.units[name] for name in ("T1", "T2", "M0", "off_resonance")] == ["s", "s", "arbitrary", "Hz"]
    assert (found.status == 1).mean() > 0.9


def test_values_are_those_of_the_inner_functions():
    cycles, _ = judged()
    inside = np.ones(SHAPE, dtype=bool)
    inside[0] = False
    from qmri_bids.api.bssfp import protocol_of

    inner = (
        ESTIMATORS["pinn"]
        .create(EstimatorOptions())
        .estimate(
            cycles[inside], protocol=protocol_of(**SCAN), known=KnownMaps(b1=np.ones(inside.sum()), inside=inside)
        )
    )
    found = q.fit_bssfp(cycles, **SCAN, mask=inside)
    for name, values in inner.values.items():
        np.testing.assert_array_equal(found.maps[name][inside], values)
    assert np.isnan(found.maps["T1"][0]).all()
    assert (found.status[0] == Status.OUTSIDE).all()


def test_numpy_torch_and_nifti_come_back_as_they_went():
    cycles, _ = judged()
    plain = q.fit_bssfp(cycles, **SCAN)
    tensor = q.fit_bssfp(torch.as_tensor(cycles), **SCAN)
    assert isinstance(tensor.maps["T1"], torch.Tensor)
    np.testing.assert_array_equal(tensor.maps["T1"].numpy(), plain.maps["T1"])
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    image = q.fit_bssfp(nib.Nifti1Image(cycles.astype(np.complex64), affine), **SCAN)
    assert isinstance(image.maps["T1"], nib.Nifti1Image)
    np.testing.assert_array_equal(image.maps["T1"].affine, affine)
    np.testing.assert_allclose(image.maps["T1"].get_fdata(), plain.maps["T1"], rtol=2e-3)
    assert image.to_nifti()["T1_stdev"].shape == SHAPE


@pytest.mark.parametrize("increments", [INCREMENTS, np.array([0.0, 50.0, 100.0, 170.0, 230.0, 300.0])])
def test_conjugated_cycles_are_found_and_said(increments):
    """Even increments tell the sense by their configurations, others by which sense has solutions."""
    cycles, truth = judged(increments)
    scan = {**SCAN, "rf_phase_increment": increments}
    found = q.fit_bssfp(cycles.conj(), **scan)
    np.testing.assert_allclose(np.nanmedian(found.maps["T2"] / truth["T2"]), 1.0, atol=0.03)
    np.testing.assert_allclose(found.maps["off_resonance"], truth["off_resonance"], atol=2.0)
    assert "conjugated" in found.decisions[0]
    stated = q.fit_bssfp(cycles.conj(), **scan, sense="as given")
    assert (stated.status == Status.WRONG_UNITS).all()
    assert np.isnan(stated.maps["T1"]).all()
    assert "np.conj(cycles)" in stated.decisions[0]
    right = q.fit_bssfp(cycles, **scan, sense="as given")
    assert (right.status != Status.WRONG_UNITS).all()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"flip_angle": np.deg2rad(15)}, r"flip_angle: expected an angle in degrees.*radians\? 15 degrees"),
        ({"rf_phase_increment": np.deg2rad(INCREMENTS)}, "rf_phase_increment: expected angles in degrees.*radians"),
        ({"tr": 4.8}, "tr: expected a time in seconds.*milliseconds"),
        ({"te": 2.4}, "te: expected a time in seconds.*milliseconds"),
        ({"b1": 97.0}, "b1: expected actual over nominal.*percent"),
        ({"b1": np.ones((3, 3))}, r"b1: expected a number or a map of shape \(8, 7, 3\), found shape \(3, 3\)"),
        ({"estimator": "best"}, "estimator: expected one of pinn"),
        ({"mask": np.zeros(SHAPE)}, "mask: expected voxels above 0"),
    ],
)
def test_other_units_get_the_right_word(changed, word):
    cycles, _ = judged()
    with pytest.raises(ValueError, match=word):
        q.fit_bssfp(cycles, **{**SCAN, **changed})


def test_wrong_axes_and_real_numbers_get_the_right_word():
    cycles, _ = judged()
    with pytest.raises(ValueError, match=r"found them along axis 0 .*np.moveaxis\(cycles, 0, -1\)"):
        q.fit_bssfp(np.moveaxis(cycles, -1, 0), **SCAN)
    with pytest.raises(ValueError, match="expected complex numbers"):
        q.fit_bssfp(np.abs(cycles), **SCAN)
    with pytest.raises(ValueError, match="expected 12 phase cycles along the last axis"):
        q.fit_bssfp(cycles[..., :11], **SCAN)


def test_one_number_or_a_map_of_b1_say_the_same():
    cycles, _ = judged()
    one, many = (q.fit_bssfp(cycles, **SCAN, b1=b1, estimator="ml") for b1 in (0.9, np.full(SHAPE, 0.9)))
    np.testing.assert_array_equal(one.maps["T1"], many.maps["T1"])
    spread = q.fit_bssfp(cycles, **SCAN, b1=0.9, b1_stdev=0.02, estimator="ml")
    assert np.nanmedian(spread.stdev["T1"]) > np.nanmedian(one.stdev["T1"])


def test_a_result_is_a_table_and_a_picture():
    cycles, _ = judged()
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:6] = True
    found = q.fit_bssfp(cycles, **SCAN, mask=mask)
    table = found.to_dataframe()
    assert len(table) == mask.sum()
    assert {"x", "y", "z", "T1", "T1_stdev", "status", "meaning"} <= set(table)
    row = table.iloc[5]
    assert found.maps["T2"][int(row.x), int(row.y), int(row.z)] == row.T2
    figure = found.plot()
    assert len(figure.axes) >= 2 * len(found.maps)
    assert "T1: median" in repr(found)
    with pytest.raises(ValueError, match="affine"):
        found.to_nifti()
    with pytest.raises(ValueError, match=r"slice_index: expected a slice along the third axis .* found 3"):
        found.plot(slice_index=3)


def shown_of(figure):
    """The picture of each panel with its title: what is drawn last in it."""
    return {axes.get_title(): axes.images[-1] for axes in figure.axes if axes.images and axes.get_title()}


def test_a_picture_has_the_windows_of_the_report_and_lies_as_the_array():
    t1 = np.full((6, 9), 0.94)
    t1[0] = 1.4  # the uppermost row
    cycles = q.simulate_bssfp(t1=t1, t2=np.full_like(t1, 0.07), **SCAN)
    found = q.fit_bssfp(cycles, **SCAN, estimator="ml")
    shown = shown_of(found.plot())
    assert {"T1 [ms]", "Standard deviation of T1 [ms]", "T2 [ms]", "M0 [a.u.]", "Off-resonance [Hz]"} <= set(shown)
    picture = shown["T1 [ms]"]
    assert picture.get_clim() == (0, 2500)
    assert shown["Standard deviation of T1 [ms]"].get_clim() == (0, 400)
    assert (picture.cmap.name, shown["M0 [a.u.]"].cmap.name) == ("lipari", "gray")
    drawn = np.asarray(picture.get_array())
    assert drawn.shape == t1.shape
    assert picture.origin == "upper"
    np.testing.assert_allclose(drawn[:, 4], [1400, 940, 940, 940, 940, 940], rtol=1e-2)
    image = q.synthesize("late=T2w:te=150", t1=t1, t2=0.07 + 0 * t1)
    assert shown_of(image.plot())["Synthetic T2w (late) [a.u.]"].cmap.name == "gray"


def test_a_picture_of_an_image_with_an_affine_is_radiological():
    t1 = np.full((6, 9, 2), 0.94)
    t1[0] = 1.4  # the left of the patient, by the affine
    t1[:, -1] = 0.6  # anterior
    cycles = q.simulate_bssfp(t1=t1, t2=np.full_like(t1, 0.05), **SCAN).astype(np.complex64)
    found = q.fit_bssfp(nib.Nifti1Image(cycles, np.diag([2.0, 2.0, 4.0, 1.0])), **SCAN, estimator="ml")
    drawn = np.asarray(shown_of(found.plot(slice_index=1))["T1 [ms]"].get_array())
    assert drawn.shape == (9, 6)
    np.testing.assert_allclose(drawn[0], 600, rtol=2e-2)  # anterior is uppermost
    np.testing.assert_allclose(drawn[1:, -1], 1400, rtol=2e-2)  # the patient's left is at the right
    np.testing.assert_allclose(drawn[1:, 0], 940, rtol=2e-2)


def test_a_list_of_voxels_has_a_picture_with_error_bars():
    cycles, _ = judged()
    found = q.fit_bssfp(cycles[2, 2], **SCAN, estimator="ml")
    axes = found.plot().axes[0]
    assert axes.get_title() == "T1 [ms]"
    line, _, bars = axes.containers[0]
    np.testing.assert_allclose(line.get_ydata(), 1e3 * found.maps["T1"], rtol=1e-6)
    lengths = [np.ptp(segment[:, 1]) for segment in bars[0].get_segments()]
    np.testing.assert_allclose(lengths, 2e3 * found.stdev["T1"], rtol=1e-4)


def test_bands_are_gone_in_the_image_of_the_model():
    """The spread of white matter over the off-resonance; the root of the mean square keeps bands at four cycles."""
    increments = np.arange(4) * 90.0
    cycles, _ = judged(increments, shape=(2, 60, 1), noise=1e-4)
    scan = {**SCAN, "rf_phase_increment": increments}

    def bands(image):
        return np.ptp(image[0]) / np.mean(image[0])

    model, geometric, rss = (
        bands(q.banding_free(cycles, **scan, method=method).maps["bSSFP"]) for method in ("model", "geometric", "rss")
    )
    assert rss > 0.01
    assert model < rss / 3.0
    assert geometric < rss / 3.0
    with pytest.raises(ValueError, match="two pairs of cycles half a turn apart"):
        q.banding_free(cycles[..., :3], **{**SCAN, "rf_phase_increment": [0, 100, 220]}, method="geometric")


@pytest.mark.parametrize("method", ["model", "geometric", "rss"])
def test_images_without_bands_have_the_standard_deviation_that_repeats_show(method):
    scan = {**SCAN, "rf_phase_increment": np.arange(8) * 45.0}
    cycles = q.simulate_bssfp(t1=np.full((20, 20), 0.94), t2=0.062, off_resonance=30.0, noise=2e-4, seed=4, **scan)
    found = q.banding_free(cycles, **scan, method=method)
    image, stdev = found.maps["bSSFP"], found.stdev["bSSFP"]
    assert np.median(stdev) == pytest.approx(np.std(image), rel=0.15)
    assert (found.status == Status.CONVERGED).mean() > 0.95
    assert found.decisions
    assert set(shown_of(found.plot())) == {"bSSFP [a.u.]", "Standard deviation of bSSFP [a.u.]"}
    if method != "model":
        told = q.banding_free(cycles, **scan, method=method, noise=2e-4)
        np.testing.assert_allclose(told.stdev["bSSFP"], stdev, rtol=0.6)


def test_magnitudes_have_an_image_and_are_told_why_it_has_no_standard_deviation():
    cycles, _ = judged()
    found = q.banding_free(np.abs(cycles), **SCAN, method="rss")
    assert np.isfinite(found.maps["bSSFP"]).all()
    assert np.isnan(found.stdev["bSSFP"]).all()
    assert "give noise, or complex cycles" in found.decisions[0]


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, qmri_bids; heavy = {'torch', 'numba', 'ants', 'nipype', 'numpy', 'scipy', 'nibabel'} & set(sys.modules); "
        "assert not heavy, heavy; assert 'fit_bssfp' in dir(qmri_bids)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'fit_everything'"):
        q.fit_everything()
