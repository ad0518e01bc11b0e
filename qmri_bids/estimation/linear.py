"""A linear solution that no aliasing biases: exact without noise for any N ≥ 3 and any off-resonance.

Multiplied by its denominator the profile S_j (1 - b cos ψ_j) = A (1 - E2 e^{-iψ_j}) is linear in its unknowns. Its Fourier
coefficients over evenly spaced cycles obey, with w = (b/2) e^{iθ},

    F_m = w F_{m-1} + w* F_{m+1}    for every m except 0 and -1 (modulo N),
    F_0 - w F_{-1} - w* F_1 = A,    F_{-1} - w F_{-2} - w* F_0 = -A E2 e^{-iθ},

whatever the aliasing. m = 1 and m = -2 give w by least squares, then A and E2 follow. Noisier than maximum likelihood.
Björk et al., MRM 72:880 (2014) linearise the same profile in the domain of the cycles.
"""

from __future__ import annotations

import torch

from qmri_bids.estimation.steady_state import SteadyStateEstimator
from qmri_bids.physics.bssfp import configurations, relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol


class Linear(SteadyStateEstimator):
    """Linear least squares on the configurations."""

    name = "linear"

    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad]; see `SteadyStateEstimator.solve`."""
        orders = (-3, -2, -1, 0, 1, 2)
        modes = configurations(cycles, rf_phase_increment=protocol.rf_phase_increment, orders=orders)
        f = dict(zip(orders, modes.unbind(dim=-1), strict=True))
        w = _solve_pair([(f[m], f[m - 1], f[m + 1]) for m in (1, -2)])
        scale = f[0] - w * f[-1] - w.conj() * f[1]
        theta = torch.angle(w)
        turned = (f[-1] - w * f[-2] - w.conj() * f[0]) * w / w.abs()
        e2 = -(turned / scale).real
        t1, t2 = relaxation_times(e2, 2.0 * w.abs(), b1=b1, protocol=protocol)
        return t1, t2, theta


def _solve_pair(equations: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Solve F_m = w F_{m-1} + w* F_{m+1} for w by least squares over its real and imaginary part."""
    xx = xy = yy = xr = yr = torch.zeros((), dtype=equations[0][0].real.dtype)
    for right, before, after in equations:
        x, y = before + after, 1j * (before - after)
        xx = xx + x.abs().square()
        yy = yy + y.abs().square()
        xy = xy + (x.conj() * y).real
        xr = xr + (x.conj() * right).real
        yr = yr + (y.conj() * right).real
    determinant = xx * yy - xy * xy
    return torch.complex((yy * xr - xy * yr) / determinant, (xx * yr - xy * xr) / determinant)
