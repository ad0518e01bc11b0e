"""What a phase cycle has of its own: gain, receive phase and frequency, with the correction of cycles by them.

Cycle j of a voxel at x, relative to what is common to all cycles, is

    S_j = exp(g_j + i ε_j(x) + 2πi d_j(x) TE) · A f(θ - φ_j + 2π d_j(x) TR)

with the log gain g_j, a phase ε_j that is a polynomial of second order and a frequency d_j [Hz] that is linear in space. A
frequency acts as an increment of φ_j - 2π d_j TR. Gain and phase are divided out. The frequency is taken out by the signal
model: what the fit at the true increments says a cycle would have been at the stated ones is added, so that cycles keep the
increments of their protocol. The residual, noise and all that the model does not describe, stays, but for
the little of it that lies in the tangent space of the model at the stated increments: a fit there finds the point of the fit at the
true ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qmri_bids.estimation.bssfp.profile_fit import BLOCK, fit_natural
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.system.blocks import run_blocks

PHASE_TERMS, FREQUENCY_TERMS = 7, 4
"""Terms in space: constant, linear, quadratic; constant, linear."""

NEGLIGIBLE_GRADIENT = 0.02
"""Linear part of the frequency at the edge of the volume [Hz] for which a fit at the constant part is a fit."""

STEPS, LARGEST_STEP = 2, 0.3
"""Gauss-Newton steps from there, and the largest change of θ [rad] that one may make."""


@dataclass(frozen=True, kw_only=True)
class CycleErrors:
    """Gain, phase and frequency of N cycles, each of zero mean over the cycles.

    Parameters
    ----------
    gain
        Logarithm of the gain, shape (N,).
    phase
        Receive phase [rad] by constant, linear and quadratic terms of coordinates from -1 to 1 over the volume, shape (N, 7).
    frequency
        Frequency [Hz] by constant and linear terms of the same coordinates, shape (N, 4).
    """

    gain: NDArray[np.float64]
    phase: NDArray[np.float64]
    frequency: NDArray[np.float64]

    def increments(self, protocol: BssfpProtocol) -> NDArray[np.float64]:
        """Return the increments [rad] that the constant part of the frequency makes of those stated, shape (N,)."""
        turn = 2.0 * math.pi * protocol.repetition_time
        return np.asarray(protocol.rf_phase_increment) - turn * self.frequency[:, 0]

    def echo_phase(self, protocol: BssfpProtocol) -> NDArray[np.float64]:
        """Return the phase at the echo, that of the frequency included, as terms of shape (N, 7) [rad]."""
        total = self.phase.copy()
        total[:, :FREQUENCY_TERMS] += 2.0 * math.pi * protocol.echo_time * self.frequency
        return total


def no_errors(number: int) -> CycleErrors:
    """Return the errors of cycles that have none."""
    return CycleErrors(
        gain=np.zeros(number), phase=np.zeros((number, PHASE_TERMS)), frequency=np.zeros((number, FREQUENCY_TERMS))
    )


def terms_at(points: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return constant, linear and quadratic terms at voxels, shape (V, 7); 0 along an axis of one voxel."""
    size = np.array(shape)
    scaled = np.where(size > 1, 2.0 * points / np.maximum(size - 1.0, 1.0) - 1.0, 0.0)
    return np.concatenate([np.ones((len(points), 1)), scaled, scaled**2], axis=1)


@njit(nogil=True, cache=True, error_model="numpy")
def orthonormal_tangent(
    increments: NDArray,
    e2: float,
    b: float,
    theta: float,
    amplitude: complex,
    tangent: NDArray,
    model: NDArray,
    slope: NDArray,
) -> None:
    """Fill what the parameters of a voxel can do to its cycles, as an orthonormal basis, with the model and its slope over θ.

    `tangent` (5, 2N) has real and imaginary part of a cycle side by side; a basis vector is 0 where a parameter adds nothing.
    """
    number = increments.size
    for j in range(number):
        psi = theta - increments[j]
        turned = complex(math.cos(psi), -math.sin(psi))
        below = 1.0 / (1.0 - b * math.cos(psi))
        f = (1.0 - e2 * turned) * below
        model[j] = amplitude * f
        slope[j] = amplitude * (1j * e2 * turned * below - f * b * math.sin(psi) * below)
        by_e2, by_b = -amplitude * turned * below, model[j] * math.cos(psi) * below
        tangent[0, 2 * j], tangent[0, 2 * j + 1] = f.real, f.imag
        tangent[1, 2 * j], tangent[1, 2 * j + 1] = -f.imag, f.real
        tangent[2, 2 * j], tangent[2, 2 * j + 1] = by_e2.real, by_e2.imag
        tangent[3, 2 * j], tangent[3, 2 * j + 1] = by_b.real, by_b.imag
        tangent[4, 2 * j], tangent[4, 2 * j + 1] = slope[j].real, slope[j].imag
    # Gram-Schmidt, twice: E2, b and θ are nearly parallel in some voxels.
    for row in range(5):
        for _ in range(2):
            for before in range(row):
                shared = 0.0
                for k in range(2 * number):
                    shared += tangent[row, k] * tangent[before, k]
                for k in range(2 * number):
                    tangent[row, k] -= shared * tangent[before, k]
        norm = 0.0
        for k in range(2 * number):
            norm += tangent[row, k] ** 2
        norm = 1.0 / math.sqrt(norm) if norm > 0.0 else 0.0
        for k in range(2 * number):
            tangent[row, k] *= norm


