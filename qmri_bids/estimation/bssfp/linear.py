"""The linear solution as an estimator: exact without noise for any three or more increments, noisier than maximum likelihood.

The equations are those of `profile_start`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.estimation.base import NaturalPoint
from qmri_bids.estimation.bssfp.profile_start import check_increments, linear_functionals, solve_functionals
from qmri_bids.estimation.bssfp.steady_state import SteadyStateEstimator
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol


class Linear(SteadyStateEstimator):
    """Linear least squares on functionals of the cycles; on the configurations F_1 and F_-2 where increments are evenly spaced."""

    name = "linear"

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` if fewer than three increments differ."""
        check_increments(protocol, name=self.name)

    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad]; see `SteadyStateEstimator.solve`."""
        e2, b, theta = _natural(cycles, protocol)
        t1, t2 = relaxation_times(e2, b, b1=b1, protocol=protocol)
        return t1, t2, theta

    def natural(
        self, cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
    ) -> NaturalPoint:
        """Return the point in natural coordinates, not restricted to where T1 and T2 exist; see `Estimator.natural`."""
        self.check(protocol)
        e2, b, theta = _natural(torch.as_tensor(cycles, dtype=torch.complex128), protocol)
        return NaturalPoint(e2=e2.numpy(), b=b.numpy(), theta=theta.numpy())


def _natural(cycles: torch.Tensor, protocol: BssfpProtocol) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    functionals = torch.as_tensor(linear_functionals(protocol.rf_phase_increment), dtype=cycles.dtype)
    return solve_functionals(functionals @ cycles.mT)
