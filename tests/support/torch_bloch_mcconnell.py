"""The Bloch-McConnell signal in plain torch, differentiable by autograd: an oracle for the compiled engine.

It shares parameters and absorption lines with the engine, and none of its exponentials, recursions and derivatives. The exponential
is kept as its difference from the identity and doubled by F ← 2F + F², which holds slow rates beside fast ones in single precision
too: nothing overflows however far off resonance the carrier is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from qmri_bids.physics.bloch_mcconnell.reference import VoxelParameters, carrier_offset, precession, tipped_pools
from qmri_bids.physics.lineshapes import absorption
from qmri_bids.physics.pools import PoolModel
from qmri_bids.physics.saturation import Carrier, SaturatedImage, Saturation, SaturationProtocol, Start
from qmri_bids.units import GYROMAGNETIC_RATIO

LARGEST_NORM = 0.5
"""Norm up to which the Taylor polynomial of degree 12 is exact to 4e-14 of the exponent."""

_TAYLOR = tuple(1.0 / math.factorial(order) for order in range(13))


def exponential_less_one(matrix: Tensor) -> Tensor:
    """Return exp(A) - 1 of a batch of matrices, differentiable, without loss of small entries beside large ones.

    Parameters
    ----------
    matrix
        Shape (..., n, n).

    Returns
    -------
    Tensor
        The shape and type of `matrix`.

    Raises
    ------
    ValueError
        If an entry is not finite.
    """
    norm = float(matrix.detach().abs().sum(-1).amax()) if matrix.numel() else 0.0
    if not math.isfinite(norm):
        raise ValueError(
            "the generator of Bloch-McConnell must be finite, found a parameter that is not a number or infinite"
        )
    doublings = max(0, math.ceil(math.log2(norm / LARGEST_NORM))) if norm > 0.0 else 0
    a = matrix * 0.5**doublings
    a2 = a @ a
    a3, a4 = a @ a2, a2 @ a2
    c = _TAYLOR
    inner = c[9] * a + c[10] * a2 + c[11] * a3 + c[12] * a4
    outer = c[5] * a + c[6] * a2 + c[7] * a3 + c[8] * a4 + a4 @ inner
    result = a + c[2] * a2 + c[3] * a3 + c[4] * a4 + a4 @ outer
    for _ in range(doublings):
        result = 2.0 * result + result @ result
    return result


class _System:
    """The parts of the generator that do not depend on the RF, for a batch of voxels: components in the order of the kernels."""

    def __init__(self, model: PoolModel, parameters: Mapping[str, Tensor], field_strength: float) -> None:
        self.model, self.field_strength = model, field_strength
        self.rotating, self.water = model.number_of_rotating_pools, 2 * model.number_of_rotating_pools
        self.size = model.number_of_states + 1
        self.b1 = parameters["b1"]
        self.off_resonance = 2.0 * math.pi * parameters["off_resonance"]
        one = torch.ones_like(self.b1)
        self.fractions = [one] + [parameters[f"{name}.fraction"] for name in model.names]
        self.r1_water = 1.0 / parameters["t1"]
        terms: list[tuple[Tensor, Tensor]] = [(1.0 / parameters["t2"], self._pattern((0, 0, -1.0), (1, 1, -1.0)))]
        terms.append((self.r1_water, self._longitudinal(0)))
        terms.append((self.r1_water, self._pattern((self.water, self.size - 1, 1.0))))
        for p, pool in enumerate(model.exchanging, start=1):
            fraction, rate = self.fractions[p], parameters[f"{pool.name}.rate"]
            r1 = self.r1_water if pool.t1 is None else one / pool.t1
            terms.append((r1, self._longitudinal(p)))
            terms.append((r1 * fraction, self._pattern((self.water + p, self.size - 1, 1.0))))
            pairs = [(self.water, self.water + p)]
            if p < self.rotating:
                pairs += [(0, 2 * p), (1, 2 * p + 1)]
                terms.append((one / pool.t2, self._pattern((2 * p, 2 * p, -1.0), (2 * p + 1, 2 * p + 1, -1.0))))
                shift = precession(pool, field_strength)
                terms.append((one * shift, self._pattern((2 * p, 2 * p + 1, 1.0), (2 * p + 1, 2 * p, -1.0))))
            into = [entry for w, c in pairs for entry in ((c, c, -1.0), (w, c, 1.0))]
            out_of = [entry for w, c in pairs for entry in ((c, w, 1.0), (w, w, -1.0))]
            terms.append((rate, self._pattern(*into)))
            terms.append((rate * fraction, self._pattern(*out_of)))
        turning = [(2 * p, 2 * p + 1, 1.0) for p in range(self.rotating)]
        self.turning = self._pattern(*turning, *((j, i, -1.0) for i, j, _ in turning))
        terms.append((self.off_resonance, self.turning))
        self.free = sum((self._spread(value) * pattern for value, pattern in terms), torch.zeros((), dtype=one.dtype))
        along_x = [(2 * p + 1, self.water + p, 1.0) for p in range(self.rotating)]
        along_y = [(self.water + p, 2 * p, 1.0) for p in range(self.rotating)]
        self.along_x = self._pattern(*along_x, *((j, i, -1.0) for i, j, _ in along_x))
        self.along_y = self._pattern(*along_y, *((j, i, -1.0) for i, j, _ in along_y))

    def _pattern(self, *entries: tuple[int, int, float]) -> Tensor:
        pattern = torch.zeros((self.size, self.size), dtype=self.b1.dtype, device=self.b1.device)
        for i, j, value in entries:
            pattern[i, j] += value
        return pattern

    def _longitudinal(self, p: int) -> Tensor:
        return self._pattern((self.water + p, self.water + p, -1.0))

    @staticmethod
    def _spread(value: Tensor) -> Tensor:
        return value[..., None, None]

    def evolve(self, matrix: Tensor, duration: float) -> Tensor:
        return exponential_less_one(matrix * duration)

    def pulse(self, saturation: Saturation, carrier: float) -> Tensor:
        """Return the map of one pulse less one."""
        base = self.free - carrier * self.turning
        line = self._line(carrier)
        total: Tensor | None = None
        for segment in saturation.pulse.segments:
            strength = 2.0 * math.pi * GYROMAGNETIC_RATIO * segment.amplitude * self.b1
            across = math.cos(segment.phase) * self.along_x + math.sin(segment.phase) * self.along_y
            matrix = base + self._spread(strength) * across
            if line is not None:
                matrix = matrix + self._spread(strength**2 * line) * self._longitudinal(self.model.number_of_pools - 1)
            step = self.evolve(matrix, segment.duration)
            total = step if total is None else total + step + step @ total
        assert total is not None
        return total

    def _line(self, carrier: float) -> Tensor | None:
        """Return π g of a z-only pool, with its slope in the off-resonance."""
        pool = self.model.mt
        if pool is None or pool.lineshape is None:
            return None
        known = self.off_resonance.detach()
        centre = precession(pool, self.field_strength) + known
        value, slope = absorption(pool.lineshape, carrier - centre.cpu().double().numpy(), t2=pool.t2)
        line, rise = (torch.as_tensor(math.pi * each).to(known) for each in (value, slope))
        return line - rise * (self.off_resonance - known)

    def tips(self, saturation: Saturation, carrier: float) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of the tip onto the effective field of water."""
        strength = 2.0 * math.pi * GYROMAGNETIC_RATIO * saturation.pulse.segments[0].amplitude * self.b1
        away = self.off_resonance - carrier
        # The field points along -z where the offset is positive: the magnetisation is locked against it.
        angle = torch.atan2(torch.copysign(strength, away), away.abs())
        return torch.cos(angle), torch.sin(angle)


