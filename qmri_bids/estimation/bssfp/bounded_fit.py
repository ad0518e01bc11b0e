"""Maximum likelihood within bounds on T1 and T2.

A voxel whose unconstrained optimum lies within the bounds keeps it. For any other the likelihood is maximised over the box with
off-resonance and complex amplitude free: at an edge, with the other time free along it, at a corner, or, where the likelihood has
a second mode, in the interior. That is not the unconstrained optimum clamped coordinate by coordinate, because the errors of T1 and
T2 are correlated: to bring T1 to its bound moves the best T2 too.

The likelihood may have several modes along θ and, for few cycles, in (T1, T2). A coarse scan of the box finds the slopes that lead
to them; from each local maximum of the scan, and from the clamped unconstrained optimum, a Levenberg-Marquardt iteration with an
active set (Bertsekas, SIAM J Control Optim 20:221, 1982) climbs to a stationary point of the box, and the best one is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bssfp.profile_fit import BLOCK, NaturalFit
from qmri_bids.estimation.bssfp.profile_kernels import gram, normal_equations, profile_covariance, solve_normal
from qmri_bids.physics.bssfp import natural_coordinates, relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.system.blocks import run_blocks

NODES = 9
"""Values of log T1 and of log T2 in the scan, the edges included."""

ANGLES = 32
"""Values of θ in the scan. At four cycles and SNR 5 one voxel of 3000 misses its best mode, with half as many one of 1000."""

ITERATIONS = 100
"""Most steps from each start."""

SMALLEST_GAIN = 1e-13
"""Settled when a step promises less than this fraction of the power of the signal: 1e-15 is rounding."""

LARGEST_STEP = 1.0
"""Largest step of log T1, log T2 and θ [rad]."""

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@dataclass(frozen=True, kw_only=True)
class RelaxationBounds:
    """The box in which the likelihood is maximised.

    Parameters
    ----------
    t1, t2
        Lowest and highest relaxation time [s].

    Raises
    ------
    ValueError
        If a range is empty, of zero width, or not positive and finite.
    """

    t1: tuple[float, float]
    t2: tuple[float, float]

    def __post_init__(self) -> None:
        for name, bounds in (("t1", self.t1), ("t2", self.t2)):
            if len(bounds) != 2 or not 0.0 < bounds[0] < bounds[1] < math.inf:
                raise ValueError(
                    f"bounds of {name} must be (low, high) in seconds with 0 < low < high < inf, found {bounds}; "
                    "to fix a relaxation time is not supported"
                )


@dataclass(frozen=True, kw_only=True)
class BoundedFit:
    """A fit within bounds.

    Parameters
    ----------
    fit
        Fit of V voxels: the constrained optimum where the unconstrained one lies outside the bounds, every other voxel as it was.
    at_bound
        Whether the optimum lies on the edge of the bounds, shape (V,). There the covariance is NaN: the likelihood has no
        stationary point to expand it about.
    """

    fit: NaturalFit
    at_bound: NDArray[np.bool_]


def bounded_fit(
    fit: NaturalFit,
    cycles: NDArray[np.complexfloating],
    *,
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    bounds: RelaxationBounds,
    threads: int = 1,
) -> BoundedFit:
    """Return the maximum of the likelihood within bounds.

    Parameters
    ----------
    fit
        The unconstrained fit of `cycles`, V voxels.
    cycles
        Complex signal, shape (V, N).
    b1
        Actual over nominal flip angle, shape (V,). Voxels whose flip angle is not in (0, π) are left as they are.
    protocol
        The acquisition.
    bounds
        The box.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    BoundedFit
        A voxel that was moved is `converged` where the iteration within the box has settled.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    voxels, number = len(fit.e2), protocol.number_of_cycles
    if cycles.shape != (voxels, number) or b1.shape != (voxels,):
        raise ValueError(
            f"cycles must have shape ({voxels}, {number}) and b1 ({voxels},), as the fit and the protocol have, "
            f"found {cycles.shape} and {b1.shape}"
        )
    moved, points = _outside(fit, b1=b1, protocol=protocol, bounds=bounds)
    angle_cosine = np.cos(np.asarray(b1[moved], dtype=np.float64) * protocol.flip_angle)
    increments = np.asarray(protocol.rf_phase_increment, dtype=np.float64)
    box = np.log(np.array([*bounds.t1, *bounds.t2]))
    amplitude, covariance = np.empty(len(moved), dtype=np.complex128), np.empty((len(moved), 4, 4))
    residual_sum, settled = np.empty(len(moved)), np.empty(len(moved), dtype=np.bool_)

    def fill(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        _bounded_voxels(
            np.ascontiguousarray(cycles[moved[part]]),
            np.cos(increments),
            np.sin(increments),
            angle_cosine[part],
            protocol.repetition_time,
            box,
            points[part],
            amplitude[part],
            covariance[part],
            residual_sum[part],
            settled[part],
        )

    run_blocks(fill, len(moved), block=BLOCK, threads=threads)
    e2, b = natural_coordinates(np.exp(points[:, 0]), np.exp(points[:, 1]), b1=b1[moved], protocol=protocol)
    changed = {
        "e2": e2,
        "b": b,
        "theta": points[:, 2],
        "amplitude": amplitude,
        "covariance": covariance,
        "residual_sum": residual_sum,
        "converged": settled,
    }
    merged = {}
    for name, values in changed.items():
        merged[name] = getattr(fit, name).copy()
        merged[name][moved] = values
    at_bound = np.zeros(voxels, dtype=np.bool_)
    at_bound[moved] = ((points[:, :2] <= box[::2]) | (points[:, :2] >= box[1::2])).any(axis=1)
    return BoundedFit(fit=replace(fit, **merged), at_bound=at_bound)


def _outside(
    fit: NaturalFit, *, b1: NDArray[np.floating], protocol: BssfpProtocol, bounds: RelaxationBounds
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the voxels with an optimum outside the bounds, and (log T1, log T2, θ) of the nearest point inside."""
    with np.errstate(all="ignore"):
        t1, t2 = relaxation_times(fit.e2, fit.b, b1=b1, protocol=protocol)
        inside = (t1 >= bounds.t1[0]) & (t1 <= bounds.t1[1]) & (t2 >= bounds.t2[0]) & (t2 <= bounds.t2[1])
        angle = b1 * protocol.flip_angle
        usable = np.isfinite(fit.e2) & (angle > 0.0) & (angle < math.pi)
    moved = np.flatnonzero(usable & ~inside)
    # A profile that no T1 gives starts at the longest: one start of several.
    nearest1 = np.clip(np.where(np.isnan(t1[moved]), bounds.t1[1], t1[moved]), *bounds.t1)
    nearest2 = np.clip(np.where(np.isnan(t2[moved]), bounds.t2[1], t2[moved]), *bounds.t2)
    return moved, np.stack([np.log(nearest1), np.log(nearest2), fit.theta[moved]], axis=1)


@njit(nogil=True, cache=True, error_model="numpy")
def _shape_and_slopes(
    log_t1: float, log_t2: float, cosine: float, repetition_time: float
) -> tuple[float, float, float, float, float]:
    """Return E2, b and dE2/dlog T2, db/dlog T1, db/dlog T2."""
    rate1 = repetition_time * math.exp(-log_t1)
    rate2 = repetition_time * math.exp(-log_t2)
    e1, e2 = math.exp(-rate1), math.exp(-rate2)
    lost = -math.expm1(-rate1)
    p = 1.0 - e1 * cosine - e2 * e2 * (e1 - cosine)
    q = e2 * lost * (1.0 + cosine)
    by_e1 = (-e2 * (1.0 + cosine) * p + q * (cosine + e2 * e2)) / (p * p)
    by_e2 = (lost * (1.0 + cosine) * p + 2.0 * q * e2 * (e1 - cosine)) / (p * p)
    slope = e2 * rate2
    return e2, q / p, slope, by_e1 * e1 * rate1, by_e2 * slope


@njit(nogil=True, cache=True, error_model="numpy")
def _climb(
    real: NDArray,
    imag: NDArray,
    cosine: NDArray,
    sine: NDArray,
    flip_cosine: float,
    repetition_time: float,
    box: NDArray,
    point: NDArray,
) -> tuple[float, bool]:
    """Move (log T1, log T2, θ) to a maximum of the explained power within the box; return that power and whether it settled."""
    x, y, theta = point[0], point[1], point[2]
    e2, b, j, kx, ky = _shape_and_slopes(x, y, flip_cosine, repetition_time)
    equations = normal_equations(gram(real, imag, cosine, sine, e2, b, math.cos(theta), math.sin(theta)))
    damping = 1e-3
    settled = False
    for _ in range(ITERATIONS):
        _, _, _, ree, reb, ret, rbb, rbt, rtt, de, db, dt = equations
        gx, gy = db * kx, de * j + db * ky
        xx, xy, xt = rbb * kx * kx, kx * (reb * j + rbb * ky), rbt * kx
        yy, yt = ree * j * j + 2.0 * reb * j * ky + rbb * ky * ky, ret * j + rbt * ky
        # A coordinate at its edge that the likelihood pushes outwards is held.
        if (x <= box[0] and gx <= 0.0) or (x >= box[1] and gx >= 0.0):
            xx, xy, xt, gx = 1.0, 0.0, 0.0, 0.0
        if (y <= box[2] and gy <= 0.0) or (y >= box[3] and gy >= 0.0):
            yy, xy, yt, gy = 1.0, 0.0, 0.0, 0.0
        raised = 1.0 + damping
        dx, dy, turn, regular = solve_normal(xx * raised, xy, xt, yy * raised, yt, rtt * raised, gx, gy, dt)
        if not regular:
            if damping > 1e8:
                break
            damping = 10.0 * damping + 1e-3
            continue
        longest = max(abs(dx), abs(dy), abs(turn))
        if longest > LARGEST_STEP:
            dx, dy, turn = dx * LARGEST_STEP / longest, dy * LARGEST_STEP / longest, turn * LARGEST_STEP / longest
        new_x = min(max(x + dx, box[0]), box[1])
        new_y = min(max(y + dy, box[2]), box[3])
        new_theta = theta + turn
        promised = gx * dx + gy * dy + dt * turn
        e2, b, new_j, new_kx, new_ky = _shape_and_slopes(new_x, new_y, flip_cosine, repetition_time)
        new_equations = normal_equations(
            gram(real, imag, cosine, sine, e2, b, math.cos(new_theta), math.sin(new_theta))
        )
        gained = new_equations[2] - equations[2]
        # 1e-15: rounding of a sum that is 1; without it a step at the optimum is refused for ever.
        if gained >= -1e-15:
            x, y, theta, equations = new_x, new_y, new_theta, new_equations
            j, kx, ky = new_j, new_kx, new_ky
            if promised < SMALLEST_GAIN and damping <= 1.0:
                settled = True
                break
            # Nielsen's rule: large residuals make the Gauss-Newton step too long, and it must be kept from swinging about the top.
            surplus = 2.0 * min(gained / max(promised, SMALLEST_GAIN), 1.0) - 1.0
            damping = max(damping * max(0.1, 1.0 - surplus**3), 1e-6)
        else:
            damping = max(8.0 * damping, 1e-2)
            if damping > 1e12:
                break
    point[0], point[1], point[2] = x, y, theta
    return equations[2], settled


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def _scan(
    real: NDArray,
    imag: NDArray,
    cosine: NDArray,
    sine: NDArray,
    flip_cosine: float,
    repetition_time: float,
    box: NDArray,
    turns: NDArray,
    gain: NDArray,
) -> None:
    """Write the explained power |h_0|²/G_00 at every node of the box and angle, shape (NODES, NODES, ANGLES)."""
    step1, step2 = (box[1] - box[0]) / (NODES - 1), (box[3] - box[2]) / (NODES - 1)
    for i in range(NODES):
        for k in range(NODES):
            e2, b, _, _, _ = _shape_and_slopes(box[0] + i * step1, box[2] + k * step2, flip_cosine, repetition_time)
            for m in range(ANGLES):
                c, s = turns[m, 0], turns[m, 1]
                norm = h_real = h_imag = 0.0
                for n in range(real.size):
                    cos_psi = c * cosine[n] + s * sine[n]
                    sin_psi = s * cosine[n] - c * sine[n]
                    inverse = 1.0 / (1.0 - b * cos_psi)
                    fr, fi = (1.0 - e2 * cos_psi) * inverse, e2 * sin_psi * inverse
                    norm += fr * fr + fi * fi
                    h_real += fr * real[n] + fi * imag[n]
                    h_imag += fr * imag[n] - fi * real[n]
                gain[i, k, m] = (h_real * h_real + h_imag * h_imag) / norm


@njit(nogil=True, cache=True, error_model="numpy")
def _is_peak(gain: NDArray, i: int, k: int, m: int) -> bool:
    """Return whether no neighbour of a node explains more; θ is a circle."""
    value = gain[i, k, m]
    for di in range(max(i - 1, 0), min(i + 2, NODES)):
        for dk in range(max(k - 1, 0), min(k + 2, NODES)):
            for dm in range(-1, 2):
                if gain[di, dk, (m + dm) % ANGLES] > value:
                    return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _bounded_voxels(
    cycles: NDArray,
    cosine: NDArray,
    sine: NDArray,
    flip_cosine: NDArray,
    repetition_time: float,
    box: NDArray,
    points: NDArray,
    amplitude: NDArray,
    covariance: NDArray,
    residual_sum: NDArray,
    settled: NDArray,
) -> None:
    """Maximise over the box; `points` (V, 3) holds (log T1, log T2, θ) to start from and is overwritten, the rest is filled."""
    number = cycles.shape[1]
    real, imag = np.empty(number), np.empty(number)
    gain = np.empty((NODES, NODES, ANGLES))
    turns = np.empty((ANGLES, 2))
    for m in range(ANGLES):
        turns[m, 0], turns[m, 1] = math.cos(2.0 * math.pi * m / ANGLES), math.sin(2.0 * math.pi * m / ANGLES)
    step1, step2 = (box[1] - box[0]) / (NODES - 1), (box[3] - box[2]) / (NODES - 1)
    trial = np.empty(3)
    for voxel in range(cycles.shape[0]):
        energy = 0.0
        for n in range(number):
            real[n], imag[n] = cycles[voxel, n].real, cycles[voxel, n].imag
            energy += real[n] * real[n] + imag[n] * imag[n]
        scale = math.sqrt(energy)
        for n in range(number):
            real[n], imag[n] = real[n] / scale, imag[n] / scale
        c = flip_cosine[voxel]
        best = points[voxel]
        explained, settled[voxel] = _climb(real, imag, cosine, sine, c, repetition_time, box, best)
        _scan(real, imag, cosine, sine, c, repetition_time, box, turns, gain)
        for i in range(NODES):
            for k in range(NODES):
                for m in range(ANGLES):
                    if not _is_peak(gain, i, k, m):
                        continue
                    trial[0], trial[1] = box[0] + i * step1, box[2] + k * step2
                    trial[2] = 2.0 * math.pi * m / ANGLES
                    power, done = _climb(real, imag, cosine, sine, c, repetition_time, box, trial)
                    if power > explained + 1e-14:
                        explained, settled[voxel] = power, done
                        best[:] = trial
        best[2] = math.atan2(math.sin(best[2]), math.cos(best[2]))
        e2, b, _, _, _ = _shape_and_slopes(best[0], best[1], c, repetition_time)
        sums = gram(real, imag, cosine, sine, e2, b, math.cos(best[2]), math.sin(best[2]))
        equations = normal_equations(sums)
        amplitude[voxel] = complex(equations[0], equations[1]) * scale
        residual_sum[voxel] = max(1.0 - equations[2], 0.0) * energy
        if best[0] <= box[0] or best[0] >= box[1] or best[1] <= box[2] or best[1] >= box[3]:
            covariance[voxel] = np.nan
        else:
            settled[voxel] &= profile_covariance(equations, sums, covariance[voxel])
            covariance[voxel] /= energy
