"""What a relaxometry network sees: phase-free, amplitude-free SSFP configurations and the actual flip angle."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qmri_bids.physics.bssfp import configurations

ORDERS = (-1, 0, 1)
"""The three lowest configurations (Birk et al. 2025, Data processing in vivo)."""

NUMBER_OF_SIGNAL_FEATURES = 5


def signal_features(cycles: torch.Tensor, *, rf_phase_increment: Sequence[float]) -> torch.Tensor:
    """Return the complex feature vector of Birk et al. 2025.

    The configurations F-1, F0, F1 are turned by the phase of F0, which removes the receiver phase, and divided by
    their Euclidean norm, which removes M0 and the receive sensitivity.

    Parameters
    ----------
    cycles
        Complex signal, shape (..., N).
    rf_phase_increment
        The N evenly spaced increments [rad].

    Returns
    -------
    torch.Tensor
        Real, shape (..., 5): Re F-1, Re F0, Re F1, Im F-1, Im F1. Im F0 is zero.
    """
    modes = configurations(cycles, rf_phase_increment=rf_phase_increment, orders=ORDERS)
    reference = modes[..., 1:2]
    turned = modes * reference.conj() / reference.abs()
    vector = torch.cat([turned.real, turned.imag[..., (0, 2)]], dim=-1)
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
