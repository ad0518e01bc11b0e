"""T1 and M0 of pc-bSSFP freed of magnetisation transfer by the subject's own semisolid pool.

What a fit of one pool finds under pulses of some power is apparent: beside it stand T1 as an inversion recovery sees it, and T1 and
M0 of free water (`physics.excitation.transfer`). The standard deviations hold the noise of the scan, B1, fraction and rate of the
pool with their correlation, its line, its relaxation and the duration of the pulse; each moves the result by a finite step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import natural_coordinates, relaxation_times
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import free_rate, recovery_rate, saturation_rate, share_of_m0
from qmri_bids.physics.protocol import BssfpProtocol

LINE_STDEV = 0.2
"""Relative standard deviation of the line on resonance: what lines and T2 from the literature differ by."""

R1_STDEV = 0.2
"""Standard deviation of R1 of the semisolid pool [1/s], which no scan of this kind tells. T1 of an inversion recovery hardly
depends on it, T1 of free water does."""

SMALLEST = 1e-6
"""Size of a fraction or rate below which it counts as this when relative errors are made absolute."""

NOISE_CORRELATION = 0.25
"""Of the noise of apparent T1 and M0, which come from one fit: 0.17 to 0.34 for 4 to 12 cycles, T1 from 0.75 to 1.2 s, any
off-resonance."""

STEP = 0.02
"""Relative step of B1 in which the slope of the apparent maps is taken."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SemisolidPool:
    """The semisolid pool of V voxels, as any scan has told it.

    Parameters
    ----------
    fraction, fraction_stdev
        F, its equilibrium magnetisation over that of free water, with its standard deviation, shape (V,).
    rate, rate_stdev
        Exchange rate from it to water [1/s], likewise.
    correlation
        Correlation of the errors of both, shape (V,); 0 where they come from different sources.
    line, line_stdev
        G(0), its absorption line on resonance [s], and the relative standard deviation of that.
    r1, r1_stdev
        Its longitudinal relaxation rate [1/s], None for that of free water, and its standard deviation.
    by_t1, by_b1
        Change of the logarithms of fraction and rate with the apparent T1 [1/s] and with B1, shape (2, V), where both entered the
        estimate of the pool: an error of T1 moves the pool too, which makes up for a part of it. None where they did not.
    by_line, by_r1
        The same for a relative error of the line and for R1 of the pool [s], where a pool was estimated by both as assumed: a line
        that is too high makes the pool too small, and both nearly cancel in T1. None where neither entered.
    """

    fraction: Values
    fraction_stdev: Values
    rate: Values
    rate_stdev: Values
    correlation: Values
    line: float
    line_stdev: float = LINE_STDEV
    r1: float | None = None
    r1_stdev: float = R1_STDEV
    by_t1: Values | None = None
    by_b1: Values | None = None
    by_line: Values | None = None
    by_r1: Values | None = None


@dataclass(frozen=True, kw_only=True)
class ApparentMaps:
    """What a fit of one pool has found in V voxels, pulses that take time accounted for, shape (V,) each.

    Parameters
    ----------
    t1, t1_stdev, t2
        Relaxation times [s]; the standard deviation holds noise and B1.
    m0, m0_stdev
        M0 with its standard deviation, likewise.
    b1, b1_stdev
        Actual over nominal flip angle; the standard deviation None where B1 counts as exact.
    t2_stdev
        Standard deviation of T2 [s]; None where it is not known.
    correlation
        Correlation of the errors of T1 and M0 with those of T2 by pair of names, B1 in T1 and M0; 0 without.
    """

    t1: Values
    t1_stdev: Values
    t2: Values
    m0: Values
    m0_stdev: Values
    b1: Values
    b1_stdev: Values | None
    t2_stdev: Values | None = None
    correlation: Mapping[tuple[str, str], Values] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TransferMaps:
    """T1 and M0 freed of magnetisation transfer, shape (V,) each; NaN where pool and apparent T1 contradict each other.

    Parameters
    ----------
    recovery_t1, recovery_t1_stdev
        T1 as an inversion recovery sees it [s].
    free_t1, free_t1_stdev
        T1 of free water [s].
    free_m0, free_m0_stdev
        M0 of free water.
    correlation
        Correlation of the errors of the first T1 (`T1`), T2, and M0 of free water (`M0`) by pair of names.
    """

    recovery_t1: Values
    recovery_t1_stdev: Values
    free_t1: Values
    free_t1_stdev: Values
    free_m0: Values
    free_m0_stdev: Values
    correlation: Mapping[tuple[str, str], Values] = field(default_factory=dict)


