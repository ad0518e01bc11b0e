"""Maximum likelihood of the phase-cycled profile in its natural coordinates (E2, b, θ), with the covariance.

For complex Gaussian noise, equal in all cycles, maximum likelihood is least squares on all complex cycles. The point, the
covariance and the residual are all that T1, T2, M0 and their uncertainty need: TR, flip angle and B1 enter afterwards, in closed
form (`relaxation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import NaturalPoint
from qmri_bids.estimation.bssfp.profile_kernels import fit_voxels
from qmri_bids.estimation.bssfp.profile_start import admissible, linear_start
from qmri_bids.system.blocks import run_blocks

ITERATIONS = 30
"""Most steps. The median voxel takes three; those that need more than ten are noise."""

BLOCK = 8192
"""Voxels handed to a thread at a time: their linear start stays in the cache."""


@dataclass(frozen=True, kw_only=True)
class NaturalFit:
    """Maximum-likelihood point of V voxels.

    Parameters
    ----------
    e2, b, theta
        Natural coordinates, shape (V,); θ in (-π, π] rad. NaN where the signal is not finite or zero.
    amplitude
        Complex amplitude that multiplies `physics.bssfp.profile`, shape (V,).
    covariance
        Covariance of (E2, b, θ, log|A|) for noise of unit standard deviation in each of real and imaginary part, the phase of A
        marginalised, shape (V, 4, 4); infinite where the information is singular.
    residual_sum
        Σ_j |S_j - model_j|², shape (V,).
    signal_sum
        Σ_j |S_j|², shape (V,).
    converged
        Whether the last step was below a hundredth of the standard deviation and the point inside the admissible set, shape (V,).
    freedom
        Degrees of freedom of the residual, 2N - 5.
    """

    e2: NDArray[np.float64]
    b: NDArray[np.float64]
    theta: NDArray[np.float64]
    amplitude: NDArray[np.complex128]
    covariance: NDArray[np.float64]
    residual_sum: NDArray[np.float64]
    signal_sum: NDArray[np.float64]
    converged: NDArray[np.bool_]
    freedom: int


def fit_natural(
    cycles: NDArray[np.complexfloating],
    *,
    rf_phase_increment: Sequence[float],
    start: NaturalPoint | None = None,
    iterations: int = ITERATIONS,
    threads: int = 1,
) -> NaturalFit:
    """Fit the profile to all complex cycles.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N), complex64 or complex128; computed in double precision.
    rf_phase_increment
        The N increments [rad]; at least three must differ.
    start
        Point at which the iteration begins, shape (V,); the linear solution by default. Brought inside the admissible set.
    iterations
        Most steps of Levenberg-Marquardt.
    threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    NaturalFit
        The maximum-likelihood point of every voxel.

    Raises
    ------
    ValueError
        If `cycles` is not complex of shape (V, N), or the start not of shape (V,).

    Examples
    --------
    >>> import numpy as np
    >>> from qmri_bids.physics.bssfp import profile
    >>> increments = (0.5, 2.0, 3.5, 5.5)
    >>> cycles = profile(np.array([0.92]), np.array([0.8]), np.array([1.0]), rf_phase_increment=increments)
    >>> fit = fit_natural(7.0 * cycles, rf_phase_increment=increments)
    >>> [round(float(each[0]), 6) for each in (fit.e2, fit.b, fit.theta, abs(fit.amplitude))]
    [0.92, 0.8, 1.0, 7.0]
    """
    number = len(rf_phase_increment)
    if cycles.ndim != 2 or cycles.shape[1] != number or not np.iscomplexobj(cycles):
        raise ValueError(
            f"cycles must be complex of shape (V, {number}), one column for every increment, "
            f"found {cycles.dtype} of shape {cycles.shape}"
        )
    voxels = len(cycles)
    if start is not None and start.e2.shape != (voxels,):
        raise ValueError(f"start must have shape ({voxels},) as cycles has, found {start.e2.shape}")
    fit = NaturalFit(
        e2=np.empty(voxels),
        b=np.empty(voxels),
        theta=np.empty(voxels),
        amplitude=np.empty(voxels, dtype=np.complex128),
        covariance=np.empty((voxels, 4, 4)),
        residual_sum=np.empty(voxels),
        signal_sum=np.empty(voxels),
        converged=np.empty(voxels, dtype=np.bool_),
        freedom=2 * number - 5,
    )
    increments = np.asarray(rf_phase_increment, dtype=np.float64)
    cosine, sine = np.cos(increments), np.sin(increments)

    def fit_block(begin: int) -> None:
        part = slice(begin, begin + BLOCK)
        data = np.ascontiguousarray(cycles[part])
        if start is None:
            point = linear_start(data, rf_phase_increment=rf_phase_increment)
        else:
            point = admissible(NaturalPoint(e2=start.e2[part], b=start.b[part], theta=start.theta[part]))
        fit.e2[part], fit.b[part], fit.theta[part] = point.e2, point.b, point.theta
        fit_voxels(
            data,
            cosine,
            sine,
            iterations,
            fit.e2[part],
            fit.b[part],
            fit.theta[part],
            fit.amplitude[part],
            fit.covariance[part],
            fit.residual_sum[part],
            fit.signal_sum[part],
            fit.converged[part],
        )

    run_blocks(fit_block, voxels, block=BLOCK, threads=threads)
    return fit
