"""The protocol-free physics-informed network, bare and refined by maximum likelihood.

One set of weights maps the modes of any evenly spaced 3 to 18 cycles to E2, b and θ; TR, flip angle and B1 enter in the closed
form alone. Refined, the network's point is where maximum likelihood on all cycles begins: what the network missed is gone, and the
covariance comes with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.estimation.base import NaturalPoint, ProtocolNotSupported
from qmri_bids.estimation.bssfp.maximum_likelihood import MaximumLikelihood
from qmri_bids.estimation.bssfp.steady_state import SteadyStateEstimator, ValidRange
from qmri_bids.networks.checkpoint import ModelCard, find_weights, load_checkpoint
from qmri_bids.networks.devices import CPU, device_of, resolve_device
from qmri_bids.networks.profile import FEWEST_CYCLES, MOST_CYCLES, NaturalFunction, NaturalNetwork, canonical_features
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol

NETWORK_CHUNK = 8_192
"""Voxels that a network sees at a time: the activations stay in the cache."""

COVERED = f"{FEWEST_CYCLES} to {MOST_CYCLES} evenly spaced RF phase increments"


UNEVEN = (
    f"The network knows {COVERED} only: maximum likelihood began at the linear solution instead of the network's point. "
    "Four or more different increments lead to the same maps from either."
)


def _load(weights_folder: Path | None, device: str) -> tuple[NaturalNetwork, ModelCard, Path]:
    path = find_weights(kind="natural", folder=weights_folder)[0].path
    network, card = load_checkpoint(path)
    return cast(NaturalNetwork, network).to(resolve_device(device)), card, path


def _serves(protocol: BssfpProtocol) -> bool:
    return protocol.is_evenly_spaced and FEWEST_CYCLES <= protocol.number_of_cycles <= MOST_CYCLES


def _natural(
    function: NaturalFunction, cycles: torch.Tensor, protocol: BssfpProtocol
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return E2, b and θ of complex cycles (V, N), differentiable, in double precision."""
    seen = canonical_features(cycles, rf_phase_increment=protocol.rf_phase_increment)
    rate, logit, canonical = function(seen.features)
    theta = torch.where(seen.mirrored, -canonical, canonical) + seen.shift
    theta = torch.remainder(theta.double() + math.pi, 2.0 * math.pi) - math.pi
    return torch.exp(-torch.exp(rate.double())), torch.sigmoid(logit.double()), theta


def _trained_range(card: ModelCard, protocol: BssfpProtocol) -> ValidRange:
    """Return the general range of an estimate, cut to what the training covered at this TR."""
    usual, tr = ValidRange(), protocol.repetition_time
    t1, t2 = ((low * tr, high * tr) for low, high in (card.coverage["t1_over_tr"], card.coverage["t2_over_tr"]))
    return ValidRange(
        t1=(max(usual.t1[0], t1[0]), min(usual.t1[1], t1[1])),
        t2=(max(usual.t2[0], t2[0]), min(usual.t2[1], t2[1])),
        flip_angle=tuple(card.coverage["flip_angle"]),
    )


