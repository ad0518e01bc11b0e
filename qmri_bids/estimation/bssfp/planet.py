"""PLANET: relaxation times from the ellipse that the cycles draw in the complex plane.

Turned to the phase of its centre, the profile A (1 - E2 e^{-iψ})/(1 - b cos ψ) is an ellipse with one axis along the real line:

    centre |A| (1 - E2 b)/(1 - b²),  semi-axis along it |A| |E2 - b|/(1 - b²),  across it |A| E2/√(1 - b²).

Phase and distance of the centre and the two semi-axes are what is fitted, so the constraint holds by itself: four unknowns in place
of the five of any ellipse. Their squared Sampson distances to the points are least, the distance from an ellipse to first order
(Sampson, Comput Graph Image Process 18:97, 1982), where an algebraic distance makes the ellipse too small. The start is the direct
least squares fit of Halíř and Flusser, WSCG 6:125 (1998). E2 and b follow in closed form and θ from where the points lie on the
ellipse: Shcherbakova et al., MRM 79:711 (2018).

The geometry has two solutions: E2 > b above the Ernst angle, E2 < b below it; they differ in the sense in which the points run
about the ellipse, so both are computed and the one that explains the points is kept. At the Ernst angle the ellipse is a line and
has no solution. Increments may be uneven; the direct fit has five unknowns, hence six cycles or more.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from qmri_bids.estimation.base import NaturalPoint, ProtocolNotSupported
from qmri_bids.estimation.bssfp.steady_state import CHUNK, SteadyStateEstimator
from qmri_bids.physics.bssfp import relaxation_times
from qmri_bids.physics.protocol import BssfpProtocol

FEWEST_CYCLES = 6
"""Fewest different increments: one more than the five unknowns of an ellipse."""
NEWTON_STEPS = 40
THINNEST_ELLIPSE = 1e-4
"""Ratio of the semi-axes below which the points count as a line."""
MOST_ROUNDS = 60
"""Steps of Levenberg and Marquardt; a voxel with tissue at SNR 25 takes six to eight."""
CONVERGED = 1e-6
"""Share of the sum of squares by which another Newton step may still lower it."""
ROUNDING = 1e-24
"""Sum of squares that points without noise leave, whose root mean square is 1."""


class Planet(SteadyStateEstimator):
    """Ellipse fit of phase-cycled bSSFP."""

    name = "planet"

    def check(self, protocol: BssfpProtocol) -> None:
        """Raise `ProtocolNotSupported` below six different increments; they may be uneven."""
        angles = np.mod(protocol.rf_phase_increment, 2.0 * math.pi)
        distinct = len(np.unique(np.round(np.exp(1j * angles), 6)))
        if distinct < FEWEST_CYCLES:
            raise ProtocolNotSupported(
                expected=f"{FEWEST_CYCLES} or more different RF phase increments (estimator {self.name})",
                found=str(distinct),
                advice="An ellipse has five unknowns; use --bssfp-estimator ml.",
            )

    def solve(
        self, cycles: torch.Tensor, b1: torch.Tensor, protocol: BssfpProtocol
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return T1 [s], T2 [s] and θ [rad]; see `SteadyStateEstimator.solve`."""
        e2, b, theta = solve_natural(cycles, protocol)
        t1, t2 = relaxation_times(e2, b, b1=b1, protocol=protocol)
        return t1, t2, theta

    def natural(
        self, cycles: NDArray[np.complexfloating], *, b1: NDArray[np.floating], protocol: BssfpProtocol
    ) -> NaturalPoint:
        """Return the point estimate in natural coordinates; see `Estimator.natural`."""
        self.check(protocol)
        parts = []
        for begin in range(0, max(len(cycles), 1), CHUNK):
            with torch.no_grad():
                parts.append(
                    solve_natural(torch.as_tensor(cycles[begin : begin + CHUNK], dtype=torch.complex128), protocol)
                )
        e2, b, theta = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
        return NaturalPoint(e2=e2, b=b, theta=theta)


