"""Losses: the physics loss of the PINN and the supervised loss of the SVNN (Birk et al. 2025, Fig. 1b)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from qmri_bids.networks.architecture import PaperNetwork
from qmri_bids.networks.features import lowest_configurations
from qmri_bids.physics.bssfp import natural_coordinates, profile
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.simulation import Batch


def physics_loss(network: PaperNetwork, batch: Batch, protocol: BssfpProtocol) -> torch.Tensor:
    """Mean squared difference between the input features and those of the signal that the prediction implies.

    The minimum over the network is the least-squares projection of the noisy features on the model, whatever the prior:
    no pull towards the middle of the training range.
    """
    log_t1, log_t2, theta = network(batch.features, batch.b1 * protocol.flip_angle, batch.measured_theta)
    tr = protocol.repetition_time
    e2, b = natural_coordinates(tr * log_t1.exp(), tr * log_t2.exp(), b1=batch.b1, protocol=protocol)
    decoded = profile(e2, b, theta, rf_phase_increment=protocol.rf_phase_increment)
    modes = lowest_configurations(decoded, rf_phase_increment=protocol.rf_phase_increment)
    return (batch.weight * (network.inputs.compute(modes) - batch.features).square().sum(dim=-1)).mean()


def supervised_loss(network: PaperNetwork, batch: Batch, protocol: BssfpProtocol) -> torch.Tensor:
    """Mean squared error of the scaled parameters; θ by its cosine and sine, where the network learns it.

    The target of a relaxation time beyond the output range is the edge of that range.
    """
    log_t1, log_t2, theta = network(batch.features, batch.b1 * protocol.flip_angle, batch.measured_theta)
    tr = protocol.repetition_time
    t1_range, t2_range = network.config.log_t1_over_tr, network.config.log_t2_over_tr
    error_t1 = (log_t1 - torch.log(batch.t1 / tr).clamp(*t1_range)) / (t1_range[1] - t1_range[0])
    error_t2 = (log_t2 - torch.log(batch.t2 / tr).clamp(*t2_range)) / (t2_range[1] - t2_range[0])
    error_theta = network.inputs.theta_weight * (1.0 - torch.cos(theta - batch.theta)) / (2.0 * math.pi)
    return (batch.weight * (error_t1.square() + error_t2.square() + error_theta)).mean()


Loss = Callable[[PaperNetwork, Batch, BssfpProtocol], torch.Tensor]

LOSSES: dict[str, Loss] = {"physics": physics_loss, "supervised": supervised_loss}
