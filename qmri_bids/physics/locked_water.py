r"""Closed form of a spin-locked train on water and a semisolid pool of z alone: an approximation with a 2×2 matrix.

Tipped ideally onto its effective field, at θ = atan(ω1/Δω) from z, water stays there and relaxes at R1 cos²θ + R2 sin²θ; only its
projection on z exchanges. With u the locked magnetisation and c that of the semisolid pool

.. math::
    \dot u = -(R_1\cos^2θ + R_2\sin^2θ + f k\cos^2θ)\,u + k\cosθ\,c + R_1\cosθ,\qquad
    \dot c = -(R_{1c} + k + W)\,c + f k\cosθ\,u + f R_{1c},

and W = π ω1² g. In gaps and recovery (θ = 0, W = 0) this is exact. Under RF it leaves out what precesses about the effective field:
relative to the full equations an error of order ((R2 - R1) sin θ cos θ / ω_eff)², below 1e-5 of the signal from 3 ppm on at 3 T.

exp(At) is written with exp((m ± q)t), both exponents negative: sinh and cosh would overflow in single precision.
Sources: Roeloffs et al., NMR Biomed 28:40 (2015), for locked trains; Henkelman et al., MRM 29:759 (1993), for W.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qmri_bids.physics.bloch_mcconnell import VoxelParameters, carrier_offset, precession
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import SaturationProtocol, SpinLock
from qmri_bids.units import GYROMAGNETIC_RATIO

_Map = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Entries of E row by row, then d, of (u, c) → E (u, c) + d."""


def _evolve(p: Tensor, q: Tensor, r: Tensor, s: Tensor, first: Tensor, second: Tensor, duration: float) -> _Map:
    """Return the map of du/dt = -p u + q c + first, dc/dt = r u - s c + second; all rates positive, p s > q r."""
    mean, half = 0.5 * (p + s), 0.5 * (p - s)
    root = torch.sqrt(half**2 + q * r)
    slow = torch.exp(-(mean - root) * duration)
    # (e^{(-m+q)t} - e^{(-m-q)t}) / 2q by expm1: exact where the two rates meet.
    spread = -slow * torch.expm1(-2.0 * root * duration) / (2.0 * root)
    even = slow - root * spread
    e11, e12, e21, e22 = even - half * spread, q * spread, r * spread, even + half * spread
    determinant = p * s - q * r
    u = (s * first + q * second) / determinant
    c = (r * first + p * second) / determinant
    return e11, e12, e21, e22, u - e11 * u - e12 * c, c - e21 * u - e22 * c


def locked_affine_maps(
    model: PoolModel, protocol: SaturationProtocol, voxels: VoxelParameters, *, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return a and b of the map Z → a Z + b of every image, in the approximation of locked water.

    Parameters
    ----------
    model
        Water and a semisolid pool of z alone.
    protocol
        Locked trains that tip liquids or all pools: a pool of z alone is not tipped.
    voxels
        What differs from voxel to voxel, numbers, arrays or tensors.
    dtype
        torch.float64 or torch.float32.

    Returns
    -------
    a, b
        Shape (..., images), as of `bloch_mcconnell.affine_maps`.

    Raises
    ------
    ValueError
        If the model or the protocol is not of the kind.
    """
    pool = model.mt
    if pool is None or pool.lineshape is None or model.cest:
        raise ValueError(
            "locked water is for water and one semisolid pool of form 'z-only', found the pools "
            f"{list(model.names)}; use bloch_mcconnell.affine_maps"
        )
    values = voxels.resolved(model)
    t1, t2, b1, off_resonance, fraction, rate = torch.broadcast_tensors(
        *(torch.as_tensor(each, dtype=dtype) for each in values.values())
    )
    w0, r1, r2 = 2.0 * math.pi * off_resonance, 1.0 / t1, 1.0 / t2
    r1_pool = r1 if pool.t1 is None else torch.full_like(r1, 1.0 / pool.t1)
    into = fraction * rate

    def free(duration: float) -> _Map:
        return _evolve(r1 + into, rate, into, r1_pool + rate, r1, fraction * r1_pool, duration)

    scales, constants = [], []
    for image in protocol.images:
        train = image.saturation
        if train is None:
            scales.append(torch.ones_like(r1))
            constants.append(torch.zeros_like(r1))
            continue
        if train.spin_lock is SpinLock.NONE:
            raise ValueError("locked water needs a protocol with spin-lock tips, found a train without")
        segment = train.pulse.segments[0]
        strength = 2.0 * math.pi * GYROMAGNETIC_RATIO * segment.amplitude * b1
        away = w0 - carrier_offset(image, protocol.field_strength)
        cosine = away.abs() / torch.hypot(away, strength)
        # Of π g the value at the voxel's frequency, and its slope for the gradient.
        known = away.detach() + precession(pool, protocol.field_strength)
        line, slope = (
            torch.as_tensor(math.pi * each).to(r1)
            for each in absorption(pool.lineshape, known.double().cpu().numpy(), t2=pool.t2)
        )
        saturated = strength**2 * (line + slope * (away - away.detach()))
        square = cosine**2
        pulse = _evolve(
            r1 * square + r2 * (1.0 - square) + into * square,
            rate * cosine,
            into * cosine,
            r1_pool + rate + saturated,
            r1 * cosine,
            fraction * r1_pool,
            segment.duration,
        )
        steps = {"pulse": pulse, "gap": free(train.gap), "spoiler": free(train.spoiler)}
        order = ["pulse", *(["gap", "pulse"] * (train.number - 1)), "spoiler"]
        z, c = torch.stack([torch.ones_like(r1), torch.zeros_like(r1)]), torch.stack([fraction, torch.zeros_like(r1)])
        unit = torch.tensor([0.0, 1.0], dtype=dtype).reshape(2, *[1] * r1.ndim)
        for step in order:
            e11, e12, e21, e22, d1, d2 = steps[step]
            z, c = e11 * z + e12 * c + unit * d1, e21 * z + e22 * c + unit * d2
        scales.append(z[0])
        constants.append(z[1])
    return torch.stack(scales, dim=-1), torch.stack(constants, dim=-1)
