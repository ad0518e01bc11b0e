"""Maximum likelihood of tissue and fluid in one voxel, and what the fit of tissue alone says of fluid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import NaturalPoint
from qmri_bids.estimation.bssfp.fluid.kernels import UNKNOWNS, fit_mixed_voxels, score_voxels
from qmri_bids.estimation.bssfp.profile_start import admissible
from qmri_bids.physics.bssfp import profile
from qmri_bids.system.blocks import run_blocks

ITERATIONS = 40
"""Most steps from each start."""

BLOCK = 2048
"""Voxels handed to a thread at a time."""


@dataclass(frozen=True, kw_only=True)
class MixedFit:
    """Maximum-likelihood point of tissue and fluid in V voxels.

    Parameters
    ----------
    e2, b, theta
        Natural coordinates of the tissue, shape (V,); θ in (-π, π] rad.
    beta
        Amplitude of fluid over that of tissue, shape (V,); negative where fluid next door rings.
    amplitude
        Complex amplitude of the tissue, shape (V,).
    covariance
        Covariance of (E2, b, θ, β, log|A|) for noise of unit standard deviation in real and imaginary part, shape (V, 5, 5).
    by_fluid
        Change of the same with E2 and b of fluid, shape (V, 5, 2).
    residual_sum
        Σ_j |S_j - model_j|², shape (V,).
    converged
        Whether the last step was below a hundredth of the standard deviation and the point inside, shape (V,).
    """

    e2: NDArray[np.float64]
    b: NDArray[np.float64]
    theta: NDArray[np.float64]
    beta: NDArray[np.float64]
    amplitude: NDArray[np.complex128]
    covariance: NDArray[np.float64]
    by_fluid: NDArray[np.float64]
    residual_sum: NDArray[np.float64]
    converged: NDArray[np.bool_]


def fit_mixed(
    cycles: NDArray[np.complexfloating],
    *,
    rf_phase_increment: Sequence[float],
    fluid: NaturalPoint,
    start: NaturalPoint,
    second: NaturalPoint,
    again: NDArray[np.bool_],
    threads: int = 1,
) -> MixedFit:
    """Fit tissue and fluid to complex cycles, from two starts where that is asked for or needed; the better of them counts.

    Parameters
    ----------
    cycles
        Complex signal, finite and not zero, shape (V, N), N ≥ 4.
    rf_phase_increment
        The N increments [rad].
    fluid
        E2 and b of fluid, shape (V,); its θ is not used: it is that of the tissue.
    start, second
        Points of the tissue at which the iteration begins, shape (V,) each. The fluid begins with the amplitude that fits best
        there.
    again
        Where to begin at the second, too, shape (V,); voxels that do not converge from the first do in any case.
    threads
        Threads to use; the result does not depend on it.
    """
    fit = _fit_from(cycles, rf_phase_increment=rf_phase_increment, fluid=fluid, start=start, threads=threads)
    voxels = np.flatnonzero(again | ~fit.converged)

    def of(point: NaturalPoint) -> NaturalPoint:
        return NaturalPoint(e2=point.e2[voxels], b=point.b[voxels], theta=point.theta[voxels])

    other = _fit_from(
        cycles[voxels], rf_phase_increment=rf_phase_increment, fluid=of(fluid), start=of(second), threads=threads
    )
    better = other.converged & ~(fit.converged[voxels] & (fit.residual_sum[voxels] <= other.residual_sum))
    for each in fields(MixedFit):
        getattr(fit, each.name)[voxels[better]] = getattr(other, each.name)[better]
    return fit


def _fit_from(
    cycles: NDArray[np.complexfloating],
    *,
    rf_phase_increment: Sequence[float],
    fluid: NaturalPoint,
    start: NaturalPoint,
    threads: int,
) -> MixedFit:
    voxels = len(cycles)
    point = admissible(start)
    increments = np.asarray(rf_phase_increment, dtype=np.float64)
    cosine, sine = np.cos(increments), np.sin(increments)
    fit = MixedFit(
        e2=np.array(point.e2, dtype=np.float64),
        b=np.array(point.b, dtype=np.float64),
        theta=np.array(point.theta, dtype=np.float64),
        beta=np.empty(voxels),
        amplitude=np.empty(voxels, dtype=np.complex128),
        covariance=np.empty((voxels, UNKNOWNS + 1, UNKNOWNS + 1)),
        by_fluid=np.empty((voxels, UNKNOWNS + 1, 2)),
        residual_sum=np.empty(voxels),
        converged=np.empty(voxels, dtype=np.bool_),
    )
    fluid_e2, fluid_b = (np.ascontiguousarray(each, dtype=np.float64) for each in (fluid.e2, fluid.b))

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        data = np.ascontiguousarray(cycles[part]).astype(np.complex128)
        fit.beta[part] = _best_share(
            data,
            tissue=profile(fit.e2[part], fit.b[part], fit.theta[part], rf_phase_increment=rf_phase_increment),
            fluid=profile(fluid_e2[part], fluid_b[part], fit.theta[part], rf_phase_increment=rf_phase_increment),
        )
        fit_mixed_voxels(
            data,
            cosine,
            sine,
            fluid_e2[part],
            fluid_b[part],
            ITERATIONS,
            fit.e2[part],
            fit.b[part],
            fit.theta[part],
            fit.beta[part],
            fit.amplitude[part],
            fit.covariance[part],
            fit.by_fluid[part],
            fit.residual_sum[part],
            fit.converged[part],
        )

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    return fit


def _best_share(
    data: NDArray[np.complex128], *, tissue: NDArray[np.complex128], fluid: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """Return the real part of the ratio of the two amplitudes that fit best, shape (V,), within what an iteration stands."""
    tt, qq = (np.sum(np.abs(each) ** 2, axis=1) for each in (tissue, fluid))
    tq = np.sum(tissue.conj() * fluid, axis=1)
    ts, qs = (np.sum(each.conj() * data, axis=1) for each in (tissue, fluid))
    with np.errstate(all="ignore"):
        first = (qq * ts - tq * qs) / (tt * qq - np.abs(tq) ** 2)
        second = (tt * qs - tq.conj() * ts) / (tt * qq - np.abs(tq) ** 2)
        ratio = (second / first).real
    return np.clip(np.nan_to_num(ratio, nan=0.0, posinf=3.0, neginf=0.0), -0.1, 3.0)


@dataclass(frozen=True, kw_only=True)
class FluidScore:
    """What the residual of a fit of tissue alone says of fluid, to first order, in V voxels.

    Parameters
    ----------
    beta
        Amplitude of fluid over that of tissue.
    stdev
        Its standard deviation for noise of unit standard deviation.
    """

    beta: NDArray[np.float64]
    stdev: NDArray[np.float64]


def score_fluid(
    cycles: NDArray[np.complexfloating],
    *,
    rf_phase_increment: Sequence[float],
    tissue: NaturalPoint,
    fluid: NaturalPoint,
    threads: int = 1,
) -> FluidScore:
    """Return what the fit of tissue alone says of fluid.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    rf_phase_increment
        The N increments [rad].
    tissue
        Optimum of the fit of tissue alone, shape (V,).
    fluid
        E2 and b of fluid, shape (V,).
    threads
        Threads to use; the result does not depend on it.
    """
    voxels = len(cycles)
    increments = np.asarray(rf_phase_increment, dtype=np.float64)
    cosine, sine = np.cos(increments), np.sin(increments)
    found = FluidScore(beta=np.empty(voxels), stdev=np.empty(voxels))
    natural = (fluid.e2, fluid.b, tissue.e2, tissue.b, tissue.theta)
    fluid_e2, fluid_b, e2, b, theta = (np.ascontiguousarray(each, dtype=np.float64) for each in natural)

    def score_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        score_voxels(
            np.ascontiguousarray(cycles[part]),
            cosine,
            sine,
            fluid_e2[part],
            fluid_b[part],
            e2[part],
            b[part],
            theta[part],
            found.beta[part],
            found.stdev[part],
        )

    run_blocks(score_block, voxels, block=BLOCK, threads=threads)
    return found
