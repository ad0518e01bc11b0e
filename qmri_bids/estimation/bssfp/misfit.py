"""What the signal model leaves of a scan beyond noise: of single voxels, of single cycles, and of all of them together.

A voxel whose residual noise alone would not leave has a code. A model that holds nowhere leaves little in every voxel, which hides
in its noise; but noise knows nothing of its neighbours, and what the model lacks does: the residuals of voxels a little apart,
freed of the phase of their amplitude, have it in common. Their mean product is the power of the misfit, whatever the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from qmri_bids.estimation.base import Estimate
from qmri_bids.estimation.shared_residual import shared_over_noise
from qmri_bids.physics.bssfp import natural_coordinates, profile
from qmri_bids.physics.protocol import BssfpProtocol

LARGEST_T2 = 0.15
"""T2 [s] above which a voxel does not count: it holds fluid, which is another misfit."""

SAMPLE = 20_000
"""Voxels in which the leverage of cycles is computed."""

CARPET = 400
"""Rows of the carpet."""

MISFIT_PROBABILITY = 1e-4
"""Probability that noise alone makes a voxel one of MISFIT: 70 of a brain of 700,000."""


SMALLEST_MISFIT = 0.002
"""Residual relative to the signal below which a misfit is none that matters, however little noise there is."""


def beyond_noise(
    residual_sum: NDArray[np.float64],
    *,
    signal_sum: NDArray[np.float64],
    freedom: NDArray[np.int64],
    level: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return where a fit leaves more than noise does, shape (V,); False where the noise is not known.

    Parameters
    ----------
    residual_sum
        Σ_j |S_j - model_j|², shape (V,).
    signal_sum
        Σ_j |S_j|², shape (V,).
    freedom
        Degrees of freedom of the residual, shape (V,).
    level
        Variance of the noise in real and imaginary part, shape (V,).
    """
    limit = {int(each): float(chi2.isf(MISFIT_PROBABILITY, each)) for each in np.unique(freedom)}
    limits = np.zeros(len(freedom))
    for each, value in limit.items():
        limits[freedom == each] = value
    with np.errstate(invalid="ignore"):
        return (residual_sum > limits * level) & (residual_sum > SMALLEST_MISFIT**2 * signal_sum)


@dataclass(frozen=True, kw_only=True)
class ModelMisfit:
    """What the model leaves of N cycles.

    Parameters
    ----------
    by_cycle
        Residual of each cycle over what is expected of it where all are alike, shape (N,).
    shared
        Residual that neighbours have in common over the noise; NaN where there are too few pairs of voxels.
    carpet
        Residual of groups of voxels in the order of the image, rows, by cycle, over the noise, shape (rows, N).
    """

    by_cycle: NDArray[np.float64]
    shared: float
    carpet: NDArray[np.float32]


def model_misfit(
    cycles: NDArray[np.complexfloating],
    estimate: Estimate,
    *,
    b1: NDArray[np.floating],
    protocol: BssfpProtocol,
    inside: NDArray[np.bool_],
) -> ModelMisfit | None:
    """Return what the model of one pool leaves of tissue far from fluid, None where hardly any of it was estimated.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    estimate
        What was estimated of them. Where fluid was accounted for, the model is another one and the voxel does not count.
    b1
        Actual over nominal flip angle, shape (V,).
    protocol
        The acquisition.
    inside
        Where in the image the voxels lie, V of them True.
    """
    maps = (estimate.values[name] for name in ("T1", "T2", "off_resonance"))
    t1, t2, off_resonance = (np.asarray(each, dtype=np.float64) for each in maps)
    with np.errstate(invalid="ignore"):
        counted = np.isfinite(t1) & np.isfinite(off_resonance) & (t2 < LARGEST_T2)
    if estimate.one_pool:
        counted &= estimate.values["T2"] == estimate.one_pool["T2"]
    if np.count_nonzero(counted) < CARPET:
        return None
    theta = 2.0 * math.pi * protocol.repetition_time * off_resonance[counted]
    e2, b = natural_coordinates(
        t1[counted], t2[counted], b1=np.asarray(b1, dtype=np.float64)[counted], protocol=protocol
    )
    shape = profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment).astype(np.complex64)
    amplitude = np.sum(shape.conj() * cycles[counted], axis=1) / np.sum(np.abs(shape) ** 2, axis=1)
    residual = (cycles[counted] - amplitude[:, None] * shape) * (amplitude.conj() / np.abs(amplitude))[:, None]
    # Medians: a few voxels of another kind must not name a cycle.
    power = np.median(np.abs(residual) ** 2, axis=0).astype(np.float64)
    expected = 1.0 - _leverage(e2, b, theta, amplitude, protocol)
    scale = power.sum() / expected.sum()
    return ModelMisfit(
        by_cycle=np.sqrt(power / (scale * expected)),
        shared=shared_over_noise(residual, counted=counted, inside=inside),
        carpet=_carpet(np.abs(residual) / np.sqrt(scale * expected / math.log(2.0))),
    )


def _leverage(
    e2: NDArray[np.float64],
    b: NDArray[np.float64],
    theta: NDArray[np.float64],
    amplitude: NDArray[np.complexfloating],
    protocol: BssfpProtocol,
) -> NDArray[np.float64]:
    """Return the share of the noise of each cycle that the unknowns take up, mean over the voxels, shape (N,)."""
    import torch

    from qmri_bids.estimation.noise import linearise

    chosen = np.linspace(0, len(e2) - 1, min(SAMPLE, len(e2))).astype(int)
    point = [
        torch.as_tensor(np.ascontiguousarray(each[chosen])) for each in (amplitude.astype(np.complex128), e2, b, theta)
    ]
    nothing = torch.zeros((len(chosen), protocol.number_of_cycles), dtype=torch.complex128)
    tangent, _ = torch.linalg.qr(linearise(nothing, *point, protocol=protocol).jacobian)
    of_rows = tangent.square().sum(dim=2).mean(dim=0).reshape(-1, 2)  # real and imaginary parts in turn
    found: NDArray[np.float64] = of_rows.mean(dim=1).numpy()
    return found


def _carpet(relative: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return root mean squares over groups of neighbours in the order of the image."""
    edges = np.linspace(0, len(relative), CARPET + 1).astype(int)
    square = np.add.reduceat(np.square(relative, dtype=np.float64), edges[:-1], axis=0) / np.diff(edges)[:, None]
    return np.sqrt(square).astype(np.float32)
