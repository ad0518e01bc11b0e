r"""The semisolid pool of two runs of pc-bSSFP whose pulses saturate it differently, averaged over neighbours of the same tissue.

A fit of one pool finds in every run the T2 and off-resonance of water, and with h = (R1m + W)/(kr + R1m + W)

.. math::
    R_{1,app} = R_{1f} + F k_r h,\qquad M_{0,app} R_{1,app} = M_{0f}\Big(R_{1f} + F k_r \frac{R_{1m}}{k_r + R_{1m} + W}\Big)

(`physics.excitation.transfer`). Two values of R1 give F for a kr of the literature; F kr (h₂ - h₁) nearly is F (W₂ - W₁), so that
kr counts little. Their difference alone is known badly: 64 % of F in a voxel of white matter at SNR 25 with twelve cycles. But the
errors of R1, M0 and T2 of a run go together, M0 R1 hardly knows the pulse and T2 does not know it, so that their differences
between the runs tell most of the error of R1: 10 % are left. The receiver may differ between the runs by a factor that is smooth in
space: it is measured by M0 R1 itself.

The mean of both runs does not correlate with their difference. So it may choose the neighbours, and F is not biased by the choice.

Source: Gloor et al., MRM 60:691 (2008), who vary the duration of the pulse or the flip angle of many scans with known T1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qmri_bids.physics.cramer_rao import relative_covariance
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import saturation_rate
from qmri_bids.physics.protocol import BssfpProtocol

FEWEST_VOXELS = 13
"""Voxels that a mean must be worth: fewer are no neighbourhood, and errors of single voxels rule it."""

WIDTH = 5e-3
"""Full width at half maximum of the neighbourhood [m]."""

RECEIVER_WIDTH = 40e-3
"""The same of what the receiver may change between two runs [m]: coils see the head from centimetres away."""

ALIKE = (2.0, 0.5)
"""Neighbours whose R1 and T2 differ by so many standard deviations of single voxels count by exp(-1/2): as single voxels, and as
means of those."""

SMALLEST_CONTRAST = 0.2
"""W of the runs [1/s] that differ by less tell nothing: F would be known to 100 % at best."""

ROUNDS = 4
"""Of Gauss-Newton for F: the model is nearly linear in it."""

LEVEL_ROUNDS = 16
"""Rounds by turns for R1 of the first run, of which the difference of the runs and the mean of both speak: an error of 30 % of the
difference, as at flip angles of 10 and 30°, is halved by each at least."""

SETTLED = 1e-3
"""Largest change of F in the last round."""

BLOCK = 16_384
"""Voxels whose bound is in memory at a time."""

REACH = 2.5
"""Standard deviations of the Gaussian at which a neighbourhood ends."""

_ORDER = [0, 2, 1]
_SIGNS = np.array([-1.0, 1.0, 1.0])
"""From ln T1, ln T2, ln M0 to ln R1, ln M0, ln T2."""

_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RunOfWater:
    """What a fit of one pool found in a run, its cycles as hard pulses would have given them (`bssfp.finite_pulse`).

    Parameters
    ----------
    t1, t2, m0, off_resonance
        Apparent T1 [s], T2 [s], M0 [any unit, the same in both runs] and off-resonance [Hz] of the runs' common B1, shape
        (X, Y, Z); NaN where there is none. Their logarithms count as unbiased, as they are where the skew of maximum likelihood
        was taken off (`bssfp.skew`).
    t1_stdev
        Standard deviation of T1 [s] from noise alone, without that of B1, same shape.
    pulse, protocol
        Excitation pulse and acquisition.
    """

    t1: NDArray[np.floating]
    t2: NDArray[np.floating]
    m0: NDArray[np.floating]
    off_resonance: NDArray[np.floating]
    t1_stdev: NDArray[np.floating]
    pulse: ExcitationPulse
    protocol: BssfpProtocol


@dataclass(frozen=True, kw_only=True)
class Literature:
    """What two runs do not tell of the semisolid pool, with standard deviations.

    Parameters
    ----------
    rate, rate_stdev
        kr, from the semisolid pool to water [1/s].
    r1m, r1m_stdev
        R1 of the semisolid pool [1/s].
    line, line_stdev
        G(0) [s]. F goes with its inverse.
    """

    line: float
    rate: float = 35.0
    rate_stdev: float = 10.5
    r1m: float = 1.0
    r1m_stdev: float = 0.0
    line_stdev: float = 0.0

    def __post_init__(self) -> None:
        if not all(0.0 < value < math.inf for value in (self.line, self.rate, self.r1m)):
            raise ValueError(f"line, rate and r1m must be above 0, found {self}")
        if not all(0.0 <= value < math.inf for value in (self.line_stdev, self.rate_stdev, self.r1m_stdev)):
            raise ValueError(f"standard deviations of line, rate and r1m must be 0 or more, found {self}")


@dataclass(frozen=True, kw_only=True)
class TwoRunPools:
    """Maps of the semisolid pool, shape (X, Y, Z), NaN where they have no value.

    Parameters
    ----------
    fraction
        F, equilibrium magnetisation of the semisolid pool over that of water. Not held above 0: the mean of fluid is 0.
    stdev
        Its standard deviation: noise and `parts` together.
    noise_stdev
        The share of it that differs between neighbourhoods: noise of the mean.
    parts
        Shares that neighbourhoods have in common, by name: `rate`, `line`, `r1m`, `B1`, `duration`, `receiver`. Each is the
        change of F [as F] with one standard deviation, the larger one of both signs.
    slopes
        How F changes with one standard deviation more of `rate`, `line`, `r1m` and `B1`, with its sign, as far as they have one:
        who frees T1 by F and the same rate, line and B1 must know which way.
    voxels
        Voxels that the mean is worth, (Σw)²/Σw².
    free_rate
        R1 of water [1/s] that goes with F.
    receiver
        Gain of the second run over the first.
    """

    fraction: Values
    stdev: Values
    noise_stdev: Values
    parts: Mapping[str, Values] = field(repr=False)
    slopes: Mapping[str, Values] = field(repr=False)
    voxels: Values
    free_rate: Values
    receiver: Values


def two_run_pools(
    first: RunOfWater,
    second: RunOfWater,
    *,
    b1: NDArray[np.floating],
    b1_stdev: NDArray[np.floating] | float,
    mask: NDArray[np.bool_],
    voxel_size: tuple[float, float, float],
    literature: Literature,
    width: float = WIDTH,
) -> TwoRunPools:
    """Return F of two runs of one session.

    Parameters
    ----------
    first, second
        Both runs on one grid, shape (X, Y, Z).
    b1
        Actual over nominal flip angle, shape (X, Y, Z), with which both were fitted.
    b1_stdev
        Its standard deviation, the same error in all of a neighbourhood, shape (X, Y, Z) or a number. T1 of both runs goes with
        1/B1² and W with B1², so F hardly depends on it.
    mask
        Where to estimate, shape (X, Y, Z).
    voxel_size
        Edges of a voxel [m].
    literature
        What is not estimated.
    width
        Full width at half maximum of the neighbourhood [m].

    Returns
    -------
    TwoRunPools
        NaN outside the mask, where a run has no value, and where fewer than `FEWEST_VOXELS` neighbours are alike. Noise of
        neighbours counts as independent.

    Raises
    ------
    ValueError
        If shapes differ, a length is not positive, or both runs saturate alike.

    Examples
    --------
    >>> shape = (7, 7, 7)
    >>> def run(t1, m0, pulse):
    ...     protocol = BssfpProtocol.evenly_spaced(
    ...         number_of_cycles=12, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    ...     )
    ...     maps = {"t1": t1, "t2": 0.062, "m0": m0, "off_resonance": 0.0, "t1_stdev": 0.05}
    ...     full = {name: np.full(shape, value) for name, value in maps.items()}
    ...     return RunOfWater(**full, pulse=pulse, protocol=protocol)
    >>> found = two_run_pools(
    ...     run(0.653, 0.626, ExcitationPulse.of("rect", 0.2e-3)),
    ...     run(0.795, 0.768, ExcitationPulse.of("rect", 1e-3)),
    ...     b1=np.ones(shape),
    ...     b1_stdev=0.02,
    ...     mask=np.ones(shape, dtype=bool),
    ...     voxel_size=(2e-3, 2e-3, 2e-3),
    ...     literature=Literature(line=14e-6, rate=29.0),
    ... )
    >>> round(float(found.fraction[3, 3, 3]), 2)
    0.13
    """
    _check(first, second, b1=b1, mask=mask, voxel_size=voxel_size, width=width)
    runs = (first, second)
    size = np.asarray(voxel_size, dtype=np.float64)
    deviation = np.broadcast_to(np.asarray(b1_stdev, dtype=np.float64), mask.shape)
    good = mask & np.isfinite(b1) & (np.asarray(b1) > 0.0) & np.isfinite(deviation)
    for run in runs:
        for each in (run.t1, run.t2, run.m0, run.t1_stdev):
            good &= np.isfinite(each) & (np.asarray(each) > 0.0)
        good &= np.isfinite(run.off_resonance)
    strength, spread = np.asarray(b1, dtype=np.float64)[good], deviation[good]

    saturation = [
        float(saturation_rate(run.pulse, run.protocol, b1=np.ones(1), line=literature.line)[0]) for run in runs
    ]
    if not abs(saturation[0] - saturation[1]) >= SMALLEST_CONTRAST:
        raise ValueError(
            f"two runs tell the semisolid pool if their pulses saturate it by rates that differ by {SMALLEST_CONTRAST:g} /s "
            f"or more, found {saturation[0]:.2f} and {saturation[1]:.2f} /s: give runs of other durations, shapes or flip angles"
        )

    both = _both_runs(runs, good=good, b1=strength, size=size)
    means, voxels = _neighbourhood_means(both, good=good, sigma=width / size / _FWHM)
    model = _Model(runs=((first.pulse, first.protocol), (second.pulse, second.protocol)), given=literature, b1=strength)
    receiver = _receiver(both, good=good, sigma=RECEIVER_WIDTH / size / _FWHM)
    pools, gain = model.estimate(means, receiver)

    parts = {"receiver": np.abs(pools.by_gain) * receiver.stdev}
    slopes = {}
    for name, off in model.each_off(spread).items():
        changes = [np.zeros_like(gain)]
        for pair in off:
            sides = [other.estimate(means, receiver)[0].fraction - pools.fraction for other in pair]
            changes.append(np.maximum(*np.abs(sides)))
            if name != "duration":  # of which each pulse has one of its own
                slopes[name] = 0.5 * (sides[0] - sides[1])
        parts[name] = np.sqrt(np.sum(np.square(changes), axis=0))
    total = np.sqrt(np.square(pools.noise_stdev) + sum(np.square(part) for part in parts.values()))
    valued = (voxels >= FEWEST_VOXELS) & np.isfinite(total)

    def placed(values: Values) -> Values:
        out = np.full(mask.shape, np.nan)
        out[good] = np.where(valued, values, np.nan)
        return out

    return TwoRunPools(
        fraction=placed(pools.fraction),
        stdev=placed(total),
        noise_stdev=placed(pools.noise_stdev),
        parts={name: placed(part) for name, part in parts.items()},
        slopes={name: placed(slope) for name, slope in slopes.items()},
        voxels=placed(voxels),
        free_rate=placed(pools.free_rate),
        receiver=placed(np.exp(gain)),
    )


def _check(
    first: RunOfWater,
    second: RunOfWater,
    *,
    b1: NDArray[np.floating],
    mask: NDArray[np.bool_],
    voxel_size: tuple[float, float, float],
    width: float,
) -> None:
    """Raise `ValueError` unless maps and lengths go together."""
    if mask.ndim != 3 or len(voxel_size) != 3 or not all(0.0 < each < math.inf for each in (*voxel_size, width)):
        raise ValueError(
            f"a mask (X, Y, Z), three edges and a width above 0 m are needed, found {mask.shape}, {voxel_size} and {width}"
        )
    for name, run in (("first", first), ("second", second)):
        for key in ("t1", "t2", "m0", "off_resonance", "t1_stdev"):
            found = np.shape(getattr(run, key))
            if found != mask.shape:
                raise ValueError(f"{key} of the {name} run must have the shape of the mask {mask.shape}, found {found}")
    if np.shape(b1) != mask.shape:
        raise ValueError(f"b1 must have the shape of the mask {mask.shape}, found {np.shape(b1)}")


@dataclass(frozen=True, kw_only=True)
class _Both:
    """Both runs as their difference and their mean, whose noise does not correlate.

    Parameters
    ----------
    difference, mean
        Of ln R1, ln M0 and ln T2: second less first run, and the mean with weights of their information, shape (V, 3).
    covariance, mean_covariance
        Of these, shape (V, 3, 3).
    share
        The mean is the first run and this matrix times the difference, shape (V, 3, 3).
    """

    difference: Values
    mean: Values
    covariance: Values
    mean_covariance: Values
    share: Values

    def moved(self, first: Values, second: Values) -> _Both:
        """Return them with so much added to the first and to the second run, shape (V, 3) each."""
        apart = second - first
        mean = self.mean + first + _times(self.share, apart)
        return replace(self, difference=self.difference + apart, mean=mean)


def _times(matrix: Values, vector: NDArray[Any]) -> Values:
    product: Values = (matrix @ vector[:, :, None])[:, :, 0]
    return product


def _inverse(matrix: NDArray[Any]) -> Values:
    found: Values = np.linalg.inv(matrix)
    return found


def _both_runs(runs: tuple[RunOfWater, RunOfWater], *, good: NDArray[np.bool_], b1: Values, size: Values) -> _Both:
    """Return the voxels of both runs.

    Covariances are those of the bound at the level of noise that the stated standard deviations show. Taken at the T1 of the run
    itself they would be weights that go with its errors, and F of runs whose noise differs would be biased: so
    they are taken at the mean of both runs, in surroundings, with the difference of the runs in wide ones.
    """
    near, wide, equal = WIDTH / size / _FWHM, RECEIVER_WIDTH / size / _FWHM, np.ones(len(b1))
    values, levels = [], []
    for run in runs:
        maps = [np.asarray(each, dtype=np.float64)[good] for each in (run.t1, run.m0, run.t2)]
        values.append(np.log(np.stack(maps, axis=1)) * _SIGNS)
        own = _bound(values[-1][:, 0], values[-1][:, 2], run=run, good=good, b1=b1)
        stated = np.square(np.asarray(run.t1_stdev, dtype=np.float64)[good] / maps[0])
        levels.append(np.exp(_smooth(np.log(stated / own[:, 0, 0]), equal, good=good, sigma=near)))
    difference = values[1] - values[0]
    apart = 0.5 * _smooth(difference[:, 0], equal, good=good, sigma=wide)
    mean = 0.5 * (values[0] + values[1])
    for _ in range(2):
        rate, t2 = (_smooth(mean[:, column], equal, good=good, sigma=near) for column in (0, 2))
        covariances = [
            _bound(rate + sign * apart, t2, run=run, good=good, b1=b1) * level[:, None, None]
            for run, level, sign in zip(runs, levels, (-1.0, 1.0), strict=True)
        ]
        information = [_inverse(each) for each in covariances]
        mean_covariance = _inverse(information[0] + information[1])
        share = mean_covariance @ information[1]
        mean = values[0] + _times(share, difference)
    return _Both(
        difference=difference,
        mean=mean,
        covariance=covariances[0] + covariances[1],
        mean_covariance=mean_covariance,
        share=share,
    )


def _bound(rate: Values, t2: Values, *, run: RunOfWater, good: NDArray[np.bool_], b1: Values) -> Values:
    """Return the covariance of ln R1, ln M0 and ln T2 for noise of the size of M0, of ln R1 and ln T2, shape (V, 3, 3)."""
    offset = np.asarray(run.off_resonance, dtype=np.float64)[good]
    found = np.empty((len(b1), len(_ORDER), len(_ORDER)))
    for begin in range(0, len(b1), BLOCK):
        part = slice(begin, begin + BLOCK)
        bound = relative_covariance(
            np.exp(-rate[part]), np.exp(t2[part]), b1=b1[part], off_resonance=offset[part], protocol=run.protocol
        )
        found[part] = bound[:, _ORDER][:, :, _ORDER] * _SIGNS[:, None] * _SIGNS
    return found


def _smooth(values: Values, weights: Values, *, good: NDArray[np.bool_], sigma: Values) -> Values:
    """Return weighted means over a Gaussian within a mask, shape (V,)."""
    above, below = np.zeros(good.shape), np.zeros(good.shape)
    above[good], below[good] = values * weights, weights
    over = ndimage.gaussian_filter(above, sigma, mode="constant")[good]
    found: Values = over / ndimage.gaussian_filter(below, sigma, mode="constant")[good]
    return found


def _neighbourhood_means(both: _Both, *, good: NDArray[np.bool_], sigma: Values) -> tuple[_Both, Values]:
    """Return means over neighbours that are alike, and how many voxels each is worth, shape (V,).

    Neighbours that are alike in single voxels have the same noise, which their mean keeps; so they are told by means first.
    """
    told = [0, 2]  # M0 differs with the receiver
    inverse = _inverse(2.0 * both.mean_covariance[:, told][:, :, told])
    precision = 1.0 / both.covariance[:, 0, 0]
    place = _Places.of(good, sigma=sigma)
    guide = both.mean[:, told]
    guide, _ = place.means(guide, guide=guide, inverse=inverse / ALIKE[0] ** 2, precision=precision)

    # The first run, since a mean of means would be one by as many matrices as there are neighbours.
    first = both.mean - _times(both.share, both.difference)
    columns = np.concatenate([both.difference, first], axis=1)
    found, voxels = place.means(columns, guide=guide, inverse=inverse / ALIKE[1] ** 2, precision=precision)
    difference, first = found[:, : len(_ORDER)], found[:, len(_ORDER) :]
    means = replace(
        both,
        difference=difference,
        mean=first + _times(both.share, difference),
        covariance=both.covariance / voxels[:, None, None],
        mean_covariance=both.mean_covariance / voxels[:, None, None],
    )
    return means, voxels


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Where V voxels lie.

    Parameters
    ----------
    number
        Number of the voxel in every place of the grid with a rim as wide as a neighbourhood, -1 where there is none, flat.
    own
        Place of every voxel, shape (V,).
    steps, weights
        Distance in places to all places of a neighbourhood, and their weights, shape (M,).
    """

    number: NDArray[np.int64]
    own: NDArray[np.int64]
    steps: NDArray[np.int64]
    weights: Values

    @classmethod
    def of(cls, good: NDArray[np.bool_], *, sigma: Values) -> _Places:
        reach = np.ceil(REACH * sigma).astype(int)
        number = np.full(tuple(np.array(good.shape) + 2 * reach), -1, dtype=np.int64)
        inner = tuple(slice(edge, edge + length) for edge, length in zip(reach.tolist(), good.shape, strict=True))
        number[inner][good] = np.arange(int(np.count_nonzero(good)))
        axes = (np.arange(-each, each + 1) for each in reach)
        steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        distance = np.sum(np.square(steps / sigma), axis=1)
        near = distance <= REACH**2
        return cls(
            number=number.ravel(),
            own=np.flatnonzero(number.ravel() >= 0),
            steps=steps[near] @ (np.array(number.strides) // number.itemsize),
            weights=np.exp(-0.5 * distance[near]),
        )

    def means(self, columns: Values, *, guide: Values, inverse: Values, precision: Values) -> tuple[Values, Values]:
        """Return weighted means of columns (V, C) over neighbours whose guide (V, K) is alike, and their number of voxels (V,)."""
        total, squares, sums = np.zeros(len(guide)), np.zeros(len(guide)), np.zeros_like(columns)
        for step, near in zip(self.steps, self.weights, strict=True):
            there = self.number[self.own + step]
            here = np.flatnonzero(there >= 0)
            there = there[here]
            apart = guide[there] - guide[here]
            unlike = np.einsum("vi,vij,vj->v", apart, inverse[here], apart)
            weight = near * np.exp(-0.5 * unlike) * precision[there]
            total[here] += weight
            squares[here] += np.square(weight)
            sums[here] += weight[:, None] * columns[there]
        return sums / total[:, None], np.square(total) / squares


@dataclass(frozen=True, kw_only=True)
class _Receiver:
    """How ln M0 R1 grows from run to run.

    Parameters
    ----------
    growth, stdev
        Mean over what the receiver keeps, and its standard deviation by noise, shape (V,).
    mean
        The same mean of other values (V,).
    """

    growth: Values
    stdev: Values
    mean: Callable[[Values], Values]


def _receiver(both: _Both, *, good: NDArray[np.bool_], sigma: Values) -> _Receiver:
    """Return how ln M0 R1 grows, with weights of inverse variance under a Gaussian."""
    product = np.array([1.0, 1.0, 0.0])
    weights = 1.0 / np.einsum("i,vij,j->v", product, both.covariance, product)
    # The variance is Σ g² w / (Σ g w)² for weights w under a Gaussian g, whose square is a narrower Gaussian.
    information = np.zeros(good.shape)
    information[good] = weights
    peak = np.prod(1.0 / (2.0 * math.sqrt(math.pi) * sigma))
    narrow = ndimage.gaussian_filter(information, sigma / math.sqrt(2.0), mode="constant")[good]
    wide = ndimage.gaussian_filter(information, sigma, mode="constant")[good]

    def mean(values: Values) -> Values:
        known = np.isfinite(values)
        return _smooth(np.where(known, values, 0.0), np.where(known, weights, 0.0), good=good, sigma=sigma)

    return _Receiver(growth=mean(both.difference @ product), stdev=np.sqrt(narrow * peak) / wide, mean=mean)


@dataclass(frozen=True, kw_only=True)
class _Pools:
    """What was solved: F, its standard deviation by noise, its change with ln of the gain, R1 of water [1/s], shape (V,)."""

    fraction: Values
    noise_stdev: Values
    by_gain: Values
    free_rate: Values


def _both_sides(value: Any, stdev: Any) -> tuple[Any, Any]:
    """Return what is more and what is less by a standard deviation; less by half at most, since none may fall below 0."""
    return value + stdev, value * np.maximum(1.0 - stdev / value, 0.5)


@dataclass(frozen=True, kw_only=True)
class _Model:
    """What both runs show of F.

    Parameters
    ----------
    runs
        Pulse and protocol of each.
    given
        What is not estimated.
    b1
        Actual over nominal flip angle, shape (V,).
    fitted_b1
        The same with which the runs were fitted, where that is another.
    """

    runs: tuple[tuple[ExcitationPulse, BssfpProtocol], tuple[ExcitationPulse, BssfpProtocol]]
    given: Literature
    b1: Values
    fitted_b1: Values | None = None

    def estimate(self, means: _Both, receiver: _Receiver) -> tuple[_Pools, Values]:
        """Return F and ln of the gain of the second run, by turns.

        M0 R1 knows the pulse a little where there is a semisolid pool, by 0.8 % in white matter: the gain is what else it grows by.
        """
        gain = receiver.growth
        pools = self._solve(means, gain=gain, gain_stdev=receiver.stdev)
        for _ in range(2):
            gain = receiver.growth - receiver.mean(self._product(pools.fraction, pools.free_rate))
            pools = self._solve(means, gain=gain, gain_stdev=receiver.stdev)
        return pools, gain

    def _solve(self, means: _Both, *, gain: Values, gain_stdev: Values) -> _Pools:
        """Return F where ln of the gain is known, by least squares with all covariances; NaN where it does not settle."""
        zero = np.zeros_like(means.mean)
        received = zero.copy()
        received[:, 1] = -gain
        seen = means.moved(self._by_b1(0), self._by_b1(1) + received)
        covariance = seen.covariance.copy()
        covariance[:, 1, 1] += np.square(gain_stdev)
        fraction, step = np.zeros(len(gain)), 1e-4
        information = _inverse(covariance)
        for _ in range(ROUNDS):
            expected, _ = self._expected(fraction, seen)
            slope = (self._expected(fraction + step, seen)[0] - expected) / step
            along = _times(information, slope)
            along /= np.sum(along * slope, axis=1)[:, None]
            change = np.sum(along * (seen.difference - expected), axis=1)
            fraction = fraction + change
        fraction = np.where(np.abs(change) < SETTLED, fraction, np.nan)
        _, slow = self._expected(fraction, seen)
        by_noise = np.einsum("vi,vij,vj->v", along, seen.covariance, along)
        # Where both runs move together, F goes with R1.
        by_noise += np.square(fraction) * seen.mean_covariance[:, 0, 0]
        return _Pools(
            fraction=fraction,
            noise_stdev=np.sqrt(by_noise),
            by_gain=along[:, 1],
            free_rate=slow - fraction * self.given.rate * self._held()[0],
        )

    def each_off(self, b1_stdev: Values) -> dict[str, list[tuple[_Model, _Model]]]:
        """Return, by what is off by its standard deviation, the models with more and with less of it."""
        found: dict[str, list[tuple[_Model, _Model]]] = {"B1": [], "duration": []}
        for name in ("rate", "line", "r1m"):
            value, stdev = getattr(self.given, name), getattr(self.given, f"{name}_stdev")
            pair = [replace(self, given=replace(self.given, **{name: each})) for each in _both_sides(value, stdev)]
            found[name] = [(pair[0], pair[1])] if stdev > 0.0 else []
        if b1_stdev.any():
            pair = [replace(self, b1=each, fitted_b1=self.b1) for each in _both_sides(self.b1, b1_stdev)]
            found["B1"] = [(pair[0], pair[1])]
        for run, (pulse, protocol) in enumerate(self.runs):
            if pulse.duration_stdev > 0.0:
                other = [
                    (replace(pulse, duration=each), protocol)
                    for each in _both_sides(pulse.duration, pulse.duration_stdev)
                ]
                pair = [
                    replace(self, runs=(each, self.runs[1]) if run == 0 else (self.runs[0], each)) for each in other
                ]
                found["duration"].append((pair[0], pair[1]))
        return found

    def _product(self, fraction: Values, free_rate: Values) -> Values:
        """Return how ln M0 R1 grows from run to run, for R1 of water [1/s]."""
        first, second = self._held()
        forward = fraction * self.given.rate
        # kf R1m / (kr + R1m + W) is kf R1m / kr (1 - h).
        rest = self.given.r1m / self.given.rate
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log((free_rate + forward * rest * (1.0 - second)) / (free_rate + forward * rest * (1.0 - first)))

    def _expected(self, fraction: Values, seen: _Both) -> tuple[Values, Values]:
        """Return the difference of ln R1, ln M0, ln T2 that F gives, shape (V, 3), and R1 of the first run [1/s]."""
        first, second = self._held()
        expected = np.zeros_like(seen.mean)
        slow = np.exp(seen.mean[:, 0])
        for _ in range(LEVEL_ROUNDS):
            with np.errstate(invalid="ignore", divide="ignore"):
                faster = np.log1p(fraction * self.given.rate * (second - first) / slow)
            product = self._product(fraction, slow - fraction * self.given.rate * first)
            expected = np.stack([faster, product - faster, np.zeros_like(faster)], axis=1)
            slow = np.exp(seen.mean[:, 0] - np.sum(seen.share[:, 0] * expected, axis=1))
        return expected, slow

    def _held(self) -> tuple[Values, Values]:
        """Return h of both runs, shape (V,): the share of kf that is added to R1."""
        given = self.given
        rates = [
            given.r1m + saturation_rate(pulse, protocol, b1=self.b1, line=given.line) for pulse, protocol in self.runs
        ]
        return rates[0] / (given.rate + rates[0]), rates[1] / (given.rate + rates[1])

    def _by_b1(self, run: int) -> Values:
        """Return what this B1 adds to ln R1, ln M0, ln T2 of a run, shape (V, 3).

        The profile holds tan²(a/2) coth(TR R1/2), so R1 goes with tan²(a/2). What is left of M0 beside R1 is smooth, as the
        receiver.
        """
        found = np.zeros((len(self.b1), len(_ORDER)))
        if self.fitted_b1 is not None:
            half = 0.5 * self.runs[run][1].flip_angle
            found[:, 0] = 2.0 * np.log(np.tan(half * self.b1) / np.tan(half * self.fitted_b1))
            found[:, 1] = -found[:, 0]
        return found
