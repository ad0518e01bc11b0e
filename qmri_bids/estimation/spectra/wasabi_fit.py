"""B0 and B1 maps from WASABI (Schuenke et al., Magn Reson Med 77:571, 2017) by least squares, with covariance.

A dictionary of B1 and off-resonance gives the start, Levenberg-Marquardt within a box the end. Z is the modulus of c - d·g, g the
fringe of `physics.wasabi`. With a sign for every offset it is linear in c and d; the dictionary takes those of a few ratios c/d and
projects c and d out, the iteration those of its own point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.base import Estimate, Status
from qmri_bids.estimation.bounded_step import factorise, find_free, solve_factored, write_covariance
from qmri_bids.estimation.spectra.lorentzian.maps import masked
from qmri_bids.estimation.variance import moderated_variance
from qmri_bids.physics.wasabi import WasabiProtocol
from qmri_bids.system.blocks import run_blocks

MAPS = ("off_resonance", "b1", "c", "d")
"""Maps in the order of the columns of the fit: off-resonance [Hz], actual over nominal B1, level, depth."""

ITERATIONS = 60
"""Most evaluations from each start."""

BLOCK = 1024
"""Voxels handed to a thread at a time."""

MINIMUM_DEPTH = 8.0
"""d over its standard deviation: the best of thousands of fringes in pure noise reaches four."""

RATIOS = (0.45, 0.55, 0.7)
"""Ratios c/d whose signs the dictionary tries: 1/2 without relaxation, more with it."""

PHASE_STEP = 0.2
"""Step of the dictionary in the phase π t_p f of the fringes [rad]: well within the basin of a fringe."""

STEP_TO_STDEV = 0.01
"""Converged when the predicted gain says that the point is within this fraction of a standard deviation of the optimum, or …"""

RELATIVE_GAIN = 1e-20
"""… when it is this small against the energy of the signal: noise-free data have no standard deviation."""

LARGEST_DAMPING = 1e9
"""Damping of Marquardt beyond which the iteration ends: so short a step changes nothing."""

STARTS = 5
"""Parts of the range of off-resonance, from the best entry of each of which the iteration is begun; the best end is kept."""

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@dataclass(frozen=True, kw_only=True)
class WasabiBounds:
    """Box within which WASABI is fitted; a voxel at its edge has no value and is AT_BOUND.

    Parameters
    ----------
    b1
        Actual over nominal B1. Below 0.2 the fringes vanish.
    off_resonance
        Largest shift of water [Hz]; None for as far as the offsets reach.
    c, d
        Level and depth of Z; of an ideal pulse 1 and 2.

    Raises
    ------
    ValueError
        Unless every lower bound is below its upper bound, and those of B1 are positive.
    """

    b1: tuple[float, float] = (0.2, 2.0)
    off_resonance: float | None = None
    c: tuple[float, float] = (0.0, 3.0)
    d: tuple[float, float] = (0.0, 6.0)

    def __post_init__(self) -> None:
        for name, (low, high) in (("b1", self.b1), ("c", self.c), ("d", self.d)):
            if not low < high:
                raise ValueError(f"the bounds of {name} must increase, found {(low, high)}")
        if not self.b1[0] > 0.0:
            raise ValueError(f"the lower bound of b1 must be positive, found {self.b1[0]}")
        if self.off_resonance is not None and not self.off_resonance > 0.0:
            raise ValueError(f"the bound of off_resonance must be positive, found {self.off_resonance} Hz")


@dataclass(frozen=True, kw_only=True)
class _Dictionary:
    grid: NDArray[np.float64]
    signs: NDArray[np.float64]
    signed_fringes: NDArray[np.float64]
    sums: NDArray[np.float64]


def _dictionary(protocol: WasabiProtocol, lower: NDArray[np.float64], upper: NDArray[np.float64]) -> _Dictionary:
    step = PHASE_STEP / (math.pi * protocol.pulse_duration)
    shifts = np.linspace(lower[0], upper[0], 2 + int((upper[0] - lower[0]) / step))
    b1 = np.linspace(lower[1], upper[1], 2 + int((upper[1] - lower[1]) * protocol.nutation_frequency / step))
    grid = np.stack([each.ravel() for each in np.meshgrid(shifts, b1, indexing="ij")], axis=1)
    power = np.square(grid[:, 1:] * protocol.nutation_frequency)
    square = power + np.square(np.asarray(protocol.offsets) - grid[:, :1])
    fringes = power / square * np.square(np.sin(math.pi * protocol.pulse_duration * np.sqrt(square)))
    signs = np.where(fringes < np.array(RATIOS)[:, None, None], 1.0, -1.0)
    sums = np.stack([fringes.sum(axis=1), np.square(fringes).sum(axis=1)], axis=1)
    return _Dictionary(grid=grid, signs=signs, signed_fringes=signs * fringes, sums=sums)


def fit_wasabi(
    z: NDArray[np.floating],
    *,
    protocol: WasabiProtocol,
    bounds: WasabiBounds | None = None,
    noise: NDArray[np.floating] | float | None = None,
    threads: int = 1,
) -> Estimate:
    """Map B0 and B1.

    Parameters
    ----------
    z
        Signal over that of the normalisation volume, shape (V, N).
    protocol
        The acquisition.
    bounds
        Box of the fit; `WasabiBounds()` by default.
    noise
        Standard deviation of Z, shape (V,) or one for all; from the residual, moderated over all voxels, by default.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Estimate
        `off_resonance` [Hz], `b1`, `c` and `d`, shape (V,), NaN where the status is not CONVERGED. A voxel whose fringes do not
        stand out of the noise (standard deviation of B1 above a quarter of it, or d below eight of its own) is LOW_SIGNAL.

    Raises
    ------
    ValueError
        If shapes do not belong together.

    Examples
    --------
    >>> from qmri_bids.physics.wasabi import wasabi_signal
    >>> protocol = WasabiProtocol(offsets=tuple(np.linspace(-255.0, 255.0, 31)))
    >>> z = wasabi_signal(np.array([12.0]), np.array([0.9]), c=0.8, d=1.5, protocol=protocol)
    >>> found = fit_wasabi(z, protocol=protocol)
    >>> [round(float(found.values[name][0]), 3) for name in ("off_resonance", "b1")]
    [12.0, 0.9]
    """
    number = len(protocol.offsets)
    if z.ndim != 2 or z.shape[1] != number:
        raise ValueError(
            f"z must have shape (V, {number}), one column for every offset of the protocol, found {z.shape}"
        )
    voxels = len(z)
    if noise is not None and np.shape(noise) not in ((), (voxels,)):
        raise ValueError(f"noise must be one number or of shape ({voxels},), found shape {np.shape(noise)}")
    box = bounds or WasabiBounds()
    offsets = np.array(protocol.offsets, dtype=np.float64)
    reach = (offsets.min(), offsets.max()) if box.off_resonance is None else (-box.off_resonance, box.off_resonance)
    lower, upper = np.array([reach, box.b1, box.c, box.d], dtype=np.float64).T.copy()
    dictionary = _dictionary(protocol, lower, upper)
    parameters, covariance = np.empty((voxels, 4)), np.empty((voxels, 4, 4))
    residual_sum = np.empty(voxels)
    active, converged = np.empty((voxels, 4), dtype=np.bool_), np.empty(voxels, dtype=np.bool_)

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        fit_voxels(
            np.ascontiguousarray(z[part], dtype=np.float64),
            offsets,
            protocol.nutation_frequency,
            protocol.pulse_duration,
            dictionary.grid,
            dictionary.signs,
            dictionary.signed_fringes,
            dictionary.sums,
            lower,
            upper,
            ITERATIONS,
            parameters[part],
            covariance[part],
            residual_sum[part],
            active[part],
            converged[part],
        )

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    usable = np.isfinite(residual_sum)
    if noise is None:
        variance = moderated_variance(np.where(converged, residual_sum, math.nan), number - 4).variance
        sigma = np.sqrt(np.where(converged, variance, residual_sum / (number - 4)))
    else:
        sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), (voxels,))
    with np.errstate(all="ignore"):
        stdev = np.sqrt(np.einsum("vii->vi", covariance)) * sigma[:, None]
        residual = np.sqrt(residual_sum / np.square(z, dtype=np.float64).sum(axis=1))
        status = np.full(voxels, Status.CONVERGED, dtype=np.uint8)
        status[active.any(axis=1)] = Status.AT_BOUND
        status[~converged] = Status.NOT_CONVERGED
        clear = (stdev[:, 1] < 0.25 * parameters[:, 1]) & (parameters[:, 3] > MINIMUM_DEPTH * stdev[:, 3])
        status[usable & ~clear] = Status.LOW_SIGNAL
    status[~(np.isfinite(z).all(axis=1) & (z != 0.0).any(axis=1))] = Status.INVALID_INPUT
    good = status == Status.CONVERGED
    return Estimate(
        values={name: masked(parameters[:, column], good) for column, name in enumerate(MAPS)},
        stdev={name: masked(stdev[:, column], good) for column, name in enumerate(MAPS)},
        residual=masked(residual, usable),
        status=status,
    )


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def evaluate(
    offsets: NDArray,
    z: NDArray,
    nutation: float,
    duration: float,
    parameters: NDArray,
    jacobian: NDArray,
    residual: NDArray,
) -> float:
    """Write Jacobian and residual of the model at (off-resonance [Hz], B1, c, d), return the sum of squares of the residual."""
    shift, b1, c, d = parameters[0], parameters[1], parameters[2], parameters[3]
    power = (b1 * nutation) ** 2
    total = 0.0
    for j in range(offsets.size):
        detuning = offsets[j] - shift
        square = power + detuning * detuning
        frequency = math.sqrt(square)
        sine, cosine = math.sin(math.pi * duration * frequency), math.cos(math.pi * duration * frequency)
        share = power / square
        wave = sine * sine
        fringe = share * wave
        # By the squares of effective frequency and of nutation.
        wave_by_square = math.pi * duration * sine * cosine / frequency
        by_square = share * (wave_by_square - wave / square)
        level = c - d * fringe
        sign = 1.0 if level >= 0.0 else -1.0
        residual[j] = z[j] - sign * level
        jacobian[0, j] = sign * 2.0 * d * detuning * by_square
        jacobian[1, j] = -sign * d * 2.0 * b1 * nutation * nutation * (by_square + wave / square)
        jacobian[2, j] = sign
        jacobian[3, j] = -sign * fringe
        total += residual[j] * residual[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def search(z: NDArray, signs: NDArray, signed_fringes: NDArray, sums: NDArray, best: NDArray, level: NDArray) -> None:
    """Find in each of S parts of the dictionary the entry that leaves the least residual, c and d projected out.

    Parameters
    ----------
    z
        One signal, shape (N,).
    signs, signed_fringes
        Sign of c - d·g at every offset, and that sign times the fringe g, shape (K, N): one row an entry of the dictionary, in
        the order of off-resonance.
    sums
        Σ g and Σ g² of every entry, shape (K, 2).
    best, level
        Index of the best entry of each part, -1 where it has none, and (c, d) there, to be filled; shapes (S,), (S, 2).
    """
    number, entries, parts = z.size, signs.shape[0], best.size
    for part in range(parts):
        best[part] = -1
        least = np.inf
        for k in range(part * entries // parts, (part + 1) * entries // parts):
            plain = 0.0
            fringed = 0.0
            for j in range(number):
                plain += signs[k, j] * z[j]
                fringed += signed_fringes[k, j] * z[j]
            total, square = sums[k, 0], sums[k, 1]
            determinant = number * square - total * total
            if not determinant > 1e-9 * number * square:
                continue
            c = (square * plain - total * fringed) / determinant
            d = (total * plain - number * fringed) / determinant
            if not (c > 0.0 and d > 0.0):
                continue
            residual = -(c * plain - d * fringed)
            if residual < least:
                best[part], least = k, residual
                level[part, 0], level[part, 1] = c, d


@njit(nogil=True, cache=True, error_model="numpy")
def fit_voxels(
    z: NDArray,
    offsets: NDArray,
    nutation: float,
    duration: float,
    grid: NDArray,
    signs: NDArray,
    signed_fringes: NDArray,
    sums: NDArray,
    lower: NDArray,
    upper: NDArray,
    iterations: int,
    parameters: NDArray,
    covariance: NDArray,
    residual_sum: NDArray,
    active: NDArray,
    converged: NDArray,
) -> None:
    """Fit every voxel.

    Parameters
    ----------
    z
        Signal, shape (V, N).
    offsets, nutation, duration
        Offsets [Hz], nominal nutation frequency [Hz], duration of the pulse [s].
    grid
        Off-resonance [Hz] and B1 of the entries of the dictionary, shape (K, 2).
    signs, signed_fringes, sums
        Arguments of `search`: signs and signed fringes for every ratio c/d, shape (R, K, N), and sums, which are the same for all
        ratios, shape (K, 2).
    lower, upper
        Box of (off-resonance, B1, c, d), shape (4,).
    iterations
        Most evaluations after the first, of each start.
    parameters, covariance, residual_sum, active, converged
        Point, covariance, misfit, which parameters a bound holds, and whether the iteration converged, to be filled: shapes (V, 4),
        (V, 4, 4), (V,), (V, 4), (V,). NaN and not converged where the signal is not finite or zero.
    """
    number = offsets.size
    old_j, old_r, new_j, new_r = np.empty((4, number)), np.empty(number), np.empty((4, number)), np.empty(number)
    information, factor = np.empty((4, 4)), np.empty((4, 4))
    descent, scale, step = np.empty(4), np.empty(4), np.empty(4)
    point, new_point = np.empty(4), np.empty(4)
    free, held = np.empty(4, dtype=np.int64), np.empty(4, dtype=np.bool_)
    best, level = np.empty(STARTS, dtype=np.int64), np.empty((STARTS, 2))
    for voxel in range(z.shape[0]):
        data = z[voxel]
        energy = 0.0
        for j in range(number):
            energy += data[j] * data[j]
        parameters[voxel] = np.nan
        covariance[voxel] = np.nan
        residual_sum[voxel] = np.nan
        active[voxel] = False
        converged[voxel] = False
        if not (energy > 0.0 and energy < np.inf):
            continue
        for trial in range(STARTS * signs.shape[0]):
            ratio, place = divmod(trial, STARTS)
            if place == 0:
                search(data, signs[ratio], signed_fringes[ratio], sums, best, level)
            if best[place] < 0:
                continue
            point[0], point[1] = grid[best[place], 0], grid[best[place], 1]
            point[2], point[3] = level[place, 0], level[place, 1]
            for k in range(4):
                point[k] = min(max(point[k], lower[k]), upper[k])
            cost = evaluate(offsets, data, nutation, duration, point, old_j, old_r)
            damping, growth = 1e-3, 2.0
            settled = False
            fresh = True
            for _ in range(iterations):
                if fresh:
                    for a in range(4):
                        descent[a] = np.dot(old_j[a], old_r)
                        for b in range(a + 1):
                            information[a, b] = np.dot(old_j[a], old_j[b])
                    fresh = False
                count = find_free(point, lower, upper, information, descent, free, held)
                if not factorise(information, free, count, damping, factor, scale):
                    damping = 10.0 * damping + 1e-10
                    if damping > LARGEST_DAMPING:
                        break
                    continue
                for a in range(count):
                    step[a] = descent[free[a]]
                solve_factored(factor, scale, count, step)
                gain = 0.0
                new_point[:] = point
                for a in range(count):
                    k = free[a]
                    gain += step[a] * (descent[k] + damping * scale[a] * scale[a] * step[a])
                    new_point[k] = min(max(point[k] + step[a], lower[k]), upper[k])
                limit = max(STEP_TO_STDEV * STEP_TO_STDEV * cost / max(number - count, 1), RELATIVE_GAIN * energy)
                new_cost = evaluate(offsets, data, nutation, duration, new_point, new_j, new_r)
                # 1e-15: rounding of a sum; without it a step at the optimum is refused for ever.
                better = new_cost <= cost + 1e-15 * energy
                if better:
                    fidelity = (cost - new_cost) / max(gain, 1e-300)
                    point[:] = new_point
                    cost = new_cost
                    old_j, new_j = new_j, old_j
                    old_r, new_r = new_r, old_r
                    fresh = True
                    damping *= max(0.1, 1.0 - (2.0 * fidelity - 1.0) ** 3)
                    growth = 2.0
                if gain < limit and (damping < 0.1 or not better):
                    settled = True
                    break
                if not better:
                    damping *= growth
                    growth *= 2.0
                    if damping > LARGEST_DAMPING:
                        break
            if cost >= residual_sum[voxel]:
                continue
            evaluate(offsets, data, nutation, duration, point, old_j, old_r)
            for a in range(4):
                descent[a] = np.dot(old_j[a], old_r)
                for b in range(a + 1):
                    information[a, b] = np.dot(old_j[a], old_j[b])
            count = find_free(point, lower, upper, information, descent, free, held)
            regular = write_covariance(information, free, count, factor, scale, step, covariance[voxel])
            parameters[voxel] = point
            active[voxel] = held
            residual_sum[voxel] = cost
            converged[voxel] = settled and regular
