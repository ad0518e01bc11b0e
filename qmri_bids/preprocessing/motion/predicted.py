"""Rigid alignment of phase cycles against what the signal model predicts from all of them together.

Every voxel of a still head lies in a space of few dimensions (`ProfileModel`). What leaves it, beyond noise, is motion: the
residual of a voxel changes with the motion of cycle j by the image gradient of that cycle, projected out of the space. All
motions are solved for together, with the parameters of the voxels eliminated (variable projection). A reference predicted for
each cycle by the others, one after the other, is the same with the coupling left out: it leaves all cycles off together.

The gradients are those of the predicted images: projected onto the space, they hold little noise. A voxel that the model does
not describe (a field that spreads within it, flow) has a large residual and no weight. The phase of the receive coils rests with
the scanner, and its frequency drifts: for every cycle a constant and a linear phase and a change of θ are found along with the
motion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import configuration_amplitudes
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.motion.evidence import halves, misalignment
from qmri_bids.preprocessing.motion.groupwise import small_motion
from qmri_bids.preprocessing.registration.rigid_freedom import freedom_of
from qmri_bids.preprocessing.registration.spline_kernels import sample_spline

_ORDERS = 24
"""Configurations on either side; of fluid, the slowest, 1e-3 is left there."""
_TABLE = 2048
"""Points of the table over a turn; interpolated linearly, exact to 1e-5."""
_T1, _T2, _B1 = np.geomspace(0.5, 5.0, 20), np.geomspace(0.04, 2.5, 20), np.linspace(0.7, 1.3, 4)
"""What the inside of a head holds [s], and B1; wider ranges would spend components on what does not occur."""
_LARGEST_RATIO = 0.6
"""Largest T2 over T1 of the signals from which the space is made."""
_LARGEST_STEP = 0.5
"""Largest change of α and θ in one iteration [rad]."""


@dataclass(frozen=True, kw_only=True)
class ProfileFit:
    """Voxels against the model.

    Parameters
    ----------
    residual
        What the model leaves, shape (V, 2N): real parts of all cycles, then imaginary parts.
    tangent
        Orthonormal basis of what a change of the parameters of the model does, shape (V, 2N, components + 2).
    by_theta
        What a change of θ does to the signal, parts as of `residual`, shape (V, 2N).
    angles
        α and θ [rad], shape (2, V): where a next fit of similar data may start.
    """

    residual: NDArray[np.float32]
    tangent: NDArray[np.float32]
    by_theta: NDArray[np.float32]
    angles: NDArray[np.float64]


class ProfileModel:
    """The space of profiles of a protocol.

    Parameters
    ----------
    protocol
        Evenly spaced increments; at least 4.
    components
        Dimension of the space.

    Raises
    ------
    ValueError
        If the increments are not evenly spaced, or too few to leave a residual.
    """

    def __init__(self, protocol: BssfpProtocol, *, components: int) -> None:
        if not protocol.is_evenly_spaced:
            raise ValueError("the model of profiles needs evenly spaced phase increments")
        if 2 * protocol.number_of_cycles <= components + 2:
            raise ValueError(
                f"{protocol.number_of_cycles} cycles leave no residual beside {components} components and two angles"
            )
        self.components = components
        self._increments = np.asarray(protocol.rf_phase_increment)
        t1, t2, b1 = (each.ravel() for each in np.meshgrid(_T1, _T2, _B1))
        possible = t2 < _LARGEST_RATIO * t1
        orders = np.arange(-_ORDERS, _ORDERS)
        amplitudes = configuration_amplitudes(
            t1[possible], t2[possible], b1=b1[possible], protocol=protocol, orders=orders.tolist()
        )
        amplitudes /= np.linalg.norm(amplitudes, axis=1, keepdims=True)
        space = np.linalg.svd(amplitudes, full_matrices=False)[2][:components]
        waves = np.exp(1j * np.outer(np.linspace(0.0, 2.0 * np.pi, _TABLE + 1), orders))
        self._table = np.concatenate([waves @ space.T, (1j * orders * waves) @ space.T], axis=1).astype(np.complex64)

    def fit(
        self,
        signal: NDArray[np.complexfloating],
        *,
        angles: NDArray[np.float64] | None = None,
        frequency: NDArray[np.float64] | None = None,
        iterations: int = 6,
    ) -> ProfileFit:
        """Fit voxels by Gauss-Newton steps of the two angles, the coefficients solved for in each.

        Parameters
        ----------
        signal
            Complex cycles, shape (V, N).
        angles
            Angles α and θ at which the steps begin [rad]; from the two lowest configurations by default.
        frequency
            What θ of each cycle has more than that of the reference [rad], the same everywhere, shape (N,); 0 by default.
        iterations
            Number of steps.
        """
        alpha, theta = self._start(signal) if angles is None else angles
        target = _parts(signal)
        for step in range(iterations + 1):
            shapes, changes = self._at(theta, np.zeros(len(self._increments)) if frequency is None else frequency)
            turn = np.exp(1j * alpha).astype(np.complex64)[:, None, None]
            columns, slopes = _parts(shapes * turn), _parts(changes * turn)
            coefficients = _solve(columns, target)
            model = (columns @ coefficients[..., None])[..., 0]
            by_theta = (slopes @ coefficients[..., None])[..., 0]
            tangent = np.concatenate([columns, _times_i(model)[..., None], by_theta[..., None]], axis=2)
            residual = target - model
            if step == iterations:
                break
            change = _solve(tangent, residual)[:, -2:]
            change = np.clip(np.nan_to_num(change), -_LARGEST_STEP, _LARGEST_STEP)
            alpha, theta = alpha + change[:, 0], theta + change[:, 1]
        basis, _ = np.linalg.qr(tangent)
        residual = residual - (basis @ (basis.swapaxes(1, 2) @ residual[..., None]))[..., 0]
        return ProfileFit(residual=residual, tangent=basis, by_theta=by_theta, angles=np.stack([alpha, theta]))

    def _start(self, signal: NDArray[np.complexfloating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # F_0 = a e^{iα} and F_-1 = -b e^{i(α - θ)} with positive a and b.
        zeroth = signal.mean(axis=1)
        before = (signal * np.exp(-1j * self._increments).astype(np.complex64)).mean(axis=1)
        return np.angle(zeroth).astype(float), np.angle(-zeroth * before.conj()).astype(float)

    def _at(
        self, theta: NDArray[np.float64], frequency: NDArray[np.float64]
    ) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Return the components and their derivatives by θ at all increments, shape (V, N, components) each."""
        place = np.mod(theta[:, None] + frequency - self._increments, 2.0 * np.pi) * (_TABLE / (2.0 * np.pi))
        index = np.minimum(place.astype(np.int64), _TABLE - 1)
        part = (place - index).astype(np.float32)[..., None]
        found = self._table[index] * (1.0 - part) + self._table[index + 1] * part
        return found[..., : self.components], found[..., self.components :]


