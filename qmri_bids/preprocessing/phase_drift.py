"""Receive phase that differs between phase cycles: seen by what the signal model cannot explain, and removed.

A head that moves between cycles moves through the phase of the receive coils, and the phase of a scanner drifts: after
alignment the cycles differ by a smooth phase of a few milliradians. That is far below the noise of a voxel but the same
everywhere, and relaxometry amplifies it about tenfold: 5 mrad bias T1 and T2 of a whole brain by 2 to 3 %.

To first order a phase error ε_j(x) of cycle j adds i·ε_j·S_j to the signal. The part of this outside the tangent space of the
model remains in the residual of the fit; ε is a polynomial in space, so that all voxels of the head determine its few
coefficients by one linear least-squares problem. What is common to all cycles is the receiver's phase and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import ALIASING_FREE_CYCLES
from qmri_bids.physics.protocol import BssfpProtocol

LARGEST_SAMPLE = 60_000
"""Voxels that determine the coefficients; more do not change them beyond the noise."""
ITERATIONS = 2
"""The first corrects all but a few percent of the phase, the second what its linearisation missed."""
VOXELS_PER_COEFFICIENT = 20
"""Fewer voxels than this for each coefficient do not determine them well enough."""
SUSPICIOUS_PHASE = 0.05
"""Root mean square [rad] that a moving head does not reach: most often the increments are in another order than the volumes."""
LARGEST_PHASE = 0.5
"""A correction beyond this [rad] is no drift: it is not applied."""

ADVICE = "See whether RFPhaseIncrement is in the order of the volumes, and look at the phase images."


@dataclass(frozen=True, kw_only=True)
class PhaseDrift:
    """Cycles of one receive phase.

    Parameters
    ----------
    cycles
        complex64, shape (X, Y, Z, N).
    coefficients
        Phase removed from each cycle [rad]: constant, three linear and three quadratic terms in coordinates that run from
        -1 to 1 over the volume, shape (N, 7).
    root_mean_square
        Of the phase removed from each cycle, over the mask [rad], shape (N,).
    decisions, warnings
        What was decided, and what a reader must know, as sentences.
    """

    cycles: NDArray[np.complex64]
    coefficients: NDArray[np.float64]
    root_mean_square: NDArray[np.float64]
    decisions: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def remove_phase_drift(
    cycles: NDArray[np.complexfloating],
    *,
    mask: NDArray[np.bool_],
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    seed: int = 0,
) -> PhaseDrift:
    """Estimate and remove the differences of receive phase between aligned cycles.

    Parameters
    ----------
    cycles
        Complex and aligned, shape (X, Y, Z, N).
    mask
        Voxels of one water pool: the brain.
    b1
        Actual over nominal flip angle, shape (X, Y, Z).
    protocol
        The acquisition; at least 4 evenly spaced cycles, so that a residual remains.
    seed
        Of the choice of voxels.

    Returns
    -------
    PhaseDrift
        The corrected cycles. They are returned as they came, with the reason among the decisions, where the correction
        cannot be determined.
    """
    number = protocol.number_of_cycles
    points = np.argwhere(mask)
    rng = np.random.default_rng(seed)
    if len(points) > LARGEST_SAMPLE:
        points = points[np.sort(rng.choice(len(points), LARGEST_SAMPLE, replace=False))]
    chosen = tuple(points.T)
    basis = _basis(points, mask.shape)
    total = np.zeros((number, basis.shape[1]))
    unchanged = PhaseDrift(
        cycles=np.asarray(cycles, dtype=np.complex64),
        coefficients=total,
        root_mean_square=np.zeros(number),
        decisions=(),
    )
    if number < 4 or not protocol.is_evenly_spaced or len(points) < VOXELS_PER_COEFFICIENT * total.size:
        return replace(
            unchanged,
            decisions=(
                "Phase drift between cycles was not corrected: too few cycles or voxels, or uneven increments.",
            ),
        )
    sample = np.asarray(cycles[chosen], dtype=np.complex128)
    known = np.asarray(b1[chosen], dtype=np.float64)
    for _ in range(ITERATIONS):
        total += _solve(sample * np.exp(-1j * (basis @ total.T)), known, basis, protocol)
    phase = basis @ total.T
    rms = np.sqrt(np.mean(phase**2, axis=0))
    if np.abs(phase).max() > LARGEST_PHASE:
        return replace(
            unchanged,
            decisions=("Phase drift between cycles was not corrected, see the warning.",),
            warnings=(
                f"The phase of the cycles differs from the model by up to {np.abs(phase).max():.2f} rad, which is no drift and was "
                f"not corrected. {ADVICE}",
            ),
        )
    warnings: tuple[str, ...] = ()
    if rms.max() > SUSPICIOUS_PHASE:
        warnings = (
            f"The phase of the cycles differs from the model by {1e3 * rms.max():.0f} mrad (root mean square) in the worst "
            f"cycle, far more than motion or drift explain: T1 and T2 may be wrong. {ADVICE}",
        )
    return PhaseDrift(
        cycles=_apply(cycles, total, mask.shape),
        coefficients=total,
        root_mean_square=rms,
        decisions=(
            f"Receive phase that differs between cycles was removed: {1e3 * rms.max():.1f} mrad (root mean square in the "
            "brain) in the worst cycle.",
        ),
        warnings=warnings,
    )


def _basis(points: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return constant, linear and quadratic terms at voxels, shape (V, 7); 0 along an axis of one voxel."""
    scaled = np.where(np.array(shape) > 1, 2.0 * points / np.maximum(np.array(shape) - 1.0, 1.0) - 1.0, 0.0)
    return np.concatenate([np.ones((len(points), 1)), scaled, scaled**2], axis=1)