@njit(nogil=True, cache=True, error_model="numpy")
def _refine(data: NDArray, own: NDArray, e2: float, b: float, theta: float, amplitude: complex) -> tuple:
    """Return E2, b, θ and amplitude after Gauss-Newton steps at the increments of the voxel; those given where they lead astray."""
    number = data.size
    first = (e2, b, theta, amplitude)
    normal, step = np.empty((5, 5)), np.empty(5)
    for _ in range(STEPS):
        normal[:], step[:] = 0.0, 0.0
        for j in range(number):
            psi = theta - own[j]
            turned = complex(math.cos(psi), -math.sin(psi))
            below = 1.0 / (1.0 - b * math.cos(psi))
            f = (1.0 - e2 * turned) * below
            effects = (
                f,
                1j * f,
                -amplitude * turned * below,
                amplitude * f * math.cos(psi) * below,
                amplitude * (1j * e2 * turned * below - f * b * math.sin(psi) * below),
            )
            rest = data[j] - amplitude * f
            for row in range(5):
                real, imag = effects[row].real, effects[row].imag
                step[row] += real * rest.real + imag * rest.imag
                for column in range(row + 1):
                    normal[row, column] += real * effects[column].real + imag * effects[column].imag
        # Cholesky, in place.
        for row in range(5):
            for column in range(row + 1):
                total = normal[row, column]
                for k in range(column):
                    total -= normal[row, k] * normal[column, k]
                if row > column:
                    normal[row, column] = total / normal[column, column]
                elif total > 1e-12 * normal[row, row]:
                    normal[row, row] = math.sqrt(total)
                else:
                    return first
        for row in range(5):
            for k in range(row):
                step[row] -= normal[row, k] * step[k]
            step[row] /= normal[row, row]
        for row in range(4, -1, -1):
            for k in range(row + 1, 5):
                step[row] -= normal[k, row] * step[k]
            step[row] /= normal[row, row]
        amplitude += complex(step[0], step[1])
        e2, b, theta = e2 + step[2], b + step[3], theta + step[4]
        if not (0.0 < e2 < 1.0 and 0.0 < b < 1.0 and abs(step[4]) < LARGEST_STEP):
            return first
    return e2, b, theta, amplitude


@njit(nogil=True, cache=True, error_model="numpy")
def _bring(
    cycles: NDArray,
    e2: NDArray,
    b: NDArray,
    theta: NDArray,
    amplitude: NDArray,
    own: NDArray,
    wanted: NDArray,
    refined: bool,
    out: NDArray,
) -> None:
    """Write cycles (V, N) of increments `own` (V, N) as they would be at the increments `wanted` (N,).

    The model moves, the residual stays: but for the little of it that a fit at the increments wanted would take for a change of
    its parameters, which makes room for the rest, so that the power is the same.
    """
    number = cycles.shape[1]
    tangent, residual = np.empty((5, 2 * number)), np.empty(2 * number)
    model, slope = np.empty(number, dtype=np.complex128), np.empty(number, dtype=np.complex128)
    for voxel in range(cycles.shape[0]):
        shape, width, turn, size = e2[voxel], b[voxel], theta[voxel], amplitude[voxel]
        if refined:
            shape, width, turn, size = _refine(cycles[voxel], own[voxel], shape, width, turn, size)
        orthonormal_tangent(wanted, shape, width, turn, size, tangent, model, slope)
        before = 0.0
        for j in range(number):
            here = turn - own[voxel, j]
            source = (1.0 - shape * complex(math.cos(here), -math.sin(here))) / (1.0 - width * math.cos(here))
            left = cycles[voxel, j] - size * source
            residual[2 * j], residual[2 * j + 1] = left.real, left.imag
            before += left.real**2 + left.imag**2
        for row in range(5):
            shared = 0.0
            for k in range(2 * number):
                shared += tangent[row, k] * residual[k]
            for k in range(2 * number):
                residual[k] -= shared * tangent[row, k]
        after = 0.0
        for k in range(2 * number):
            after += residual[k] ** 2
        scale = math.sqrt(before / after) if after > 0.25 * before else 1.0
        for j in range(number):
            out[voxel, j] = model[j] + scale * complex(residual[2 * j], residual[2 * j + 1])


