"""The Lorentzian fit and AREX: exactness, optimality, covariance, coverage, bounds and hopeless data."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.spectra.lorentzian.fit import fit_lorentzian
from qmri_bids.estimation.spectra.lorentzian.maps import pool_estimates, spectrum_noise
from qmri_bids.estimation.spectra.lorentzian.pools import POOLS, Bounded, LorentzianPool
from qmri_bids.estimation.spectra.maps import arex
from qmri_bids.physics.zspectrum import lorentzian_spectrum

HALF = (*np.arange(0.25, 4.75, 0.25), 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, 50.0, 100.0)
OFFSETS = np.array([*(-np.array(HALF)), 0.0, *HALF, 300.0])
NOISE = 0.01
CENTRES = {"amide": 3.5, "NOE": -3.5, "amine": 2.0}


def draw(number, *, seed=0, noise=0.0):
    """Five-pool spectra of the brain at 3 T at low power."""
    rng = np.random.default_rng(seed)
    ranges = {
        "amplitude": ((0.7, 0.9), (0.05, 0.2), (0.02, 0.06), (0.03, 0.1), (0.01, 0.04)),
        "width": ((1.0, 2.0), (25, 60), (1.0, 2.5), (2.0, 5.0), (1.0, 2.5)),
        "position": ((-0.3, 0.3), (-2.5, -2.5), (3.5, 3.5), (-3.5, -3.5), (2.0, 2.0)),
    }
    truth = {name: np.stack([rng.uniform(*row, number) for row in rows], axis=1) for name, rows in ranges.items()}
    z = lorentzian_spectrum(OFFSETS, **truth)
    return truth, z + noise * rng.normal(size=z.shape)


def packed(truth):
    columns = np.stack([truth["amplitude"], truth["width"], truth["position"]], axis=2)
    return np.concatenate([np.ones((len(columns), 1)), columns.reshape(len(columns), -1)], axis=1)


def model(parameters):
    amplitude, width, position = (parameters[row::3] for row in (1, 2, 3))
    return lorentzian_spectrum(OFFSETS, amplitude=amplitude, width=width, position=position, baseline=parameters[0])


def test_noise_free_fit_finds_five_pools():
    truth, z = draw(3000)
    fit = fit_lorentzian(z, offsets=OFFSETS)
    assert fit.converged.all()
    error = np.abs(fit.parameters[:, 1::3] / truth["amplitude"] - 1.0)
    assert np.mean(error.max(axis=1) < 0.02) > 0.998
    assert np.median(error) < 1e-6


@pytest.mark.parametrize(
    "names", [("water",), ("water", "amide"), ("water", "MT", "NOE"), ("MT", "water", "amine", "amide")]
)
def test_any_subset_of_pools_is_fitted_in_the_order_asked_for(names):
    truth, _ = draw(200)
    places = [list(POOLS).index(name) for name in names]
    part = {name: values[:, places] for name, values in truth.items()}
    z = lorentzian_spectrum(OFFSETS, **part)
    fit = fit_lorentzian(z, offsets=OFFSETS, pools={name: POOLS[name] for name in names})
    assert fit.pools == names
    np.testing.assert_allclose(fit.parameters, packed(part), rtol=1e-4, atol=1e-6)


def test_free_positions_are_found():
    truth, _ = draw(500)
    moves = np.random.default_rng(5).uniform(-0.25, 0.25, (500, 5)) * np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    position = truth["position"] + moves
    z = lorentzian_spectrum(OFFSETS, **{**truth, "position": position})
    free = {name: Bounded(start=centre, lower=centre - 0.5, upper=centre + 0.5) for name, centre in CENTRES.items()}
    pools = {name: replace(pool, position=free.get(name, pool.position)) for name, pool in POOLS.items()}
    fit = fit_lorentzian(z, offsets=OFFSETS, pools=pools)
    found = np.isclose(fit.parameters[:, 3::3], position, atol=0.01).all(axis=1)
    assert found.mean() > 0.98
    assert fit.freedom == len(OFFSETS) - 14


def test_fit_is_the_bounded_least_squares_solution():
    truth, z = draw(30, noise=NOISE)
    fit = fit_lorentzian(z, offsets=OFFSETS)
    rows = [Bounded(start=1.0, lower=1.0, upper=1.0)]
    rows += [getattr(pool, name) for pool in POOLS.values() for name in ("amplitude", "width", "position")]
    free = [k for k, row in enumerate(rows) if row.upper > row.lower]
    bounds = [rows[k].lower for k in free], [rows[k].upper for k in free]
    for voxel in range(len(z)):
        start = packed(truth)[voxel]

        def residual(x, start=start, data=z[voxel]):
            full = start.copy()
            full[free] = x
            return model(full) - data

        best = least_squares(
            residual, start[free], bounds=bounds, x_scale=np.abs(start[free]) + 0.1, xtol=1e-12, ftol=1e-12
        )
        assert fit.residual_sum[voxel] <= 2.0 * best.cost * (1.0 + 1e-4)


def test_covariance_is_the_inverse_information():
    _, z = draw(5)
    fit = fit_lorentzian(z, offsets=OFFSETS)
    free = ~fit.fixed
    for voxel in range(5):
        point = fit.parameters[voxel]
        units = np.eye(len(point))[free]
        jacobian = np.stack(
            [(model(point + 1e-6 * unit) - model(point - 1e-6 * unit)) / 2e-6 for unit in units], axis=1
        )
        expected = np.linalg.inv(jacobian.T @ jacobian)
        found = fit.covariance[voxel][np.ix_(free, free)]
        scale = np.sqrt(np.diag(expected))
        np.testing.assert_allclose(found / np.outer(scale, scale), expected / np.outer(scale, scale), atol=1e-3)
        assert not fit.covariance[voxel][~free].any()


def test_standard_deviations_cover_the_truth():
    truth, z = draw(4000, noise=0.003)
    fit = fit_lorentzian(z, offsets=OFFSETS)
    found = pool_estimates(fit)
    np.testing.assert_allclose(spectrum_noise(fit), 0.003, rtol=0.03)
    for column, pool in enumerate(POOLS):
        estimate = found[pool]
        good = estimate.status == Status.CONVERGED
        assert good.mean() > 0.95
        score = (estimate.values["amplitude"] - truth["amplitude"][:, column])[good] / estimate.stdev["amplitude"][good]
        assert 0.6 < np.mean(np.abs(score) < 1.0) < 0.75
        assert np.mean(np.abs(score) < 1.96) > 0.88
        assert abs(np.median(score)) < 0.3


def test_known_shift_of_water_moves_the_offsets():
    truth, _ = draw(300)
    shift = np.random.default_rng(1).uniform(-0.5, 0.5, 300)
    z = lorentzian_spectrum(OFFSETS, **{**truth, "position": truth["position"] + shift[:, None]})
    fit = fit_lorentzian(z, offsets=OFFSETS, water_shift=shift)
    error = np.abs(fit.parameters[:, 1::3] / truth["amplitude"] - 1.0)
    assert np.mean(error.max(axis=1) < 0.02) > 0.99


def test_baseline_is_fitted_where_it_is_free():
    truth, _ = draw(100)
    z = lorentzian_spectrum(OFFSETS, baseline=0.95, **truth)
    fit = fit_lorentzian(z, offsets=OFFSETS, baseline=Bounded(start=1.0, lower=0.8, upper=1.1))
    assert np.median(np.abs(fit.parameters[:, 0] - 0.95)) < 1e-6


def test_pool_at_a_bound_has_no_value_and_leaves_the_others_theirs():
    line = {"amplitude": np.array([[0.8]]), "width": np.array([[2.0]]), "position": np.array([[0.1]])}
    z = lorentzian_spectrum(OFFSETS, **line)
    # A dent of the other sign where amide protons would be.
    z += 0.05 / (1.0 + (OFFSETS - 3.5) ** 2)
    fit = fit_lorentzian(z, offsets=OFFSETS, pools={name: POOLS[name] for name in ("water", "amide")})
    found = pool_estimates(fit, noise=NOISE)
    assert found["amide"].status[0] == Status.AT_BOUND
    assert math.isnan(found["amide"].values["amplitude"][0])
    assert found["water"].status[0] == Status.CONVERGED
    assert set(found["amide"].values) == {"amplitude", "width"}
    assert set(found["water"].values) == {"amplitude", "width", "position"}


def test_hopeless_voxels_are_invalid_and_single_missing_values_are_left_out():
    truth, z = draw(5)
    z[0] = math.nan
    z[1] = 0.0
    z[2, 7] = math.nan
    fit = fit_lorentzian(z, offsets=OFFSETS)
    status = pool_estimates(fit, noise=NOISE)["water"].status
    assert list(status) == [Status.INVALID_INPUT] * 2 + [Status.CONVERGED] * 3
    np.testing.assert_allclose(fit.parameters[2, 1::3], truth["amplitude"][2], rtol=1e-3)


def test_threads_and_blocks_do_not_matter():
    _, z = draw(2500, noise=NOISE)
    one, two = (fit_lorentzian(z, offsets=OFFSETS, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.parameters, two.parameters)
    last = fit_lorentzian(z[-3:], offsets=OFFSETS)
    np.testing.assert_array_equal(one.parameters[-3:], last.parameters)


def test_exchange_relaxation_is_that_of_the_pools():
    truth, z = draw(500)
    t1 = np.random.default_rng(3).uniform(0.8, 1.8, 500)
    found = arex(fit_lorentzian(z, offsets=OFFSETS), pool="amide", t1=t1, duty_cycle=0.9)
    label = np.array(
        [lorentzian_spectrum(np.array([3.5]), **{k: v[i] for k, v in truth.items()})[0] for i in range(500)]
    )
    expected = (1.0 / label - 1.0 / (label + truth["amplitude"][:, 2])) / (0.9 * t1)
    good = found.status == Status.CONVERGED
    assert good.mean() > 0.99
    assert np.mean(np.abs(found.values["R_ex"][good] / expected[good] - 1.0) < 0.02) > 0.99
    np.testing.assert_allclose(found.values["MTR_Rex"][good], (found.values["R_ex"] * 0.9 * t1)[good], rtol=1e-5)


@pytest.mark.parametrize("pool", ["amide", "water"])
def test_standard_deviation_of_exchange_relaxation_covers_noise_and_t1(pool):
    """Water has a free centre: the gradient must hold that the other lines are met elsewhere."""
    truth, clean = draw(1)
    truth = {name: np.repeat(values, 3000, axis=0) for name, values in truth.items()}
    rng = np.random.default_rng(4)
    z = clean + 0.003 * rng.normal(size=(3000, len(OFFSETS)))
    t1 = 1.2 + 0.06 * rng.normal(size=3000)
    exact = arex(fit_lorentzian(clean, offsets=OFFSETS), pool=pool, t1=np.array([1.2]), noise=0.003).values["R_ex"][0]
    found = arex(fit_lorentzian(z, offsets=OFFSETS), pool=pool, t1=t1, t1_stdev=np.full(3000, 0.06))
    good = found.status == Status.CONVERGED
    score = (found.values["R_ex"][good] - exact) / found.stdev["R_ex"][good]
    assert good.mean() > 0.95
    assert 0.62 < np.mean(np.abs(score) < 1.0) < 0.75
    without = arex(fit_lorentzian(z, offsets=OFFSETS), pool=pool, t1=t1)
    assert np.all(without.stdev["R_ex"][good] < found.stdev["R_ex"][good])


def test_exchange_relaxation_without_a_t1_is_invalid():
    _, z = draw(3)
    found = arex(fit_lorentzian(z, offsets=OFFSETS), pool="NOE", t1=np.array([1.0, 0.0, math.nan]), noise=NOISE)
    assert list(found.status) == [Status.CONVERGED, Status.INVALID_INPUT, Status.INVALID_INPUT]
    assert np.isnan(found.values["R_ex"][1:]).all()


def test_what_does_not_belong_together_is_refused():
    _, z = draw(3)
    fit = fit_lorentzian(z, offsets=OFFSETS)
    with pytest.raises(ValueError, match="one column an offset"):
        fit_lorentzian(z, offsets=OFFSETS[:-1])
    with pytest.raises(ValueError, match="fit fewer pools"):
        fit_lorentzian(z[:, :9], offsets=OFFSETS[:9])
    with pytest.raises(ValueError, match="water_shift must have shape"):
        fit_lorentzian(z, offsets=OFFSETS, water_shift=np.zeros(2))
    with pytest.raises(ValueError, match="start must lie within"):
        Bounded(start=2.0, lower=0.0, upper=1.0)
    with pytest.raises(ValueError, match="width must be positive"):
        LorentzianPool(**{**vars(POOLS["water"]), "width": Bounded(start=1.0, lower=0.0, upper=2.0)})
    with pytest.raises(ValueError, match="fit it too"):
        arex(fit, pool="guanidine", t1=np.ones(3))
    with pytest.raises(ValueError, match="duty_cycle must lie"):
        arex(fit, pool="amide", t1=np.ones(3), duty_cycle=1.5)
    with pytest.raises(ValueError, match="t1 must have shape"):
        arex(fit, pool="amide", t1=np.ones(2))
