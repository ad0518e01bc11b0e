"""The estimator against the Cramér-Rao bound, its coverage, and what it says of voxels that it cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
from exchange_cases import GREY_MATTER, MT_ALONE, SHORT, WHITE_MATTER, WHOLE, seen, tissue

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pools.likelihood import ExchangeLikelihood
from qmri_bids.estimation.pools.point import full_jacobian, inverse_information
from qmri_bids.physics.fingerprint import exchange_jacobian

NOISE = 0.01
ML = ExchangeLikelihood(threads=2)


def columns(maps, scan=WHOLE):
    return np.stack([maps[name] for name in scan.parameters], axis=1)


def bound(values, known, *, scan=WHOLE):
    """Return the Cramér-Rao standard deviation over the value."""
    z, jacobian = exchange_jacobian(scan, values, known, parameters=scan.parameters)
    full = full_jacobian(z, jacobian * values[:, None, :], np.ones((len(z), len(scan.protocols))), scan=scan)
    variance = np.einsum("vpp->vp", inverse_information(full))[:, : values.shape[1]]
    return NOISE * np.sqrt(variance)


@pytest.mark.slow
@pytest.mark.parametrize("truth", [WHITE_MATTER, GREY_MATTER])
def test_error_bias_and_coverage_at_the_usual_noise(truth):
    number = 1200
    # As in the table of the bound: away from the amide resonance its line is worth less.
    values, known = tissue(number, truth, b1=(0.95, 1.05), field=10.0)
    found = ML.estimate(seen(values, known, scan=WHOLE, noise=NOISE), scan=WHOLE, known=known)
    got, stdev = columns(found.values), columns(found.stdev)
    told = np.isfinite(got).all(axis=1)
    assert told.mean() > 0.97
    error = got[told] / values[told] - 1.0
    limit = bound(values, known)[told]
    rmse = np.sqrt(np.mean((error / limit) ** 2, axis=0))
    # Three standard errors of a root mean square from 1.10 and 1.15.
    slack = 1.0 + 3.0 / np.sqrt(2.0 * number)
    assert (rmse < np.array([1.10, 1.10, 1.15, 1.15]) * slack).all(), rmse
    assert (rmse > 0.9).all()
    standard_error = error.std(axis=0) / np.sqrt(told.sum())
    assert (np.abs(error.mean(axis=0)) < np.array([0.03, 0.05, 0.05, 0.10]) + 2.0 * standard_error).all()
    for z, share in ((0.9945, 0.68), (1.96, 0.95)):
        ratio = z * stdev[told] / got[told]
        inside = np.abs(np.log(got[told] / values[told])) <= ratio
        assert (np.abs(inside.mean(axis=0) - share) < 0.02 + 3.0 * np.sqrt(share * (1 - share) / number)).all()


def test_the_correction_takes_the_bias_of_least_squares_away():
    number = 500
    values, known = tissue(number, WHITE_MATTER)
    data = seen(values, known, noise=0.004)
    plain = ML.point(data, scan=SHORT, known=known)[:, 0] / values[:, 0] - 1.0
    mended = ML.estimate(data, scan=SHORT, known=known).values["MT.fraction"] / values[:, 0] - 1.0
    assert abs(np.nanmean(mended)) < max(abs(plain.mean()), 3.0 * plain.std() / np.sqrt(number))


def test_without_noise_nothing_is_corrected():
    values, known = tissue(5)
    found = ML.estimate(seen(values, known, scan=WHOLE), scan=WHOLE, known=known)
    np.testing.assert_allclose(columns(found.values), values, rtol=1e-4)


def test_what_known_maps_do_not_know_widens_the_estimate():
    values, known = tissue(100)
    data = seen(values, known, noise=0.003)
    exact = ML.estimate(data, scan=SHORT, known=known)
    vague = replace(known, b1_stdev=np.full(100, 0.03), t1_stdev=0.05 * known.t1)
    wider = ML.estimate(data, scan=SHORT, known=vague)
    for name in ("MT.fraction", "MT.rate"):
        both = np.isfinite(exact.values[name]) & np.isfinite(wider.values[name])
        np.testing.assert_allclose(wider.values[name][both], exact.values[name][both])
        assert (wider.stdev[name][both] > exact.stdev[name][both]).all()
    # 3 % of B1 alone make about 6 % of the semisolid fraction.
    extra = wider.stdev["MT.fraction"] ** 2 - exact.stdev["MT.fraction"] ** 2
    assert 0.03 < np.nanmedian(np.sqrt(extra) / exact.values["MT.fraction"]) < 0.12


def test_a_wrong_known_map_moves_the_estimate_as_the_gain_says():
    values, known = tissue(50)
    data = seen(values, known)
    point = ML.fit(data, scan=SHORT, known=known)
    moved = ML.fit(data, scan=SHORT, known=replace(known, b1=known.b1 + 0.002))
    np.testing.assert_allclose(
        moved.log_values - point.log_values, 0.002 * point.known_gain[:, :, 2], rtol=0.05, atol=2e-4
    )


def test_pools_that_cannot_be_told_say_so():
    values, known = tissue(80)
    values[:, 2:] = 2e-4, 15.0
    found = ML.estimate(seen(values, known, noise=0.02), scan=SHORT, known=known)
    codes = found.status["amide"]
    assert np.mean(np.isin(codes, (Status.NOT_IDENTIFIABLE, Status.AT_BOUND, Status.NOT_CONVERGED))) > 0.8
    assert np.isnan(found.values["amide.fraction"][codes != Status.CONVERGED]).all()
    assert np.isnan(found.stdev["amide.rate"][codes != Status.CONVERGED]).all()
    assert (np.abs(found.correlation["MT"]) <= 1.0 + 1e-9).all()


def test_fraction_and_rate_of_the_semisolid_pool_are_strongly_correlated():
    values, known = tissue(20)
    found = ML.estimate(seen(values, known, scan=WHOLE, noise=0.005), scan=WHOLE, known=known)
    assert -0.98 < np.median(found.correlation["MT"]) < -0.85


def test_voxels_without_data_or_maps_are_invalid_and_nan():
    values, known = tissue(6)
    data = seen(values, known, noise=0.003)
    data[1, 3] = np.nan
    t1 = known.t1.copy()
    t1[2] = np.nan
    b1 = known.b1.copy()
    b1[3] = 0.0
    found = ML.estimate(data, scan=SHORT, known=replace(known, t1=t1, b1=b1))
    assert (found.status["MT"][[1, 2, 3]] == Status.INVALID_INPUT).all()
    assert np.isnan(found.values["MT.fraction"][[1, 2, 3]]).all()
    assert np.isnan(found.residual[[1, 2, 3]]).all()
    assert (found.status["MT"][[0, 4, 5]] != Status.INVALID_INPUT).all()


def test_gains_of_the_series_do_not_matter():
    values, known = tissue(60)
    data = seen(values, known, noise=0.003)
    one = ML.estimate(data, scan=SHORT, known=known)
    other = ML.estimate(data * np.repeat([250.0, 0.02], 16), scan=SHORT, known=known)
    np.testing.assert_allclose(other.values["MT.fraction"], one.values["MT.fraction"], rtol=0.02)
    np.testing.assert_allclose(other.amplitude / one.amplitude, np.tile([250.0, 0.02], (60, 1)), rtol=0.01)
    np.testing.assert_allclose(other.fitted[:, 16:], 0.02 * one.fitted[:, 16:], rtol=0.02)


def test_shapes_that_do_not_belong_together_are_refused():
    _, known = tissue(2)
    with pytest.raises(ValueError, match=r"signal must have shape \(V, 32\)"):
        ML.estimate(np.ones((2, 31)), scan=SHORT, known=known)
    with pytest.raises(ValueError, match="known maps must have shape"):
        ML.estimate(np.ones((3, 32)), scan=SHORT, known=known)


def test_no_voxels_are_no_error():
    _, known = tissue(0)
    found = ML.estimate(np.empty((0, 16)), scan=MT_ALONE, known=known)
    assert found.values["MT.fraction"].shape == (0,)


def test_noise_that_is_known_is_the_least_that_counts():
    values, known = tissue(40, WHITE_MATTER)
    data = seen(values, known, noise=0.001)
    own = ML.estimate(data, scan=SHORT, known=known).stdev["MT.fraction"]
    more = ML.estimate(data, scan=replace(SHORT, least_noise=0.004), known=known).stdev["MT.fraction"]
    same = ML.estimate(data, scan=replace(SHORT, least_noise=1e-5), known=known).stdev["MT.fraction"]
    np.testing.assert_array_equal(same, own)
    assert 3.0 < np.nanmedian(more / own) < 5.0