def without_errors(
    cycles: NDArray[np.complexfloating],
    *,
    terms: NDArray[np.float64],
    errors: CycleErrors,
    protocol: BssfpProtocol,
    wanted: NDArray[np.float64],
) -> tuple[NDArray[np.complex128], NDArray[np.bool_]]:
    """Return cycles without their gain and phase, at other increments than their frequency has made of those stated.

    Parameters
    ----------
    cycles
        Complex, shape (V, N).
    terms
        `terms_at` of the voxels, shape (V, 7).
    errors, protocol
        What the cycles have of their own, and the acquisition.
    wanted
        Increments [rad] of the result, shape (N,).

    Returns
    -------
    cycles
        Shape (V, N).
    brought
        Voxels whose frequency was taken out; in the others, whose fit has not converged, gain and phase alone were, shape (V,).
    """
    plain = cycles * np.exp(-errors.gain - 1j * (terms @ errors.echo_phase(protocol).T))
    increments = errors.increments(protocol)
    gradient = 2.0 * math.pi * protocol.repetition_time * (terms[:, 1:FREQUENCY_TERMS] @ errors.frequency[:, 1:].T)
    own = increments - gradient
    if np.abs(own - wanted).max(initial=0.0) < 1e-9:
        return plain, np.ones(len(cycles), dtype=np.bool_)
    fit = fit_natural(plain, rf_phase_increment=tuple(increments))
    brought = np.empty_like(plain)
    # The fit takes one set of increments for all voxels: where they differ it goes on from there, voxel by voxel.
    refined = bool(np.abs(errors.frequency[:, 1:]).max() > NEGLIGIBLE_GRADIENT)
    _bring(plain, fit.e2, fit.b, fit.theta, fit.amplitude, own, wanted, refined, brought)
    good = fit.converged
    brought[~good] = plain[~good]
    return brought, good


def correct(
    cycles: NDArray[np.complexfloating],
    *,
    mask: NDArray[np.bool_],
    errors: CycleErrors,
    protocol: BssfpProtocol,
    threads: int = 1,
) -> tuple[NDArray[np.complex64], float]:
    """Return cycles without the errors, and the share of the mask in which the frequency was taken out.

    Parameters
    ----------
    cycles
        Complex, shape (X, Y, Z, N).
    mask
        Where the signal model holds: outside of it gain and phase alone are taken off.
    errors, protocol
        What the cycles have of their own, and the acquisition.
    threads
        Threads to use; the result does not depend on it.
    """
    shape = mask.shape
    result = np.empty(cycles.shape, dtype=np.complex64)
    x, y, z = np.ix_(*(np.linspace(-1.0, 1.0, size, dtype=np.float32) * (size > 1) for size in shape))
    phases = errors.echo_phase(protocol).astype(np.float32)
    for index, (c, gain) in enumerate(zip(phases, errors.gain, strict=True)):
        phase = c[0] + c[1] * x + c[2] * y + c[3] * z + c[4] * x**2 + c[5] * y**2 + c[6] * z**2
        result[..., index] = cycles[..., index] * (np.float32(math.exp(-gain)) * np.exp(-1j * phase))
    if not errors.frequency.any():
        return result, 1.0
    flat, inside = cycles.reshape(-1, cycles.shape[3]), np.flatnonzero(mask.ravel())
    stated = np.asarray(protocol.rf_phase_increment)
    taken = np.zeros(len(inside), dtype=np.bool_)
    written = result.reshape(-1, cycles.shape[3])

    def work(begin: int) -> None:
        chosen = inside[begin : begin + BLOCK]
        points = np.stack(np.unravel_index(chosen, shape), axis=1)
        values, good = without_errors(
            np.asarray(flat[chosen], dtype=np.complex128),
            terms=terms_at(points, shape),
            errors=errors,
            protocol=protocol,
            wanted=stated,
        )
        written[chosen], taken[begin : begin + BLOCK] = values, good

    run_blocks(work, len(inside), block=BLOCK, threads=threads)
    return result, float(taken.mean()) if len(taken) else 1.0