def solve_natural(cycles: torch.Tensor, protocol: BssfpProtocol) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return E2, b and θ [rad] of the ellipse through the cycles.

    Parameters
    ----------
    cycles
        Complex signal, shape (V, N).
    protocol
        The acquisition.

    Returns
    -------
    e2, b, theta
        Natural coordinates, shape (V,), θ in rad, differentiable in `cycles`; NaN where the points draw no ellipse or a line.
    """
    centre, along, across, valid = _nearest_ellipse(cycles)
    distance = centre.abs()
    turned = cycles * (centre.conj() / distance)[:, None]
    hypotenuse = torch.sqrt(distance.square() + across.square())
    lean = torch.atan2(distance, across)
    best: tuple[torch.Tensor, ...] | None = None
    for sign in (1.0, -1.0):
        # With b = sin u the three equations of the geometry collapse to across·cos u - distance·sin u = ±along.
        ratio = sign * along / hypotenuse
        usable = valid & (ratio.abs() < 1.0)
        angle = torch.arccos(torch.where(usable, ratio, torch.zeros_like(ratio))) - lean
        usable = usable & (angle > -math.pi / 2) & (angle < math.pi / 2)
        angle = torch.where(usable, angle, torch.full_like(angle, 0.5))
        b = torch.sin(angle)
        e2 = across / (distance * torch.cos(angle) + b * across)
        scale = torch.cos(angle) * (distance * torch.cos(angle) + b * across)
        theta, misfit = _position(turned, scale, e2, b, protocol)
        misfit = torch.where(usable, misfit, torch.full_like(misfit, math.inf))
        found = (e2, b, theta, misfit)
        if best is None:
            best = found
        else:
            better = misfit < best[3]
            best = tuple(torch.where(better, new, old) for new, old in zip(found, best, strict=True))
    assert best is not None
    solved = torch.isfinite(best[3])
    e2, b, theta = (torch.where(solved, each, torch.full_like(each, math.nan)) for each in best[:3])
    return e2, b, theta


def _position(
    points: torch.Tensor, scale: torch.Tensor, e2: torch.Tensor, b: torch.Tensor, protocol: BssfpProtocol
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return θ [rad] from where the points lie on the ellipse, and the misfit.

    z_j (1 - b cos ψ_j) = |A| (1 - E2 e^{-iψ_j}) is linear in cos θ and sin θ: 2N equations, which stay well conditioned for
    flat ellipses, where the angle of a point about the centre does not.
    """
    increments = torch.as_tensor(protocol.rf_phase_increment, dtype=e2.dtype)
    turn = torch.exp(1j * increments)
    circle = (scale * e2)[:, None] * turn
    with_cosine = points * b[:, None] * torch.cos(increments) - circle
    with_sine = points * b[:, None] * torch.sin(increments) + 1j * circle
    right = points - scale[:, None]
    cc, ss = with_cosine.abs().square().sum(dim=1), with_sine.abs().square().sum(dim=1)
    cs = (with_cosine.conj() * with_sine).real.sum(dim=1)
    cr = (with_cosine.conj() * right).real.sum(dim=1)
    sr = (with_sine.conj() * right).real.sum(dim=1)
    theta = torch.atan2(cc * sr - cs * cr, ss * cr - cs * sr)
    psi = theta[:, None] - increments
    model = scale[:, None] * (1.0 - e2[:, None] * torch.exp(-1j * psi)) / (1.0 - b[:, None] * torch.cos(psi))
    return theta, (points - model).abs().square().sum(dim=1)


