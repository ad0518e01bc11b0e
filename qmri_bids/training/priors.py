"""From where training draws T1 and T2: a table of priors in SI units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Independent draws of T1 and T2 over a box, with T1 ≥ T2.

    Parameters
    ----------
    t1, t2
        Ranges (low, high) [s].
    scale
        Whether draws are uniform in the value or in its logarithm.
    source
        Where the ranges come from.
    """

    t1: tuple[float, float]
    t2: tuple[float, float]
    scale: Literal["linear", "log"]
    source: str

    def draw(self, number: int, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `number` pairs (T1, T2) [s]; pairs with T1 < T2 are drawn again."""
        t1, t2 = torch.empty(0), torch.empty(0)
        while t1.numel() < number:
            new_t1 = self._axis(self.t1, number, generator)
            new_t2 = self._axis(self.t2, number, generator)
            keep = new_t1 >= new_t2
            t1, t2 = torch.cat([t1, new_t1[keep]]), torch.cat([t2, new_t2[keep]])
        return t1[:number], t2[:number]

    def _axis(self, bounds: tuple[float, float], number: int, generator: torch.Generator) -> torch.Tensor:
        unit = torch.rand(number, generator=generator)
        if self.scale == "linear":
            return bounds[0] + (bounds[1] - bounds[0]) * unit
        return torch.exp(math.log(bounds[0]) + math.log(bounds[1] / bounds[0]) * unit)


PRIORS: dict[str, Prior] = {
    "uniform": Prior(
        t1=(0.360, 2.080), t2=(0.020, 0.120), scale="linear", source="Birk et al. 2025, tissue range at 3 T"
    ),
    "uniform-extended": Prior(
        t1=(0.360, 5.000), t2=(0.020, 2.500), scale="linear", source="Birk et al. 2025, tissue and fluid"
    ),
    "log-uniform": Prior(
        t1=(0.250, 6.000),
        t2=(0.012, 2.500),
        scale="log",
        source="tissue and fluid with equal weight per octave, so that tissue is not a corner of the box",
    ),
}
