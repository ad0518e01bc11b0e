"""What tissue and fluid of a voxel are, as images of other contrast need them: both ways to explain it.

The mean of the maps of two models is not what either says of an image: half a chance of fluid is an image half way between two, not
that of times half way between tissue and fluid. Here every voxel near fluid keeps both: tissue alone, and tissue with fluid of the
scan's own times. Where fluid is nearly all, its voxel tells neither its T1 nor the times of what tissue it holds; its two
amplitudes it does tell, with T1 and T2 of fluid from all of its voxels together and those of tissue known to spread as in the scan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import PAIRS
from qmri_bids.estimation.bssfp.fluid.times import FluidTimes
from qmri_bids.estimation.bssfp.joint import ROWS
from qmri_bids.physics.bssfp import amplitude, natural_coordinates, profile
from qmri_bids.physics.protocol import BssfpProtocol

Values = NDArray[Any]

FEWEST_TISSUE = 300
"""Voxels far from fluid from which the spread of tissue is that of the scan."""

USUAL_SPREAD = 0.3
"""Relative standard deviation of T1 and of T2 of tissue where the scan does not tell it."""

WIDENED = 1.5
"""Times the spread of tissue far from fluid, within which that beside fluid is looked for: lesions lie there, too."""

STEP, LARGEST_STEP, STEPS = 1e-5, 0.5, 12
"""Step of numerical derivatives, the largest of a logarithm of a time or of θ [rad], and the number of steps."""

LEAST_GAIN = 0.01
"""Twice the gain in log probability that a last step promised."""

ROUNDS = 3
"""Times the phase of a voxel is taken from what was found before."""


@dataclass(frozen=True, kw_only=True)
class UsualTissue:
    """T1 and T2 of tissue far from fluid, as logarithms [log s].

    Parameters
    ----------
    logs
        Median, shape (2,).
    covariance
        Spread over the voxels, their noise included, shape (2, 2).
    """

    logs: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, t1: Values, t2: Values, *, otherwise: tuple[float, float]) -> UsualTissue:
        """Return that of voxels of tissue [s], shape (V,); about `otherwise` where there are few."""
        logs = np.log(np.stack([t1, t2]))
        logs = logs[:, np.isfinite(logs).all(axis=0)]
        if logs.shape[1] < FEWEST_TISSUE:
            middle = np.median(logs, axis=1) if logs.shape[1] else np.log(otherwise)
            return cls(logs=middle, covariance=np.eye(2) * USUAL_SPREAD**2)
        middle = np.median(logs, axis=1)
        away = np.abs(logs - middle[:, None])
        width = 1.4826 * np.median(away, axis=1, keepdims=True)
        kept = (away <= 3.0 * width).all(axis=0)
        return cls(logs=middle, covariance=WIDENED**2 * np.cov(logs[:, kept]))


@dataclass(kw_only=True)
class Explanation:
    """T1 [s], T2 [s], M0 and the M0 of fluid in it, shape (4, V), with the covariance of their errors, shape (4, 4, V)."""

    values: Values
    covariance: Values

    def of_voxels(self, where: Values) -> Explanation:
        """Return that of some voxels."""
        return Explanation(values=self.values[:, where], covariance=self.covariance[..., where])

    def arrays(self) -> dict[str, Values]:
        """Return values, standard deviations and correlations by name."""
        stdev = np.sqrt(np.maximum(np.stack([self.covariance[row, row] for row in range(4)]), 0.0))
        found = dict(zip(ROWS, self.values, strict=True))
        found |= {f"{name}_stdev": stdev[row] for row, name in enumerate(ROWS)}
        for pair in PAIRS:
            one, two = (ROWS.index(name) for name in pair)
            size = stdev[one] * stdev[two]
            with np.errstate(all="ignore"):
                found["_".join(pair)] = np.where(size > 0.0, np.clip(self.covariance[one, two] / size, -1.0, 1.0), 0.0)
        return found


def tissue_and_fluid(
    cycles: NDArray[np.complexfloating],
    *,
    theta: Values,
    times: FluidTimes,
    tissue: UsualTissue,
    b1: Values,
    b1_stdev: Values | None,
    noise: Values,
    protocol: BssfpProtocol,
) -> tuple[Explanation, Values]:
    """Return voxels as tissue with fluid of known times, and what that leaves of the signal, shape (V,).

    Unknown are T1 and T2 of tissue, θ, and both amplitudes, which have one phase. T1 and T2 are known, too, to spread as in the
    rest of the scan: where there is little tissue, its own signal does not tell them. Maximum a posteriori by damped Gauss-Newton
    steps; the covariance holds noise, that spread, the times of fluid, and B1.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    theta
        θ at which it begins [rad], shape (V,).
    times, tissue
        Fluid and tissue.
    b1, b1_stdev
        Actual over nominal flip angle with its standard deviation, if that is known, shape (V,).
    noise
        Variance of the noise in real and imaginary part, shape (V,).
    protocol
        The acquisition.
    """
    fluid = np.log([times.t1, times.t2])
    precision = np.linalg.inv(tissue.covariance)
    start = np.stack([*(np.full(len(b1), log) for log in tissue.logs), np.array(theta, dtype=np.float64)])

    def model(rows: Values, point: Values) -> tuple[Values, Values, Values]:
        """Return amplitudes (2, V), the signal (V, N), and columns of real and imaginary parts by all unknowns (V, 2N, 6)."""
        shapes = _shapes(point, fluid, b1=b1[rows], protocol=protocol)
        both, phase = _amplitudes(shapes, cycles[rows])
        turn = phase[:, None]
        slopes = []
        for row in range(3):
            step = np.zeros((3, 1))
            step[row] = STEP
            up, down = (_shapes(point + sign * step, fluid, b1=b1[rows], protocol=protocol) for sign in (1, -1))
            change = [(high - low) / (2.0 * STEP) for high, low in zip(up, down, strict=True)]
            slopes.append((both[0][:, None] * change[0] + both[1][:, None] * change[1]) * turn)
        signal = (both[0][:, None] * shapes[0] + both[1][:, None] * shapes[1]) * turn
        columns = np.stack([*slopes, shapes[0] * turn, shapes[1] * turn, 1j * signal], axis=-1)
        return both, signal, np.concatenate([columns.real, columns.imag], axis=1)

    def cost(rows: Values, signal: Values, point: Values) -> Values:
        away = point[:2] - tissue.logs[:, None]
        of_data: Values = np.sum(np.abs(cycles[rows] - signal) ** 2, axis=1) / noise[rows]
        return of_data + np.einsum("iv,ij,jv->v", away, precision, away)

    def informed(rows: Values, columns: Values) -> Values:
        matrix = np.swapaxes(columns, 1, 2) @ columns / noise[rows][:, None, None]
        matrix[:, :2, :2] += precision
        return matrix

    every = np.arange(len(b1))
    point, damping, going = start, np.full(len(b1), 1e-2), every
    both, signal, columns = model(every, point)
    least = cost(every, signal, point)
    for _ in range(STEPS):
        left = cycles[going] - signal[going]
        stacked = np.concatenate([left.real, left.imag], axis=1)
        slope = np.einsum("vni,vn->vi", columns[going], stacked) / noise[going][:, None]
        slope[:, :2] -= (precision @ (point[:2, going] - tissue.logs[:, None])).T
        matrix = informed(going, columns[going])
        damped = matrix + (damping[going][:, None] * np.einsum("vii->vi", matrix))[:, :, None] * np.eye(6)
        step = np.linalg.solve(damped, slope[..., None])[..., 0]
        moved = point[:, going] + np.clip(step[:, :3].T, -LARGEST_STEP, LARGEST_STEP)
        new = model(going, moved)
        new_cost = cost(going, new[1], moved)
        better = new_cost < least[going]
        rows = going[better]
        point[:, rows], least[rows], both[:, rows] = moved[:, better], new_cost[better], new[0][:, better]
        signal[rows], columns[rows] = new[1][better], new[2][better]
        damping[going] = np.where(better, 0.1 * damping[going], 10.0 * damping[going] + 1e-3)
        # What a step would still gain is far less than noise.
        going = going[np.einsum("vi,vi->v", step, slope) > LEAST_GAIN]
        if not len(going):
            break
    inverse = np.linalg.inv(informed(every, columns))

    def maps(point: Values, both: Values) -> Values:
        return np.stack([*np.exp(point[:2]), both[0] + both[1], both[1]])

    values = maps(point, both)
    into = np.zeros((len(b1), 4, 6))
    into[:, 0, 0], into[:, 1, 1] = values[:2]
    into[:, 2, 3] = into[:, 2, 4] = into[:, 3, 4] = 1.0
    covariance = into @ inverse @ np.swapaxes(into, 1, 2)
    # The times of fluid, and B1, move the signal, and by it all unknowns.
    ends: list[tuple[Values, Values]] = []
    sizes, directions = np.linalg.eigh(times.covariance)
    for size, direction in zip(sizes, directions.T, strict=True):
        ends.append((math.sqrt(max(float(size), 0.0)) * direction, np.zeros(1)))
    if b1_stdev is not None:
        ends.append((np.zeros(2), np.asarray(b1_stdev, dtype=np.float64)))
    phase = np.sum(signal, axis=1)
    for of_fluid, off in ends:
        shifted = []
        for sign in (1, -1):
            shapes = _shapes(point, fluid + sign * of_fluid, b1=b1 + sign * off, protocol=protocol)
            shifted.append(both[0][:, None] * shapes[0] + both[1][:, None] * shapes[1])
        own = _shapes(point, fluid, b1=b1, protocol=protocol)
        still = both[0][:, None] * own[0] + both[1][:, None] * own[1]
        turn = phase / np.sum(still, axis=1)
        change = 0.5 * (shifted[0] - shifted[1]) * (turn / np.abs(turn))[:, None]
        pull = np.einsum("vni,vn->vi", columns, np.concatenate([change.real, change.imag], axis=1)) / noise[:, None]
        moved = -(into @ (inverse @ pull[..., None]))
        covariance = covariance + moved @ np.swapaxes(moved, 1, 2)
    found = Explanation(values=values, covariance=np.moveaxis(covariance, 0, -1))
    return found, np.sum(np.abs(cycles - signal) ** 2, axis=1)


def _shapes(point: Values, fluid: Values, *, b1: Values, protocol: BssfpProtocol) -> tuple[Values, Values]:
    """Return the signals of tissue and of fluid of M0 = 1 without the phase of the voxel, shape (V, N) each."""
    found = []
    for t1, t2 in (np.exp(point[:2]), np.exp(fluid)[:, None] * np.ones(len(b1))):
        e2, b = natural_coordinates(t1, t2, b1=b1, protocol=protocol)
        size = amplitude_of_one(t1, t2, b1=b1, protocol=protocol)
        found.append(size[:, None] * profile(e2, b, point[2], rf_phase_increment=protocol.rf_phase_increment))
    return found[0], found[1]


def _amplitudes(shapes: tuple[Values, Values], cycles: Values) -> tuple[Values, Values]:
    """Return the real amplitudes of two signals that fit best, shape (2, V), and the phase that they have in common, e^{iφ}."""
    whole = shapes[0] + shapes[1]
    parts = np.stack([np.concatenate([each.real, each.imag], axis=1) for each in shapes], axis=-1)
    inverse = np.linalg.inv(np.einsum("vni,vnj->vij", parts, parts))
    found, phase = np.zeros((len(cycles), 2)), np.ones(len(cycles), dtype=np.complex128)
    for _ in range(ROUNDS):
        phase = np.sum(whole.conj() * cycles, axis=1)
        phase = phase / np.abs(phase)
        turned = cycles * phase.conj()[:, None]
        data = np.concatenate([turned.real, turned.imag], axis=1)
        found = np.einsum("vij,vj->vi", inverse, np.einsum("vni,vn->vi", parts, data))
        whole = found[:, :1] * shapes[0] + found[:, 1:] * shapes[1]
    return found.T, phase


def amplitude_of_one(t1: Values | float, t2: Values | float, *, b1: Values, protocol: BssfpProtocol) -> NDArray:
    """Return the amplitude that multiplies the profile where M0 is 1, shape (V,)."""
    t1, t2 = (np.broadcast_to(np.asarray(each, dtype=np.float64), b1.shape) for each in (t1, t2))
    return np.abs(amplitude(t1, t2, b1=b1, off_resonance=np.zeros(b1.shape), protocol=protocol))
