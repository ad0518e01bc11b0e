"""The posterior by quadrature: against a brute-force integral, its limits, its edges, and the coverage of its intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.estimation.bssfp.posterior.voxel import Posterior, posterior
from qmri_bids.estimation.bssfp.profile_fit import NaturalFit, fit_natural
from qmri_bids.physics.bssfp import natural_coordinates, profile, relaxation_times, signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.priors.relaxation import PRIORS

BOX = PRIORS["uniform"]


@dataclass(frozen=True, kw_only=True)
class OneTissue:
    """A log-normal density around one tissue, on a wide support."""

    t1: tuple[float, float] = (0.2, 4.0)
    t2: tuple[float, float] = (0.01, 0.4)
    centre: tuple[float, float] = (0.9, 0.06)
    spread: float = 0.1

    def density(self, t1: NDArray, t2: NDArray) -> NDArray:
        squares = np.log(t1 / self.centre[0]) ** 2 + np.log(t2 / self.centre[1]) ** 2
        return np.exp(-0.5 * squares / self.spread**2) / (t1 * t2)


def protocol(cycles: int) -> BssfpProtocol:
    return BssfpProtocol.evenly_spaced(
        number_of_cycles=cycles, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15)
    )


@dataclass(frozen=True, kw_only=True)
class Data:
    t1: NDArray
    t2: NDArray
    b1: NDArray
    theta: NDArray
    cycles: NDArray
    deviation: float
    protocol: BssfpProtocol

    def fit(self) -> NaturalFit:
        return fit_natural(self.cycles, rf_phase_increment=self.protocol.rf_phase_increment)


def simulate(
    voxels: int, *, cycles: int, snr: float, seed: int, t1: float | None = None, t2: float | None = None
) -> Data:
    generator = np.random.default_rng(seed)
    uniform = generator.uniform
    times_1 = uniform(*BOX.t1, voxels) if t1 is None else np.full(voxels, t1)
    times_2 = uniform(*BOX.t2, voxels) if t2 is None else np.full(voxels, t2)
    b1, theta = uniform(0.7, 1.3, voxels), uniform(-math.pi, math.pi, voxels)
    acquisition = protocol(cycles)
    clean = signal(
        times_1,
        times_2,
        b1=b1,
        off_resonance=theta / (2 * math.pi * acquisition.repetition_time),
        protocol=acquisition,
    )
    deviation = 0.074 / (math.sqrt(2.0) * snr)
    noise = generator.standard_normal(clean.shape) + 1j * generator.standard_normal(clean.shape)
    return Data(
        t1=times_1,
        t2=times_2,
        b1=b1,
        theta=theta,
        cycles=clean + deviation * noise,
        deviation=deviation,
        protocol=acquisition,
    )


def infer(data: Data, *, prior=BOX, **options) -> Posterior:
    variance = options.pop("variance", np.full(len(data.t1), data.deviation**2))
    return posterior(data.fit(), variance=variance, b1=data.b1, protocol=data.protocol, prior=prior, **options)


def exact_moments(data: Data, voxel: int, rough: Posterior, *, nodes: int = 60) -> tuple[float, float, float, float]:
    """Return means and standard deviations of T1 and T2 with the amplitude integrated exactly and θ numerically."""
    axes = []
    for marginal, (low, high) in ((rough.t1, BOX.t1), (rough.t2, BOX.t2)):
        reach = 6.0 * marginal.stdev[voxel]
        begin, end = max(low, marginal.mean[voxel] - reach), min(high, marginal.mean[voxel] + reach)
        axes.append(begin + (end - begin) * (np.arange(nodes) + 0.5) / nodes)
    t1, t2 = np.meshgrid(*axes, indexing="ij")
    fit = data.fit()
    theta = fit.theta[voxel] + np.linspace(-0.35, 0.35, 71)
    e2, b = natural_coordinates(t1, t2, b1=np.full(t1.shape, data.b1[voxel]), protocol=data.protocol)
    shape = profile(
        np.broadcast_to(e2[..., None], (nodes, nodes, theta.size)),
        np.broadcast_to(b[..., None], (nodes, nodes, theta.size)),
        np.broadcast_to(theta, (nodes, nodes, theta.size)),
        rf_phase_increment=data.protocol.rf_phase_increment,
    )
    power = np.sum(np.abs(shape) ** 2, axis=-1)
    explained = np.abs(shape.conj() @ data.cycles[voxel]) ** 2 / power
    # A prior flat in log A cancels the factor 1/power that the integral over the complex amplitude A leaves.
    weight = np.exp((explained - explained.max()) / (2.0 * data.deviation**2)).sum(axis=-1) * BOX.density(t1, t2)
    weight /= weight.sum()
    mean_1, mean_2 = (weight * t1).sum(), (weight * t2).sum()
    return (
        mean_1,
        mean_2,
        math.sqrt((weight * (t1 - mean_1) ** 2).sum()),
        math.sqrt((weight * (t2 - mean_2) ** 2).sum()),
    )


def test_moments_are_those_of_the_full_likelihood() -> None:
    data = simulate(12, cycles=12, snr=100, seed=3)
    result = infer(data)
    for voxel in range(12):
        mean_1, mean_2, stdev_1, stdev_2 = exact_moments(data, voxel, result)
        assert abs(result.t1.mean[voxel] - mean_1) < 0.15 * stdev_1
        assert abs(result.t2.mean[voxel] - mean_2) < 0.15 * stdev_2
        assert result.t1.stdev[voxel] == pytest.approx(stdev_1, rel=0.1)
        assert result.t2.stdev[voxel] == pytest.approx(stdev_2, rel=0.1)


@pytest.mark.parametrize("snr", [1e3, 1e5])
def test_a_narrow_likelihood_leaves_the_maximum_likelihood_point_and_its_stdev(snr: float) -> None:
    data = simulate(200, cycles=12, snr=snr, seed=4, t1=0.94, t2=0.062)
    fit, result = data.fit(), infer(data)
    step = 1e-6

    def times(e2: NDArray, b: NDArray) -> NDArray:
        return np.stack(relaxation_times(e2, b, b1=data.b1, protocol=data.protocol), axis=-1)

    point = times(fit.e2, fit.b)
    jacobian = np.stack(
        [(times(fit.e2 + step, fit.b) - point) / step, (times(fit.e2, fit.b + step) - point) / step], axis=-1
    )
    covariance = data.deviation**2 * jacobian @ fit.covariance[:, :2, :2] @ jacobian.swapaxes(1, 2)
    for number, marginal in enumerate((result.t1, result.t2)):
        stdev = np.sqrt(covariance[:, number, number])
        assert np.max(np.abs(marginal.mean - point[:, number]) / stdev) < 0.05
        np.testing.assert_allclose(marginal.stdev, stdev, rtol=0.02)
        half_width = np.diff(marginal.interval_95, axis=1)[:, 0] / 2
        np.testing.assert_allclose(half_width, 1.96 * stdev, rtol=0.03)


def test_a_likelihood_without_information_leaves_the_prior() -> None:
    data = simulate(20, cycles=12, snr=1e3, seed=5, t1=1.0, t2=0.06)
    result = infer(data, variance=np.full(20, 1e4))
    for marginal, (low, high) in ((result.t1, BOX.t1), (result.t2, BOX.t2)):
        np.testing.assert_allclose(marginal.mean, (low + high) / 2, rtol=2e-3)
        np.testing.assert_allclose(marginal.stdev, (high - low) / math.sqrt(12), rtol=2e-3)
        expected = low + (high - low) * np.array([0.025, 0.975])
        np.testing.assert_allclose(marginal.interval_95, np.tile(expected, (20, 1)), rtol=5e-3)


def test_a_sharp_prior_draws_the_posterior_to_its_tissue() -> None:
    data = simulate(50, cycles=6, snr=10, seed=6, t1=1.3, t2=0.08)
    wide, sharp = (infer(data, prior=OneTissue(spread=spread)) for spread in (1.0, 0.03))
    assert np.mean(np.abs(np.log(sharp.t1.mean / 0.9))) < 0.2 * np.mean(np.abs(np.log(wide.t1.mean / 0.9)))
    assert (sharp.t1.stdev < wide.t1.stdev).all()


def test_everything_stays_inside_the_support_and_in_order() -> None:
    data = simulate(3000, cycles=4, snr=10, seed=7)
    result = infer(data)
    done = result.status == Status.CONVERGED
    for marginal, (low, high) in ((result.t1, BOX.t1), (result.t2, BOX.t2)):
        ends = np.stack([*marginal.interval_95.T, *marginal.interval_68.T], axis=1)[done][:, [0, 2, 3, 1]]
        assert (np.diff(ends, axis=1) > 0).all()
        assert ends.min() >= low * (1 - 1e-9)
        assert ends.max() <= high * (1 + 1e-9)
        assert ((marginal.mean[done] > low) & (marginal.mean[done] < high)).all()


@pytest.mark.parametrize(("cycles", "snr"), [(12, 25), (12, 10), (6, 25), (6, 10), (4, 25), (4, 10)])
def test_intervals_cover_what_they_state(cycles: int, snr: float) -> None:
    data = simulate(12_000, cycles=cycles, snr=snr, seed=8)
    result = infer(data, threads=2)
    done = result.status == Status.CONVERGED
    assert done.mean() > 0.97
    for marginal, truth in ((result.t1, data.t1), (result.t2, data.t2)):
        for interval, low, high in ((marginal.interval_68, 0.66, 0.70), (marginal.interval_95, 0.937, 0.96)):
            inside = (interval[done, 0] <= truth[done]) & (truth[done] <= interval[done, 1])
            assert low < inside.mean() < high


def test_the_mean_error_is_below_that_of_the_clamped_maximum_likelihood() -> None:
    data = simulate(12_000, cycles=12, snr=10, seed=9)
    result, fit = infer(data), data.fit()
    t1, t2 = relaxation_times(fit.e2, fit.b, b1=data.b1, protocol=data.protocol)
    for mean, point, truth, bounds in (
        (result.t1.mean, t1, data.t1, BOX.t1),
        (result.t2.mean, t2, data.t2, BOX.t2),
    ):
        valid = np.isfinite(point) & np.isfinite(mean)
        clamped = np.abs(np.clip(point, *bounds) / truth - 1)[valid].mean()
        assert np.abs(mean / truth - 1)[valid].mean() < 0.88 * clamped


def test_a_likelihood_outside_the_support_has_a_status_and_no_value() -> None:
    data = simulate(100, cycles=12, snr=200, seed=10, t1=4.0, t2=1.5)
    result = infer(data)
    assert (result.status == Status.OUT_OF_RANGE).all()
    assert np.isnan(result.t1.mean).all()
    assert np.isnan(result.t2.interval_95).all()
    assert (result.distance > 3.7).all()
    wide = infer(data, prior=PRIORS["log-uniform"])
    assert (wide.status == Status.CONVERGED).all()


def test_unusable_voxels_have_a_status_and_do_not_touch_others() -> None:
    data = simulate(5, cycles=12, snr=25, seed=11)
    variance, b1 = np.full(5, data.deviation**2), data.b1.copy()
    reference = infer(data)
    variance[0], b1[1] = math.nan, 0.0
    fit = data.fit()
    converged = fit.converged.copy()
    converged[2] = False
    result = posterior(replace(fit, converged=converged), variance=variance, b1=b1, protocol=data.protocol, prior=BOX)
    assert list(result.status[:3]) == [Status.INVALID_INPUT, Status.INVALID_INPUT, Status.NOT_CONVERGED]
    assert np.isnan(result.t1.mean[:3]).all()
    np.testing.assert_array_equal(result.t1.mean[3:], reference.t1.mean[3:])


def test_student_tails_widen_the_outer_interval_and_vanish_with_the_freedom() -> None:
    data = simulate(100, cycles=12, snr=200, seed=12, t1=1.0, t2=0.07)
    gauss, few, many = (infer(data, freedom=freedom) for freedom in (math.inf, 5.0, 1e5))
    width = {name: np.diff(each.t1.interval_95, axis=1) for name, each in (("g", gauss), ("5", few), ("m", many))}
    # 97.5 % of Student's t with five degrees of freedom is 2.571.
    np.testing.assert_allclose(width["5"] / width["g"], 2.571 / 1.960, rtol=0.03)
    np.testing.assert_allclose(width["m"], width["g"], rtol=5e-3)


def test_threads_do_not_change_the_result() -> None:
    data = simulate(9000, cycles=12, snr=25, seed=13)
    one, two = infer(data, threads=1), infer(data, threads=2)
    np.testing.assert_array_equal(one.t1.interval_68, two.t1.interval_68)


def test_errors_say_what_was_found() -> None:
    data = simulate(4, cycles=12, snr=25, seed=14)
    with pytest.raises(ValueError, match=r"variance must have shape \(4,\) as the fit has, found \(3,\)"):
        infer(data, variance=np.ones(3))
    with pytest.raises(ValueError, match=r"freedom must be positive .* found 0"):
        infer(data, freedom=0.0)
    with pytest.raises(ValueError, match="somewhere positive"):
        infer(data, prior=OneTissue(centre=(1e9, 1e9), spread=0.01))