def _apply(
    cycles: NDArray[np.complexfloating], coefficients: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.complex64]:
    x, y, z = np.ix_(*(np.linspace(-1.0, 1.0, size, dtype=np.float32) * (size > 1) for size in shape))
    result = np.empty(cycles.shape, dtype=np.complex64)
    for index, c in enumerate(coefficients.astype(np.float32)):
        phase = c[0] + c[1] * x + c[2] * y + c[3] * z + c[4] * x**2 + c[5] * y**2 + c[6] * z**2
        result[..., index] = cycles[..., index] * np.exp(-1j * phase).astype(np.complex64)
    return result


def _solve(
    sample: NDArray[np.complex128], b1: NDArray[np.float64], basis: NDArray[np.float64], protocol: BssfpProtocol
) -> NDArray[np.float64]:
    """Return the coefficients (N, K) that explain the residuals of voxels (V, N) best."""
    import torch

    from qmri_bids.estimation.bssfp.linear import Linear
    from qmri_bids.estimation.bssfp.miracle import Miracle
    from qmri_bids.estimation.bssfp.steady_state import fit_amplitude
    from qmri_bids.estimation.noise import linearise

    estimator = Miracle() if protocol.number_of_cycles >= ALIASING_FREE_CYCLES else Linear()
    signal, known = torch.as_tensor(sample), torch.as_tensor(b1)
    signal = signal / signal.abs().square().mean(dim=1, keepdim=True).sqrt()
    t1, t2, theta = estimator.solve(signal, known, protocol)
    usable = torch.isfinite(t1) & torch.isfinite(t2)
    signal, t1, t2, theta, known = (each[usable] for each in (signal, t1, t2, theta, known))
    _, fit = fit_amplitude(signal, t1, t2, theta, known, protocol)
    point = linearise(signal, *fit, protocol=protocol)
    # What a phase of each cycle adds: i·S_j in that cycle alone; rows are real and imaginary parts of the cycles.
    added = torch.view_as_real(torch.diag_embed(1j * point.model).mT).transpose(2, 3).flatten(1, 2)
    tangent, _ = torch.linalg.qr(point.jacobian)
    outside = added - tangent @ (tangent.mT @ added)
    # A voxel that the model does not describe, mixed or at the edge of a band, has a large residual and little weight.
    power = (point.residual - (tangent @ (tangent.mT @ point.residual[..., None]))[..., 0]).square().mean(dim=1)
    weight = 1.0 / (power + power.median()).square()
    terms = torch.as_tensor(basis)[usable]
    gram = torch.einsum("v,vij,vik->vjk", weight, outside, outside)
    right = torch.einsum("v,vij,vi->vj", weight, outside, point.residual)
    number, count = protocol.number_of_cycles, terms.shape[1]
    normal = torch.einsum("va,vb,vjk->jakb", terms, terms, gram).reshape(number * count, number * count)
    target = torch.einsum("va,vj->ja", terms, right).reshape(-1)
    # A phase common to all cycles leaves no residual: the ridge chooses the solution without one.
    ridge = 1e-6 * normal.diagonal().mean() * torch.eye(number * count, dtype=normal.dtype)
    solution = torch.linalg.solve(normal + ridge, target).reshape(number, count)
    return (solution - solution.mean(dim=0)).numpy()