class BareNaturalNetwork(SteadyStateEstimator):
    """The network alone; standard deviations by propagating the noise through it.

    Parameters
    ----------
    weights_folder
        Folder searched for weights before those of the package.
    device
        Device of the network; see `networks.devices`.
    """

    name = "pinn-bare"
    dtype = torch.float32

    def __init__(self, *, weights_folder: Path | None = None, device: str = CPU) -> None:
        self.network, self.card, self.weights_path = _load(weights_folder, device)
        self.device = device_of(self.network)
        self.model: Mapping[str, str] = {"name": self.card.name, "sha256": self.card.sha256}

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` unless there are 3 to 18 evenly spaced increments and the flip angle is covered."""
        if not _serves(protocol):
            degrees = ", ".join(f"{math.degrees(each):.1f}" for each in protocol.rf_phase_increment)
            raise ProtocolNotSupported(
                expected=f"{COVERED} (estimator {self.name})",
                found=f"{protocol.number_of_cycles}: {degrees}°",
                advice="Leave out --no-refine: maximum likelihood serves any three or more increments.",
            )
        _check_flip_angle(self.card, protocol, name=self.name)

    def valid_range(self, protocol: BssfpProtocol) -> ValidRange:
        """Return the range of the training, at most that of every estimate."""
        return _trained_range(self.card, protocol)

    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad]; see `SteadyStateEstimator.solve`."""
        e2, b, theta = _natural(self.network.for_cycles(protocol.number_of_cycles), cycles, protocol)
        t1, t2 = relaxation_times(e2, b, b1=b1.double(), protocol=protocol)
        return t1, t2, theta

    def natural(
        self, cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
    ) -> NaturalPoint:
        """Return the point in natural coordinates, nothing flagged; see `Estimator.natural`."""
        self.check(protocol)
        return network_point(self.network, cycles, protocol=protocol)


class RefinedNaturalNetwork(MaximumLikelihood):
    """The flagship: the network's point, then maximum likelihood on all complex cycles.

    Parameters
    ----------
    threads
        Threads of the compiled kernel; the result does not depend on it.
    weights_folder
        Folder searched for weights before those of the package.
    device
        Device of the network; the refinement stays on the processor.
    """

    name = "pinn"

    def __init__(self, *, threads: int = 1, weights_folder: Path | None = None, device: str = CPU) -> None:
        super().__init__(threads=threads)
        self.network, self.card, self.weights_path = _load(weights_folder, device)
        self.model = {"name": self.card.name, "sha256": self.card.sha256}

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if fewer than three increments differ or the flip angle is not covered."""
        super().check(protocol)
        _check_flip_angle(self.card, protocol, name=self.name)

    def remarks(self, protocol: BssfpProtocol) -> tuple[str, ...]:
        """Tell of increments that the network does not serve, and what maximum likelihood tells."""
        return (*super().remarks(protocol), *(() if _serves(protocol) else (UNEVEN,)))

    def valid_range(self, protocol: BssfpProtocol) -> ValidRange:
        """Return the range of the training, at most that of every estimate."""
        return _trained_range(self.card, protocol)

    def start(self, cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol) -> NaturalPoint | None:
        """Return the network's point; None, for the linear solution, where it does not serve the increments."""
        return network_point(self.network, cycles, protocol=protocol) if _serves(protocol) else None


def network_point(
    network: NaturalNetwork, cycles: NDArray[np.complexfloating], *, protocol: BssfpProtocol
) -> NaturalPoint:
    """Return what a network says of complex cycles (V, N), in chunks and single precision."""
    parts = []
    device = device_of(network)
    with torch.inference_mode():
        function = network.for_cycles(protocol.number_of_cycles)
        for begin in range(0, max(len(cycles), 1), NETWORK_CHUNK):
            part = torch.as_tensor(cycles[begin : begin + NETWORK_CHUNK], dtype=torch.complex64, device=device)
            parts.append(tuple(each.cpu() for each in _natural(function, part, protocol)))
    e2, b, theta = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
    return NaturalPoint(e2=e2, b=b, theta=theta)


def _check_flip_angle(card: ModelCard, protocol: BssfpProtocol, *, name: str) -> None:
    low, high = card.coverage["flip_angle"]
    if not low <= protocol.flip_angle <= high:
        raise ProtocolNotSupported(
            expected=(
                f"a nominal flip angle within the {math.degrees(low):.0f}-{math.degrees(high):.0f}° that the training "
                f"covered (estimator {name}, weights {card.name})"
            ),
            found=f"{math.degrees(protocol.flip_angle):.1f}°",
            advice="Is the flip angle of the sidecar right? Other protocols are estimated by --bssfp-estimator ml.",
        )
