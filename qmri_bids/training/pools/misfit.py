r"""The physics loss of pools: the misfit of the Bloch-McConnell equations, expanded about the last prediction.

A decoder in the loss costs a Jacobian for every voxel and step. Its value and slopes at a prediction x0 say more than one step
uses: with the scales of the series projected out, the misfit of a voxel near x0 is

.. math:: q(x) = c - 2\,g^T(x - x_0) + (x - x_0)^T H (x - x_0)

with the residual and Jacobian of the full model at x0. At x0 its value and gradient are those of the misfit itself, so that a
network which has settled between two expansions has settled for the physics loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels, exchange_jacobian, scaled_model

BLOCK = 8192
"""Voxels whose Jacobian is in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """Misfit of V voxels near a point of their logarithms.

    Parameters
    ----------
    centre
        x0, shape (V, P).
    constant, gradient, curvature
        c, g and H, shape (V,), (V, P) and (V, P, P).
    """

    centre: torch.Tensor
    constant: torch.Tensor
    gradient: torch.Tensor
    curvature: torch.Tensor

    def to(self, device: torch.device) -> Misfit:
        """Return it on a device."""
        return Misfit(**{name: value.to(device) for name, value in vars(self).items()})

    def at(self, x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Return the misfit of chosen voxels at logarithms (B, P), shape (B,); a square, never below zero but by rounding."""
        step = x - self.centre[chosen]
        along = (self.curvature[chosen] @ step[..., None])[..., 0]
        return self.constant[chosen] + (step * (along - 2.0 * self.gradient[chosen])).sum(dim=1)


def misfit_about(
    logs: NDArray[np.floating],
    *,
    data: NDArray[np.floating],
    scan: ExchangeScan,
    known: KnownVoxels,
    threads: int = 1,
) -> Misfit:
    """Return the misfit of voxels about a point.

    Parameters
    ----------
    logs
        Logarithms of the parameters, shape (V, P).
    data
        Images, shape (V, N).
    scan
        Series and pools.
    known
        Maps of the voxels.
    threads
        Threads to use; the result does not depend on it.
    """
    voxels, count = logs.shape
    constant, gradient = np.empty(voxels, np.float32), np.empty((voxels, count), np.float32)
    curvature = np.empty((voxels, count, count), np.float32)
    for begin in range(0, voxels, BLOCK):
        part = slice(begin, begin + BLOCK)
        values = np.exp(np.asarray(logs[part], dtype=np.float64))
        z, slopes = exchange_jacobian(scan, values, known[part], parameters=scan.parameters, threads=threads)
        model = scaled_model(np.asarray(data[part], dtype=np.float64), z, slopes * values[:, None, :], scan=scan)
        constant[part] = model.cost
        gradient[part] = np.einsum("vnp,vn->vp", model.projected, model.residual)
        curvature[part] = np.matmul(model.projected.swapaxes(1, 2), model.projected)
    return Misfit(
        centre=torch.as_tensor(np.asarray(logs, dtype=np.float32)),
        constant=torch.as_tensor(constant),
        gradient=torch.as_tensor(gradient),
        curvature=torch.as_tensor(curvature),
    )