def freed_of_transfer(
    seen: ApparentMaps, *, pool: SemisolidPool, pulse: ExcitationPulse, protocol: BssfpProtocol
) -> TransferMaps:
    """Return T1 and M0 freed of magnetisation transfer.

    Parameters
    ----------
    seen
        Apparent maps.
    pool
        The semisolid pool on the same voxels.
    pulse, protocol
        Of the scan that gave the apparent maps.

    Examples
    --------
    >>> protocol = BssfpProtocol.evenly_spaced(
    ...     number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=0.2618
    ... )
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> seen = ApparentMaps(
    ...     t1=0.76 * one, t1_stdev=0.04 * one, t2=0.062 * one, m0=one, m0_stdev=zero, b1=one, b1_stdev=None
    ... )
    >>> pool = SemisolidPool(
    ...     fraction=0.12 * one,
    ...     fraction_stdev=0.012 * one,
    ...     rate=29.0 * one,
    ...     rate_stdev=6.0 * one,
    ...     correlation=zero,
    ...     line=14e-6,
    ...     r1=1.0,
    ... )
    >>> found = freed_of_transfer(seen, pool=pool, pulse=ExcitationPulse.of("sinc", 1e-3), protocol=protocol)
    >>> found.recovery_t1.round(3), found.recovery_t1_stdev.round(3)
    (array([0.951]), array([0.064]))
    """
    strength = np.asarray(seen.b1, dtype=np.float64)
    own_r1 = pool.r1

    def maps(
        rate: Values,
        m0: Values,
        *,
        fraction: Values = pool.fraction,
        back: Values = pool.rate,
        b1: Values = strength,
        power: float = 1.0,
        r1: float = 0.0,
    ) -> Values:
        saturation = saturation_rate(pulse, protocol, b1=b1, line=pool.line) * power
        given = None if own_r1 is None else np.full(rate.shape, own_r1 + r1)
        # Where R1 of the semisolid pool lies beside that of water, by `r1`, the difference enters as saturation does.
        beside = r1 if given is None else 0.0
        free = free_rate(rate, fraction=fraction, rate=back, r1m=given, saturation=saturation + beside)
        held = free + beside if given is None else given
        slow = recovery_rate(free, fraction=fraction, rate=back, r1m=held)
        share = share_of_m0(free, fraction=fraction, rate=back, r1m=held, saturation=saturation)
        return np.stack([1.0 / slow, 1.0 / free, m0 / share])

    with np.errstate(all="ignore"):
        rate = 1.0 / np.asarray(seen.t1, dtype=np.float64)
        level = np.asarray(seen.m0, dtype=np.float64)
        values = maps(rate, level)
        noise_t1, noise_m0 = np.square(seen.t1_stdev), np.square(seen.m0_stdev)
        variance = np.zeros_like(values)
        together = np.zeros_like(rate)  # covariance of T1 of an inversion recovery with M0
        relative = _relative_covariance(pool)
        by_t1, by_b1, by_line, by_r1 = (
            np.zeros((2, *rate.shape)) if each is None else each
            for each in (pool.by_t1, pool.by_b1, pool.by_line, pool.by_r1)
        )

        def spread(up: Values, down: Values) -> Values:
            return 0.5 * (up - down)

        def hold(moves: Values) -> None:
            """Add what one source of error moves the maps by."""
            nonlocal variance, together
            variance = variance + np.square(moves)
            together = together + moves[0] * moves[2]

        def moved(t1_error: Values, m0_error: Values, b1_error: Values, pool_error: Values) -> Values:
            return grown(pool_error, 1.0 / (seen.t1 + t1_error), level + m0_error, b1=strength + b1_error)

        def grown(
            pool_error: Values,
            own_rate: Values,
            own_m0: Values,
            *,
            b1: Values = strength,
            power: float = 1.0,
            r1: float = 0.0,
        ) -> Values:
            factor = np.exp(np.clip(pool_error, -1.0, 1.0))
            fraction, back = pool.fraction * factor[0], pool.rate * factor[1]
            return maps(own_rate, own_m0, fraction=fraction, back=back, b1=b1, power=power, r1=r1)

        none = np.zeros_like(rate)
        if seen.b1_stdev is not None:
            # B1 moves the apparent maps, the saturation and the pool together.
            t1_slope, m0_slope = apparent_by_b1(seen.t1, seen.t2, m0=seen.m0, b1=strength, protocol=protocol)
            step = np.asarray(seen.b1_stdev, dtype=np.float64)
            of_pool = by_b1 + by_t1 * t1_slope
            hold(
                spread(
                    *(
                        moved(*(sign * each * step for each in (t1_slope, m0_slope, none + 1.0, of_pool)))
                        for sign in (1.0, -1.0)
                    )
                )
            )
            noise_t1 = np.maximum(noise_t1 - np.square(t1_slope * step), 0.0)
            noise_m0 = np.maximum(noise_m0 - np.square(m0_slope * step), 0.0)
            relative = relative - of_pool[:, None] * of_pool * np.square(step)
        error = np.sqrt(noise_t1)
        of_noise = spread(*(moved(sign * error, none, none, sign * by_t1 * error) for sign in (1.0, -1.0)))
        of_m0 = values[2] / level * np.sqrt(noise_m0)
        hold(of_noise)
        together += NOISE_CORRELATION * of_noise[0] * of_m0
        variance[2] += np.square(of_m0) + 2.0 * NOISE_CORRELATION * of_noise[2] * of_m0
        for gain, wrong in ((by_t1, error), (by_line, pool.line_stdev), (by_r1, pool.r1_stdev)):
            relative = relative - gain[:, None] * gain * np.square(wrong)
        relative = _with_own_noise(relative)
        slopes = np.stack(
            [
                _slope(lambda each: maps(rate, level, fraction=each), pool.fraction) * _size(pool.fraction),
                _slope(lambda each: maps(rate, level, back=each), pool.rate) * _size(pool.rate),
            ]
        )
        variance += np.einsum("pmv,pqv,qmv->mv", slopes, relative, slopes)
        together += np.einsum("pv,pqv,qv->v", slopes[:, 0], relative, slopes[:, 2])
        for gain, wrong in (
            (by_line, pool.line_stdev),
            (np.zeros_like(by_line), pulse.duration_stdev / pulse.duration),
        ):
            if wrong:
                sides = [grown(gain * each, rate, level, power=1.0 + each) for each in (wrong, -wrong)]
                hold(spread(*sides))
        sides = [grown(by_r1 * each, rate, level, r1=each) for each in (pool.r1_stdev, -pool.r1_stdev)]
        hold(spread(*sides))
        correlation = _correlation(
            seen,
            by_t1=of_noise / error,
            by_m0=values[2] / level,
            deviation=np.sqrt(variance),
            together=together,
        )
        good = np.isfinite(values).all(axis=0) & (values[:2] > 0.0).all(axis=0) & np.isfinite(variance).all(axis=0)
        values, deviation = (np.where(good, each, math.nan) for each in (values, np.sqrt(np.maximum(variance, 0.0))))
    return TransferMaps(
        recovery_t1=values[0],
        recovery_t1_stdev=deviation[0],
        free_t1=values[1],
        free_t1_stdev=deviation[1],
        free_m0=values[2],
        free_m0_stdev=deviation[2],
        correlation=correlation,
    )


