"""Least-squares fit of a sum of Lorentzian pools to Z-spectra, with covariance and bounds.

For noise that is equal at all offsets, least squares is maximum likelihood. The water pool is one of the pools: with
its position free no other correction of B0 is needed for it, but the positions of all pools count from the nominal frequency of
water, so that a known shift of water is given to the fit, which moves the offsets and interpolates nothing.

The kernel is a Levenberg-Marquardt fit within a box, voxel by voxel. The iteration moves the logarithm of the widths: a valley in
which a line grows wider and flatter is straighter in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bounded_step import factorise, find_free, solve_factored, write_covariance
from qmri_bids.estimation.spectra.lorentzian.lines import from_table, super_lorentzian_table
from qmri_bids.estimation.spectra.lorentzian.pools import PARAMETERS, POOLS, Bounded, LorentzianPool
from qmri_bids.physics.pools import Lineshape
from qmri_bids.system.blocks import run_blocks

ITERATIONS = 200
"""Most evaluations. At noise of 1 % one voxel of five pools in a hundred takes more than 100."""

BLOCK = 1024
"""Voxels handed to a thread at a time."""

FILLED = ("parameters", "covariance", "residual_sum", "at_bound", "converged")
"""Arrays that the kernel fills, in the order of its arguments."""

STEP_TO_STDEV = 0.01
"""Converged when the predicted gain says that the point is within this fraction of a standard deviation of the optimum, or …"""

RELATIVE_GAIN = 1e-18
"""… when it is this small against the energy of the spectrum: noise-free data have no standard deviation."""

LARGEST_DAMPING = 1e9
"""Damping of Marquardt beyond which the iteration ends: so short a step changes nothing."""

SMALL_DAMPING = 1e-3
"""Below it a step is as good as undamped."""

LARGEST_STEP = 1.0
"""Largest step of the logarithm of a width."""

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@dataclass(frozen=True, kw_only=True)
class LorentzianFit:
    """Least-squares point of V voxels.

    Parameters
    ----------
    pools
        Names, in order.
    parameters
        Baseline, then amplitude, width [ppm] and position [ppm] of each pool, shape (V, 1 + 3P); NaN where there was no spectrum.
    covariance
        Covariance of the parameters for noise of unit standard deviation, shape (V, 1 + 3P, 1 + 3P), single precision (1 KiB a
        voxel for five pools). Zero for parameters that are fixed or held by a bound, infinite where the information is singular.
    residual_sum
        Σ (z - model)², shape (V,).
    signal_sum
        Σ z², shape (V,).
    at_bound
        Whether a bound holds the parameter, shape (V, 1 + 3P).
    converged
        Whether the point is within a hundredth of a standard deviation of the optimum, shape (V,).
    fixed
        Whether equal bounds fix the parameter, shape (1 + 3P,).
    freedom
        Offsets less free parameters.
    broad
        Whether the line of a pool is super-Lorentzian, shape (P,).
    """

    pools: tuple[str, ...]
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float32]
    residual_sum: NDArray[np.float64]
    signal_sum: NDArray[np.float64]
    at_bound: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    freedom: int
    broad: NDArray[np.bool_]

    def columns(self, pool: str) -> slice:
        """Return the columns of amplitude, width and position of a pool.

        Raises
        ------
        ValueError
            If the pool was not fitted.
        """
        if pool not in self.pools:
            raise ValueError(f"the fit has the pools {', '.join(self.pools)}, found {pool!r}; fit it too")
        first = 1 + 3 * self.pools.index(pool)
        return slice(first, first + 3)


def fit_lorentzian(
    z: NDArray[np.floating],
    *,
    offsets: NDArray[np.floating],
    pools: Mapping[str, LorentzianPool] = POOLS,
    baseline: Bounded | None = None,
    water_shift: NDArray[np.floating] | None = None,
    iterations: int = ITERATIONS,
    threads: int = 1,
) -> LorentzianFit:
    """Fit Lorentzian pools to Z-spectra.

    Parameters
    ----------
    z
        Z-spectra, shape (V, N); a value that is NaN is left out.
    offsets
        Nominal offsets [ppm], shape (N,).
    pools
        Pools by name; any subset of `POOLS`, or others.
    baseline
        Z without saturation; 1 exactly by default.
    water_shift
        Known shift of water [ppm], shape (V,): the offsets count from there. Zero by default.
    iterations
        Most evaluations.
    threads
        Threads to use; the result does not depend on it.

    Raises
    ------
    ValueError
        If shapes do not belong together, or there are no more offsets than free parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from qmri_bids.physics.zspectrum import lorentzian_spectrum
    >>> offsets = np.linspace(-6.0, 6.0, 25)
    >>> line = {"amplitude": np.array([0.8]), "width": np.array([2.0]), "position": np.array([0.1])}
    >>> z = lorentzian_spectrum(offsets, **line)[None]
    >>> fit = fit_lorentzian(z, offsets=offsets, pools={"water": POOLS["water"]})
    >>> [round(float(each), 4) for each in fit.parameters[0]]
    [1.0, 0.8, 2.0, 0.1]
    """
    offsets = np.ascontiguousarray(offsets, dtype=np.float64)
    if z.ndim != 2 or offsets.shape != (z.shape[1],):
        raise ValueError(
            f"z must have shape (V, N) with one column an offset, found {z.shape} and {offsets.shape} offsets"
        )
    voxels = len(z)
    shift = np.zeros(voxels) if water_shift is None else np.ascontiguousarray(water_shift, dtype=np.float64)
    if shift.shape != (voxels,):
        raise ValueError(f"water_shift must have shape ({voxels},) as z has voxels, found {shift.shape}")
    rows = [baseline or Bounded(start=1.0, lower=1.0, upper=1.0)]
    rows += [getattr(pool, name) for pool in pools.values() for name in PARAMETERS]
    start, lower, upper = (np.array([getattr(row, name) for row in rows]) for name in ("start", "lower", "upper"))
    freedom = len(offsets) - int(np.count_nonzero(upper > lower))
    if freedom < 1:
        raise ValueError(
            f"{len(offsets)} offsets cannot tell {len(offsets) - freedom} parameters; fit fewer pools or fix some"
        )
    size = len(rows)
    fit = LorentzianFit(
        pools=tuple(pools),
        parameters=np.empty((voxels, size)),
        covariance=np.empty((voxels, size, size), dtype=np.float32),
        residual_sum=np.empty(voxels),
        signal_sum=np.nansum(np.square(z), axis=1, dtype=np.float64),
        at_bound=np.empty((voxels, size), dtype=np.bool_),
        converged=np.empty(voxels, dtype=np.bool_),
        fixed=~(upper > lower),
        freedom=freedom,
        broad=broad_lines(pools),
    )

    second_start = start.copy()
    second_start[2::3] = np.sqrt(start[2::3] * upper[2::3])
    table, broad = super_lorentzian_table(), fit.broad
    unknown = np.zeros((BLOCK, size))

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        data = np.ascontiguousarray(z[part], dtype=np.float64)
        outputs = [getattr(fit, name)[part] for name in FILLED]
        model = (lower, upper, broad, table, np.zeros(size), unknown, iterations)
        fit_voxels(data, offsets, shift[part], repeated(start, len(data)), *model, *outputs)
        # A pool at a bound may be a local optimum: of lines that began too narrow. Wider ones decide.
        held = np.flatnonzero(fit.at_bound[part].any(axis=1))
        second = [np.empty_like(each[held]) for each in outputs]
        fit_voxels(data[held], offsets, shift[part][held], repeated(second_start, len(held)), *model, *second)
        better = (
            second[FILLED.index("residual_sum")]
            < fit.residual_sum[part][held] - RELATIVE_GAIN * fit.signal_sum[part][held]
        )
        for each, other in zip(outputs, second, strict=True):
            each[held[better]] = other[better]

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    return fit


def repeated(start: NDArray[np.float64], voxels: int) -> NDArray[np.float64]:
    """Return a start as that of every voxel, shape (V, n)."""
    return np.repeat(start[None], voxels, axis=0)


def broad_lines(pools: Mapping[str, LorentzianPool]) -> NDArray[np.bool_]:
    """Return whether the line of each pool is super-Lorentzian, shape (P,)."""
    return np.array([pool.line is Lineshape.SUPER_LORENTZIAN for pool in pools.values()], dtype=np.bool_)


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def evaluate(
    offsets: NDArray,
    z: NDArray,
    weight: NDArray,
    parameters: NDArray,
    broad: NDArray,
    table: NDArray,
    jacobian: NDArray,
    residual: NDArray,
) -> float:
    """Write Jacobian and residual of the model, return the sum of squares of the residual.

    Parameters
    ----------
    offsets, z
        Offsets [ppm] and Z, shape (N,).
    weight
        One where the offset counts, zero where not, shape (N,).
    parameters
        Baseline, then amplitude, width [ppm] and position [ppm] of each pool, shape (1 + 3P,).
    broad
        Whether the line of a pool is super-Lorentzian, shape (P,).
    table
        That line (`lines.super_lorentzian_table`), shape (T, 2).
    jacobian
        Derivatives of the model, to be filled, with respect to the logarithm of the widths, shape (1 + 3P, N).
    residual
        z - model, to be filled, shape (N,).
    """
    number = offsets.size
    for j in range(number):
        jacobian[0, j] = weight[j]
        residual[j] = z[j] - parameters[0]
    for k in range(1, parameters.size, 3):
        amplitude, width, position = parameters[k], parameters[k + 1], parameters[k + 2]
        if broad[k // 3]:
            for j in range(number):
                signed = (offsets[j] - position) / width
                line, slope = from_table(table, abs(signed))
                residual[j] += amplitude * line
                jacobian[k, j] = -weight[j] * line
                jacobian[k + 1, j] = weight[j] * amplitude * abs(signed) * slope
                jacobian[k + 2, j] = weight[j] * amplitude * slope * math.copysign(1.0, signed) / width
            continue
        square = 0.25 * width * width
        by_position = 2.0 * amplitude / square
        for j in range(number):
            distance = offsets[j] - position
            line = square / (square + distance * distance)
            residual[j] += amplitude * line
            jacobian[k, j] = -weight[j] * line
            jacobian[k + 1, j] = -weight[j] * 2.0 * amplitude * line * (1.0 - line)
            jacobian[k + 2, j] = -weight[j] * by_position * distance * line * line
    total = 0.0
    for j in range(number):
        residual[j] *= weight[j]
        total += residual[j] * residual[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def normal_equations(jacobian: NDArray, residual: NDArray, information: NDArray, descent: NDArray) -> None:
    """Write JᵀJ (lower triangle) and Jᵀr."""
    number = residual.size
    for a in range(jacobian.shape[0]):
        total = 0.0
        for j in range(number):
            total += jacobian[a, j] * residual[j]
        descent[a] = total
        for b in range(a + 1):
            total = 0.0
            for j in range(number):
                total += jacobian[a, j] * jacobian[b, j]
            information[a, b] = total


@njit(nogil=True, cache=True, error_model="numpy")
def add_known(
    point: NDArray, centre: NDArray, precision: NDArray, information: NDArray, descent: NDArray, write: bool
) -> float:
    """Return the weighted square of the distance from what is known; add it to information and descent if asked for."""
    total = 0.0
    for k in range(point.size):
        if precision[k] > 0.0:
            away = (math.log(point[k]) if k % 3 == 2 else point[k]) - centre[k]
            total += precision[k] * away * away
            if write:
                information[k, k] += precision[k]
                descent[k] -= precision[k] * away
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def fit_voxels(
    z: NDArray,
    offsets: NDArray,
    shift: NDArray,
    start: NDArray,
    lower: NDArray,
    upper: NDArray,
    broad: NDArray,
    table: NDArray,
    centre: NDArray,
    precision: NDArray,
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
        Z-spectra, shape (V, N). An offset with NaN is left out.
    offsets
        Offsets [ppm], shape (N,).
    shift
        Shift of water, taken off the offsets [ppm], shape (V,).
    start, lower, upper
        Start of every voxel, shape (V, n), and box, shape (n,), n = 1 + 3P.
    broad, table
        Which pools have the super-Lorentzian line, shape (P,), and that line, shape (T, 2).
    centre, precision
        What is known beforehand of logarithms of widths and of positions: where they lie, shape (n,), and the inverse variance for
        unit noise, shape (V, n). It adds to the sum of squares that is made least, and to the information; one with such knowledge
        that a bound holds counts as unknown in the covariance, without it as known. Zero: nothing is known.
    iterations
        Most evaluations after the first.
    parameters, covariance, residual_sum, active, converged
        Fields of `LorentzianFit`, to be filled: shapes (V, n), (V, n, n), (V,), (V, n), (V,). NaN and not converged where no more
        offsets are finite than parameters free.
    """
    number, size = offsets.size, lower.size
    x, y, weight = np.empty(number), np.empty(number), np.empty(number)
    old_j, old_r = np.empty((size, number)), np.empty(number)
    new_j, new_r = np.empty((size, number)), np.empty(number)
    information, factor = np.empty((size, size)), np.empty((size, size))
    descent, scale, step = np.empty(size), np.empty(size), np.empty(size)
    point, new_point = np.empty(size), np.empty(size)
    free, held = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.bool_)
    for voxel in range(z.shape[0]):
        used, needed = 0, 0
        for k in range(size):
            needed += upper[k] > lower[k]
        energy = 0.0
        for j in range(number):
            x[j] = offsets[j] - shift[voxel]
            y[j], weight[j] = 0.0, 0.0
            if np.isfinite(z[voxel, j]):
                y[j], weight[j] = z[voxel, j], 1.0
                energy += y[j] * y[j]
                used += 1
        if used <= needed or not np.isfinite(shift[voxel]) or not energy > 0.0:
            parameters[voxel] = np.nan
            covariance[voxel] = np.nan
            residual_sum[voxel] = np.nan
            active[voxel] = False
            converged[voxel] = False
            continue
        point[:] = start[voxel]
        cost = evaluate(x, y, weight, point, broad, table, old_j, old_r)
        normal_equations(old_j, old_r, information, descent)
        cost += add_known(point, centre, precision[voxel], information, descent, True)
        damping, growth = 1e-2, 2.0
        settled = False
        for _ in range(iterations):
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
            for a in range(count):
                gain += step[a] * (descent[free[a]] + damping * scale[a] * scale[a] * step[a])
            new_point[:] = point
            for a in range(count):
                k = free[a]
                growing = math.exp(min(max(step[a], -LARGEST_STEP), LARGEST_STEP))
                moved = point[k] * growing if k % 3 == 2 else point[k] + step[a]
                new_point[k] = min(max(moved, lower[k]), upper[k])
            limit = max(STEP_TO_STDEV * STEP_TO_STDEV * cost / max(used - count, 1), RELATIVE_GAIN * energy)
            small = gain < limit
            if small and damping > SMALL_DAMPING and factorise(information, free, count, 0.0, factor, scale):
                # Only an undamped step tells how far the optimum is.
                for a in range(count):
                    step[a] = descent[free[a]]
                solve_factored(factor, scale, count, step)
                undamped_gain = 0.0
                for a in range(count):
                    undamped_gain += step[a] * descent[free[a]]
                small = undamped_gain < limit
            new_cost = evaluate(x, y, weight, new_point, broad, table, new_j, new_r)
            new_cost += add_known(new_point, centre, precision[voxel], information, descent, False)
            if small:
                if new_cost <= cost:
                    point[:] = new_point
                    cost = new_cost
                    normal_equations(new_j, new_r, information, descent)
                    add_known(point, centre, precision[voxel], information, descent, True)
                settled = True
                break
            if new_cost <= cost:
                ratio = (cost - new_cost) / max(gain, 1e-300)
                point[:] = new_point
                cost = new_cost
                old_j, new_j = new_j, old_j
                old_r, new_r = new_r, old_r
                normal_equations(old_j, old_r, information, descent)
                add_known(point, centre, precision[voxel], information, descent, True)
                # Nielsen's rule (IMM-REP-1999-05): damping follows how well the quadratic model predicted.
                damping *= max(0.1, 1.0 - (2.0 * ratio - 1.0) ** 3)
                growth = 2.0
            else:
                damping *= growth
                growth *= 2.0
            if damping > LARGEST_DAMPING:
                break
        count = find_free(point, lower, upper, information, descent, free, held)
        active[voxel] = held
        count = 0
        for k in range(size):
            if upper[k] > lower[k] and (not held[k] or precision[voxel, k] > 0.0):
                free[count] = k
                count += 1
        regular = write_covariance(information, free, count, factor, scale, step, covariance[voxel])
        for k in range(2, size, 3):
            for a in range(size):
                covariance[voxel, k, a] *= point[k]
                covariance[voxel, a, k] *= point[k]
        parameters[voxel] = point
        residual_sum[voxel] = cost - add_known(point, centre, precision[voxel], information, descent, False)
        converged[voxel] = settled and regular
