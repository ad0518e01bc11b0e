"""The ranges over which networks of pools are trained, dictionaries are drawn and posteriors are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ExchangePrior:
    """Independent uniform distributions.

    Parameters
    ----------
    name
        What maps and cards call it.
    ranges
        Lowest and highest value by the names of `reference.parameter_names`: times in s, rates in 1/s, off-resonance in Hz.
    """

    name: str
    ranges: Mapping[str, tuple[float, float]]

    def draw(
        self, number: int, *, parameters: Sequence[str], rng: np.random.Generator
    ) -> dict[str, NDArray[np.float64]]:
        """Return draws of parameters by name, shape (number,) each; T2 above T1 does not occur within the ranges."""
        return {name: rng.uniform(*self.ranges[name], number) for name in parameters}

    def bounds(self, parameters: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return lowest and highest values of parameters, shape (P,) each."""
        low, high = np.array([self.ranges[name] for name in parameters]).T
        return low, high


EXCHANGE_PRIOR = ExchangePrior(
    name="uniform",
    ranges={
        "MT.fraction": (0.02, 0.30),
        "MT.rate": (5.0, 100.0),
        "amide.fraction": (5e-4, 1e-2),
        "amide.rate": (5.0, 500.0),
        "t1": (0.6, 3.0),
        "t2": (0.03, 0.25),
        "b1": (0.6, 1.4),
        "off_resonance": (-150.0, 150.0),
    },
)
"""Pools: the ranges of Finkelstein et al. 2025 without the values next to 0, where a rate has no meaning. The rest covers the brain
at 3 T, fluid left out."""
