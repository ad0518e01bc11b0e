"""The noise of a voxel from what the signal model cannot explain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from qmri_bids.physics.protocol import BssfpProtocol

NUMBER_OF_PARAMETERS = 5
"""Complex amplitude, E2, b and θ."""


@dataclass(frozen=True, kw_only=True)
class Linearisation:
    """The model of a voxel and its tangent space; real vectors hold real and imaginary parts of the cycles in turn.

    Parameters
    ----------
    model
        Model of the cycles, complex, shape (V, N).
    residual
        Signal minus model, real, shape (V, 2N).
    jacobian
        Directions in which the five parameters change the model, of unit length, shape (V, 2N, 5).
    """

    model: torch.Tensor
    residual: torch.Tensor
    jacobian: torch.Tensor


def linearise(
    signal: torch.Tensor,
    fitted: torch.Tensor,
    e2: torch.Tensor,
    b: torch.Tensor,
    theta: torch.Tensor,
    *,
    protocol: BssfpProtocol,
) -> Linearisation:
    """Return model, residual and tangent space at a point.

    Parameters
    ----------
    signal
        Complex cycles, shape (V, N).
    fitted
        Complex amplitude, shape (V,).
    e2, b, theta
        Natural coordinates, shape (V,).
    protocol
        The acquisition.
    """
    increments = torch.as_tensor(protocol.rf_phase_increment, dtype=e2.dtype, device=e2.device)
    psi = theta[:, None] - increments
    turn = torch.exp(-1j * psi)
    denominator = 1.0 - b[:, None] * torch.cos(psi)
    shape = (1.0 - e2[:, None] * turn) / denominator
    d_b = shape * torch.cos(psi) / denominator
    d_theta = (1j * e2[:, None] * turn - shape * b[:, None] * torch.sin(psi)) / denominator
    columns = [shape, 1j * shape] + [fitted[:, None] * each for each in (-turn / denominator, d_b, d_theta)]
    jacobian = torch.stack([torch.view_as_real(column).flatten(1) for column in columns], dim=-1)
    model = fitted[:, None] * shape
    return Linearisation(
        model=model,
        residual=torch.view_as_real(signal - model).flatten(1),
        jacobian=jacobian / torch.linalg.vector_norm(jacobian, dim=1, keepdim=True),
    )


def noise_from_residual(
    signal: torch.Tensor,
    fitted: torch.Tensor,
    e2: torch.Tensor,
    b: torch.Tensor,
    theta: torch.Tensor,
    *,
    protocol: BssfpProtocol,
) -> torch.Tensor:
    """Return the standard deviation of the noise, per channel and cycle.

    The residual of an estimate that is not the least-squares solution still holds part of the signal. It lies in the
    tangent space of the model (to first order) and is projected out, so that the noise is the same whatever estimator
    found the point: sd² = |r - P r|²/(2N - 5).

    Parameters
    ----------
    signal
        Complex cycles, shape (V, N).
    fitted
        Complex amplitude, shape (V,).
    e2, b, theta
        Natural coordinates of the estimate, shape (V,).
    protocol
        The acquisition.

    Returns
    -------
    torch.Tensor
        Shape (V,); NaN where the coordinates are not finite, infinite where N leaves no degree of freedom.
    """
    freedom = 2 * protocol.number_of_cycles - NUMBER_OF_PARAMETERS
    finite = torch.isfinite(e2) & torch.isfinite(b) & torch.isfinite(theta) & torch.isfinite(fitted.abs())
    e2, b, theta = (torch.where(finite, each, torch.full_like(each, 0.5)) for each in (e2, b, theta))
    fitted = torch.where(finite, fitted, torch.ones_like(fitted))
    point = linearise(signal, fitted, e2, b, theta, protocol=protocol)
    jacobian, residual = point.jacobian, point.residual[..., None]
    normal = jacobian.mT @ jacobian
    ridge = 1e-10 * torch.eye(NUMBER_OF_PARAMETERS, dtype=normal.dtype, device=normal.device)
    step = torch.linalg.solve(normal + ridge, jacobian.mT @ residual)
    unexplained = (residual - jacobian @ step).square().sum(dim=(1, 2))
    noise = torch.sqrt(unexplained / freedom)
    return torch.where(finite, noise, torch.full_like(noise, math.nan))
