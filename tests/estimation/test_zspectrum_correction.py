"""Normalisation and B0 correction: exactness, drift, noise, and no extrapolation."""

import math

import numpy as np
import pytest
from scipy.interpolate import CubicSpline, make_smoothing_spline

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.correction import correct_shift, normalise
from qmri_bids.estimation.spectra.spline import cross_validated_smoothing, spline_operator, take
from qmri_bids.physics.zspectrum import lorentzian_spectrum

OFFSETS = np.arange(-5.0, 5.01, 0.25)
POOLS = {
    "amplitude": np.array([0.8, 0.05, 0.08]),
    "width": np.array([2.0, 2.0, 4.0]),
    "position": np.array([0, 3.5, -3.5]),
}


def shifted(shift):
    return lorentzian_spectrum(OFFSETS - np.asarray(shift)[:, None], **POOLS)


def test_interpolating_operator_is_the_natural_spline():
    rng = np.random.default_rng(0)
    offsets = rng.permutation(np.cumsum(rng.uniform(0.2, 1.0, 12)))
    z = rng.normal(size=(3, 12))
    at = np.linspace(offsets.min(), offsets.max(), 40)
    operator = spline_operator(offsets)
    rows = operator.rows(np.broadcast_to(at, (3, 40)))
    order = np.argsort(offsets)
    expected = CubicSpline(offsets[order], z[:, order], axis=1, bc_type="natural")
    nodes = operator.nodes(z)
    np.testing.assert_allclose(take(nodes, rows.rows, rows.weights), expected(at), atol=1e-10)
    np.testing.assert_allclose(take(nodes, rows.rows, rows.slopes), expected(at, 1), atol=1e-9)


def test_smoothing_operator_is_the_smoothing_spline():
    z = np.random.default_rng(0).normal(size=len(OFFSETS))
    expected = make_smoothing_spline(OFFSETS, z, lam=0.1)(OFFSETS)
    found = spline_operator(OFFSETS, smoothing=0.1).nodes(z[None])[0, : len(OFFSETS)]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_cross_validation_smooths_noise_and_leaves_signal():
    clean = shifted(np.zeros(200))
    noisy = clean + 0.02 * np.random.default_rng(0).normal(size=clean.shape)
    little, much = (cross_validated_smoothing(each, offsets=OFFSETS) for each in (clean, noisy))
    assert little < 1e-2 * much
    smooth = spline_operator(OFFSETS, smoothing=much).nodes(noisy)[:, : len(OFFSETS)]
    assert np.std(smooth - clean) < 0.85 * np.std(noisy - clean)


@pytest.mark.parametrize(("reference", "error"), [("linear", 1e-9), ("mean", 0.1)])
def test_linear_reference_follows_a_drift(reference, error):
    """A signal that falls by 10 % over the series, M0 before, between and after."""
    time = np.arange(21)
    level = 1000.0 * (1.0 - 0.005 * time)
    unsaturated = [0, 7, 14, 20]
    saturated = np.setdiff1d(time, unsaturated)
    z = np.linspace(0.2, 0.9, len(saturated))
    signal = level.copy()
    signal[saturated] *= z
    found = normalise(signal[None], unsaturated=unsaturated, reference=reference, noise=1.0)
    worst = np.abs(found.values[0] / z - 1.0).max()
    assert worst < error
    assert (worst > 0.01) == (reference == "mean")


@pytest.mark.parametrize("reference", ["linear", "mean"])
def test_noise_of_z_is_known_or_found(reference):
    rng = np.random.default_rng(0)
    unsaturated = [0, 10, 20, 30, 40]
    truth = np.full((4000, 41), 300.0)
    truth[:, unsaturated] = 1000.0
    signal = truth + 12.0 * rng.normal(size=truth.shape)
    for noise in (None, 12.0):
        found = normalise(signal, unsaturated=unsaturated, reference=reference, noise=noise)
        score = (found.values - 0.3) / found.stdev
        assert np.std(score) == pytest.approx(1.0, abs=0.03)
    assert normalise(signal, unsaturated=unsaturated[:2]).stdev is None


def test_reference_without_signal_has_no_z():
    signal = np.array([[1.0, 5.0, 6.0], [100.0, math.nan, 50.0], [math.nan, 1.0, 1.0]])
    found = normalise(signal, unsaturated=[0], noise=1.0)
    expected = [[Status.LOW_SIGNAL] * 2, [Status.INVALID_INPUT, Status.CONVERGED], [Status.INVALID_INPUT] * 2]
    np.testing.assert_array_equal(found.status, expected)
    np.testing.assert_array_equal(np.isfinite(found.values), found.status == Status.CONVERGED)


