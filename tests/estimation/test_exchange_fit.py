import numpy as np
import pytest
from exchange_cases import MT_ALONE, SHORT, WHITE_MATTER, WHOLE, box, seen, tissue

from qmri_bids.estimation.pools.fit import bounds_of, fit_at, fit_exchange
from qmri_bids.estimation.pools.start import RegressionStart


def test_pools_are_found_exactly_without_noise():
    values, known = box(60, scan=WHOLE)
    data = seen(values, known, scan=WHOLE) * np.repeat([7.0, 6.0], 31)
    start = np.tile([0.1, 30.0, 3e-3, 120.0], (60, 1))
    fit = fit_exchange(data, scan=WHOLE, known=known, start=start)
    assert fit.settled.all()
    np.testing.assert_allclose(np.exp(fit.log_values), values, rtol=1e-4)
    np.testing.assert_allclose(fit.amplitude, np.tile([7.0, 6.0], (60, 1)), rtol=1e-6)


def test_the_start_and_the_threads_do_not_matter():
    values, known = tissue(40)
    data = seen(values, known, noise=0.003)
    from_truth = fit_exchange(data, scan=SHORT, known=known, start=values)
    start = RegressionStart.of(SHORT).predict(data, known)
    elsewhere = fit_exchange(data, scan=SHORT, known=known, start=start, threads=2)
    assert np.mean(from_truth.settled & elsewhere.settled) > 0.9
    np.testing.assert_allclose(elsewhere.residual_sum, from_truth.residual_sum, rtol=2e-3)


def test_an_absent_pool_ends_at_its_bound_and_leaves_the_other_alone():
    values, known = tissue(20, (0.112, 29.0, 1.9e-3, 162.0))
    values[:, 2] = 0.0
    data = seen(values, known, noise=0.002)
    fit = fit_exchange(data, scan=SHORT, known=known, start=np.tile([0.1, 30.0, 3e-3, 120.0], (20, 1)))
    low, high = bounds_of(SHORT)
    assert ((np.exp(fit.log_values) >= low * 0.999) & (np.exp(fit.log_values) <= high * 1.001)).all()
    assert np.mean(fit.at_bound[:, 2:].any(axis=1)) > 0.3
    assert np.median(np.abs(np.exp(fit.log_values[:, 0]) / values[:, 0] - 1.0)) < 0.1


def test_voxels_that_are_not_finite_stay_nan():
    values, known = tissue(3)
    data = seen(values, known)
    data[1, 5] = np.nan
    fit = fit_exchange(data, scan=SHORT, known=known, start=values)
    assert np.isnan(fit.log_values[1]).all()
    assert np.isfinite(fit.log_values[[0, 2]]).all()


def test_a_semisolid_stage_alone_is_fitted_with_the_amide_of_the_model():
    values, known = tissue(10)
    scan = MT_ALONE.with_values({"amide.fraction": WHITE_MATTER[2], "amide.rate": WHITE_MATTER[3]})
    data = seen(values[:, :2], known, scan=scan)
    fit = fit_exchange(data, scan=scan, known=known, start=np.tile([0.08, 40.0], (10, 1)))
    np.testing.assert_allclose(np.exp(fit.log_values), values[:, :2], rtol=1e-5)


def test_the_model_at_a_point_is_that_of_the_fit():
    values, known = tissue(4)
    data = seen(values, known, noise=0.002)
    fit = fit_exchange(data, scan=SHORT, known=known, start=values)
    point = fit_at(data, scan=SHORT, known=known, values=np.exp(fit.log_values))
    np.testing.assert_allclose(point.residual_sum, fit.residual_sum, rtol=1e-9)
    np.testing.assert_allclose(point.jacobian, fit.jacobian, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("scan", [SHORT, MT_ALONE])
def test_the_regression_starts_near(scan):
    values, known = box(300, scan=scan)
    start = RegressionStart.of(scan).predict(seen(values, known, scan=scan, noise=0.003), known)
    assert np.isfinite(start).all()
    # Twice as near as the middle of the ranges.
    middle = np.exp(np.log(values).mean(axis=0))
    assert np.median(np.abs(np.log(start[:, 0] / values[:, 0]))) < 0.5 * np.median(
        np.abs(np.log(middle[0] / values[:, 0]))
    )
