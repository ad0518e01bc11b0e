"""Contrast-weighted images of maps, with the standard deviations that those of the maps leave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.contrast import signed_signal
from qmri_bids.physics.sequences import Contrast

Values = NDArray[Any]

STEP = 1e-30
"""Imaginary step that gives the exact derivative of an analytic function."""


@dataclass(frozen=True, kw_only=True)
class FluidTimes:
    """T1 and T2 of the fluid that shares voxels with tissue, with standard deviations [s]."""

    t1: float
    t2: float
    t1_stdev: float = 0.0
    t2_stdev: float = 0.0


@dataclass(frozen=True, kw_only=True)
class WaterMaps:
    """What images are computed from, shape (...) each.

    Parameters
    ----------
    values, stdev
        `T1` and `T2` [s], `M0`, and where there is a fluid `fluid`: the part of M0 that is that of fluid, beside the tissue of T1
        and T2.
    correlation
        Correlation of the errors by pair of these names; independent without.
    fluid
        The fluid; None where there is none.
    """

    values: Mapping[str, Values]
    stdev: Mapping[str, Values]
    correlation: Mapping[tuple[str, str], Values] = field(default_factory=dict)
    fluid: FluidTimes | None = None


@dataclass(frozen=True, kw_only=True)
class TwoWays:
    """Two explanations of the same voxels: by tissue alone, and by tissue with fluid, with the probability of the second."""

    alone: WaterMaps
    together: WaterMaps
    probability: Values


def synthetic_image(contrast: Contrast, maps: WaterMaps | TwoWays) -> tuple[Values, Values]:
    """Return the image of a sequence and its standard deviation, shape (...).

    Tissue and fluid of a voxel add up before the magnitude is taken: |(M0 - Mf) s(T1, T2) + Mf s(fluid)|, Mf that of fluid. The
    standard deviation is that of the linear expansion, with all correlations. It is NaN where a map has none, and both are where a
    map has no value. Of two explanations the image is the mean by their probability, with the sign of both, and its standard
    deviation holds what they differ by. The magnitude is the last step: where noise takes the signal across zero, that of FLAIR
    in fluid, it is not below zero, and about as large as its standard deviation.

    Parameters
    ----------
    contrast
        What is played.
    maps
        T1, T2, M0 and fluid, or two explanations of a voxel.
    """
    with np.errstate(all="ignore"):
        if isinstance(maps, WaterMaps):
            signal, variance = _signed(contrast, maps)
        else:
            one, variance_of_one = _signed(contrast, maps.alone)
            other, variance_of_other = _signed(contrast, maps.together)
            p = np.asarray(maps.probability, dtype=np.float64)
            other, variance_of_other = (np.where(p > 0.0, each, 0.0) for each in (other, variance_of_other))
            signal = (1.0 - p) * one + p * other
            variance = (1.0 - p) * variance_of_one + p * variance_of_other + p * (1.0 - p) * (one - other) ** 2
        return np.abs(signal), np.sqrt(np.maximum(variance, 0.0))


def _signed(contrast: Contrast, maps: WaterMaps) -> tuple[Values, Values]:
    """Return the signal with its sign, and its variance."""
    t1, t2, m0 = (np.asarray(maps.values[name], dtype=np.float64) for name in ("T1", "T2", "M0"))
    of_tissue = signed_signal(contrast, t1=t1, t2=t2)
    fluid: Values = np.zeros(t1.shape)
    of_fluid: Values = np.zeros(())
    if maps.fluid is not None:
        fluid = np.asarray(maps.values["fluid"], dtype=np.float64)
        of_fluid = signed_signal(contrast, t1=np.asarray(maps.fluid.t1), t2=np.asarray(maps.fluid.t2))
    tissue = m0 - fluid
    slopes = {
        "T1": tissue * np.imag(signed_signal(contrast, t1=t1 + STEP * 1j, t2=t2)) / STEP,
        "T2": tissue * np.imag(signed_signal(contrast, t1=t1, t2=t2 + STEP * 1j)) / STEP,
        "M0": of_tissue,
    }
    if maps.fluid is not None:
        slopes["fluid"] = of_fluid - of_tissue
    spread = {name: slope * np.asarray(maps.stdev[name], dtype=np.float64) for name, slope in slopes.items()}
    variance = np.sum([each**2 for each in spread.values()], axis=0)
    for (one, two), together in maps.correlation.items():
        if one in spread and two in spread:
            variance = variance + 2.0 * np.asarray(together, dtype=np.float64) * spread[one] * spread[two]
    if maps.fluid is not None:
        variance = variance + fluid**2 * _variance_of_fluid(contrast, maps.fluid)
    return tissue * of_tissue + fluid * of_fluid, variance


def _variance_of_fluid(contrast: Contrast, fluid: FluidTimes) -> float:
    """Return the variance of the signal of fluid by its times."""
    t1, t2 = np.asarray(fluid.t1), np.asarray(fluid.t2)
    by_t1 = np.imag(signed_signal(contrast, t1=t1 + STEP * 1j, t2=t2)) / STEP
    by_t2 = np.imag(signed_signal(contrast, t1=t1, t2=t2 + STEP * 1j)) / STEP
    return float((by_t1 * fluid.t1_stdev) ** 2 + (by_t2 * fluid.t2_stdev) ** 2)