def _correlation(
    seen: ApparentMaps, *, by_t1: Values, by_m0: Values, deviation: Values, together: Values
) -> dict[tuple[str, str], Values]:
    """Return the correlation of T1 of an inversion recovery, T2, and M0 of free water.

    Parameters
    ----------
    seen
        Apparent maps.
    by_t1
        Change of the maps with the apparent T1, shape (3, V).
    by_m0
        Change of M0 with the apparent one, shape (V,).
    deviation
        Standard deviations of the maps, shape (3, V).
    together
        Covariance of T1 with M0, shape (V,).
    """
    none = np.zeros_like(together)
    t2_stdev = none if seen.t2_stdev is None else seen.t2_stdev
    t1_t2, t2_m0 = (
        seen.correlation.get(pair, none) * own * t2_stdev
        for pair, own in ((("T1", "T2"), seen.t1_stdev), (("T2", "M0"), seen.m0_stdev))
    )
    found = {
        ("T1", "T2"): by_t1[0] * t1_t2 / (deviation[0] * t2_stdev),
        ("T1", "M0"): together / (deviation[0] * deviation[2]),
        ("T2", "M0"): (by_t1[2] * t1_t2 + by_m0 * t2_m0) / (t2_stdev * deviation[2]),
    }
    return {pair: np.clip(each, -1.0, 1.0) for pair, each in found.items()}


def _relative_covariance(pool: SemisolidPool) -> Values:
    """Return the covariance of the logarithms of fraction and rate, shape (2, 2, V)."""
    one, two = pool.fraction_stdev / _size(pool.fraction), pool.rate_stdev / _size(pool.rate)
    both = pool.correlation * one * two
    found: Values = np.array([[one**2, both], [both, two**2]])
    return found


def _with_own_noise(covariance: Values) -> Values:
    """Return a covariance (2, 2, V) from which parts were taken, its variances 0 at least and its correlation within ±1."""
    one, two = (np.maximum(covariance[place, place], 0.0) for place in (0, 1))
    most = np.sqrt(one * two)
    both = np.clip(covariance[0, 1], -most, most)
    return np.array([[one, both], [both, two]])


def _size(values: Values) -> Values:
    """Return the size of a fraction or rate, where there is none one that is far below any."""
    return np.maximum(np.abs(values), SMALLEST)


def _slope(function: Callable[[Values], Values], at: Values) -> Values:
    """Return the derivative of maps in a quantity, by steps of a per cent of it."""
    step = 0.01 * np.maximum(np.abs(at), 1e-3)
    return (function(at + step) - function(at - step)) / (2.0 * step)


def apparent_by_b1(t1: Values, t2: Values, *, m0: Values, b1: Values, protocol: BssfpProtocol) -> tuple[Values, Values]:
    """Return the change of apparent T1 [s] and M0 with B1, the profile being what it is.

    Parameters
    ----------
    t1, t2, m0
        Apparent maps, T1 and T2 in s, of one shape.
    b1
        Actual over nominal flip angle, same shape.
    protocol
        The acquisition.
    """
    e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
    ends = [relaxation_times(e2, b, b1=b1 * (1.0 + sign * STEP), protocol=protocol)[0] for sign in (1.0, -1.0)]
    return (ends[0] - ends[1]) / (2.0 * STEP * b1), -m0 * protocol.flip_angle / np.sin(b1 * protocol.flip_angle)
