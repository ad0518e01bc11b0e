"""Simulated test sets with their truth: uniform box, grid, tissues with a rare lesion, one tissue over the circle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.training.simulation import NOISE_REFERENCE

PAPER_T1 = (0.360, 2.080)
PAPER_T2 = (0.020, 0.120)
PAPER_B1 = (0.7, 1.3)

LESION_FRACTION = 0.01
TISSUES: Mapping[str, tuple[float, float]] = {
    "WM": (0.939, 0.062),
    "GM": (1.400, 0.085),
    "CSF": (4.000, 1.500),
    "lesion": (1.800, 0.110),
}
"""T1 and T2 [s]: white matter of Birk et al. 2025, typical grey matter, a fluid, and a lesion that fills 1 % of the voxels."""


@dataclass(frozen=True, kw_only=True)
class SimulatedSet:
    """Voxels of known parameters under one protocol, M0 = 1.

    Parameters
    ----------
    t1, t2
        Relaxation times [s], shape (V,).
    b1
        Actual over nominal flip angle, shape (V,).
    theta
        Precession between pulses [rad], shape (V,).
    protocol
        The acquisition.
    groups
        Boolean masks of shape (V,) by name, where the set has parts.
    """

    t1: NDArray[np.floating]
    t2: NDArray[np.floating]
    b1: NDArray[np.floating]
    theta: NDArray[np.floating]
    protocol: BssfpProtocol
    groups: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def off_resonance(self) -> NDArray[np.floating]:
        """Off-resonance ΔB0 [Hz]."""
        return self.theta / (2.0 * math.pi * self.protocol.repetition_time)

    def cycles(self, *, snr: float, seed: int = 0) -> NDArray[np.complexfloating]:
        """Return noisy complex cycles, shape (V, N).

        Parameters
        ----------
        snr
            Signal-to-noise ratio of Birk et al. 2025; infinite for none.
        seed
            Seed of the noise.
        """
        if not snr > 0.0:
            raise ValueError(f"snr must be positive (infinite for no noise), found {snr}")
        clean = signal(self.t1, self.t2, b1=self.b1, off_resonance=self.off_resonance, protocol=self.protocol)
        if math.isinf(snr):
            return clean
        noise = np.random.default_rng(seed).standard_normal((*clean.shape, 2)).view(complex)[..., 0]
        return clean + noise_stdev(snr) * noise


def noise_stdev(snr: float) -> float:
    """Return the noise sd a channel and cycle for M0 = 1 (Birk et al. 2025, Relaxometry)."""
    return NOISE_REFERENCE / (math.sqrt(2.0) * snr)


def uniform_set(
    number: int,
    *,
    protocol: BssfpProtocol,
    seed: int,
    t1: tuple[float, float] = PAPER_T1,
    t2: tuple[float, float] = PAPER_T2,
) -> SimulatedSet:
    """Return `number` voxels of uniform T1, T2 [s] and B1 of 0.7-1.3, θ over the whole circle."""
    rng = np.random.default_rng(seed)
    return SimulatedSet(
        t1=rng.uniform(*t1, number),
        t2=rng.uniform(*t2, number),
        b1=rng.uniform(*PAPER_B1, number),
        theta=rng.uniform(-math.pi, math.pi, number),
        protocol=protocol,
    )


def grid_set(*, side: int, protocol: BssfpProtocol) -> SimulatedSet:
    """Return the grid of Birk et al. 2025: `side` T1 by `side` T2 (T2 runs fastest), B1 = 1, θ = 0; theirs has side 200."""
    t1, t2 = np.meshgrid(np.linspace(*PAPER_T1, side), np.linspace(*PAPER_T2, side), indexing="ij")
    return SimulatedSet(t1=t1.ravel(), t2=t2.ravel(), b1=np.ones(side**2), theta=np.zeros(side**2), protocol=protocol)


def tissue_set(number: int, *, protocol: BssfpProtocol, seed: int) -> SimulatedSet:
    """Return voxels of `TISSUES`: lesions of 1 %, the rest in equal parts; B1 and θ as in `uniform_set`."""
    rng = np.random.default_rng(seed)
    share = (1.0 - LESION_FRACTION) / (len(TISSUES) - 1)
    names = list(TISSUES)
    kind = rng.choice(len(names), size=number, p=[LESION_FRACTION if name == "lesion" else share for name in names])
    times = np.array([TISSUES[name] for name in names])[kind]
    return SimulatedSet(
        t1=times[:, 0],
        t2=times[:, 1],
        b1=rng.uniform(*PAPER_B1, number),
        theta=rng.uniform(-math.pi, math.pi, number),
        protocol=protocol,
        groups={name: kind == index for index, name in enumerate(names)},
    )


def circle_set(number: int, *, tissue: str, protocol: BssfpProtocol) -> SimulatedSet:
    """Return one of `TISSUES` at B1 = 1 and `number` evenly spaced θ over the whole circle, both ends included."""
    t1, t2 = TISSUES[tissue]
    return SimulatedSet(
        t1=np.full(number, t1),
        t2=np.full(number, t2),
        b1=np.ones(number),
        theta=np.linspace(-math.pi, math.pi, number),
        protocol=protocol,
    )


def drawn_set(
    t1: NDArray[np.floating], t2: NDArray[np.floating], *, protocol: BssfpProtocol, seed: int
) -> SimulatedSet:
    """Return voxels of given T1 and T2 [s], for example draws from a prior; B1 and θ as in `uniform_set`."""
    rng = np.random.default_rng(seed)
    return SimulatedSet(
        t1=t1,
        t2=t2,
        b1=rng.uniform(*PAPER_B1, t1.size),
        theta=rng.uniform(-math.pi, math.pi, t1.size),
        protocol=protocol,
    )