def _tip(states: Tensor, cosine: Tensor, sine: Tensor, system: _System, tipped: int) -> Tensor:
    rows = list(states.unbind(-2))
    for p in range(tipped):
        x, z = rows[2 * p], rows[system.water + p]
        rows[2 * p] = cosine[..., None] * x + sine[..., None] * z
        rows[system.water + p] = cosine[..., None] * z - sine[..., None] * x
    return torch.stack(rows, dim=-2)


def _turn(states: Tensor, angle: float, system: _System) -> Tensor:
    rows = list(states.unbind(-2))
    c, s = math.cos(angle), math.sin(angle)
    for p in range(system.rotating):
        x, y = rows[2 * p], rows[2 * p + 1]
        rows[2 * p], rows[2 * p + 1] = c * x - s * y, s * x + c * y
    return torch.stack(rows, dim=-2)


def _image_map(image: SaturatedImage, system: _System, gaps: dict[float, Tensor]) -> tuple[Tensor, Tensor]:
    """Return a and b of the image's Z → a Z + b."""
    saturation = image.saturation
    one = torch.ones_like(system.b1)
    if saturation is None:
        return one, torch.zeros_like(one)
    carrier = carrier_offset(image, system.field_strength)

    def free(duration: float) -> Tensor:
        if duration not in gaps:
            gaps[duration] = system.evolve(system.free, duration)
        return gaps[duration]

    # Two columns: the unit state (1, f_b, f_c, …) without the constant, and the constant alone.
    empty = torch.zeros_like(one)
    unit = [empty] * system.water + system.fractions + [empty]
    constant = [empty] * (system.size - 1) + [one]
    states = torch.stack([torch.stack(unit, dim=-1), torch.stack(constant, dim=-1)], dim=-1)
    pulse = system.pulse(saturation, carrier)
    tipped = tipped_pools(system.model, saturation.spin_lock)
    cosine, sine = system.tips(saturation, carrier)
    for number in range(saturation.number):
        states = _tip(states, cosine, sine, system, tipped) if tipped else states
        states = states + pulse @ states
        states = _tip(states, cosine, -sine, system, tipped) if tipped else states
        if number < saturation.number - 1 and saturation.gap > 0.0:
            states = states + free(saturation.gap) @ states
            if saturation.carrier is Carrier.RUNS:
                states = _turn(states, carrier * saturation.gap, system)
    if saturation.spoiler > 0.0:
        states = states + free(saturation.spoiler) @ states
    return states[..., system.water, 0], states[..., system.water, 1]