def _nearest_ellipse(cycles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the complex centre, the semi-axes along and across its direction, and where they mean something.

    A voxel is not valid where the direct fit finds no start, no minimum is reached or the ellipse is a line.
    """
    scale = torch.sqrt(cycles.detach().abs().square().mean(dim=1))
    with torch.no_grad():
        start, valid = _direct_fit(cycles)
    points = cycles[valid] / scale[valid, None]
    start[:, 1:] -= torch.log(scale[:, None])
    with torch.no_grad():
        found = _descend(start[valid], points)
    with torch.enable_grad():
        unknowns = found.detach().requires_grad_()
        slope = _slope(unknowns, points.detach())
        rows = [torch.autograd.grad(slope[:, row].sum(), unknowns, retain_graph=True)[0] for row in range(4)]
    curvature = torch.stack(rows, dim=1)
    # At a minimum this step is nothing but its derivative, exactly: that of the minimum is the curvature's inverse on the slope's.
    slope = _slope(found, points)
    step = torch.linalg.solve_ex(curvature, slope[..., None])[0][..., 0]
    with torch.no_grad():
        left = _distances(found, points)[0].square().sum(dim=1)
        minimum = torch.linalg.cholesky_ex(curvature)[1] == 0
        gain = 0.5 * (slope * step).sum(dim=1)
        reached = minimum & (gain <= CONVERGED * left + ROUNDING)
    found = found - step
    with torch.no_grad():
        reached &= torch.isfinite(found).all(dim=1) & ((found[:, 2] - found[:, 3]).abs() < -math.log(THINNEST_ELLIPSE))
    index = torch.nonzero(valid)[:, 0][reached]
    valid = torch.zeros_like(valid)
    valid[index] = True
    phase, *lengths = found[reached].unbind(dim=1)
    distance, along, across = (scale[index] * torch.exp(length) for length in lengths)
    ones = torch.ones_like(scale)
    # Voxels without an ellipse go on as a circle of radius one and are masked by `valid`.
    real, imaginary, along, across = (
        ones.index_put((index,), part)
        for part in (distance * torch.cos(phase), distance * torch.sin(phase), along, across)
    )
    return torch.complex(real, imaginary), along, across, valid


def _distances(unknowns: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Sampson distances of the points, shape (V, N), and their derivatives, shape (V, N, 4).

    The unknowns, shape (V, 4): phase of the centre, logarithms of its distance, of the semi-axis along and of that across. With u
    and v from the centre along and across, the distance is F/|∇F| of F = (u/along)² + (v/across)² - 1.
    """
    phase, distance, along, across = unknowns.unbind(dim=1)
    cosine, sine = torch.cos(phase)[:, None], torch.sin(phase)[:, None]
    distance = torch.exp(distance)[:, None]
    along, across = torch.exp(-2.0 * along)[:, None], torch.exp(-2.0 * across)[:, None]
    u = points.real * cosine + points.imag * sine - distance
    v = points.imag * cosine - points.real * sine
    level = along * u.square() + across * v.square() - 1.0
    along_u, across_v = along * u, across * v
    steepness = along_u.square() + across_v.square()
    slope = 2.0 * torch.sqrt(steepness)
    share = level / steepness
    by_u = along_u * (2.0 - share * along) / slope
    by_v = across_v * (2.0 - share * across) / slope
    by_along = 2.0 * along_u * (share * along_u - u) / slope
    by_across = 2.0 * across_v * (share * across_v - v) / slope
    by_phase = by_u * v - by_v * (u + distance)
    return level / slope, torch.stack([by_phase, -by_u * distance, by_along, by_across], dim=-1)


def _slope(unknowns: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the derivative of half the sum of squared distances, shape (V, 4), differentiable in both arguments."""
    distances, derivatives = _distances(unknowns, points)
    return (derivatives.mT @ distances[..., None])[..., 0]


def _descend(unknowns: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the unknowns of the least sum of squared distances, by the steps of Levenberg and Marquardt."""
    unknowns = unknowns.clone()
    sums = _distances(unknowns, points)[0].square().sum(dim=1)
    damping = torch.full_like(sums, 1e-3)
    left = torch.arange(len(sums), device=sums.device)
    for _ in range(MOST_ROUNDS):
        if not len(left):
            break
        here, those = unknowns[left], points[left]
        distances, derivatives = _distances(here, those)
        normal = derivatives.mT @ derivatives
        diagonal = torch.diagonal(normal, dim1=1, dim2=2)
        damped = normal + torch.diag_embed(damping[left, None] * diagonal)
        slope = (derivatives.mT @ distances[..., None])[..., 0]
        step = torch.linalg.solve_ex(damped, slope[..., None])[0][..., 0]
        new = _distances(here - step, those)[0].square().sum(dim=1)
        better = new < sums[left]
        unknowns[left[better]] = (here - step)[better]
        # A step that promises next to nothing ends the search; whether this is a minimum is asked afterwards.
        promised = (slope * step).sum(dim=1)
        done = promised.abs() <= 1e-3 * CONVERGED * sums[left] + 1e-6 * ROUNDING
        sums[left[better]] = new[better]
        damping[left] = torch.where(better, 0.2 * damping[left], 8.0 * damping[left])
        left = left[~done & (damping[left] < 1e9)]
    return unknowns


def _direct_fit(cycles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a start (phase of the centre, logarithms of its distance and of both semi-axes; shape (V, 4)), and where there is one.

    The constraint 4ac - b² = 1 does not change under affine maps. So the points are whitened first, which keeps the numbers of a
    flat ellipse apart.
    """
    x, y = cycles.real, cycles.imag
    mean_x, mean_y = x.mean(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)
    xx = (x - mean_x).square().mean(dim=1)
    yy = (y - mean_y).square().mean(dim=1)
    xy = ((x - mean_x) * (y - mean_y)).mean(dim=1)
    # det/trace² is the ratio of the variances: the square of the ratio of the axes, for any turn of the ellipse.
    valid = (xx * yy - xy.square()) > THINNEST_ELLIPSE**2 * (xx + yy).square()
    xx, yy, xy = (torch.where(valid, each, torch.full_like(each, fill)) for each, fill in ((xx, 1), (yy, 1), (xy, 0)))
    first = xx.rsqrt()
    slope = xy / xx
    second = (yy - xy * slope).rsqrt()
    u = (x - mean_x) * first[:, None]
    v = ((y - mean_y) - slope[:, None] * (x - mean_x)) * second[:, None]
    quadratic, linear, constant = _conic(u, v)
    # Back through the whitening: form G = WᵀQW; the centre solves 2Q c + l = 0.
    q_uu, q_uv, q_vv = quadratic[0], quadratic[1] / 2.0, quadratic[2]
    determinant = q_uu * q_vv - q_uv.square()
    c_u = -(q_vv * linear[0] - q_uv * linear[1]) / (2.0 * determinant)
    c_v = -(q_uu * linear[1] - q_uv * linear[0]) / (2.0 * determinant)
    level = -(constant + 0.5 * (linear[0] * c_u + linear[1] * c_v))
    valid = valid & (determinant > 0.0) & (level * q_uu > 0.0)
    centre_x = c_u / first + mean_x[:, 0]
    centre_y = c_v / second + slope * c_u / first + mean_y[:, 0]
    w_11, w_21, w_22 = first, -slope * second, second
    g_xx = (q_uu * w_11**2 + 2.0 * q_uv * w_11 * w_21 + q_vv * w_21**2) / level
    g_xy = (q_uv * w_11 + q_vv * w_21) * w_22 / level
    g_yy = q_vv * w_22**2 / level
    distance = torch.hypot(centre_x, centre_y)
    valid = valid & torch.isfinite(distance) & (distance > 0.0) & torch.isfinite(g_xx + g_xy + g_yy)
    cosine, sine = centre_x / distance, centre_y / distance
    radial = g_xx * cosine**2 + 2.0 * g_xy * cosine * sine + g_yy * sine**2
    tangential = g_xx * sine**2 - 2.0 * g_xy * cosine * sine + g_yy * cosine**2
    mixed = (g_yy - g_xx) * cosine * sine + g_xy * (cosine**2 - sine**2)
    # The axes are the eigenvalues of G, each given to the direction to which its eigenvector is nearer.
    spread = torch.hypot(0.5 * (radial - tangential), mixed)
    spread = torch.where(radial >= tangential, spread, -spread)
    mean = 0.5 * (radial + tangential)
    along, across = mean + spread, mean - spread
    valid = valid & (along > 0.0) & (across > 0.0)
    unknowns = (torch.atan2(centre_y, centre_x), torch.log(distance), -0.5 * torch.log(along), -0.5 * torch.log(across))
    return torch.stack(unknowns, dim=1), valid


def _conic(u: torch.Tensor, v: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...], torch.Tensor]:
    """Return the quadratic (3), linear (2) and constant coefficients of the ellipse nearest to the points.

    The constrained problem S a = λ C a has exactly one positive λ (Halíř and Flusser 1998). Its cubic is solved by Newton's steps
    from the Rayleigh quotient of a circle, which lies above that root, and falls to it monotonically. The eigenvector is a column
    of the adjugate: no gauge and no division by differences of eigenvalues.
    """
    squares = torch.stack([u * u, u * v, v * v], dim=-1)
    lines = torch.stack([u, v, torch.ones_like(u)], dim=-1)
    cross = squares.mT @ lines
    reduce = torch.linalg.solve_ex(lines.mT @ lines, cross.mT)[0]
    scatter = squares.mT @ squares - cross @ reduce
    s = {(i, j): scatter[:, i, j] for i in range(3) for j in range(3)}
    root = 0.25 * (s[0, 0] + 2.0 * s[0, 2] + s[2, 2])
    for _ in range(NEWTON_STEPS):
        value, gradient = _characteristic(s, root)
        root = torch.where(gradient != 0.0, root - value / gradient, root)
    m_00, m_01, m_02, m_11, m_12, m_22 = _pencil(s, root)
    adjugate = torch.stack(
        [
            torch.stack([m_11 * m_22 - m_12**2, m_02 * m_12 - m_01 * m_22, m_01 * m_12 - m_02 * m_11], dim=-1),
            torch.stack([m_02 * m_12 - m_01 * m_22, m_00 * m_22 - m_02**2, m_01 * m_02 - m_00 * m_12], dim=-1),
            torch.stack([m_01 * m_12 - m_02 * m_11, m_01 * m_02 - m_00 * m_12, m_00 * m_11 - m_01**2], dim=-1),
        ],
        dim=1,
    )
    # An ellipse has both squares of one sign: first and last row never vanish, the first serves every voxel.
    shape = adjugate[:, 0] / adjugate[:, 0, :1]
    rest = -(reduce @ shape[..., None])[..., 0]
    return shape.unbind(dim=-1), (rest[:, 0], rest[:, 1]), rest[:, 2]


def _pencil(s: dict[tuple[int, int], torch.Tensor], root: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the entries 00, 01, 02, 11, 12, 22 of S - λC; C holds 4ac - b²."""
    return s[0, 0], s[0, 1], s[0, 2] - 2.0 * root, s[1, 1] + root, s[1, 2], s[2, 2]


def _characteristic(s: dict[tuple[int, int], torch.Tensor], root: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return det(S - λC) and its derivative in λ."""
    m_00, m_01, m_02, m_11, m_12, m_22 = _pencil(s, root)
    minor = m_00 * m_22 - m_02**2
    value = m_11 * minor - m_00 * m_12**2 - m_22 * m_01**2 + 2.0 * m_01 * m_12 * m_02
    gradient = minor + 4.0 * m_11 * m_02 - 4.0 * m_01 * m_12
    return value, gradient
