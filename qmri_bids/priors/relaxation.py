"""Distributions of T1 and T2: what networks are trained on and what posteriors assume. A table, in SI units."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Prior(ABC):
    """A distribution of T1 and T2 on a box, with T1 ≥ T2.

    Parameters
    ----------
    t1, t2
        Support (low, high) [s].
    source
        Where the distribution comes from.
    """

    t1: tuple[float, float]
    t2: tuple[float, float]
    source: str

    def density(self, t1: NDArray[np.floating], t2: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the density per unit of T1 and of T2, up to one constant factor.

        Parameters
        ----------
        t1, t2
            Relaxation times [s], broadcastable against each other.

        Returns
        -------
        NDArray
            Zero outside the support and where T2 > T1.
        """
        t1, t2 = np.broadcast_arrays(np.asarray(t1, dtype=np.float64), np.asarray(t2, dtype=np.float64))
        inside = (t1 >= self.t1[0]) & (t1 <= self.t1[1]) & (t2 >= self.t2[0]) & (t2 <= self.t2[1]) & (t2 <= t1)
        safe_t1, safe_t2 = np.where(inside, t1, self.t1[1]), np.where(inside, t2, self.t2[0])
        return np.where(inside, self._free_density(safe_t1, safe_t2), 0.0)

    def draw(self, number: int, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `number` pairs (T1, T2) [s]; pairs outside the support or with T1 < T2 are drawn again."""
        import torch

        t1, t2 = torch.empty(0), torch.empty(0)
        while t1.numel() < number:
            new_t1, new_t2 = self._free_draw(number, generator)
            keep = (new_t1 >= self.t1[0]) & (new_t1 <= self.t1[1]) & (new_t2 >= self.t2[0]) & (new_t2 <= self.t2[1])
            keep &= new_t1 >= new_t2
            t1, t2 = torch.cat([t1, new_t1[keep]]), torch.cat([t2, new_t2[keep]])
        return t1[:number], t2[:number]

    @abstractmethod
    def _free_density(self, t1: NDArray[np.float64], t2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the density before it is cut to the support."""

    @abstractmethod
    def _free_draw(self, number: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return draws before they are cut to the support."""


@dataclass(frozen=True, kw_only=True)
class BoxPrior(Prior):
    """Uniform on the box in the values or in their logarithms.

    Parameters
    ----------
    scale
        Whether draws are uniform in the value ("linear") or in its logarithm ("log").
    """

    scale: Literal["linear", "log"]

    def _free_density(self, t1: NDArray[np.float64], t2: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ones_like(t1) if self.scale == "linear" else 1.0 / (t1 * t2)

    def _free_draw(self, number: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return self._axis(self.t1, number, generator), self._axis(self.t2, number, generator)

    def _axis(self, bounds: tuple[float, float], number: int, generator: torch.Generator) -> torch.Tensor:
        import torch

        unit = torch.rand(number, generator=generator)
        if self.scale == "linear":
            return bounds[0] + (bounds[1] - bounds[0]) * unit
        return torch.exp(math.log(bounds[0]) + math.log(bounds[1] / bounds[0]) * unit)


@dataclass(frozen=True, kw_only=True)
class LogNormal:
    """One component of a mixture.

    Parameters
    ----------
    t1, t2
        Medians [s].
    spread
        Standard deviations of log T1 and log T2.
    weight
        Share of the mixture.
    """

    t1: float
    t2: float
    spread: tuple[float, float]
    weight: float


@dataclass(frozen=True, kw_only=True)
class MixturePrior(Prior):
    """Mixture of log-normal components.

    Parameters
    ----------
    components
        The components; their weights add up to one.
    """

    components: tuple[LogNormal, ...]

    def __post_init__(self) -> None:
        total = sum(each.weight for each in self.components)
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"the weights of a mixture must add up to 1, found {total}")

    def _free_density(self, t1: NDArray[np.float64], t2: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros_like(t1)
        for each in self.components:
            first = np.log(t1 / each.t1) / each.spread[0]
            second = np.log(t2 / each.t2) / each.spread[1]
            scale = each.weight / (2.0 * math.pi * each.spread[0] * each.spread[1])
            total += scale * np.exp(-0.5 * (first**2 + second**2))
        return total / (t1 * t2)

    def _free_draw(self, number: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        weights = torch.tensor([each.weight for each in self.components])
        chosen = torch.multinomial(weights, number, replacement=True, generator=generator)
        normal = torch.randn(2, number, generator=generator)
        median = torch.tensor([[math.log(each.t1), math.log(each.t2)] for each in self.components])[chosen]
        spread = torch.tensor([each.spread for each in self.components])[chosen]
        values = torch.exp(median + spread * normal.mT)
        return values[:, 0], values[:, 1]


def _chain(
    path: tuple[tuple[float, float], ...],
    *,
    steps: int,
    spread: tuple[float, float],
    weight: float,
    fading: float = 0.0,
) -> tuple[LogNormal, ...]:
    """Return components along a path of (T1, T2), `steps` to each leg, evenly spaced in the logarithms.

    `fading` lets their weights fall along the path by e^-fading.
    """
    points = []
    for begin, end in pairwise(path):
        for step in range(steps):
            share = (step + 0.5) / steps
            points.append(tuple(one ** (1.0 - share) * other**share for one, other in zip(begin, end, strict=True)))
    shares = [math.exp(-fading * (index + 0.5) / len(points)) for index in range(len(points))]
    return tuple(
        LogNormal(t1=t1, t2=t2, spread=spread, weight=weight * share / sum(shares))
        for (t1, t2), share in zip(points, shares, strict=True)
    )


WHITE_MATTER = (0.939, 0.062)
GREY_MATTER = (1.400, 0.085)
FLUID = (4.000, 1.500)

PRIORS: dict[str, Prior] = {
    "uniform": BoxPrior(
        t1=(0.360, 2.080), t2=(0.020, 0.120), scale="linear", source="Birk et al. 2025, tissue range at 3 T"
    ),
    "uniform-extended": BoxPrior(
        t1=(0.360, 5.000), t2=(0.020, 2.500), scale="linear", source="Birk et al. 2025, tissue and fluid"
    ),
    "in-vivo": MixturePrior(
        t1=(0.360, 5.000),
        t2=(0.020, 2.500),
        components=(
            LogNormal(t1=WHITE_MATTER[0], t2=WHITE_MATTER[1], spread=(0.08, 0.10), weight=0.36),
            LogNormal(t1=GREY_MATTER[0], t2=GREY_MATTER[1], spread=(0.10, 0.12), weight=0.34),
            *_chain((WHITE_MATTER, GREY_MATTER), steps=6, spread=(0.08, 0.10), weight=0.18),
            *_chain((GREY_MATTER, FLUID), steps=10, spread=(0.12, 0.25), weight=0.05, fading=3.0),
            LogNormal(t1=1.15, t2=0.075, spread=(0.35, 0.45), weight=0.07),
        ),
        source=(
            "model of the healthy brain at 3 T: white matter 939/62 ms (Birk et al. 2025, reference values), grey matter "
            "1400/85 ms, voxels mixed of both, a twentieth with fluid (4000/1500 ms), and a broad component for all else; spreads "
            "and shares are assumed, not measured: the density of Birk et al. 2025 came from the authors' own subjects"
        ),
    ),
    "log-uniform": BoxPrior(
        t1=(0.250, 6.000),
        t2=(0.012, 2.500),
        scale="log",
        source="tissue and fluid with equal weight per octave, so that tissue is not a corner of the box",
    ),
}
