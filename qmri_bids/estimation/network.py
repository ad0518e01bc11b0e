"""Estimation with a pretrained network."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.steady_state import SteadyStateEstimator, ValidRange
from qmri_bids.networks.checkpoint import load_checkpoint
from qmri_bids.networks.features import signal_features
from qmri_bids.physics.bssfp import ALIASING_FREE_CYCLES
from qmri_bids.physics.protocol import BssfpProtocol


class Network(SteadyStateEstimator):
    """The complex network of Birk et al. 2025, trained for one number of cycles.

    The network works in units of TR and on the actual flip angle: any TR is served exactly, any flip angle as long as B1·FA
    stays in the trained range.

    Parameters
    ----------
    name
        Name in the table of estimators.
    weights
        The `.safetensors` file.
    """

    dtype = torch.float32

    def __init__(self, name: str, weights: Path) -> None:
        self.name = name
        self.network, self.card = load_checkpoint(weights)
        self.model = {"name": self.card.name, "sha256": self.card.sha256}

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if number, spacing or offset of the increments or the flip angle is not covered."""
        super().check(protocol)
        estimator = f"(estimator {self.name}, weights {self.card.name})"
        advice = "Use --bssfp-estimator linear."
        if protocol.number_of_cycles != self.card.number_of_cycles:
            raise ProtocolNotSupported(
                expected=f"{self.card.number_of_cycles} phase cycles {estimator}",
                found=str(protocol.number_of_cycles),
                advice=advice,
            )
        low, high = self.card.flip_angle
        if not low < protocol.flip_angle < high:
            raise ProtocolNotSupported(
                expected=(
                    f"a nominal flip angle within the {math.degrees(low):.1f}-{math.degrees(high):.1f}° that the "
                    f"training covered {estimator}"
                ),
                found=f"{math.degrees(protocol.flip_angle):.1f}°",
                advice=advice,
            )
        if protocol.number_of_cycles < ALIASING_FREE_CYCLES and not _same_angles(
            protocol.rf_phase_increment, self.card.rf_phase_increment
        ):
            raise ProtocolNotSupported(
                expected=f"the increments {_degrees(self.card.rf_phase_increment)} {estimator}",
                found=_degrees(protocol.rf_phase_increment),
                advice=advice,
            )

    def valid_range(self, protocol: BssfpProtocol) -> ValidRange:
        """Return the range of the training, T1 and T2 scaled to this TR."""
        tr = protocol.repetition_time
        t1, t2 = self.card.t1_over_tr, self.card.t2_over_tr
        return ValidRange(t1=(t1[0] * tr, t1[1] * tr), t2=(t2[0] * tr, t2[1] * tr), flip_angle=self.card.flip_angle)

    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad]; see `SteadyStateEstimator.solve`."""
        features = signal_features(cycles, rf_phase_increment=protocol.rf_phase_increment)
        log_t1, log_t2, theta = self.network(features, b1 * protocol.flip_angle)
        # The amplitude fit that follows needs 1 - E1 to better than float32 has it.
        tr = protocol.repetition_time
        return tr * log_t1.double().exp(), tr * log_t2.double().exp(), theta.double()


def _same_angles(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    turn = 2.0 * math.pi

    def distance(one: float, other: float) -> float:
        return abs((one - other + math.pi) % turn - math.pi)

    return all(min(distance(each, other) for other in second) < 1e-3 for each in first)


def _degrees(increments: tuple[float, ...]) -> str:
    return ", ".join(f"{math.degrees(each):g}" for each in increments) + "°"
