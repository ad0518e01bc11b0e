"""The maps of all measures that were chosen."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.lorentzian.image_fit import LINES, image_search
from qmri_bids.estimation.spectra.lorentzian.maps import masked
from qmri_bids.estimation.spectra.lorentzian.optima import Search
from qmri_bids.estimation.spectra.measures import background, three_offset
from qmri_bids.estimation.spectra.measures.asymmetry import mean_asymmetry
from qmri_bids.estimation.spectra.measures.extrapolated import fit_reference
from qmri_bids.estimation.spectra.measures.linearised import Linearised, Measured, shared_weights
from qmri_bids.estimation.spectra.measures.plan import (
    BACKGROUND_POOLS,
    BEYOND,
    DIFFERENCE_AT,
    NEAR,
    MeasurePlan,
    of_background,
)
from qmri_bids.estimation.spectra.series import SeriesLayout, Spectra
from qmri_bids.estimation.spectra.spline import SplineOperator


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
    counted = of_background(offsets)
    search, _ = image_search(
        some,
        offsets=offsets,
        water_shift=water_shift,
        pools=BACKGROUND_POOLS,
        field_strength=field_strength,
        counted=counted,
    )
    line = LINES[search.pools[BACKGROUND_POOLS[1]].line]
    return search, (
        f"The background of the Lorentzian difference is a line of water and a {line} one of MT, fitted to "
        f"{np.count_nonzero(counted)} offsets within {NEAR:g} ppm of water and from {BEYOND:g} ppm outwards."
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
    reference: Search | None = None,
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
    reference
        Where that of the extrapolated reference begins; None where none is needed.
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
        # Spectra that were brought to another power hold the noise of their M0 among what their values share.
        shared=shared_weights(layout) * (spectra.directions is None),
        directions=None if spectra.directions is None else np.where(whole[:, None, None], spectra.directions, 0.0),
        repeated=math.sqrt(layout.repetitions),
    )
    found: dict[str, Linearised] = {
        f"MTRasym_{at:g}": mean_asymmetry(measured, operator, low=at, high=at) for at in plan.asymmetry
    }
    for low, high in plan.ranges:
        found[f"MTRasym_{low:g}to{high:g}"] = mean_asymmetry(measured, operator, low=low, high=high)
    for solute in plan.three_offset:
        found[f"threeoffset_{solute}"] = three_offset.three_offset(measured, operator, solute)
    if search is not None:
        fitted = background.fit_background(measured, search)
        for solute in DIFFERENCE_AT:
            if plan.difference:
                found[f"lda_{solute}"] = background.lorentzian_difference(measured, operator, fitted, solute)
            if plan.inverse:
                found[f"ldarex_{solute}"] = background.inverse_difference(measured, operator, fitted, solute)
    if reference is not None:
        fitted = fit_reference(measured, reference)
        for solute in plan.extrapolated:
            found[f"emr_{solute}"] = background.lorentzian_difference(measured, operator, fitted, solute)
    maps = {}
    for name, function in found.items():
        with np.errstate(all="ignore"):
            stdev = function.stdev(measured)
            usable = whole & np.isfinite(function.values) & np.isfinite(stdev)
        maps[name] = masked(function.values, usable), masked(stdev, usable)
    return maps