def _parts(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return real parts of all cycles, then imaginary parts, along axis 1."""
    return np.concatenate([values.real, values.imag], axis=1).astype(np.float32)


def _times_i(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    real, imaginary = np.split(parts, 2, axis=1)
    return np.concatenate([-imaginary, real], axis=1)


def _solve(columns: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return least-squares coefficients of voxels; a small ridge keeps columns that vanish harmless."""
    gram = (columns.swapaxes(1, 2) @ columns).astype(np.float64)
    size = gram.shape[1]
    gram += (1e-7 * np.trace(gram, axis1=1, axis2=2) / size + np.finfo(float).tiny)[:, None, None] * np.eye(size)
    right = (columns.swapaxes(1, 2) @ target[..., None]).astype(np.float64)
    return np.linalg.solve(gram, right)[..., 0].astype(np.float32)


FEWEST_CYCLES = 6
"""Fewer leave too little beside the parameters of a voxel."""
SAMPLES = 40_000
"""Voxels that are compared."""
ITERATIONS = 4
"""The second changes what the first has found by hundredths of a millimetre, the third next to nothing."""
SMOOTHING = 0.3
"""Standard deviation of the Gaussian on the cycles [voxels]. More makes noise depend less on the motion, but mixes voxels of
different off-resonance, which no profile of one describes: above the sinuses of a real head (3 mm, 8 cycles, 2 mm and 2°) 0.7
leaves 0.17 mm, along the gradient of the field and alike in cycles of like increment, 0.4 leaves 0.06 and none 0.04 mm."""
_SMALLEST_STEP = 2e-3
"""Translation [mm] below which the iterations end."""
_CUT = 3.0
"""Residual power against its median at which the weight of a voxel is a quarter."""
_RIDGE = 1e-9
"""Added to the unit diagonal of the scaled Hessian, so that it can be inverted where the images leave a motion open."""


def serves(protocol: BssfpProtocol) -> bool:
    """Return whether cycles of a protocol can be aligned on the signal model: enough of them, evenly spaced."""
    return protocol.number_of_cycles >= FEWEST_CYCLES and protocol.is_evenly_spaced


def components_of(number: int) -> int:
    """Return the dimension of the space of profiles for a number of cycles: what leaves enough residual."""
    return 5 if number >= 10 else 4 if number >= 8 else 3


@dataclass(frozen=True, kw_only=True)
class PredictedAlignment:
    """Transforms, and how well the model describes the cycles.

    Parameters
    ----------
    transforms
        Matrices from the position in the reference to that in each cycle, RAS millimetres, shape (N, 4, 4).
    residual
        Median over the voxels of the root mean square of the residual, before and after, in units of the cycles.
    remaining
        How far each cycle still lies from its prediction [mm], root mean square over the samples: what the next step by each of two
        interlocking halves of the head would be (`evidence`), shape (N,).
    """

    transforms: NDArray[np.float64]
    residual: tuple[float, float]
    remaining: NDArray[np.float64]


def align_to_prediction(
    cycles: NDArray[np.complexfloating],
    *,
    affine: NDArray[np.floating],
    start: NDArray[np.floating],
    reference: int,
    samples: NDArray[np.bool_],
    protocol: BssfpProtocol,
    threads: int = 1,
    components: int | None = None,
    iterations: int = ITERATIONS,
) -> PredictedAlignment:
    """Refine the rigid transforms of phase cycles, of one or few slices within their plane.

    Parameters
    ----------
    cycles
        Complex cycles, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    start
        Transforms from the position in the reference to that in each cycle, shape (N, 4, 4), right to half a voxel.
    reference
        Index of the cycle that keeps its transform.
    samples
        Voxels in which cycles are compared, in the space of the reference: the inside of the head, shape (X, Y, Z).
    protocol
        The acquisition; evenly spaced increments.
    threads
        Threads that interpolate; the result does not depend on it.
    components
        Dimension of the space of profiles; `components_of` by default.
    iterations
        Largest number of steps.
    """
    number = cycles.shape[3]
    matrix = np.asarray(affine, dtype=float)
    model = ProfileModel(protocol, components=components_of(number) if components is None else components)
    places = np.flatnonzero(samples)
    if len(places) > SAMPLES:
        # A fixed draw: the same input gives the same result.
        places = np.sort(np.random.default_rng(0).choice(places, SAMPLES, replace=False))
    freedom = freedom_of(cycles.shape[:3], affine=matrix)
    voxels = np.stack(np.unravel_index(places, samples.shape), axis=1).astype(float)
    points = voxels @ matrix[:3, :3].T + matrix[:3, 3]
    centre = points.mean(axis=0)
    arm = points - centre
    long = [axis for axis, size in enumerate(samples.shape) if size > 1]
    scaled = 2.0 * voxels[:, long] / (np.array(samples.shape)[long] - 1.0) - 1.0
    phases = np.concatenate([np.ones((len(voxels), 1)), scaled], axis=1)
    transforms = np.array(start, dtype=float)
    drift = np.zeros((number, phases.shape[1] + 1))
    free = [cycle for cycle in range(number) if cycle != reference]
    angles = None
    power = [np.nan, np.nan]
    everything = np.ones(len(voxels), dtype=bool)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        prepared = list(
            pool.map(partial(_spline, short=freedom.short), (cycles[..., cycle] for cycle in range(number)))
        )

        def steps(parts: Sequence[NDArray[np.bool_]]) -> tuple[list[NDArray[np.float64]], NDArray[np.float64], float]:
            """Return the steps that parts of the samples ask for, the angles of all and their residual."""
            sampled = list(pool.map(_sampler(prepared, points, matrix, transforms), range(number)))
            turn = np.exp(-1j * (phases @ drift[:, :-1].T))
            signal = np.stack([value for value, _ in sampled], axis=1) * turn
            slopes = np.stack([slope for _, slope in sampled], axis=1) * turn[..., None]
            fit = model.fit(
                signal.astype(np.complex64),
                angles=angles,
                frequency=drift[:, -1],
                iterations=8 if angles is None else 2,
            )
            misfit = np.mean(fit.residual.astype(float) ** 2, axis=1)
            typical = float(np.median(misfit))
            weights = (1.0 + (misfit / max(_CUT * typical, np.finfo(float).tiny)) ** 2) ** -2
            found = [
                _step(
                    _part_of(fit, part), signal[part], slopes[part], arm[part], phases[part], weights[part], free,
                    basis=freedom.basis,
                )
                for part in parts
            ]  # fmt: skip
            return found, fit.angles, float(np.sqrt(typical))

        for iteration in range(iterations):
            (step,), angles, residual = steps([everything])
            power = [residual if iteration == 0 else power[0], residual]
            for row, cycle in enumerate(free):
                transforms[cycle] = transforms[cycle] @ small_motion(step[row, :6], centre=centre)
                drift[cycle] += step[row, 6:]
            if np.abs(step[:, :3]).max() < _SMALLEST_STEP:
                break
        apart = np.stack(steps(halves(points))[0])[..., :6]
    remaining = np.zeros(number)
    remaining[free] = misalignment(apart, points=points)
    return PredictedAlignment(
        transforms=transforms,
        residual=(float(power[0]), float(power[1])),
        remaining=remaining,
    )


def _part_of(fit: ProfileFit, part: NDArray[np.bool_]) -> ProfileFit:
    """Return the fit of a part of the voxels."""
    if part.all():
        return fit
    return ProfileFit(
        residual=fit.residual[part],
        tangent=fit.tangent[part],
        by_theta=fit.by_theta[part],
        angles=fit.angles[:, part],
    )


def _spline(
    image: NDArray[np.complexfloating], *, short: tuple[bool, bool, bool]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the image, smoothed along all axes but short ones, as cubic spline coefficients, real and imaginary."""
    from scipy import ndimage

    width = [0.0 if few else SMOOTHING for few in short]
    parts = (np.ascontiguousarray(part, dtype=np.float32) for part in (image.real, image.imag))
    real, imaginary = (
        ndimage.spline_filter(ndimage.gaussian_filter(part, width), order=3, output=np.float32) for part in parts
    )
    return real, imaginary


def _sampler(
    prepared: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    points: NDArray[np.float64],
    affine: NDArray[np.float64],
    transforms: NDArray[np.float64],
) -> Callable[[int], tuple[NDArray[Any], NDArray[Any]]]:
    """Return the function that gives value (V,) and gradient along RAS (V, 3) [1/mm] of a cycle where the reference is."""
    to_voxel = np.linalg.inv(affine)

    def sample(cycle: int) -> tuple[NDArray[Any], NDArray[Any]]:
        (real, by_real, _), (imaginary, by_imaginary, _) = (
            sample_spline(part, points=points, voxel_map=to_voxel @ transforms[cycle]) for part in prepared[cycle]
        )
        return real + 1j * imaginary, by_real + 1j * by_imaginary

    return sample


def _step(
    fit: ProfileFit,
    signal: NDArray[np.complexfloating],
    slopes: NDArray[np.complexfloating],
    arm: NDArray[np.float64],
    phases: NDArray[np.float64],
    weights: NDArray[np.float64],
    free: list[int],
    *,
    basis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return translation [mm], rotation [rad], phase [rad] and change of θ [rad] of the free cycles, shape (F, 7 + P).

    Motions are those of `basis` (6, K), phases P columns of (V, P).
    """
    residual, tangent = fit.residual, fit.tangent
    number = signal.shape[1]
    root = np.sqrt(weights)[:, None]
    # What the model predicts: gradient and signal within its space, shape (V, 2N, 3 and 1).
    known = np.concatenate([slopes, signal[..., None]], axis=2)
    known = np.concatenate([known.real, known.imag], axis=1).astype(np.float32)
    known = tangent @ (tangent.swapaxes(1, 2) @ known)
    moves = basis.shape[1]
    count = moves + phases.shape[1] + 1
    size = count * len(free)
    hessian = np.zeros((size, size))
    gradient = np.empty(size)
    within = np.empty((tangent.shape[0], tangent.shape[2], size), dtype=np.float32)
    for row, cycle in enumerate(free):
        here = slice(row * count, (row + 1) * count)
        pairs = []
        # Real and imaginary part; i·S has the parts (-Im S, Re S), and a phase that is removed adds -i·S.
        for part, other, sign in ((cycle, cycle + number, 1.0), (cycle + number, cycle, -1.0)):
            slope = known[:, part, :3]
            by_phase = sign * known[:, other, 3, None] * phases
            # A change of θ is in the prediction, and comes off the residual.
            by_frequency = -fit.by_theta[:, part, None]
            by_motion = np.concatenate([slope, np.cross(arm, slope)], axis=1) @ basis
            pairs.append(np.concatenate([by_motion, by_phase, by_frequency], axis=1) * root)
        hessian[here, here] = sum(pair.T @ pair for pair in pairs)
        gradient[here] = sum(
            pair.T @ (root[:, 0] * residual[:, part]) for pair, part in zip(pairs, (cycle, cycle + number), strict=True)
        )
        within[:, :, here] = sum(
            tangent[:, part, :, None] * pair[:, None, :].astype(np.float32)
            for pair, part in zip(pairs, (cycle, cycle + number), strict=True)
        )
    flat = within.reshape(-1, size)
    hessian -= flat.T @ flat
    scale = np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
    scaled = hessian / np.outer(scale, scale) + _RIDGE * np.eye(size)
    solution = -(np.linalg.solve(scaled, gradient / scale) / scale).reshape(len(free), count)
    return np.concatenate([solution[:, :moves] @ basis.T, solution[:, moves:]], axis=1)
