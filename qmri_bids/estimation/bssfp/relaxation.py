r"""From the natural coordinates of a fit to T1, T2, M0 and off-resonance with their standard deviations.

Closed forms, a = B1·FA, written so that no two nearly equal numbers are subtracted:

.. math::
    1 - E_1 = \frac{b(1 - \cos a)(1 - E_2^2)}{E_2(1 + \cos a) - b(\cos a + E_2^2)},\quad
    M_0 = |A| \frac{E_2^{1 - TE/TR}}{b\,\tan(a/2)},\quad \Delta B_0 = \frac{\theta}{2\pi TR}

The first is `physics.bssfp.relaxation_times`; the second is `physics.bssfp.amplitude` with T1 eliminated. Standard deviations are
those of the noise through the exact Jacobian, and of B1 where its own is known: T1 and M0 depend on it, T2 and off-resonance do
not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Joint, KnownMaps, NaturalPoint, Status, check_shapes, has_value
from qmri_bids.estimation.bssfp.bounded_fit import RelaxationBounds, bounded_fit
from qmri_bids.estimation.bssfp.fluid.maps import FEWEST_CYCLES as FEWEST_CYCLES_WITH_FLUID
from qmri_bids.estimation.bssfp.fluid.maps import with_fluid
from qmri_bids.estimation.bssfp.joint import JointMaps
from qmri_bids.estimation.bssfp.misfit import beyond_noise
from qmri_bids.estimation.bssfp.profile_fit import BLOCK, NaturalFit
from qmri_bids.estimation.bssfp.skew import without_skew
from qmri_bids.estimation.bssfp.steady_state import MAPS, MINIMUM_SIGNAL_TO_NOISE, ValidRange
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.protocol import BssfpProtocol

CHUNK = 65_536
"""Voxels whose fit, with its covariance, is in memory at a time."""

Fit = Callable[[NDArray[np.complexfloating], NDArray[np.floating]], NaturalFit]
"""Fits complex cycles (V, N), given B1 (V,)."""


@dataclass(frozen=True, kw_only=True)
class RelaxationMaps:
    """Maps of a fit before the level of the noise is known; columns in the order of `steady_state.MAPS`.

    Parameters
    ----------
    point
        E2, b and θ [rad] of the fit, shape (3, V).
    values
        T1 [s], T2 [s], M0, off-resonance [Hz], shape (4, V); NaN where there is no solution.
    noise_gain
        Standard deviation of each map for noise of unit standard deviation, shape (4, V).
    b1_gain
        Change of T1 [s] and of M0 with B1, shape (2, V).
    correlation
        Correlation of T1 with T2, T1 with M0 and T2 with M0 from noise alone, shape (3, V).
    amplitude, amplitude_gain
        Magnitude of the amplitude of the profile, and its standard deviation for noise of unit standard deviation, shape (V,).
    residual_sum, signal_sum, converged, freedom
        Misfit, energy of the signal, convergence and degrees of freedom of the fit; see `NaturalFit`.
    at_bound
        Whether the optimum lies on the edge of bounds, shape (V,).
    noise_sum, described
        Residual sum and `converged` of the fit without bounds, shape (V,): they tell the noise, to which bounds add nothing.
    """

    point: NDArray[np.float64]
    values: NDArray[np.float64]
    noise_gain: NDArray[np.float64]
    b1_gain: NDArray[np.float64]
    correlation: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    amplitude_gain: NDArray[np.float64]
    residual_sum: NDArray[np.float64]
    signal_sum: NDArray[np.float64]
    converged: NDArray[np.bool_]
    at_bound: NDArray[np.bool_]
    noise_sum: NDArray[np.float64]
    described: NDArray[np.bool_]
    freedom: int


def relaxation_maps(fit: NaturalFit, *, b1: NDArray[np.floating], protocol: BssfpProtocol) -> RelaxationMaps:
    """Return the maps of a fit with the gain from noise and B1 to each.

    Parameters
    ----------
    fit
        Fit of V voxels.
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.
    """
    voxels = len(fit.e2)
    values, noise_gain, b1_gain = np.empty((4, voxels)), np.empty((4, voxels)), np.empty((2, voxels))
    correlation = np.empty((3, voxels))
    for begin in range(0, voxels, BLOCK):
        part = slice(begin, begin + BLOCK)
        with np.errstate(all="ignore"):
            of_part = np.asarray(b1[part], dtype=np.float64)
            _fill(fit, part, of_part, protocol, values, noise_gain, b1_gain, correlation)
    size = np.abs(fit.amplitude)
    return RelaxationMaps(
        point=np.stack([fit.e2, fit.b, fit.theta]),
        values=values,
        noise_gain=noise_gain,
        b1_gain=b1_gain,
        correlation=correlation,
        amplitude=size,
        amplitude_gain=size * np.sqrt(fit.covariance[:, 3, 3]),
        residual_sum=fit.residual_sum,
        signal_sum=fit.signal_sum,
        converged=fit.converged,
        at_bound=np.zeros(voxels, dtype=np.bool_),
        noise_sum=fit.residual_sum,
        described=fit.converged,
        freedom=fit.freedom,
    )


def _fill(
    fit: NaturalFit,
    part: slice,
    b1: NDArray[np.float64],
    protocol: BssfpProtocol,
    values: NDArray[np.float64],
    noise_gain: NDArray[np.float64],
    b1_gain: NDArray[np.float64],
    correlation: NDArray[np.float64],
) -> None:
    e2, b = fit.e2[part], fit.b[part]
    tr, echo = protocol.repetition_time, protocol.echo_time / protocol.repetition_time
    angle = b1 * protocol.flip_angle
    cosine, versine = np.cos(angle), 2.0 * np.sin(0.5 * angle) ** 2
    square = e2 * e2
    denominator = e2 * (1.0 + cosine) - b * (cosine + square)
    lost = b * versine * (1.0 - square) / denominator  # 1 - E1
    solvable = (lost > 0.0) & (lost < 1.0)
    lost = np.where(solvable, lost, math.nan)
    rate1, rate2 = -np.log1p(-lost), -np.log(e2)
    t1, t2 = tr / rate1, tr / rate2
    log_m0 = np.log(np.abs(fit.amplitude[part])) - (1.0 - echo) * rate2 - np.log(b * np.tan(0.5 * angle))
    m0 = np.exp(log_m0)
    values[:, part] = t1, t2, m0, fit.theta[part] / (2.0 * math.pi * tr)
    # Slopes of log(1 - E1), and from them those of T1 = TR/rate.
    by_e2 = -2.0 * e2 / (1.0 - square) - (1.0 + cosine - 2.0 * b * e2) / denominator
    by_b = 1.0 / b + (cosine + square) / denominator
    by_cosine = -1.0 / versine - (e2 - b) / denominator
    chain = -t1 * lost / (rate1 * (1.0 - lost))
    covariance = fit.covariance[part]
    c = {(i, j): covariance[:, i, j] for i in range(4) for j in range(i, 4)}
    noise_gain[0, part] = np.abs(chain) * np.sqrt(by_e2**2 * c[0, 0] + 2.0 * by_e2 * by_b * c[0, 1] + by_b**2 * c[1, 1])
    noise_gain[1, part] = t2 / (rate2 * e2) * np.sqrt(c[0, 0])
    slope_e2, slope_b = (1.0 - echo) / e2, -1.0 / b
    variance = slope_e2**2 * c[0, 0] + slope_b**2 * c[1, 1] + c[3, 3]
    variance += 2.0 * (slope_e2 * slope_b * c[0, 1] + slope_e2 * c[0, 3] + slope_b * c[1, 3])
    noise_gain[2, part] = m0 * np.sqrt(variance)
    noise_gain[3, part] = np.sqrt(c[2, 2]) / (2.0 * math.pi * tr)
    # Covariances of E2 and of b with log M0, and of E2 with log(1 - E1), then with T1, whose slope has the sign of `chain`.
    m0_e2 = slope_e2 * c[0, 0] + slope_b * c[0, 1] + c[0, 3]
    m0_b = slope_e2 * c[0, 1] + slope_b * c[1, 1] + c[1, 3]
    gain_t1, gain_t2, gain_m0 = noise_gain[:3, part]
    by_t2 = t2 / (rate2 * e2)
    correlation[0, part] = chain * by_t2 * (by_e2 * c[0, 0] + by_b * c[0, 1]) / (gain_t1 * gain_t2)
    correlation[1, part] = chain * m0 * (by_e2 * m0_e2 + by_b * m0_b) / (gain_t1 * gain_m0)
    correlation[2, part] = by_t2 * m0 * m0_e2 / (gain_t2 * gain_m0)
    sine = np.sin(angle)
    b1_gain[0, part] = -chain * by_cosine * sine * protocol.flip_angle
    b1_gain[1, part] = -m0 / sine * protocol.flip_angle


def finished_estimate(
    maps: RelaxationMaps,
    cycles: NDArray[np.complexfloating],
    *,
    known: KnownMaps,
    protocol: BssfpProtocol,
    valid_range: ValidRange,
    account_for_fluid: bool = True,
    threads: int = 1,
) -> Estimate:
    """Return the estimate once the maps of all voxels are there: pools the noise, accounts for fluid, decides the status.

    Parameters
    ----------
    maps
        Maps of V voxels.
    cycles
        Their signal, shape (V, N).
    known
        B1 and what else is known, shape (V,). A voxel where a standard deviation of B1 is not finite is INVALID_INPUT.
    protocol
        The acquisition.
    valid_range
        Range of T1, T2 and flip angle in which a voxel has a value.
    account_for_fluid
        Whether fluid next door is accounted for where the places of the voxels are known.
    threads
        Threads of that fit; the result does not depend on it.

    Returns
    -------
    Estimate
        Float32 maps of shape (V,), NaN where the status has no value.
    """
    b1, b1_stdev = known.b1, known.b1_stdev
    status = np.full(len(b1), Status.CONVERGED, dtype=np.uint8)
    with np.errstate(all="ignore"):
        usable = np.isfinite(maps.signal_sum) & (maps.signal_sum > 0.0) & np.isfinite(b1) & (b1 > 0.0)
        described = usable & maps.described
        pooled = moderated_variance(np.where(described, maps.noise_sum, math.nan), maps.freedom, inside=known.inside)
        # A voxel that the fit left has no say in the level of the scan; its own residual judges its signal.
        noise = np.where(described, pooled.variance, maps.noise_sum / maps.freedom)
        stdev = maps.noise_gain * np.sqrt(noise)
        maximum = maps.values
        times, stdev[:2] = without_skew(maximum[:2], stdev[:2])
        values = np.concatenate([times, maximum[2:]])
        joint = JointMaps.of_one_pool(
            correlation=maps.correlation,
            stdev=stdev,
            b1_error=None if b1_stdev is None else maps.b1_gain * b1_stdev,
            amplitude=maps.amplitude,
            amplitude_variance=maps.amplitude_gain**2 * noise,
        )
        if b1_stdev is not None:
            usable &= np.isfinite(b1_stdev)
            for row, gain in zip((0, 2), maps.b1_gain, strict=True):
                stdev[row] = np.hypot(stdev[row], gain * b1_stdev)
        solved = np.isfinite(maximum[:2]).all(axis=0)
        residual_sum, freedom = maps.residual_sum, np.full(len(b1), maps.freedom)
        fluid = None
        considered = account_for_fluid and known.inside is not None
        considered &= protocol.number_of_cycles >= FEWEST_CYCLES_WITH_FLUID and bool(np.isfinite(pooled.level).any())
        if considered and known.inside is not None:
            fluid = with_fluid(
                cycles,
                tissue=NaturalPoint(e2=maps.point[0], b=maps.point[1], theta=maps.point[2]),
                values=values,
                stdev=stdev,
                residual_sum=residual_sum,
                noise=np.where(np.isfinite(pooled.level), pooled.level, noise),
                usable=usable & maps.converged & solved & ~maps.at_bound,
                b1=b1,
                b1_stdev=b1_stdev,
                protocol=protocol,
                inside=known.inside,
                joint=joint,
                threads=threads,
            )
        one_pool = {
            f"{name}{end}": each[row]
            for row, name in enumerate(MAPS[:2])
            for end, each in (("", values), ("_stdev", stdev))
        }
        if fluid is not None:
            values, stdev, residual_sum = fluid.values, fluid.stdev, fluid.residual_sum
            freedom = 2 * protocol.number_of_cycles - fluid.unknowns
        residual = np.sqrt(residual_sum / maps.signal_sum)
        angle = b1 * protocol.flip_angle
        inside = np.ones(len(b1), dtype=np.bool_)
        for each, (low, high) in (
            (values[0], valid_range.t1),
            (values[1], valid_range.t2),
            (angle, valid_range.flip_angle),
        ):
            inside &= (each >= low) & (each <= high)
        power = maps.signal_sum / (maps.freedom + 5) * 2.0  # mean square of a cycle, N = (2N - 5 + 5)/2
        weak = noise * 2.0 * MINIMUM_SIGNAL_TO_NOISE**2 > power
    if fluid is not None:
        status[fluid.mixed] = Status.MIXED
    # Bounds may hold a fit off the data; the model is judged without them.
    left = maps.noise_sum if fluid is None else residual_sum
    # The residual of three cycles has one degree of freedom and several optima: it tells nothing of the model.
    judged = protocol.number_of_cycles >= FEWEST_CYCLES_WITH_FLUID
    status[judged & beyond_noise(left, signal_sum=maps.signal_sum, freedom=freedom, level=pooled.level)] = Status.MISFIT
    status[~inside] = Status.OUT_OF_RANGE
    status[~solved] = Status.NO_ROOT
    status[maps.at_bound] = Status.AT_BOUND
    status[~maps.converged] = Status.NOT_CONVERGED
    status[weak] = Status.LOW_SIGNAL
    status[~usable] = Status.INVALID_INPUT
    good = has_value(status)
    found = {name: _masked(values[row], good) for row, name in enumerate(MAPS)}
    spread = {name: _masked(stdev[row], good) for row, name in enumerate(MAPS)}
    if fluid is not None and fluid.fraction is not None and fluid.fraction_stdev is not None:
        found["fluid_fraction"] = _masked(fluid.fraction, good)
        spread["fluid_fraction"] = _masked(fluid.fraction_stdev, good)
    constants = {}
    if fluid is not None:
        constants = {
            "FluidT1": fluid.times.t1,
            "FluidT1StandardDeviation": fluid.times.t1_stdev,
            "FluidT2": fluid.times.t2,
            "FluidT2StandardDeviation": fluid.times.t2_stdev,
        }
    return Estimate(
        values=found,
        stdev=spread,
        residual=_masked(residual, usable),
        status=status,
        noise=_masked(np.sqrt(np.where(np.isfinite(pooled.level), pooled.level, noise)), usable),
        misfit=_masked(np.sqrt(left / (freedom * pooled.level)), usable),
        constants=constants,
        one_pool={} if fluid is None else {name: _masked(each, good) for name, each in one_pool.items()},
        joint=Joint.of(
            {
                name: _masked(each, good)
                for name, each in (joint.arrays(stdev) | ({} if fluid is None else fluid.ways())).items()
            }
        ),
        decisions=() if fluid is None else fluid.sentences(mixed=int(np.count_nonzero(status == Status.MIXED))),
    )


def _masked(values: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(good, values, math.nan).astype(np.float32)


def estimate_by_fit(
    fit: Fit,
    cycles: NDArray[np.complexfloating],
    *,
    protocol: BssfpProtocol,
    known: KnownMaps,
    valid_range: ValidRange | None = None,
    bounds: RelaxationBounds | None = None,
    threads: int = 1,
) -> Estimate:
    """Estimate maps of any shape, fitting chunk by chunk and moderating the noise over all of them.

    Parameters
    ----------
    fit
        The fit of a chunk.
    cycles
        Complex signal, shape (..., N).
    protocol
        The acquisition.
    known
        B1 and, where known, its standard deviation, shape (...).
    valid_range
        Range of T1, T2 and flip angle in which a voxel has a value; `ValidRange()` by default.
    bounds
        Box within which the likelihood is maximised; None for no bounds. A voxel at its edge has no value and is AT_BOUND. Fluid
        is not accounted for within bounds.
    threads
        Threads of the fits within bounds and with fluid.

    Returns
    -------
    Estimate
        Float32 maps of shape (...).

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    shape = cycles.shape[:-1]
    check_shapes(cycles, protocol=protocol, known=known)
    flat = cycles.reshape(-1, cycles.shape[-1])
    b1 = known.b1.reshape(-1)

    def chunk(begin: int) -> RelaxationMaps:
        data, part_b1 = flat[begin : begin + CHUNK], b1[begin : begin + CHUNK]
        free = fit(data, part_b1)
        if bounds is None:
            return relaxation_maps(free, b1=part_b1, protocol=protocol)
        bounded = bounded_fit(free, data, b1=part_b1, protocol=protocol, bounds=bounds, threads=threads)
        maps = relaxation_maps(bounded.fit, b1=part_b1, protocol=protocol)
        return replace(maps, at_bound=bounded.at_bound, noise_sum=free.residual_sum, described=free.converged)

    parts = [chunk(begin) for begin in range(0, max(len(flat), 1), CHUNK)]
    names = [each.name for each in fields(RelaxationMaps) if each.name != "freedom"]
    maps = RelaxationMaps(
        **{name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in names},
        freedom=parts[0].freedom,
    )
    found = finished_estimate(
        maps,
        flat,
        known=replace(known, b1=b1, b1_stdev=None if known.b1_stdev is None else known.b1_stdev.reshape(-1)),
        protocol=protocol,
        valid_range=valid_range or ValidRange(),
        account_for_fluid=bounds is None,
        threads=threads,
    )

    def shaped(maps: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
        return {name: each.reshape(shape) for name, each in maps.items()}

    return replace(
        found,
        values=shaped(found.values),
        stdev=shaped(found.stdev),
        residual=found.residual.reshape(shape),
        status=found.status.reshape(shape),
        noise=None if found.noise is None else found.noise.reshape(shape),
        misfit=None if found.misfit is None else found.misfit.reshape(shape),
        one_pool=shaped(found.one_pool),
        joint=None if found.joint is None else Joint.of(shaped(found.joint.arrays())),
    )
