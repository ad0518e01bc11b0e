"""The protocol-free network: from the modes of a phase-cycled profile to its natural coordinates (E2, b, θ).

Divided by its complex amplitude the profile of balanced SSFP depends on E2, b, θ and the increments alone
(`physics.bssfp.profile`). A network that maps it to these three serves every TR, flip angle and B1, which enter only
afterwards, in the closed form `physics.bssfp.relaxation_times`.

The network corrects the closed form of MIRACLE, which is exact for infinitely many cycles without noise: what is left to learn is
aliasing and noise.

Three exact symmetries are taken out before the network and put back behind it, so that it need not learn them: evenly spaced
increments with any offset are half-bin increments with θ shifted by that offset; shifting θ by a bin 2π/N permutes the cycles, so
that only one bin of θ is left; the complex conjugate has the opposite θ, so that only half of that bin is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn

from qmri_bids.networks.features import half_bin_offset
from qmri_bids.physics.bssfp import configurations

HIGHEST_ORDER = 3
"""Highest order of the modes among the features."""
FEWEST_CYCLES, MOST_CYCLES = 3, 18
"""Numbers of phase cycles that the network serves."""
NUMBER_OF_MODE_FEATURES = 4 * HIGHEST_ORDER + 1
NUMBER_OF_FEATURES = NUMBER_OF_MODE_FEATURES + 2
LIMIT = 1e-5
"""Distance from 0 and 1 at which the closed form is held where noise carries it beyond: it is an input, not a result."""


@dataclass(frozen=True, kw_only=True)
class CanonicalFeatures:
    """What the network sees, and what undoes the symmetries.

    Parameters
    ----------
    features
        Features, real, shape (V, 15): modes -3 to 3, turned by the phase of F0 and of unit norm, real parts, then imaginary parts
        without that of F0; then log(-log E2) and logit b by the closed form of MIRACLE from the magnitudes of F-1, F0 and F1.
    mirrored
        Whether the voxel was conjugated, shape (V,).
    shift
        What to add to θ behind the network [rad], shape (V,).
    """

    features: torch.Tensor
    mirrored: torch.Tensor
    shift: torch.Tensor


def canonical_features(cycles: torch.Tensor, *, rf_phase_increment: Sequence[float]) -> CanonicalFeatures:
    """Return the features of the network, the symmetries of the profile taken out.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    rf_phase_increment
        Evenly spaced increments [rad], any offset, any order.
    """
    number = len(rf_phase_increment)
    turn = 2.0 * math.pi / number
    offset = half_bin_offset(rf_phase_increment)
    increments = [increment - offset for increment in rf_phase_increment]
    orders = range(-HIGHEST_ORDER, HIGHEST_ORDER + 1)
    modes = configurations(cycles, rf_phase_increment=increments, orders=tuple(orders))
    minus, zero, plus = (modes[:, HIGHEST_ORDER + n] for n in (-1, 0, 1))
    rough = torch.angle(plus * zero.conj() - zero * minus.conj())
    bins = torch.round(rough / turn)
    mirrored = rough < bins * turn
    order = torch.arange(-HIGHEST_ORDER, HIGHEST_ORDER + 1, device=modes.device)
    back = -(bins * turn)[:, None] * order
    modes = modes * torch.complex(torch.cos(back), torch.sin(back))
    modes = torch.where(mirrored[:, None], modes.conj(), modes)
    zero = modes[:, HIGHEST_ORDER : HIGHEST_ORDER + 1]
    modes = modes * zero.conj()
    modes = modes / torch.linalg.vector_norm(modes, dim=1, keepdim=True)
    imaginary = torch.cat([modes.imag[:, :HIGHEST_ORDER], modes.imag[:, HIGHEST_ORDER + 1 :]], dim=1)
    return CanonicalFeatures(
        features=torch.cat([modes.real, imaginary, _closed_form(modes)], dim=1),
        mirrored=mirrored,
        shift=bins * turn + offset,
    )


def _closed_form(modes: torch.Tensor) -> torch.Tensor:
    """Return log(-log E2) and logit b of MIRACLE, shape (V, 2)."""
    minus, zero, plus = (modes[:, HIGHEST_ORDER + n].abs() for n in (-1, 0, 1))
    e2 = (minus + plus) * zero / (zero.square() + minus * plus)
    b = 2.0 * plus * zero / (zero.square() + plus.square())
    return torch.stack([log_rate(e2.clamp(LIMIT, 1.0 - LIMIT)), torch.logit(b, eps=LIMIT)], dim=1)


def log_rate(e2: torch.Tensor) -> torch.Tensor:
    """Return log(-log E2) = log(TR/T2)."""
    return torch.log(-torch.log(e2))


NaturalFunction = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
"""From features (V, 15) to log(-log E2), logit b and the canonical θ [rad]."""


@dataclass(frozen=True, kw_only=True)
class NaturalNetworkConfig:
    """Architecture of a protocol-free network.

    Parameters
    ----------
    hidden
        Width of the hidden layers.
    depth
        Number of hidden layers.
    """

    hidden: int = 128
    depth: int = 3

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NaturalNetworkConfig:
        """Rebuild from the JSON of a model card."""
        return cls(hidden=int(values["hidden"]), depth=int(values["depth"]))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return asdict(self)


class NaturalNetwork(nn.Module):
    """Multilayer perceptron whose hidden layers are scaled and shifted by the number of cycles.

    Aliasing makes the modes of few cycles mean something else than those of many: every N from 3 to 18 has its own gain and offset
    of each hidden unit, and shares the weights.

    Parameters
    ----------
    config
        Architecture.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor
    output_scale: torch.Tensor

    def __init__(self, config: NaturalNetworkConfig) -> None:
        super().__init__()
        self.config = config
        kinds = MOST_CYCLES - FEWEST_CYCLES + 1
        self.register_buffer("feature_mean", torch.zeros(NUMBER_OF_FEATURES))
        self.register_buffer("feature_scale", torch.ones(NUMBER_OF_FEATURES))
        self.register_buffer("output_scale", torch.ones(2))
        widths = [NUMBER_OF_FEATURES] + [config.hidden] * config.depth
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.gain = nn.Parameter(torch.ones(kinds, config.depth, config.hidden))
        self.offset = nn.Parameter(torch.zeros(kinds, config.depth, config.hidden))
        self.out = nn.Linear(config.hidden, 4)
        self.activation = nn.ReLU()

    def normalise_by(self, features: torch.Tensor, natural: torch.Tensor) -> None:
        """Take the scales of features (V, 15) and natural coordinates (V, 2) from a training set; stored with the weights."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(features.std(dim=0))
        self.output_scale.copy_(natural.std(dim=0))

    def forward(
        self, features: torch.Tensor, number_of_cycles: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return log(-log E2), logit b and the canonical θ [rad].

        Parameters
        ----------
        features
            `CanonicalFeatures.features`, shape (V, 15).
        number_of_cycles
            N of every voxel, integer, shape (V,) or ().
        """
        kind = number_of_cycles - FEWEST_CYCLES
        gain, offset = self.gain[kind], self.offset[kind]
        value = (features - self.feature_mean) / self.feature_scale
        for layer, linear in enumerate(self.hidden):
            value = self.activation(linear(value) * gain[..., layer, :] + offset[..., layer, :])
        output = self.out(value)
        natural = features[:, NUMBER_OF_MODE_FEATURES:] + output[:, :2] * self.output_scale
        return natural[:, 0], natural[:, 1], torch.atan2(output[:, 3], output[:, 2])

    def for_cycles(self, number_of_cycles: int) -> NaturalFunction:
        """Return the network for one N: normalisation, gains, offsets and scales folded into the weights, three times as fast.

        Parameters
        ----------
        number_of_cycles
            N, from 3 to 18.
        """
        kind = number_of_cycles - FEWEST_CYCLES
        layers: list[nn.Module] = []
        for layer, linear in enumerate(cast(list[nn.Linear], list(self.hidden))):
            gain, offset = self.gain[kind, layer], self.offset[kind, layer]
            weight, bias = linear.weight * gain[:, None], linear.bias * gain + offset
            if layer == 0:
                weight = weight / self.feature_scale
                bias = bias - weight @ self.feature_mean
            layers += [_linear(weight, bias), nn.ReLU(inplace=True)]
        scale = torch.cat([self.output_scale, torch.ones_like(self.output_scale)])
        layers.append(_linear(self.out.weight * scale[:, None], self.out.bias * scale))
        perceptron = nn.Sequential(*layers)

        def function(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            output = perceptron(features)
            natural = features[:, NUMBER_OF_MODE_FEATURES:] + output[:, :2]
            return natural[:, 0], natural[:, 1], torch.atan2(output[:, 3], output[:, 2])

        return function


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.requires_grad_(False)
