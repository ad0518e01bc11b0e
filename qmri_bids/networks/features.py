"""What a relaxometry network sees: amplitude-free SSFP configurations, complex or their magnitudes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from qmri_bids.physics.bssfp import configurations

ORDERS = (-1, 0, 1)
"""The three lowest configurations (Birk et al. 2025, Data processing in vivo)."""


def half_bin_offset(rf_phase_increment: Sequence[float]) -> float:
    """Return by how much evenly spaced increments exceed half-bin ones [rad].

    Subtracting it from the increments and from θ leaves the signal as it is: a network trained at half-bin increments serves any
    offset exactly.
    """
    turn = 2.0 * math.pi / len(rf_phase_increment)
    return min(increment % turn for increment in rf_phase_increment) - turn / 2.0


def lowest_configurations(cycles: torch.Tensor, *, rf_phase_increment: Sequence[float]) -> torch.Tensor:
    """Return F-1, F0 and F1 of cycles (..., N), complex, shape (..., 3)."""
    return configurations(cycles, rf_phase_increment=rf_phase_increment, orders=ORDERS)


def complex_features(modes: torch.Tensor) -> torch.Tensor:
    """Return the complex feature vector of Birk et al. 2025.

    The configurations are turned by the phase of F0, which removes the receiver phase, and divided by their Euclidean norm,
    which removes M0 and the receive sensitivity.

    Parameters
    ----------
    modes
        F-1, F0, F1, shape (..., 3).

    Returns
    -------
    torch.Tensor
        Real, shape (..., 5): Re F-1, Re F0, Re F1, Im F-1, Im F1. Im F0 is zero.
    """
    reference = modes[..., 1:2]
    turned = modes * reference.conj() / reference.abs()
    vector = torch.cat([turned.real, turned.imag[..., (0, 2)]], dim=-1)
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)


def magnitude_features(modes: torch.Tensor) -> torch.Tensor:
    """Return the magnitudes of F-1, F0, F1 divided by their Euclidean norm, shape (..., 3); input as of `complex_features`."""
    vector = modes.abs()
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)


def phase_theta(modes: torch.Tensor) -> torch.Tensor:
    """Return θ [rad] from the phases of F-1, F0, F1 (..., 3), shape (...); aliasing biases it for few cycles."""
    minus, zero, plus = modes.unbind(dim=-1)
    # F1 = a1 e^{iθ}·c and F-1 = -|a-1| e^{-iθ}·c with c the phase of F0: both terms point along e^{iθ}.
    return torch.angle(plus * zero.conj() - zero * minus.conj())


def _learned_theta(raw: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
    return torch.atan2(raw[..., 3], raw[..., 2])


def _measured_theta(raw: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
    return measured


@dataclass(frozen=True, kw_only=True)
class InputSet:
    """What a kind of network sees and gives.

    Parameters
    ----------
    count
        Number of signal features.
    outputs
        Number of raw outputs.
    compute
        Features from the configurations F-1, F0, F1.
    theta
        θ from the raw outputs and the θ measured in the phases.
    theta_weight
        Weight of θ in the supervised loss: zero where the network does not learn it.
    """

    count: int
    outputs: int
    compute: Callable[[torch.Tensor], torch.Tensor]
    theta: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    theta_weight: float


INPUTS: dict[str, InputSet] = {
    "magnitude": InputSet(count=3, outputs=2, compute=magnitude_features, theta=_measured_theta, theta_weight=0.0),
    "complex": InputSet(count=5, outputs=4, compute=complex_features, theta=_learned_theta, theta_weight=1.0),
}
