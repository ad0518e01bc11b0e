"""Estimation with the networks of Birk et al. 2025."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import torch

from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.bssfp.steady_state import SteadyStateEstimator, ValidRange
from qmri_bids.networks.architecture import PaperNetwork
from qmri_bids.networks.checkpoint import Weights, find_weights, load_checkpoint
from qmri_bids.networks.devices import CPU, resolve_device
from qmri_bids.networks.features import half_bin_offset, lowest_configurations, phase_theta
from qmri_bids.networks.names import NETWORK_SYSTEMS
from qmri_bids.physics.bssfp import ALIASING_FREE_CYCLES
from qmri_bids.physics.protocol import BssfpProtocol

ADVICE = "Add --train-missing to train one for this protocol, or use --bssfp-estimator ml."

FEWEST_FOR_RANGE = 6
"""Number of cycles from which on a complex network tells a value beyond its range from one within, but for noise."""

B1_SPREAD = (0.8, 1.2)
"""Actual over nominal flip angle of most of a head at 3 T."""


class Network(SteadyStateEstimator):
    """One of the networks of Birk et al. 2025: a system (loss and input) trained on a prior, one set of weights for each N.

    The networks work in units of TR and on the actual flip angle: any TR is served, any flip angle as long as B1·FA stays in
    the trained range, and increments of any offset, since an offset only shifts θ.

    Parameters
    ----------
    name
        Key of `networks.names.NETWORK_SYSTEMS`.
    weights_folder
        Folder of further weights, searched before those of the package.
    device
        Device of the network; see `networks.devices`.
    """

    dtype = torch.float32

    def __init__(self, name: str, *, weights_folder: Path | None = None, device: str = CPU) -> None:
        row = NETWORK_SYSTEMS[name]
        self.name = name
        self.device = resolve_device(device)
        self.candidates = find_weights(kind="paper", folder=weights_folder, system=row.system, prior=row.prior)
        self._chosen: Weights | None = None
        self._network: PaperNetwork | None = None

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if spacing or number of the increments or the flip angle is not covered."""
        super().check(protocol)
        covering = [each for each in self.candidates if _covers(each, protocol)]
        if not covering:
            raise ProtocolNotSupported(
                expected=f"{_coverage(self.candidates)} (estimator {self.name})",
                found=f"N = {protocol.number_of_cycles} at a nominal {math.degrees(protocol.flip_angle):.1f}°",
                advice=ADVICE,
            )
        first = [each for each in covering if each.path.parent == covering[0].path.parent]
        self._use(min(first, key=lambda each: _distance(each, protocol)))

    def _use(self, weights: Weights) -> None:
        if weights is not self._chosen:
            network, card = load_checkpoint(weights.path)
            self._chosen, self._network = weights, cast(PaperNetwork, network).to(self.device)
            self.model = {"name": card.name, "sha256": card.sha256}
            self.weights_path: Path | None = weights.path

    def weights_for(self, protocol: BssfpProtocol) -> tuple[PaperNetwork, Weights]:
        """Return the network that serves a protocol, and its file and card; raises like `check`."""
        self.check(protocol)
        return cast(PaperNetwork, self._network), cast(Weights, self._chosen)

    def remarks(self, protocol: BssfpProtocol) -> tuple[str, ...]:
        """Tell of ranges that another TR or flip angle than that of the training moves."""
        network, weights = self.weights_for(protocol)
        remarks = []
        trained = weights.card.training["protocol"]["repetition_time"]
        if abs(protocol.repetition_time / trained - 1.0) > 0.05:
            bounds = self.valid_range(protocol)
            remarks.append(
                f"Network {weights.card.name} was trained at TR {1e3 * trained:g} ms; at {1e3 * protocol.repetition_time:g} ms it "
                f"covers T1 {1e3 * bounds.t1[0]:.0f}-{1e3 * bounds.t1[1]:.0f} ms and "
                f"T2 {1e3 * bounds.t2[0]:.0f}-{1e3 * bounds.t2[1]:.0f} ms; voxels outside are flagged."
            )
        low, high = network.config.flip_angle
        if protocol.flip_angle * B1_SPREAD[0] < low or protocol.flip_angle * B1_SPREAD[1] > high:
            remarks.append(
                f"Network {weights.card.name} covers actual flip angles of {math.degrees(low):.1f}-{math.degrees(high):.1f}°; at a "
                f"nominal {math.degrees(protocol.flip_angle):.1f}° voxels of unusual B1 lie outside and are flagged."
            )
        if network.config.inputs == "magnitude" and protocol.number_of_cycles < ALIASING_FREE_CYCLES:
            remarks.append(
                f"Network {weights.card.name} sees magnitudes alone, in which aliasing of {protocol.number_of_cycles} phase cycles "
                "cannot be told: T1 and T2 are biased as a function of off-resonance (mean error without noise about 2 % and 4 % "
                "at 6 cycles, 10 % and 14 % at 4); a complex network is not."
            )
        if protocol.number_of_cycles < FEWEST_FOR_RANGE:
            remarks.append(
                f"With {protocol.number_of_cycles} phase cycles network {weights.card.name} may give voxels somewhat beyond its "
                "trained range a value within it; fluid is flagged."
            )
        if NETWORK_SYSTEMS[self.name].prior != "uniform" or protocol.number_of_cycles < ALIASING_FREE_CYCLES:
            remarks.append(
                f"Standard deviations of network {weights.card.name} hold the noise that passes through it, not its own "
                "errors nor the pull of its prior: they are too small (of the shipped networks one covers 45-66 % in tissue "
                "at SNR 25, far less in fluid)."
            )
        if NETWORK_SYSTEMS[self.name].prior == "in-vivo":
            remarks.append(
                f"Network {weights.card.name} was trained on little fluid: T1 of fluid is about a third too low."
            )
        return tuple(remarks)

    def valid_range(self, protocol: BssfpProtocol) -> ValidRange:
        """Return the range of the training prior, T1 and T2 scaled to this TR."""
        network, weights = self.weights_for(protocol)
        tr = protocol.repetition_time
        t1, t2 = weights.card.coverage["t1_over_tr"], weights.card.coverage["t2_over_tr"]
        return ValidRange(
            t1=(t1[0] * tr, t1[1] * tr), t2=(t2[0] * tr, t2[1] * tr), flip_angle=network.config.flip_angle
        )

    def largest_misfit(self, protocol: BssfpProtocol) -> float:
        """Return 5 %: a network answers inside its range whatever it sees, and other tissue is known by the signal that it leaves.

        Magnitudes of few cycles are aliased and leave signal in any tissue: there the sign is worthless.
        """
        network, _ = self.weights_for(protocol)
        aliased = network.config.inputs == "magnitude" and protocol.number_of_cycles < ALIASING_FREE_CYCLES
        return math.inf if aliased else 0.05

    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad]; see `SteadyStateEstimator.solve`."""
        network, _ = self.weights_for(protocol)
        offset = half_bin_offset(protocol.rf_phase_increment)
        modes = lowest_configurations(
            cycles, rf_phase_increment=[increment - offset for increment in protocol.rf_phase_increment]
        )
        flip_angle = b1 * protocol.flip_angle
        log_t1, log_t2, theta = network(network.inputs.compute(modes), flip_angle, phase_theta(modes))
        theta = torch.remainder(theta + offset + math.pi, 2.0 * math.pi) - math.pi
        # The amplitude fit that follows needs 1 - E1 to better than float32 has it.
        tr = protocol.repetition_time
        return tr * log_t1.double().exp(), tr * log_t2.double().exp(), theta.double()


def _covers(weights: Weights, protocol: BssfpProtocol) -> bool:
    coverage = weights.card.coverage
    low, high = coverage["flip_angle"]
    return coverage["number_of_cycles"] == protocol.number_of_cycles and low < protocol.flip_angle < high


def _distance(weights: Weights, protocol: BssfpProtocol) -> float:
    """Return how far a protocol lies from that of the training."""
    trained = weights.card.training["protocol"]
    return abs(math.log(protocol.flip_angle / trained["flip_angle"])) + abs(
        math.log(protocol.repetition_time / trained["repetition_time"])
    )


def _coverage(candidates: list[Weights]) -> str:
    """Return what a list of weights covers, in words."""
    ranges: dict[tuple[float, float], set[int]] = {}
    for each in candidates:
        low, high = each.card.coverage["flip_angle"]
        ranges.setdefault((low, high), set()).add(each.card.coverage["number_of_cycles"])
    if not ranges:
        return "weights trained for this system and prior, of which there are none"
    return " or ".join(
        f"N = {', '.join(str(number) for number in sorted(numbers))} at a nominal flip angle within "
        f"{math.degrees(low):.1f}-{math.degrees(high):.1f}°"
        for (low, high), numbers in sorted(ranges.items())
    )
