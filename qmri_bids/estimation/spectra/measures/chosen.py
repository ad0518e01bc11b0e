"""Which measures a spectrum allows, and their maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.image_fit import LINES, image_search
from qmri_bids.estimation.spectra.lorentzian_maps import masked
from qmri_bids.estimation.spectra.measures import background, three_offset
from qmri_bids.estimation.spectra.measures.asymmetry import mean_asymmetry
from qmri_bids.estimation.spectra.measures.linearised import Linearised, Measured, shared_weights
from qmri_bids.estimation.spectra.optima import Search
from qmri_bids.estimation.spectra.series import SeriesLayout, Spectra
from qmri_bids.estimation.spectra.spline import SplineOperator

THREE_OFFSET, DIFFERENCE, INVERSE = "three-offset", "lda", "rex"
"""Measures beside MTR asymmetry: those of `choices.SPECTRUM_MEASURES`."""

NEAREST = 0.3
"""An offset that a measure takes needs one that was measured so close to it [ppm]."""


@dataclass(frozen=True, kw_only=True)
class MeasurePlan:
    """What is measured beside the fit of pools.

    Parameters
    ----------
    three_offset
        Solutes of the three-offset measure.
    difference, inverse
        Whether the Lorentzian difference, and the inverse difference to its background, are mapped.
    of_fit
        Whether the inverse difference to the fit without a pool is mapped.
    ranges
        Ranges of the mean MTR asymmetry [ppm].
    sentences
        What was decided.
    """

    three_offset: tuple[str, ...] = ()
    difference: bool = False
    inverse: bool = False
    of_fit: bool = False
    ranges: tuple[tuple[float, float], ...] = ()
    sentences: tuple[str, ...] = ()

    @property
    def needs_background(self) -> bool:
        """Whether lines of water and MT are fitted to the offsets away from solutes."""
        return self.difference or self.inverse


def plan_measures(
    offsets: NDArray[np.floating],
    *,
    wanted: Sequence[str],
    ranges: Sequence[tuple[float, float]],
    pools: Sequence[str],
) -> MeasurePlan:
    """Return what can be measured of spectra at these offsets [ppm].

    Parameters
    ----------
    offsets
        Offsets of the spectra, increasing, shape (K,).
    wanted
        Measures that were asked for.
    ranges
        Ranges of the mean MTR asymmetry that were asked for [ppm].
    pools
        Pools of the fit; empty without one.
    """
    low, high = float(offsets[0]), float(offsets[-1])
    said, within, solutes = [], [], []
    for start, end in ranges:
        if low <= -end and high >= end:
            within.append((start, end))
        else:
            said.append(
                f"There is no MTR asymmetry from {start:g} to {end:g} ppm: the spectrum was measured from {low:g} to {high:g} ppm."
            )
    for solute, places in three_offset.SOLUTES.items() if THREE_OFFSET in wanted else ():
        lacking = [each for each in sorted(places) if np.abs(offsets - each).min() > NEAREST or not low <= each <= high]
        if lacking:
            shown = ", ".join(f"{each:g}" for each in lacking)
            said.append(f"There is no three-offset measure of {solute}: it needs an offset at {shown} ppm.")
        else:
            solutes.append(solute)
            at, *beside = places
            said.append(
                f"The three-offset measure of {solute} is the line through Z at {beside[0]:g} and {beside[1]:g} ppm minus Z at {at:g} ppm."
            )
    why = background.why_no_background(offsets.tolist())
    of_fit = INVERSE in wanted and bool(pools)
    difference, inverse = DIFFERENCE in wanted, INVERSE in wanted and not of_fit
    if of_fit:
        said.append("The inverse difference (MTR_Rex) of a pool is that of the fit with and without it.")
    if why and difference:
        said.append(f"There is no Lorentzian difference: {why}.")
    if why and inverse:
        said.append(f"There is no inverse difference (MTR_Rex): there is no fit of pools, and of a background {why}.")
    elif inverse:
        said.append("The inverse difference (MTR_Rex) is that to the background of the Lorentzian difference: no pools were fitted.")
    return MeasurePlan(
        three_offset=tuple(solutes),
        difference=difference and not why,
        inverse=inverse and not why,
        of_fit=of_fit,
        ranges=tuple(within),
        sentences=tuple(said),
    )


def background_search(
    some: Spectra, *, offsets: NDArray[np.float64], water_shift: NDArray[np.floating], field_strength: float
) -> tuple[Search, str]:
    """Return where the fit of the background begins by the mean spectrum of the image, and what it is.

    Parameters
    ----------
    some
        Some spectra of the image, V of them.
    offsets
        Their offsets [ppm], shape (K,).
    water_shift
        Shift of water [ppm], shape (V,).
    field_strength
        B0 [T].
    """
    counted = background.of_background(offsets)
    search, _ = image_search(
        some,
        offsets=offsets,
        water_shift=water_shift,
        pools=background.BACKGROUND_POOLS,
        field_strength=field_strength,
        counted=counted,
    )
    line = LINES[search.pools[background.BACKGROUND_POOLS[1]].line]
    return search, (
        f"The background of the Lorentzian difference is a line of water and a {line} one of MT, fitted to {np.count_nonzero(counted)} "
        f"offsets within {background.NEAR:g} ppm of water and from {background.BEYOND:g} ppm outwards."
    )


def measure_maps(
    spectra: Spectra,
    *,
    layout: SeriesLayout,
    shift: NDArray[np.float64],
    shift_stdev: NDArray[np.float64] | None,
    operator: SplineOperator,
    plan: MeasurePlan,
    search: Search | None,
    good: NDArray[np.bool_],
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the measures of V voxels and their standard deviations by name, NaN where `good` does not hold.

    Parameters
    ----------
    spectra, layout
        Spectra, and which volumes they are made of.
    shift, shift_stdev
        Shift of water and its standard deviation [ppm], shape (V,).
    operator
        Spline through the offsets.
    plan
        What is mapped.
    search
        Where the fit of the background begins; None where none is needed.
    good
        Voxels with a spectrum and a shift, shape (V,).
    """
    whole = good & np.isfinite(spectra.values).all(axis=1) & np.isfinite(shift)
    measured = Measured(
        z=np.where(whole[:, None], spectra.values, 1.0),
        stdev=np.where(whole, spectra.stdev, 1.0),
        offsets=layout.offsets,
        shift=np.where(whole, shift, 0.0),
        shift_stdev=None if shift_stdev is None else np.where(whole, shift_stdev, 0.0),
        shared=shared_weights(layout),
        repeated=math.sqrt(layout.repetitions),
    )
    found: dict[str, Linearised] = {
        f"MTRasym_{low:g}to{high:g}": mean_asymmetry(measured, operator, low=low, high=high) for low, high in plan.ranges
    }
    for solute in plan.three_offset:
        found[f"threeoffset_{solute}"] = three_offset.three_offset(measured, operator, solute)
    if search is not None:
        fitted = background.fit_background(measured, search)
        for solute in background.SOLUTES:
            if plan.difference:
                found[f"lda_{solute}"] = background.lorentzian_difference(measured, operator, fitted, solute)
            if plan.inverse:
                found[f"ldarex_{solute}"] = background.inverse_difference(measured, operator, fitted, solute)
    maps = {}
    for name, function in found.items():
        with np.errstate(all="ignore"):
            stdev = function.stdev(measured)
            usable = whole & np.isfinite(function.values) & np.isfinite(stdev)
        maps[name] = masked(function.values, usable), masked(stdev, usable)
    return maps