def _system(model: PoolModel, protocol: SaturationProtocol, voxels: VoxelParameters, dtype: torch.dtype) -> _System:
    values = voxels.resolved(model)
    device = next((each.device for each in values.values() if isinstance(each, Tensor)), torch.device("cpu"))
    tensors = torch.broadcast_tensors(*(torch.as_tensor(each, dtype=dtype, device=device) for each in values.values()))
    return _System(model, dict(zip(values, tensors, strict=True)), protocol.field_strength)


def affine_maps(
    model: PoolModel, protocol: SaturationProtocol, voxels: VoxelParameters, *, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return a and b of the map Z → a Z + b from before an image's saturation to its signal.

    Exact where the pools stand in equilibrium with one another before the saturation.

    Parameters
    ----------
    model
        The pools.
    protocol
        The acquisition; neither its start nor its readout plays a part.
    voxels
        What differs from voxel to voxel, numbers, arrays or tensors.
    dtype
        torch.float64, or torch.float32 where 1e-3 of the signal is enough.

    Returns
    -------
    a, b
        Shape (..., images).
    """
    system = _system(model, protocol, voxels, dtype)
    gaps: dict[float, Tensor] = {}
    pairs = [_image_map(image, system, gaps) for image in protocol.images]
    return torch.stack([a for a, _ in pairs], dim=-1), torch.stack([b for _, b in pairs], dim=-1)


def _between(protocol: SaturationProtocol, image: SaturatedImage, system: _System) -> tuple[Tensor, Tensor]:
    """Return a and b of the map Z → a Z + b through readout and the recovery before an image."""
    r1 = system.r1_water
    scale, constant = torch.ones_like(r1), torch.zeros_like(r1)
    if protocol.readout is not None:
        readout = protocol.readout
        strength = system.b1 if readout.scales_with_b1 else torch.ones_like(r1)
        relaxed = torch.exp(-r1 * readout.spacing)
        shrink = torch.cos(strength * readout.flip_angle) * relaxed
        scale = shrink**readout.number
        constant = (1.0 - relaxed) * (1.0 - scale) / (1.0 - shrink)
    decay = torch.exp(-r1 * image.recovery)
    return scale * decay, 1.0 + (constant - 1.0) * decay


def signal(
    model: PoolModel, protocol: SaturationProtocol, voxels: VoxelParameters, *, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return the signed Z of water at every readout, in units of its equilibrium.

    Parameters
    ----------
    model
        The pools.
    protocol
        The acquisition, N images.
    voxels
        What differs from voxel to voxel, numbers, arrays or tensors; gradients flow back to tensors.
    dtype
        torch.float64, or torch.float32 where 1e-3 of the signal is enough.

    Returns
    -------
    Tensor
        Shape (..., N).

    Raises
    ------
    ValueError
        If a parameter names no pool of the model, or is not finite.
    """
    a, b = affine_maps(model, protocol, voxels, dtype=dtype)
    if protocol.start is Start.RELAXED:
        return a + b
    system = _system(model, protocol, voxels, dtype)
    links = [_between(protocol, image, system) for image in protocol.images]
    z: list[Tensor] = []
    for index, (scale, constant) in enumerate(links):
        here_a, here_b = a[..., index], b[..., index]
        if protocol.start is Start.STEADY_STATE:
            begin = (scale * here_b + constant) / (1.0 - scale * here_a)
        else:
            begin = torch.ones_like(here_a) if index == 0 else scale * z[-1] + constant
        z.append(here_a * begin + here_b)
    return torch.stack(z, dim=-1)
