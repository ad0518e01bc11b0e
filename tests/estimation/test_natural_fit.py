"""The fit in natural coordinates: exactness, optimality, covariance, symmetries and hopeless data."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from qmri_bids.estimation.base import NaturalPoint, ProtocolNotSupported
from qmri_bids.estimation.bssfp.profile_fit import fit_natural
from qmri_bids.estimation.bssfp.profile_start import ADMISSIBLE_B, ADMISSIBLE_E2, check_increments, linear_start
from qmri_bids.physics.bssfp import natural_coordinates, profile, relaxation_times, signal
from qmri_bids.physics.protocol import BssfpProtocol

UNEVEN = (0.1, 1.0, 2.5, 3.3, 5.6)
EVEN = {cycles: tuple(math.pi * (2 * j + 1) / cycles for j in range(cycles)) for cycles in (3, 4, 6, 12)}
INCREMENTS = [*EVEN.values(), UNEVEN, (0.1, 1.9, 4.6)]


def make_protocol(increments, *, tr=4.8e-3, degrees=15.0):
    return BssfpProtocol(
        repetition_time=tr, echo_time=tr / 2, flip_angle=math.radians(degrees), rf_phase_increment=increments
    )


def draw(number, increments, *, noise=0.0, seed=0):
    """Profiles of tissue with unit amplitude of random phase, and their natural coordinates."""
    rng = np.random.default_rng(seed)
    protocol = make_protocol(increments)
    b1 = rng.uniform(0.7, 1.3, number)
    e2, b = natural_coordinates(
        rng.uniform(0.36, 2.08, number), rng.uniform(0.02, 0.12, number), b1=b1, protocol=protocol
    )
    theta = rng.uniform(-math.pi, math.pi, number)
    cycles = np.exp(1j * rng.uniform(-3, 3, number))[:, None] * profile(e2, b, theta, rf_phase_increment=increments)
    cycles = cycles + noise * (rng.normal(size=cycles.shape) + 1j * rng.normal(size=cycles.shape))
    return NaturalPoint(e2=e2, b=b, theta=theta), cycles, b1


def angle_between(first, second):
    return np.abs(np.angle(np.exp(1j * (first - second))))


@pytest.mark.parametrize("increments", INCREMENTS, ids=len)
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_noise_free_fit_is_exact_over_the_whole_circle(increments, dtype):
    protocol = make_protocol(increments)
    truth, cycles, b1 = draw(3000, increments)
    fit = fit_natural(cycles.astype(dtype), rf_phase_increment=increments)
    assert fit.converged.all()
    expected = relaxation_times(truth.e2, truth.b, b1=b1, protocol=protocol)
    for found, true in zip(relaxation_times(fit.e2, fit.b, b1=b1, protocol=protocol), expected, strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-8 if dtype is np.complex128 else 1e-5)
    assert np.max(angle_between(fit.theta, truth.theta)) < 1e-5
    np.testing.assert_allclose(np.abs(fit.amplitude), 1.0, rtol=1e-5)


@pytest.mark.parametrize("increments", INCREMENTS, ids=len)
def test_noise_free_fit_is_exact_far_from_tissue(increments):
    rng = np.random.default_rng(2)
    for _ in range(12):
        protocol = make_protocol(increments, tr=rng.uniform(3e-3, 12e-3), degrees=rng.uniform(5, 60))
        t1 = np.exp(rng.uniform(math.log(0.05), math.log(6.0), 300))
        t2 = np.minimum(np.exp(rng.uniform(math.log(0.002), math.log(3.0), 300)), t1)
        b1 = np.ones(300)
        off_resonance = rng.uniform(-0.5, 0.5, 300) / protocol.repetition_time
        cycles = signal(t1, t2, b1=b1, off_resonance=off_resonance, protocol=protocol)
        fit = fit_natural(cycles, rf_phase_increment=increments)
        assert fit.converged.all()
        for found, true in zip(relaxation_times(fit.e2, fit.b, b1=b1, protocol=protocol), (t1, t2), strict=True):
            np.testing.assert_allclose(found, true, rtol=1e-6)


@pytest.mark.parametrize("increments", [EVEN[12], EVEN[4], UNEVEN], ids=len)
def test_fit_is_the_least_squares_solution(increments):
    truth, cycles, _ = draw(25, increments, noise=0.03)
    fit = fit_natural(cycles, rf_phase_increment=increments)
    for voxel in range(len(cycles)):

        def residual(x, data=cycles[voxel]):
            model = complex(x[3], x[4]) * profile(*(np.asarray(each) for each in x[:3]), rf_phase_increment=increments)
            return (data - model).view(float)

        first = fit.amplitude[voxel]
        start = [truth.e2[voxel], truth.b[voxel], truth.theta[voxel], first.real, first.imag]
        bounds = ([0, 0, -np.inf, -np.inf, -np.inf], [1, 1, np.inf, np.inf, np.inf])
        best = least_squares(residual, start, bounds=bounds, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        assert fit.residual_sum[voxel] == pytest.approx(2 * best.cost, rel=1e-3)
        stdev = np.sqrt(np.diag(fit.covariance[voxel]) * 2 * best.cost / fit.freedom)
        assert abs(fit.e2[voxel] - best.x[0]) < 0.02 * stdev[0]
        assert abs(fit.b[voxel] - best.x[1]) < 0.02 * stdev[1]
        assert angle_between(fit.theta[voxel], best.x[2]) < 0.02 * stdev[2]
        assert abs(abs(first) / abs(complex(best.x[3], best.x[4])) - 1) < 0.02 * stdev[3]


@pytest.mark.parametrize("increments", INCREMENTS, ids=len)
def test_covariance_is_the_inverse_information_of_all_five_unknowns(increments):
    _, cycles, _ = draw(5, increments)
    fit = fit_natural(3.0 * cycles, rf_phase_increment=increments)
    for voxel in range(5):
        log_amplitude = np.log(fit.amplitude[voxel])
        point = np.array([fit.e2[voxel], fit.b[voxel], fit.theta[voxel], log_amplitude.real, log_amplitude.imag])

        def model(x):
            shape = profile(*(np.asarray(each) for each in x[:3]), rf_phase_increment=increments)
            return (np.exp(complex(x[3], x[4])) * shape).view(float)

        step = 1e-6
        jacobian = np.stack(
            [(model(point + step * unit) - model(point - step * unit)) / (2 * step) for unit in np.eye(5)], axis=1
        )
        expected = np.linalg.inv(jacobian.T @ jacobian)[:4, :4]
        scale = np.sqrt(np.diag(expected))
        np.testing.assert_allclose(
            fit.covariance[voxel] / np.outer(scale, scale), expected / np.outer(scale, scale), atol=2e-4
        )


@pytest.mark.parametrize("cycles", [4, 12])
def test_covariance_is_that_of_repeated_draws(cycles):
    increments = EVEN[cycles]
    truth, clean, _ = draw(1, increments)
    rng = np.random.default_rng(3)
    noise = 0.005 * (rng.normal(size=(20_000, cycles)) + 1j * rng.normal(size=(20_000, cycles)))
    fit = fit_natural(clean + noise, rf_phase_increment=increments)
    exact = fit_natural(clean, rf_phase_increment=increments)
    deviations = np.stack([fit.e2, fit.b, fit.theta, np.log(np.abs(fit.amplitude))])
    stdev = np.sqrt(np.diag(exact.covariance[0])) * 0.005
    np.testing.assert_allclose(
        np.cov(deviations) / np.outer(stdev, stdev), exact.covariance[0] * 0.005**2 / np.outer(stdev, stdev), atol=0.04
    )
    assert np.mean(fit.residual_sum) == pytest.approx(fit.freedom * 0.005**2, rel=0.03)
    assert fit.e2.mean() == pytest.approx(truth.e2[0], abs=0.1 * stdev[0])


def test_scale_phase_order_and_offset_of_the_cycles():
    increments = np.array(UNEVEN)
    _, cycles, _ = draw(200, UNEVEN, noise=0.02)
    plain = fit_natural(cycles, rf_phase_increment=UNEVEN)
    order = [3, 0, 4, 1, 2]
    cases = {
        "scale and phase": (fit_natural(1e-5 * np.exp(2j) * cycles, rf_phase_increment=UNEVEN), plain.theta, 1e-5),
        "order": (fit_natural(cycles[:, order], rf_phase_increment=increments[order]), plain.theta, 1.0),
        "offset": (fit_natural(cycles, rf_phase_increment=increments + 0.7), plain.theta + 0.7, 1.0),
        "conjugate": (fit_natural(cycles.conj(), rf_phase_increment=-increments), -plain.theta, 1.0),
    }
    for fit, theta, scale in cases.values():
        np.testing.assert_allclose(fit.e2, plain.e2, atol=1e-5)
        np.testing.assert_allclose(fit.b, plain.b, atol=1e-5)
        assert np.max(angle_between(fit.theta, theta)) < 1e-4
        np.testing.assert_allclose(np.abs(fit.amplitude), scale * np.abs(plain.amplitude), rtol=1e-3)
        np.testing.assert_allclose(fit.residual_sum, scale**2 * plain.residual_sum, rtol=1e-4)


def test_start_does_not_decide_the_end():
    increments = EVEN[6]
    truth, cycles, _ = draw(2000, increments, noise=0.02)
    linear = fit_natural(cycles, rf_phase_increment=increments)
    true = fit_natural(cycles, rf_phase_increment=increments, start=truth)
    hopeless = NaturalPoint(e2=np.full(2000, math.nan), b=truth.b, theta=truth.theta)
    blind = fit_natural(cycles, rf_phase_increment=increments, start=hopeless)
    np.testing.assert_allclose(linear.residual_sum, true.residual_sum, rtol=1e-3)
    assert np.isfinite(blind.e2).all()
    # The middle at θ = 0 is up to half a turn away: most find the way, none is called converged elsewhere without being a minimum.
    assert np.mean(np.isclose(blind.residual_sum, linear.residual_sum, rtol=1e-3)) > 0.6


def test_threads_and_precision_do_not_change_the_result():
    _, cycles, _ = draw(20_000, EVEN[4], noise=0.01)
    plain = fit_natural(cycles, rf_phase_increment=EVEN[4])
    threaded = fit_natural(cycles, rf_phase_increment=EVEN[4], threads=2)
    single = fit_natural(cycles.astype(np.complex64), rf_phase_increment=EVEN[4])
    np.testing.assert_array_equal(threaded.e2, plain.e2)
    np.testing.assert_array_equal(threaded.covariance, plain.covariance)
    stdev = 0.01 * np.sqrt(plain.covariance[:, 0, 0])
    assert np.quantile(np.abs(single.e2 - plain.e2) / stdev, 0.999) < 0.02


@pytest.mark.parametrize("increments", [EVEN[3], EVEN[12]], ids=len)
def test_hopeless_data_end_without_exception_and_without_convergence(increments):
    number = len(increments)
    cycles = np.zeros((5, number), dtype=np.complex64)
    cycles[1] = np.nan
    cycles[2] = 1.0
    cycles[3, 0] = 1.0
    cycles[4] = np.inf
    fit = fit_natural(cycles, rf_phase_increment=increments)
    assert not fit.converged[[0, 1, 2, 4]].any()
    assert np.isnan(fit.e2[[0, 1, 4]]).all()
    assert np.isfinite(fit.e2[[2, 3]]).all()
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(2000, number)) + 1j * rng.normal(size=(2000, number))
    fit = fit_natural(noise, rf_phase_increment=increments)
    assert np.isfinite(fit.e2).all()
    assert ((fit.e2 > 0) & (fit.e2 < 1) & (fit.b > 0) & (fit.b < 1)).all()
    assert not np.isnan(fit.covariance).any()
    assert (fit.residual_sum <= fit.signal_sum).all()


@pytest.mark.parametrize("increments", INCREMENTS, ids=len)
def test_linear_start_is_exact_without_noise_and_admissible_with(increments):
    truth, cycles, _ = draw(500, increments)
    start = linear_start(cycles, rf_phase_increment=increments)
    np.testing.assert_allclose(start.e2, truth.e2, atol=1e-9)
    np.testing.assert_allclose(start.b, truth.b, atol=1e-9)
    assert np.max(angle_between(start.theta, truth.theta)) < 1e-9
    noisy = linear_start(
        np.random.default_rng(0).normal(size=(500, len(increments))) + 0j, rf_phase_increment=increments
    )
    assert ((noisy.e2 >= ADMISSIBLE_E2[0]) & (noisy.e2 <= ADMISSIBLE_E2[1])).all()
    assert ((noisy.b >= ADMISSIBLE_B[0]) & (noisy.b <= ADMISSIBLE_B[1])).all()


def test_increments_that_do_not_differ_are_refused():
    check_increments(make_protocol((0.0, 0.0, 2.0, 4.0)), name="ml")
    with pytest.raises(
        ProtocolNotSupported, match=r"3 different RF phase increments \(estimator ml\), found 2 in 0.0, 114"
    ):
        check_increments(make_protocol((0.0, 2.0, 2.0, 2.0 * math.pi)), name="ml")


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"complex of shape \(V, 4\).*found complex128 of shape \(5, 6\)"):
        fit_natural(np.ones((5, 6), complex), rf_phase_increment=EVEN[4])
    with pytest.raises(ValueError, match="found float64"):
        fit_natural(np.ones((5, 4)), rf_phase_increment=EVEN[4])
    truth, cycles, _ = draw(5, EVEN[4])
    with pytest.raises(ValueError, match=r"start must have shape \(4,\)"):
        fit_natural(cycles[:4], rf_phase_increment=EVEN[4], start=truth)