def test_corrected_spectra_of_all_shifts_are_one():
    shift = np.linspace(-0.7, 0.7, 30)
    found = correct_shift(shifted(shift), offsets=OFFSETS, water_shift=shift, noise=0.01)
    expected = np.broadcast_to(shifted([0.0]), found.values.shape)
    good = found.status == Status.CONVERGED
    np.testing.assert_allclose(found.values[good], expected[good], atol=2e-3)
    uncorrected = np.abs(shifted(shift) - expected).max()
    assert uncorrected > 0.2


def test_nothing_is_extrapolated():
    shift = np.array([0.0, 0.3, -0.6])
    found = correct_shift(shifted(shift), offsets=OFFSETS, water_shift=shift, noise=0.01)
    position = OFFSETS + shift[:, None]
    outside = (position < OFFSETS[0]) | (position > OFFSETS[-1])
    np.testing.assert_array_equal(found.status == Status.OUT_OF_RANGE, outside)
    np.testing.assert_array_equal(np.isnan(found.values), outside)
    with pytest.raises(ValueError, match=r"is not extrapolated to \[5.5\]"):
        correct_shift(shifted(shift), offsets=OFFSETS, water_shift=shift, noise=0.01, targets=np.array([3.5, 5.5]))


@pytest.mark.parametrize("smoothing", [0.0, 1e-3])
@pytest.mark.parametrize("shift_stdev", [0.0, 0.02])
def test_standard_deviations_cover_noise_and_shift(smoothing, shift_stdev):
    rng = np.random.default_rng(0)
    number = 3000
    true = np.full(number, 0.13)
    settings = {"offsets": OFFSETS, "smoothing": smoothing, "noise": 0.01}
    clean, measured = shifted(true), true + shift_stdev * rng.normal(size=number)
    z = clean + 0.01 * rng.normal(size=clean.shape)
    targets = np.array([-3.5, -1.0, 0.6, 2.0, 3.5])
    exact = correct_shift(clean[:1], water_shift=true[:1], targets=targets, **settings)
    spread = None if shift_stdev == 0.0 else np.full(number, shift_stdev)
    found = correct_shift(z, water_shift=measured, targets=targets, water_shift_stdev=spread, **settings)
    score = (found.values - exact.values) / found.stdev
    np.testing.assert_allclose(np.std(score, axis=0), 1.0, atol=0.07)


def test_broken_voxels_are_invalid():
    z = shifted(np.zeros(3))
    z[0, 4] = math.nan
    shift = np.array([0.0, math.nan, 0.0])
    found = correct_shift(z, offsets=OFFSETS, water_shift=shift, noise=0.01, targets=np.array([3.5]))
    assert list(found.status[:, 0]) == [Status.INVALID_INPUT, Status.INVALID_INPUT, Status.CONVERGED]
    assert np.isnan(found.values[:2]).all()


def test_what_does_not_belong_together_is_refused():
    signal, z, none = np.ones((2, 5)), shifted(np.zeros(2)), np.zeros(2)
    with pytest.raises(ValueError, match="different indices below 5"):
        normalise(signal, unsaturated=[0, 5])
    with pytest.raises(ValueError, match="there is no Z-spectrum"):
        normalise(signal, unsaturated=range(5))
    with pytest.raises(ValueError, match="reference must be one of mean, linear"):
        normalise(signal, unsaturated=[0], reference="spline")
    with pytest.raises(ValueError, match="must have shapes"):
        correct_shift(z, offsets=OFFSETS, water_shift=np.zeros(3), noise=0.01)
    with pytest.raises(ValueError, match="water_shift_stdev must be one number"):
        correct_shift(z, offsets=OFFSETS, water_shift=none, noise=0.01, water_shift_stdev=np.zeros(3))
    with pytest.raises(ValueError, match="average repetitions"):
        spline_operator(np.array([0.0, 1.0, 1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="smoothing must not be negative"):
        spline_operator(OFFSETS, smoothing=-1.0)
    with pytest.raises(ValueError, match="check the mask"):
        cross_validated_smoothing(np.full((2, len(OFFSETS)), math.nan), offsets=OFFSETS)
