"""The multilayer perceptrons of Birk et al. 2025, with their normalisation inside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from qmri_bids.networks.features import INPUTS


@dataclass(frozen=True, kw_only=True)
class PaperNetworkConfig:
    """Architecture and output range of a network: all that is needed to build it before its weights are read.

    Parameters
    ----------
    inputs
        Key of `networks.features.INPUTS`.
    hidden
        Width of the two hidden layers.
    log_t1_over_tr, log_t2_over_tr
        Range (low, high) of log(T1/TR) and log(T2/TR) onto which the sigmoid outputs are mapped.
    flip_angle
        Range (low, high) of the actual flip angle [rad], mapped to (-1, 1) at the input.
    """

    inputs: str
    hidden: int
    log_t1_over_tr: tuple[float, float]
    log_t2_over_tr: tuple[float, float]
    flip_angle: tuple[float, float]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PaperNetworkConfig:
        """Rebuild from the JSON of a model card."""
        return cls(
            inputs=str(values["inputs"]),
            hidden=int(values["hidden"]),
            log_t1_over_tr=tuple(values["log_t1_over_tr"]),
            log_t2_over_tr=tuple(values["log_t2_over_tr"]),
            flip_angle=tuple(values["flip_angle"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return asdict(self)


class PaperNetwork(nn.Module):
    """Map signal features and the actual flip angle to log(T1/TR), log(T2/TR) and θ.

    Two hidden layers with ReLU: 64 wide for magnitudes, 256 wide for complex input (Birk et al. 2025, Relaxometry). Beyond the
    paper: features are normalised; the relaxation times come in units of TR, so that one network serves every TR, from a sigmoid on
    a logarithmic scale; θ comes as cosine and sine, so that nothing happens at ±π, or from the phases where the input has none.

    Parameters
    ----------
    config
        Architecture and ranges.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, config: PaperNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = INPUTS[config.inputs]
        self.register_buffer("feature_mean", torch.zeros(self.inputs.count))
        self.register_buffer("feature_scale", torch.ones(self.inputs.count))
        self.layers = nn.Sequential(
            nn.Linear(self.inputs.count + 1, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, self.inputs.outputs),
        )

    def normalise_by(self, features: torch.Tensor) -> None:
        """Take mean and standard deviation of the features from a training set; they are stored with the weights."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(features.std(dim=0))

    def forward(
        self, features: torch.Tensor, flip_angle: torch.Tensor, measured_theta: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log(T1/TR), log(T2/TR) and θ [rad], shape (...) each.

        Parameters
        ----------
        features
            Signal features of the kind `config.inputs`, shape (..., 3) or (..., 5).
        flip_angle
            Actual flip angle B1·FA [rad], shape (...).
        measured_theta
            θ from the phases of the configurations [rad], shape (...): what a magnitude network returns for θ.
        """
        low, high = self.config.flip_angle
        scaled = (2.0 * flip_angle - low - high) / (high - low)
        normalised = (features - self.feature_mean) / self.feature_scale
        output = self.layers(torch.cat([normalised, scaled[..., None]], dim=-1))
        log_t1 = _within(output[..., 0], self.config.log_t1_over_tr)
        log_t2 = _within(output[..., 1], self.config.log_t2_over_tr)
        return log_t1, log_t2, self.inputs.theta(output, measured_theta)


def _within(raw: torch.Tensor, bounds: tuple[float, float]) -> torch.Tensor:
    """Map a raw output onto a range by a sigmoid."""
    low, high = bounds
    return low + (high - low) * torch.sigmoid(raw)
