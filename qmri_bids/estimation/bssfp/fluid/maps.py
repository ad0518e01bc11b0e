r"""T1, T2, M0 and off-resonance of tissue that shares its voxel with fluid, and the fraction of fluid.

Near fluid two models stand against each other in every voxel: tissue alone, and tissue with fluid of known T1 and T2
(`fluid.fit`). Each has its maps, its standard deviations and its likelihood; the maps that are returned are their mean, weighted by
the probability of each model, and the standard deviations hold both the noise and what the two models differ by (Hoeting et al.,
Stat Sci 14:382, 1999). Where twelve cycles tell fluid to 2 % that is the one or the other; where six do not, the interval says so.

A fraction below zero is no error: the point spread function of a scan, tapered or not, has negative side lobes, by which a voxel
beside fluid holds less of it than nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qmri_bids.estimation.base import PAIRS, NaturalPoint
from qmri_bids.estimation.bssfp.fluid.explanations import Explanation, UsualTissue, amplitude_of_one, tissue_and_fluid
from qmri_bids.estimation.bssfp.fluid.fit import FluidScore, MixedFit, fit_mixed, score_fluid
from qmri_bids.estimation.bssfp.fluid.times import FLUID_T1, FLUID_T2, FluidTimes, fluid_times
from qmri_bids.estimation.bssfp.joint import PLACES, JointMaps
from qmri_bids.estimation.bssfp.skew import without_skew
from qmri_bids.physics.bssfp import natural_coordinates, profile, relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.system.blocks import run_blocks

Values = NDArray[Any]
"""Numbers, one a voxel or a row of maps."""

FEWEST_CYCLES = 4
"""Three cycles have one degree of freedom, which a fraction would take."""

NEAR_T2 = 0.2
"""T2 of the fit of one pool [s] from which a voxel holds much fluid: that of a voxel of a third fluid is above."""

PRIOR_ODDS = (2.0, 2.0, 1.0, 0.2)
"""How probable fluid is against none, by the distance from such a voxel in voxels: side lobes of the point spread reach three."""

ALONE, ALONE_ODDS = 4.0, 1.0
"""Standard deviations of β beyond which a voxel far from fluid is fitted with it, too, and how probable it is then."""

USUAL_BETA = 0.25
"""Half width of the Cauchy distribution of β near fluid: half of the voxels hold less than a fifth of fluid, few nearly all."""

TELLING = 0.2
"""Standard deviation of the fraction of fluid, median near fluid, beyond which the cycles do not tell it: there is no map of it."""

WIDEST_FRACTION, MOST_FRACTION = 0.5, 1.5
"""Standard deviation of a fraction, and distance of it from a half, beyond which there is none."""

WIDEST_BETA = 1.0
"""Range of β beyond which noise that allows it says no more."""

SECOND_START = 2.0
"""Standard deviations of β from which the fit is started from common tissue, too: much fluid has a second optimum."""

BLOCK = 2048
"""Voxels that a thread works on at a time."""

COMMON_TISSUE = (1.2, 0.075)
"""T1 and T2 [s] at which it starts where the scan holds no tissue far from fluid."""

FLUID_ALONE = 0.85
"""Fraction of fluid from which a voxel is fluid: the tissue in it has no T1 and T2 that a scan tells."""

CONSISTENT = 12.0
"""What noise lets fluid alone leave beyond a fit of one pool, over the variance of the noise (χ² of two: 0.3 %)."""

FEWEST_SOLID = 50
"""Voxels of short T2 without which an object is a liquid."""

MOSTLY_FLUID = 0.5
"""Fraction beyond which tissue is the smaller part of its voxel, and its times are poorly told."""

FEWEST_FAR = 300
"""Voxels far from fluid from which their scatter is believed."""

UNDECIDED = (0.05, 0.95)
"""Probabilities of fluid between which neither model is certain."""

STEP = 1e-5
"""Relative step of numerical derivatives."""

LIKELY = 0.2
"""Probability of fluid above which an image holds both explanations of a voxel, and below which that of tissue alone."""

MAPS_OF_TISSUE = ("T1", "T2", "M0")
"""What tissue has where it is alone."""

SURE = 0.2
"""Relative standard deviation of both times up to which tissue beside fluid tells how such tissue spreads."""


@dataclass(frozen=True, kw_only=True)
class FluidMaps:
    """Maps with fluid accounted for, of V voxels.

    Parameters
    ----------
    values, stdev
        T1 [s], T2 [s], M0, off-resonance [Hz], in the order of `steady_state.MAPS`, shape (4, V).
    fraction, fraction_stdev
        Share of fluid in the magnetisation at equilibrium, shape (V,); None where the cycles do not tell it.
    residual_sum
        Σ_j |S_j - model_j|² of the more probable model, shape (V,).
    unknowns
        Its real unknowns, 5 or 6, shape (V,).
    mixed
        Where neither model is certain and what fluid there may be makes up most of the standard deviation of T2, or where more than
        half is fluid, shape (V,).
    times
        T1 and T2 of fluid.
    near
        Where both models were fitted, shape (V,).
    scatter
        Scatter of the fraction in tissue far from fluid over what noise explains, 1 or more; its standard deviations hold it.
    liquid
        Whether all is fluid: nothing was fitted with it then.
    alone
        T1, T2 and M0 of tissue alone by name, with standard deviations and correlations, shape (V,).
    voxels, together
        Voxels that may hold fluid, shape (K,), and how tissue with fluid explains them.
    probability
        Probability of that explanation, shape (V,).
    """

    values: Values
    stdev: Values
    fraction: Values | None
    fraction_stdev: Values | None
    residual_sum: Values
    unknowns: NDArray[np.int64]
    mixed: NDArray[np.bool_]
    times: FluidTimes
    near: NDArray[np.bool_]
    scatter: float
    liquid: bool
    alone: Mapping[str, Values]
    voxels: NDArray[np.int64]
    together: Explanation
    probability: Values

    def ways(self) -> dict[str, Values]:
        """Return what `estimation.base.Joint` holds of both explanations; nothing where fluid was looked for nowhere."""
        if not self.probability.any():
            return {}
        found = {f"alone_{name}": values for name, values in self.alone.items()} | {"probability": self.probability}
        for name, values in self.together.arrays().items():
            whole = np.zeros(len(self.probability), dtype=np.float32)
            whole[self.voxels] = values
            found[f"together_{name}"] = whole
        return found

    def sentences(self, *, mixed: int) -> tuple[str, ...]:
        """Say what was decided; `mixed` is the number of voxels whose code is that of a mixture in the end."""
        number = len(self.near)
        if self.liquid:
            return (
                "The object is a liquid: there is no tissue to tell fluid from, and one pool was fitted everywhere.",
            )
        if not self.near.any():
            return ("No voxel holds fluid or lies beside it: one pool was fitted everywhere.",)
        share = 100.0 * float(np.mean(self.near))
        said = (
            f"Within {len(PRIOR_ODDS) - 1} voxels of fluid ({share:.0f} % of {number:,} voxels) tissue alone and tissue with fluid "
            "were "
            "both fitted, and the maps are the mean of both by their probability: T1 and T2 are those of the tissue where that is "
            "half "
            f"of the voxel or more, and those of fluid from {100 * FLUID_ALONE:.0f} % of fluid on."
        )
        untold = (
            f"In {mixed:,} voxels ({100.0 * mixed / number:.1f} %) tissue and fluid could not be told apart, or more than half is "
            "fluid: "
            "their standard deviations hold what fluid there may be (code 9)."
        )
        if self.fraction is None:
            untold += " So few cycles do not tell the fraction of fluid, of which there is no map."
        elif self.scatter > 1.0:
            untold += (
                f" In tissue far from fluid its fraction scatters by {self.scatter:.1f} times what noise explains (ringing, "
                "mixtures of "
                "tissues): its standard deviations were raised by as much."
            )
        return (self.times.sentence(), said, untold)


@dataclass(frozen=True, kw_only=True)
class _Mixtures:
    """Maps of K mixed voxels, shape (7, K): T1, T2, M0, off-resonance, fraction of fluid, amplitude without bands, M0 of fluid.

    `covariance` is that of the pairs of `estimation.base.PAIRS`, shape (6, K).
    """

    values: Values
    stdev: Values
    covariance: Values


def with_fluid(
    cycles: NDArray[np.complexfloating],
    *,
    tissue: NaturalPoint,
    values: Values,
    stdev: Values,
    residual_sum: Values,
    noise: Values,
    usable: NDArray[np.bool_],
    b1: Values,
    b1_stdev: Values | None,
    protocol: BssfpProtocol,
    inside: NDArray[np.bool_],
    joint: JointMaps,
    threads: int = 1,
) -> FluidMaps:
    """Account for fluid in the voxels of a fit of tissue alone.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N), N ≥ 4.
    tissue
        Optimum of the fit of tissue alone, shape (V,).
    values, stdev
        Its maps with their standard deviations, shape (4, V).
    residual_sum
        Its residual, shape (V,).
    noise
        Variance of the noise in real and imaginary part, shape (V,).
    usable
        Where that fit has maps, shape (V,).
    b1, b1_stdev
        Actual over nominal flip angle with its standard deviation, if that is known, shape (V,).
    protocol
        The acquisition.
    inside
        Where in the image the voxels lie, V of them True.
    joint
        How the errors of these maps go together; changed in place where fluid is accounted for.
    threads
        Threads to use; the result does not depend on it.
    """
    measured = np.asarray(b1, dtype=np.float64)
    b1 = np.where(np.isfinite(measured) & (measured > 0.0), measured, 1.0)
    times = fluid_times(
        cycles,
        theta=tissue.theta,
        t1=np.where(usable, values[0], math.nan),
        t2=np.where(usable, values[1], math.nan),
        b1=measured,
        protocol=protocol,
        inside=inside,
    )
    fluid = _natural_point(times.t1, times.t2, b1=b1, protocol=protocol)
    with np.errstate(all="ignore"):
        score = score_fluid(
            cycles, rf_phase_increment=protocol.rf_phase_increment, tissue=tissue, fluid=fluid, threads=threads
        )
        gain = amplitude_of_one(values[0], values[1], b1=b1, protocol=protocol)
        gain /= amplitude_of_one(times.t1, times.t2, b1=b1, protocol=protocol)
        odds = _prior_odds(values[1], score=score, noise=noise, usable=usable, inside=inside)
        # Where there is hardly any fluid the first order is exact enough.
        fraction = np.where(usable, score.beta * gain, math.nan)
        fraction_stdev = np.where(usable, score.stdev * np.sqrt(noise) * gain, math.nan)
        alone = _fluid_alone(
            cycles,
            point=NaturalPoint(e2=fluid.e2, b=fluid.b, theta=tissue.theta),
            rich=usable & (values[1] > NEAR_T2),
            residual_sum=residual_sum,
            noise=noise,
            protocol=protocol,
            threads=threads,
        )
    near = (odds > 0.0) & ~alone
    far = usable & ~near & ~alone
    solid = usable & ~alone & (values[1] < NEAR_T2)
    liquid = np.count_nonzero(solid) < FEWEST_SOLID
    scatter = _scatter(fraction[far], fraction_stdev[far])
    fraction_stdev *= scatter
    # Voxels that are mostly fluid do not tell it of tissue.
    asked = near & solid if (near & solid).any() else solid
    told_at_all = not liquid and not float(np.median(fraction_stdev[asked])) > TELLING
    near &= not liquid
    found = FluidMaps(
        values=values.copy(),
        stdev=stdev.copy(),
        fraction=fraction if told_at_all else None,
        fraction_stdev=fraction_stdev if told_at_all else None,
        residual_sum=residual_sum.copy(),
        unknowns=np.full(len(cycles), 5),
        mixed=np.zeros(len(cycles), dtype=np.bool_),
        times=times,
        near=near,
        scatter=scatter,
        liquid=bool(liquid),
        alone=_of_tissue(values, stdev=stdev, joint=joint),
        voxels=np.zeros(0, dtype=np.int64),
        together=Explanation(values=np.zeros((4, 0)), covariance=np.zeros((4, 4, 0))),
        probability=np.zeros(len(cycles)),
    )
    if liquid:
        return found
    common_t1, common_t2 = (
        float(np.median(values[row][far])) if far.any() else own for row, own in enumerate(COMMON_TISSUE)
    )

    def of(point: NaturalPoint) -> NaturalPoint:
        return NaturalPoint(e2=point.e2[near], b=point.b[near], theta=point.theta[near])

    usual = UsualTissue.of(values[0][far], values[1][far], otherwise=COMMON_TISSUE)
    start = _natural_point(common_t1, common_t2, b1=b1, protocol=protocol)
    start = NaturalPoint(e2=start.e2, b=start.b, theta=tissue.theta)
    if near.any():
        data, variance = np.ascontiguousarray(cycles[near]), noise[near]
        fit = fit_mixed(
            data,
            rf_phase_increment=protocol.rf_phase_increment,
            fluid=of(fluid),
            start=of(tissue),
            second=of(start),
            again=np.abs(score.beta[near]) > SECOND_START * score.stdev[near] * np.sqrt(variance),
            threads=threads,
        )
        with np.errstate(all="ignore"):
            mixtures = _maps_of_mixtures(
                fit,
                noise=variance,
                b1=b1[near],
                b1_stdev=None if b1_stdev is None else b1_stdev[near],
                times=times,
                protocol=protocol,
            )
            told = (
                fit.converged
                & np.isfinite(mixtures.values).all(axis=0)
                & np.isfinite(mixtures.stdev).all(axis=0)
                & (mixtures.values[4] < FLUID_ALONE)
                & ~((mixtures.values[0] > FLUID_T1) & (mixtures.values[1] > FLUID_T2))
            )
            found.probability[near] = _combine(
                found,
                near,
                fit=fit,
                mixtures=mixtures,
                told=told,
                single_sum=residual_sum[near],
                noise=variance,
                odds=odds[near],
                band=1.0 / protocol.repetition_time,
                joint=joint,
            )
            alone[near] = ~told
            # Tissue beside fluid is not that far from it: there it is the cortex, here white matter for the most part.
            sure = told & (mixtures.stdev[:2] < SURE * mixtures.values[:2]).all(axis=0)
            sure &= mixtures.values[4] < MOSTLY_FLUID
            if np.count_nonzero(sure) >= FEWEST_FAR:
                usual = UsualTissue.of(*mixtures.values[:2, sure], otherwise=COMMON_TISSUE)
            if found.fraction is not None and found.fraction_stdev is not None:
                found.fraction[near] = np.where(told, mixtures.values[4], found.fraction[near])
                found.fraction_stdev[near] = np.where(told, scatter * mixtures.stdev[4], found.fraction_stdev[near])
    found = _explained(
        found,
        cycles,
        alone=alone & usable,
        theta=tissue.theta,
        usual=usual,
        b1=b1,
        b1_stdev=b1_stdev,
        noise=noise,
        single_sum=residual_sum,
        protocol=protocol,
        threads=threads,
    )
    with np.errstate(all="ignore"):
        if found.fraction is None or found.fraction_stdev is None:
            return found
        voxels = np.flatnonzero(alone)
        fraction, variance = np.empty(len(voxels)), np.empty(len(voxels))

        def fill(begin: int) -> None:
            part = slice(begin, begin + BLOCK)
            chosen = voxels[part]
            fraction[part], variance[part] = _fraction_in_fluid(
                cycles[chosen],
                tissue=NaturalPoint(e2=start.e2[chosen], b=start.b[chosen], theta=start.theta[chosen]),
                tissue_signal=amplitude_of_one(common_t1, common_t2, b1=b1[chosen], protocol=protocol),
                times=times,
                b1=b1[chosen],
                noise=noise[chosen],
                protocol=protocol,
            )

        run_blocks(fill, len(voxels), block=BLOCK, threads=threads)
        found.fraction[voxels] = fraction
        found.fraction_stdev[voxels] = scatter * np.sqrt(variance)
        # What neither model describes has no fraction, nor has one without a standard deviation.
        unknown = ~(found.fraction_stdev < WIDEST_FRACTION) | ~(np.abs(found.fraction - 0.5) < MOST_FRACTION)
        found.fraction[unknown] = found.fraction_stdev[unknown] = math.nan
    return found


def _scatter(fraction: NDArray[Any], stdev: NDArray[Any]) -> float:
    """Return by how much more than its standard deviation the fraction scatters where there is no fluid, 1 at least."""
    with np.errstate(all="ignore"):
        scores = np.abs(fraction / stdev)
    scores = scores[np.isfinite(scores)]
    return max(1.0, 1.4826 * float(np.median(scores))) if len(scores) >= FEWEST_FAR else 1.0


def _natural_point(t1: float, t2: float, *, b1: Values, protocol: BssfpProtocol) -> NaturalPoint:
    """Return the shape of the profile of given times at every B1; θ is 0."""
    e2, b = natural_coordinates(np.full(len(b1), t1), np.full(len(b1), t2), b1=b1, protocol=protocol)
    return NaturalPoint(e2=e2, b=b, theta=np.zeros(len(b1)))


def _prior_odds(
    t2: Values,
    *,
    score: FluidScore,
    noise: Values,
    usable: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> Values:
    """Return how probable fluid is against none before its residual is looked at, 0 where it is not considered, shape (V,)."""
    rich = np.zeros(inside.shape, dtype=np.bool_)
    rich[inside] = usable & (t2 > NEAR_T2)
    odds = np.zeros(len(t2))
    for distance in range(len(PRIOR_ODDS) - 1, -1, -1):
        size = 2 * distance + 1
        reached = ndimage.maximum_filter(rich, size=size, mode="constant") if distance else rich
        odds[reached[inside]] = PRIOR_ODDS[distance]
    alone = score.beta > ALONE * score.stdev * np.sqrt(noise)
    odds = np.where(alone, np.maximum(odds, ALONE_ODDS), odds)
    return np.where(usable & np.isfinite(score.beta) & np.isfinite(noise), odds, 0.0)


def _fluid_alone(
    cycles: NDArray[np.complexfloating],
    *,
    point: NaturalPoint,
    rich: NDArray[np.bool_],
    residual_sum: Values,
    noise: Values,
    protocol: BssfpProtocol,
    threads: int,
) -> NDArray[np.bool_]:
    """Return which of the voxels of much fluid fluid alone explains as well as any pool, shape (V,); θ is fitted anew."""
    alone = np.zeros(len(rich), dtype=np.bool_)
    voxels = np.flatnonzero(rich)

    def fill(begin: int) -> None:
        chosen = voxels[begin : begin + BLOCK]
        own = NaturalPoint(e2=point.e2[chosen], b=point.b[chosen], theta=point.theta[chosen])
        with np.errstate(all="ignore"):  # of the thread that works here
            left = _left_by_fluid(cycles[chosen], point=own, protocol=protocol)
            alone[chosen] = left - residual_sum[chosen] < CONSISTENT * noise[chosen]

    run_blocks(fill, len(voxels), block=BLOCK, threads=threads)
    return alone


def _left_by_fluid(
    signal: NDArray[np.complexfloating], *, point: NaturalPoint, protocol: BssfpProtocol
) -> NDArray[np.float64]:
    """Return what a pool of this shape leaves of the signal, θ fitted from where it is, shape (V,)."""

    def fitted(
        theta: Values,
    ) -> tuple[NDArray[np.complex128], NDArray[np.complex128], Values]:
        shape = profile(point.e2, point.b, theta, rf_phase_increment=protocol.rf_phase_increment)
        scale = np.sum(shape.conj() * signal, axis=1) / np.sum(np.abs(shape) ** 2, axis=1)
        return shape, scale, np.sum(np.abs(signal - scale[:, None] * shape) ** 2, axis=1)

    theta = point.theta
    shape, scale, left = fitted(theta)
    for _ in range(3):
        slope = (
            profile(point.e2, point.b, theta + STEP, rf_phase_increment=protocol.rf_phase_increment) - shape
        ) / STEP
        slope -= shape * (np.sum(shape.conj() * slope, axis=1) / np.sum(np.abs(shape) ** 2, axis=1))[:, None]
        slope *= scale[:, None]
        step = np.sum(slope.conj() * (signal - scale[:, None] * shape), axis=1).real / np.sum(
            np.abs(slope) ** 2, axis=1
        )
        moved = theta + np.clip(np.nan_to_num(step), -0.3, 0.3)
        new_shape, new_scale, new_left = fitted(moved)
        better = new_left < left
        theta, left = np.where(better, moved, theta), np.where(better, new_left, left)
        shape, scale = np.where(better[:, None], new_shape, shape), np.where(better, new_scale, scale)
    return left


def _maps_of_mixtures(
    fit: MixedFit,
    *,
    noise: Values,
    b1: Values,
    b1_stdev: Values | None,
    times: FluidTimes,
    protocol: BssfpProtocol,
) -> _Mixtures:
    """Return the maps of a fit with fluid; their standard deviations hold noise, times of fluid, and B1."""
    turn = 2.0 * math.pi * protocol.repetition_time
    point = (fit.e2, fit.b, fit.theta, fit.beta, np.log(np.abs(fit.amplitude)))

    def maps(
        e2: Values,
        b: Values,
        theta: Values,
        beta: Values,
        log_amplitude: Values,
        fluid_t1: float,
        fluid_t2: float,
        b1: Values,
    ) -> Values:
        t1, t2 = relaxation_times(e2, b, b1=b1, protocol=protocol)
        of_tissue = amplitude_of_one(t1, t2, b1=b1, protocol=protocol)
        ratio = beta * of_tissue / amplitude_of_one(fluid_t1, fluid_t2, b1=b1, protocol=protocol)
        m0 = np.exp(log_amplitude) / of_tissue * (1.0 + ratio)
        without_bands = np.exp(log_amplitude) * np.abs(1.0 + beta)
        return np.stack(
            [t1, t2, m0, theta / turn, ratio / (1.0 + ratio), without_bands, np.exp(log_amplitude) / of_tissue * ratio]
        )

    known: list[Any] = [times.t1, times.t2, b1]
    values = maps(*point, *known)
    jacobian = []
    for index in range(5):
        step = STEP * (np.abs(point[index]) if index in (0, 1) else 1.0)
        up, down = (
            [each + sign * step if place == index else each for place, each in enumerate(point)] for sign in (1, -1)
        )
        jacobian.append((maps(*up, *known) - maps(*down, *known)) / (2.0 * step))
    slopes = np.stack(jacobian, axis=-1)  # (7 maps, K, 5 unknowns)
    spread = np.einsum("mki,kij->mkj", slopes, fit.covariance)
    variance = noise * np.einsum("mkj,mkj->mk", spread, slopes)
    covariance = noise * np.stack([np.einsum("kj,kj->k", spread[one], slopes[two]) for one, two in PLACES])
    # The times of fluid, and B1, move the shape of its profile, by it the optimum, and the maps themselves.
    ends: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
        ((*up, b1), (*down, b1)) for up, down in times.one_stdev_away()
    ]
    if b1_stdev is not None:
        off = np.asarray(b1_stdev, dtype=np.float64)
        ends.append(((times.t1, times.t2, b1 + off), (times.t1, times.t2, b1 - off)))
    for higher, lower in ends:
        shapes = [_natural_point(each[0], each[1], b1=each[2], protocol=protocol) for each in (higher, lower)]
        moved = np.stack([shapes[0].e2 - shapes[1].e2, shapes[0].b - shapes[1].b], axis=-1)
        optimum = np.einsum("kij,kj->ki", fit.by_fluid, moved)
        change = maps(*point, *higher) - maps(*point, *lower) + np.einsum("mki,ki->mk", slopes, optimum)
        variance += (0.5 * change) ** 2
        covariance += 0.25 * np.stack([change[one] * change[two] for one, two in PLACES])
    stdev = np.sqrt(variance)
    narrowed = np.ones_like(stdev)
    values[:2], less = without_skew(values[:2], stdev[:2])
    narrowed[:2], stdev[:2] = less / stdev[:2], less
    covariance *= np.stack([narrowed[one] * narrowed[two] for one, two in PLACES])
    return _Mixtures(values=values, stdev=stdev, covariance=covariance)


def _combine(
    found: FluidMaps,
    near: NDArray[np.bool_],
    *,
    fit: MixedFit,
    mixtures: _Mixtures,
    told: NDArray[np.bool_],
    single_sum: Values,
    noise: Values,
    odds: Values,
    band: float,
    joint: JointMaps,
) -> Values:
    """Write the mean of both models, weighted by their probability, into the voxels near fluid; return that of fluid there."""
    # Laplace's approximation of the evidence: what noise allows of β over what is likely is the cost of one more unknown.
    likely = 1.0 / (math.pi * USUAL_BETA * (1.0 + (fit.beta / USUAL_BETA) ** 2))
    allowed = np.minimum(np.sqrt(2.0 * math.pi * noise * fit.covariance[:, 3, 3]), WIDEST_BETA) * likely
    evidence = 0.5 * np.maximum(single_sum - fit.residual_sum, 0.0) / noise
    log_odds = np.log(odds * allowed) + evidence
    weight = np.where(told, 1.0 / (1.0 + np.exp(-log_odds)), 0.0)
    single, single_stdev = found.values[:, near], found.stdev[:, near]
    mixed, mixed_stdev = mixtures.values[:4], mixtures.stdev[:4]
    apart = np.where(told, mixed - single, 0.0)
    apart[3] -= band * np.round(apart[3] / band)
    other = np.where(told, mixed_stdev, 0.0)
    between = weight * (1.0 - weight) * apart**2
    variance = (1.0 - weight) * single_stdev**2 + weight * other**2 + between
    joint.mix(
        near,
        weight=weight,
        apart=np.where(told, np.stack([*(mixed - single)[:3], mixtures.values[6]]), 0.0),
        covariance=np.where(told, mixtures.covariance, 0.0),
        fluid_variance=np.where(told, mixtures.stdev[6] ** 2, 0.0),
        amplitude=np.where(told, mixtures.values[5], joint.amplitude[near]),
        amplitude_variance=np.where(told, mixtures.stdev[5] ** 2, 0.0),
    )
    found.values[:, near] = single + weight * apart
    found.stdev[:, near] = np.sqrt(variance)
    preferred = weight > 0.5
    found.residual_sum[near] = np.where(preferred, fit.residual_sum, single_sum)
    found.unknowns[near] = np.where(preferred, 6, 5)
    low, high = UNDECIDED
    mostly = told & (mixtures.values[4] > MOSTLY_FLUID)
    found.mixed[near] = mostly | (weight > low) & (weight < high) & (variance[1] > 2.0 * single_stdev[1] ** 2)
    return np.asarray(weight)


def _explained(
    found: FluidMaps,
    cycles: NDArray[np.complexfloating],
    *,
    alone: NDArray[np.bool_],
    theta: Values,
    usual: UsualTissue,
    b1: Values,
    b1_stdev: Values | None,
    noise: Values,
    single_sum: Values,
    protocol: BssfpProtocol,
    threads: int,
) -> FluidMaps:
    """Return these maps with how tissue with fluid explains the voxels of fluid, `alone`, and those that may well hold some."""
    voxels = np.flatnonzero(alone | (found.probability > LIKELY))
    rest: dict[int, tuple[Explanation, Values]] = {}

    def explain(begin: int) -> None:
        chosen = voxels[begin : begin + BLOCK]
        with np.errstate(all="ignore"):  # of the thread that works here
            rest[begin] = tissue_and_fluid(
                cycles[chosen].astype(np.complex128),
                theta=theta[chosen],
                times=found.times,
                tissue=usual,
                b1=b1[chosen],
                b1_stdev=None if b1_stdev is None else b1_stdev[chosen],
                noise=noise[chosen],
                protocol=protocol,
            )

    run_blocks(explain, len(voxels), block=BLOCK, threads=threads)
    probability = np.where(found.probability > LIKELY, found.probability, 0.0)
    if not rest:
        return replace(found, probability=probability)
    parts = [rest[begin] for begin in sorted(rest)]
    together = Explanation(
        values=np.concatenate([each.values for each, _ in parts], axis=-1),
        covariance=np.concatenate([each.covariance for each, _ in parts], axis=-1),
    )
    left, single = np.concatenate([each for _, each in parts]), single_sum[voxels]
    good = np.isfinite(np.concatenate([together.values, together.covariance.reshape(16, -1)])).all(axis=0)
    # What rings or moves leaves more than noise does, of either explanation.
    own = np.maximum(noise[voxels], single / max(2 * protocol.number_of_cycles - 5, 1))
    of_fluid = left - single < CONSISTENT * own
    probability[voxels] = np.where(good, np.where(alone[voxels], of_fluid, probability[voxels]), 0.0)
    return replace(found, voxels=voxels[good], together=together.of_voxels(good), probability=probability)


def _of_tissue(values: Values, *, stdev: Values, joint: JointMaps) -> dict[str, Values]:
    """Return T1, T2 and M0 of a fit of one pool with standard deviations and correlations by name."""
    found = {}
    for row, name in enumerate(MAPS_OF_TISSUE):
        found[name], found[f"{name}_stdev"] = values[row].astype(np.float32), stdev[row].astype(np.float32)
    for pair, together in zip(PAIRS[:3], joint.covariance, strict=False):
        one, two = (stdev[MAPS_OF_TISSUE.index(name)] for name in pair)
        with np.errstate(all="ignore"):
            found["_".join(pair)] = np.clip(together / (one * two), -1.0, 1.0).astype(np.float32)
    return found


def _fraction_in_fluid(
    cycles: NDArray[np.complexfloating],
    *,
    tissue: NaturalPoint,
    tissue_signal: Values,
    times: FluidTimes,
    b1: Values,
    noise: Values,
    protocol: BssfpProtocol,
) -> tuple[Values, Values]:
    """Return fraction of fluid and its variance where fluid is most of a voxel, shape (V,).

    The tissue in it is taken to be that of the rest of the scan; its amplitude against that of fluid is the one unknown. The
    variance holds noise and the times of fluid.
    """
    theta, increments = tissue.theta, protocol.rf_phase_increment
    beside_fluid = profile(tissue.e2, tissue.b, theta, rf_phase_increment=increments)

    def at(t1: float, t2: float) -> tuple[Values, Values]:
        shape = _natural_point(t1, t2, b1=b1, protocol=protocol)
        fluid = profile(shape.e2, shape.b, theta, rf_phase_increment=increments)
        gain = tissue_signal / amplitude_of_one(t1, t2, b1=b1, protocol=protocol)
        power = np.sum(np.abs(fluid) ** 2, axis=1)
        most = np.sum(fluid.conj() * cycles, axis=1) / power
        beside = beside_fluid - fluid * (np.sum(fluid.conj() * beside_fluid, axis=1) / power)[:, None]
        direction = most[:, None] * beside
        information = np.sum(np.abs(direction) ** 2, axis=1)
        ratio = np.sum(direction.conj() * (cycles - most[:, None] * fluid), axis=1).real / information
        return gain / (gain + ratio), (gain / (gain + ratio) ** 2) ** 2 * noise / information

    with np.errstate(all="ignore"):  # of the thread that works here
        fraction, variance = at(times.t1, times.t2)
        for up, down in times.one_stdev_away():
            variance += (0.5 * (at(*up)[0] - at(*down)[0])) ** 2
    return fraction, variance
