"""The network of pools: from images and known maps of a voxel to fractions and exchange rates with their spread.

Every voxel is seen alone: all scales are stored with the weights, and nothing is taken from the other voxels of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

KNOWN_FEATURES = 4
"""log T1, log T2, B1 and off-resonance."""

NOISE_COMPONENTS = 16
"""Shapes that explain signals without noise to far below any noise; what they leave of a voxel tells its noise."""

SMALLEST_NOISE = 1e-5
"""Noise relative to the norm of a series below which signals count as free of it."""


@dataclass(frozen=True, kw_only=True)
class ExchangeNetworkConfig:
    """Architecture of a network of pools.

    Parameters
    ----------
    series
        Number of images of each series.
    parameters
        Names of what is estimated, such as `MT.fraction`.
    hidden, depth
        Width and number of the hidden layers.
    """

    series: tuple[int, ...]
    parameters: tuple[str, ...]
    hidden: int = 192
    depth: int = 3

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExchangeNetworkConfig:
        """Rebuild from the JSON of a model card."""
        return cls(
            series=tuple(int(each) for each in values["series"]),
            parameters=tuple(values["parameters"]),
            hidden=int(values["hidden"]),
            depth=int(values["depth"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def images(self) -> int:
        """Images of all series."""
        return sum(self.series)


class ExchangeNetwork(nn.Module):
    """Multilayer perceptron from normalised images, known maps and noise to logarithms of the parameters and of their spread.

    Parameters
    ----------
    config
        Architecture.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    quietest: torch.Tensor
    feature_mean: torch.Tensor
    feature_scale: torch.Tensor
    centre: torch.Tensor
    mixing: torch.Tensor
    middle: torch.Tensor
    reach: torch.Tensor

    def __init__(self, config: ExchangeNetworkConfig) -> None:
        super().__init__()
        self.config = config
        images, outputs = config.images, len(config.parameters)
        features = images + KNOWN_FEATURES + 1
        # Of normalised signals: their mean and the shapes that explain them.
        self.register_buffer("mean", torch.zeros(images))
        self.register_buffer("basis", torch.zeros(images, min(NOISE_COMPONENTS, images // 2)))
        # Less noise than any sample of the training had is taken for that of the quietest.
        self.register_buffer("quietest", torch.full((), -30.0))
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_scale", torch.ones(features))
        # Logarithms = centre + mixing @ output, then bent softly into middle ± reach.
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("mixing", torch.eye(outputs))
        self.register_buffer("middle", torch.zeros(outputs))
        self.register_buffer("reach", torch.ones(outputs))
        widths = [features] + [config.hidden] * config.depth
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.value = nn.Linear(config.hidden, outputs)
        self.spread = nn.Linear(config.hidden, outputs)
        nn.init.zeros_(self.value.bias)
        nn.init.normal_(self.value.weight, std=0.01)
        nn.init.zeros_(self.spread.weight)
        nn.init.constant_(self.spread.bias, -2.0)

    def features(self, images: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Return what the perceptron sees, not yet scaled.

        Parameters
        ----------
        images
            Images of all series side by side, any scale, shape (V, N).
        known
            log T1, log T2, B1 and off-resonance [Hz], shape (V, 4).
        """
        shape = normalised(images, self.config.series)
        off = shape - self.mean
        left = off - (off @ self.basis) @ self.basis.T
        freedom = self.config.images - self.basis.shape[1]
        noise = torch.sqrt(left.square().sum(dim=1) / freedom).clamp_min(SMALLEST_NOISE)
        return torch.cat([shape, known, torch.log(noise)[:, None].maximum(self.quietest)], dim=1)

    def forward(self, images: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logarithms of the parameters and of their standard deviations, shape (V, P) each; see `features`."""
        hidden = self.trunk((self.features(images, known) - self.feature_mean) / self.feature_scale)
        free = self.centre + self.value(hidden) @ self.mixing.T
        bent = self.middle + self.reach * torch.tanh((free - self.middle) / self.reach)
        return bent, self.spread(hidden)

    def scale_by(
        self,
        images: torch.Tensor,
        known: torch.Tensor,
        *,
        clean: torch.Tensor,
        centre: torch.Tensor,
        mixing: torch.Tensor,
    ) -> None:
        """Take all scales from a training set.

        Parameters
        ----------
        images, known
            Images with noise and known maps, which `features` takes.
        clean
            Images that tell the shapes, with little or no noise.
        centre, mixing
            Mean of the logarithms, shape (P,), and the matrix by which the network's outputs are multiplied, shape (P, P).
        """
        shape = normalised(clean, self.config.series)
        self.mean.copy_(shape.mean(dim=0))
        _, _, axes = torch.linalg.svd((shape - self.mean).double(), full_matrices=False)
        self.basis.copy_(axes[: self.basis.shape[1]].T)
        self.centre.copy_(centre)
        self.mixing.copy_(mixing)
        self.quietest.copy_(torch.quantile(self.features(images[:10_000], known[:10_000])[:, -1], 0.005))
        seen = self.features(images, known)
        self.feature_mean.copy_(seen.mean(dim=0))
        self.feature_scale.copy_(seen.std(dim=0).clamp_min(1e-6))

    def bound_by(self, low: torch.Tensor, high: torch.Tensor) -> None:
        """Keep the logarithms between two bounds, shape (P,) each."""
        self.middle.copy_(0.5 * (low + high))
        self.reach.copy_(0.5 * (high - low))


def normalised(images: torch.Tensor, series: Sequence[int]) -> torch.Tensor:
    """Return images over the norm of their series, shape (V, N)."""
    parts = torch.split(images, list(series), dim=1)
    return torch.cat([part / part.norm(dim=1, keepdim=True).clamp_min(1e-30) for part in parts], dim=1)
