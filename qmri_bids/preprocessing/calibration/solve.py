"""Gain, phase and frequency of every cycle as what the residuals of all voxels together say of them.

Every voxel is fitted by maximum likelihood. What a change of gain, phase or frequency of one cycle does to its signal is freed of
all that the voxel's own parameters (complex amplitude, E2, b, θ) could imitate; what is left meets the residual of the fit in one
linear least-squares problem for all voxels, which is solved anew from the corrected cycles until nothing changes. What is common to
all cycles leaves no residual and is not looked for: errors are contrasts between cycles.

With twelve cycles the voxels alone determine the solution. With four, gains and frequencies of all cycles nearly imitate each
other, and a prior says what scanners do: frequencies that drift in the order of the volumes, gains within a few percent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bssfp.profile_fit import BLOCK, NaturalFit, fit_natural
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.calibration.errors import (
    FREQUENCY_TERMS,
    PHASE_TERMS,
    CycleErrors,
    no_errors,
    orthonormal_tangent,
    without_errors,
)
from qmri_bids.system.blocks import run_blocks

ROUNDS = 6
"""Most solutions in a row; two or three are usual, after those of a fraction of the voxels."""

COARSE = 4
"""One in so many voxels determines all but the last solutions."""

SETTLED = 0.1
"""Settled when the last change of every coefficient was below this share of its standard deviation, or …"""

SMALLEST_CHANGE = {"phase": 1e-4, "frequency": 5e-3, "gain": 5e-5}
"""… below this [rad], [Hz], [1]."""

PRIOR_PHASE = (0.1, 0.03)
"""Standard deviation of the phase [rad]: of its constant part, and of every other coefficient."""

PRIOR_DRIFT, PRIOR_SCATTER = (20.0, 5.0), (1.5, 0.75)
"""Standard deviation of a steady drift from the first to the last cycle, and of each cycle about it [Hz]: of the constant part and
of the linear parts of the frequency."""

PRIOR_GAIN = 0.02
"""Standard deviation of the log gain."""

FLUID_T2 = 0.25
"""T2 [s] from which a voxel is taken for fluid, which flows."""

LEAST_SOLID = 0.3
"""Share of other voxels below which they are taken all the same: the object is a liquid."""

LARGEST_B = 0.999
REGIONS = 12
"""Parts of the volume whose differences tell the standard deviations."""
_BLOCK = 512

_KIND = np.array([0] * PHASE_TERMS + [1] * FREQUENCY_TERMS + [2])
_TERM = np.array([*range(PHASE_TERMS), *range(FREQUENCY_TERMS), 0])
NAMES = ("phase", "frequency", "gain")
"""Kinds of errors in the order of the coefficients."""


class NothingFits(ValueError):
    """No voxel follows the signal of bSSFP."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What the voxels say of the cycles.

    Parameters
    ----------
    errors
        The most probable errors.
    gain_stdev, frequency_stdev, phase_stdev
        Standard deviations of log gain, of the constant parts of frequency [Hz] and phase [rad], shape (N,).
    held
        Share of the information on the constant part of a kind that is the prior's: 0 where the voxels alone determine it.
    voxels
        Voxels that were used.
    """

    errors: CycleErrors
    gain_stdev: NDArray[np.float64]
    frequency_stdev: NDArray[np.float64]
    phase_stdev: NDArray[np.float64]
    held: dict[str, float]
    voxels: int


def contrasts(number: int) -> NDArray[np.float64]:
    """Return an orthonormal basis of all that has no mean over N cycles, shape (N, N - 1)."""
    basis = np.zeros((number, number - 1))
    for index in range(1, number):
        basis[:index, index - 1], basis[index, index - 1] = 1.0, -index
    return basis / np.linalg.norm(basis, axis=0)


def prior_precision(number: int, *, kinds: tuple[str, ...], order: NDArray[Any]) -> NDArray[np.float64]:
    """Return the inverse covariance of the contrasts of all coefficients.

    Parameters
    ----------
    number
        Number of cycles N.
    kinds
        Which errors are looked for.
    order
        When each cycle was acquired, in any unit, shape (N,).
    """
    basis = contrasts(number)
    time = np.asarray(order, dtype=float)
    time = (time - time.mean()) / max(float(np.ptp(time)), 1.0)
    used = [index for index in range(len(_KIND)) if NAMES[_KIND[index]] in kinds]
    size = number - 1
    result = np.zeros((len(used) * size, len(used) * size))
    for place, index in enumerate(used):
        kind, linear = NAMES[_KIND[index]], int(_TERM[index] > 0)
        if kind == "frequency":
            covariance = PRIOR_DRIFT[linear] ** 2 * np.outer(time, time) + PRIOR_SCATTER[linear] ** 2 * np.eye(number)
        else:
            covariance = (PRIOR_GAIN if kind == "gain" else PRIOR_PHASE[linear]) ** 2 * np.eye(number)
        part = slice(place * size, (place + 1) * size)
        result[part, part] = np.linalg.inv(basis.T @ covariance @ basis)
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _gram(
    cycles: NDArray,
    increments: NDArray,
    e2: NDArray,
    b: NDArray,
    theta: NDArray,
    amplitude: NDArray,
    per_hertz: float,
    echo_per_hertz: float,
    gram: NDArray,
    right: NDArray,
) -> None:
    """Fill the products of what phase, frequency and gain of each cycle do to voxels, beside the tangent space, and the residual.

    `gram` (V, 3N, 3N) and `right` (V, 3N) hold the kinds one after the other. In real numbers a cycle is two rows.
    """
    number = cycles.shape[1]
    tangent = np.empty((5, 2 * number))
    effect = np.empty((3, number, 2))
    inside = np.empty((5, 3 * number))
    residual = np.empty(2 * number)
    model, slope = np.empty(number, dtype=np.complex128), np.empty(number, dtype=np.complex128)
    for voxel in range(cycles.shape[0]):
        orthonormal_tangent(increments, e2[voxel], b[voxel], theta[voxel], amplitude[voxel], tangent, model, slope)
        for j in range(number):
            left = cycles[voxel, j] - model[j]
            residual[2 * j], residual[2 * j + 1] = left.real, left.imag
            hertz = per_hertz * slope[j] + 1j * echo_per_hertz * model[j]
            effect[0, j, 0], effect[0, j, 1] = -model[j].imag, model[j].real
            effect[1, j, 0], effect[1, j, 1] = hertz.real, hertz.imag
            effect[2, j, 0], effect[2, j, 1] = model[j].real, model[j].imag
        for row in range(5):
            shared = 0.0
            for k in range(2 * number):
                shared += tangent[row, k] * residual[k]
            for k in range(2 * number):
                residual[k] -= shared * tangent[row, k]
            for kind in range(3):
                for j in range(number):
                    inside[row, kind * number + j] = (
                        tangent[row, 2 * j] * effect[kind, j, 0] + tangent[row, 2 * j + 1] * effect[kind, j, 1]
                    )
        for p in range(3 * number):
            kind, j = p // number, p % number
            right[voxel, p] = effect[kind, j, 0] * residual[2 * j] + effect[kind, j, 1] * residual[2 * j + 1]
            for q in range(p + 1):
                total = 0.0
                for row in range(5):
                    total -= inside[row, p] * inside[row, q]
                if q % number == j:
                    other = q // number
                    total += effect[kind, j, 0] * effect[other, j, 0] + effect[kind, j, 1] * effect[other, j, 1]
                gram[voxel, p, q] = total
                gram[voxel, q, p] = total


def solve(
    cycles: NDArray[np.complexfloating],
    *,
    terms: NDArray[np.float64],
    protocol: BssfpProtocol,
    order: NDArray[Any] | None = None,
    kinds: tuple[str, ...] = NAMES,
    start: CycleErrors | None = None,
    threads: int = 1,
) -> Solution:
    """Find gain, phase and frequency of every cycle.

    Parameters
    ----------
    cycles
        Complex, shape (V, N), N ≥ 4.
    terms
        `terms_at` of the voxels, shape (V, 7); zero where a term is not looked for.
    protocol
        The acquisition; any increments.
    order
        When each cycle was acquired: the order of the volumes by default.
    kinds
        Which errors are looked for, of `NAMES`; the others are 0.
    start
        Errors to begin with.
    threads
        Threads to use; the result does not depend on it.

    Raises
    ------
    NothingFits
        If no voxel can be fitted.
    """
    number = protocol.number_of_cycles
    data = np.asarray(cycles, dtype=np.complex128)
    order = np.arange(number) if order is None else order
    errors = no_errors(number) if start is None else start
    prior = prior_precision(number, kinds=kinds, order=order)
    coarse = slice(None, None, COARSE)
    few = len(data) < 2 * COARSE * 12 * number
    for part in (slice(None),) if few else (coarse, slice(None)):
        for _ in range(ROUNDS):
            before = errors
            errors, found = _step(
                data[part], terms[part], errors=before, protocol=protocol, prior=prior, kinds=kinds, threads=threads
            )
            change = np.abs(_packed(errors, NAMES) - _packed(before, NAMES)).max(axis=1)
            least = np.array([SMALLEST_CHANGE[NAMES[kind]] for kind in _KIND])
            if (change < np.maximum(least, SETTLED * found["largest_stdev"])).all():
                break
    return Solution(
        errors=errors,
        gain_stdev=found["gain"],
        frequency_stdev=found["frequency"],
        phase_stdev=found["phase"],
        held=found["held"],
        voxels=found["voxels"],
    )


def _packed(errors: CycleErrors, kinds: tuple[str, ...]) -> NDArray[np.float64]:
    """Return all coefficients of some kinds, shape (terms, N)."""
    parts = {"phase": errors.phase.T, "frequency": errors.frequency.T, "gain": errors.gain[None]}
    return np.concatenate([parts[kind] for kind in NAMES if kind in kinds])


def _step(
    data: NDArray[np.complex128],
    terms: NDArray[np.float64],
    *,
    errors: CycleErrors,
    protocol: BssfpProtocol,
    prior: NDArray[np.float64],
    kinds: tuple[str, ...],
    threads: int,
) -> tuple[CycleErrors, dict[str, Any]]:
    """Return errors after one linear solution about others, and what is known of it."""
    number = protocol.number_of_cycles
    increments = errors.increments(protocol)
    plain = np.empty_like(data)

    def clean(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        plain[part], _ = without_errors(
            data[part], terms=terms[part], errors=errors, protocol=protocol, wanted=increments
        )

    run_blocks(clean, len(data), block=BLOCK, threads=threads)
    fit = fit_natural(plain, rf_phase_increment=tuple(increments), threads=threads)
    usable = _usable(fit, protocol)
    if not usable.any():
        raise NothingFits("no voxel of the sample can be fitted, expected cycles that follow the signal of bSSFP")
    power = fit.residual_sum[usable] / fit.freedom
    typical = float(np.median(power))
    # A voxel that the model does not describe, mixed or at the edge of a band, has a large residual and little weight.
    weight = (2.0 * typical / (power + typical)) ** 2 if typical > 0.0 else np.ones(len(power))
    noise = float(np.sum(weight**2 * power) / np.sum(weight))
    matrices, rights = _normal_equations(
        plain[usable],
        terms[usable],
        fit,
        usable,
        weight=weight,
        protocol=protocol,
        increments=increments,
        threads=threads,
    )
    used = np.array([NAMES[kind] in kinds for kind in _KIND])
    basis = contrasts(number)
    count = int(used.sum())
    size = count * (number - 1)
    regions = np.einsum("nz,ganbm,my->gazby", basis, matrices[:, used][:, :, :, used], basis, optimize=True)
    regions = regions.reshape(-1, size, size)
    gradients = (rights[:, used] @ basis).reshape(-1, size)
    information, gradient = regions.sum(axis=0), gradients.sum(axis=0)
    # Data without noise (tests, simulations) must not have an infinite information.
    noise = max(noise, 1e-12 * float(np.mean(np.abs(data) ** 2)))
    information, gradient = information / noise, gradient / noise
    now = (_packed(errors, kinds) @ basis).reshape(size)
    covariance = np.linalg.inv(information + prior)
    new = now + covariance @ (gradient - prior @ now)
    packed = new.reshape(count, number - 1) @ basis.T
    # What the solution would have been without one region of the head after the other: what the model does not describe differs
    # from region to region, and is far more than noise where voxels are many.
    without = [
        np.linalg.solve(information + prior - part / noise, gradient - own / noise - prior @ now) - (new - now)
        for part, own in zip(regions, gradients, strict=True)
    ]
    scatter = np.zeros((len(_KIND), number))
    scatter[used] = np.sqrt(
        (len(without) - 1)
        / len(without)
        * np.sum([(each.reshape(count, number - 1) @ basis.T) ** 2 for each in without], axis=0)
    )
    full = np.zeros((len(_KIND), number))
    full[used] = packed
    result = CycleErrors(phase=full[:7].T.copy(), frequency=full[7:11].T.copy(), gain=full[11].copy())
    spread = covariance.reshape(count, number - 1, count, number - 1)
    stdev = np.zeros((len(_KIND), number))
    stdev[used] = np.sqrt(np.array([np.diag(basis @ spread[k, :, k] @ basis.T) for k in range(count)]))
    if len(without) > 1:
        stdev = np.maximum(stdev, scatter)
    held = {}
    for kind, name in enumerate(NAMES):
        places = np.flatnonzero(_KIND[used] == kind)
        if len(places):
            first = slice(places[0] * (number - 1), (places[0] + 1) * (number - 1))
            # Eigenvalues of posterior covariance times prior precision: 0 where the prior does not count, 1 where it alone does.
            held[name] = float(np.linalg.eigvals(covariance[first, first] @ prior[first, first]).real.max())
    return result, {
        "phase": stdev[0],
        "frequency": stdev[7],
        "gain": stdev[11],
        "largest_stdev": stdev.max(axis=1),
        "held": held,
        "voxels": int(usable.sum()),
    }


def _usable(fit: NaturalFit, protocol: BssfpProtocol) -> NDArray[np.bool_]:
    """Return the voxels that are fitted and do not look like fluid; with it where there is little else."""
    fitted = fit.converged & (fit.b < LARGEST_B)
    solid = fitted & (fit.e2 < math.exp(-protocol.repetition_time / FLUID_T2))
    return solid if solid.sum() > LEAST_SOLID * fitted.sum() else fitted


def _normal_equations(
    data: NDArray[np.complex128],
    terms: NDArray[np.float64],
    fit: NaturalFit,
    usable: NDArray[np.bool_],
    *,
    weight: NDArray[np.float64],
    protocol: BssfpProtocol,
    increments: NDArray[np.float64],
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrices (R, terms, N, terms, N) and right-hand sides (R, terms, N) of the least-squares problem, of R regions."""
    from threadpoolctl import threadpool_limits

    number = data.shape[1]
    first, second = np.triu_indices(PHASE_TERMS)
    blocks = math.ceil(len(data) / _BLOCK)
    products = np.empty((blocks, len(first), 9 * number * number))
    rights = np.empty((blocks, PHASE_TERMS, 3 * number))
    e2, b, theta, amplitude = (np.ascontiguousarray(each[usable]) for each in (fit.e2, fit.b, fit.theta, fit.amplitude))

    def fill(begin: int) -> None:
        part = slice(begin, begin + _BLOCK)
        voxels = len(data[part])
        gram, right = np.empty((voxels, 3 * number, 3 * number)), np.empty((voxels, 3 * number))
        _gram(
            data[part],
            increments,
            e2[part],
            b[part],
            theta[part],
            amplitude[part],
            2.0 * math.pi * protocol.repetition_time,
            2.0 * math.pi * protocol.echo_time,
            gram,
            right,
        )
        space = terms[part] * weight[part, None]
        products[begin // _BLOCK] = (space[:, first] * terms[part][:, second]).T @ gram.reshape(voxels, -1)
        rights[begin // _BLOCK] = space.T @ right

    # Several threads of BLAS would add in another order.
    with threadpool_limits(1):
        run_blocks(fill, len(data), block=_BLOCK, threads=threads)
    pairs = np.empty((PHASE_TERMS, PHASE_TERMS), dtype=int)
    pairs[first, second] = pairs[second, first] = np.arange(len(first))
    # Voxels lie in the order of the volume: blocks one after the other are a slab of it.
    regions = np.array_split(np.arange(blocks), min(REGIONS, blocks))
    count = len(_KIND)
    matrices = np.empty((len(regions), count, number, count, number))
    by_kind = np.empty((len(regions), count, number))
    for place, chosen in enumerate(regions):
        summed = products[chosen].sum(axis=0).reshape(len(first), 3, number, 3, number)
        by_kind[place] = rights[chosen].sum(axis=0).reshape(PHASE_TERMS, 3, number)[_TERM, _KIND]
        for a in range(count):
            for c in range(count):
                matrices[place, a, :, c] = summed[pairs[_TERM[a], _TERM[c]], _KIND[a], :, _KIND[c]]
    return matrices, by_kind
