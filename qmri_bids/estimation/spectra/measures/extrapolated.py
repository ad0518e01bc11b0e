"""APT# and NOE#: how far Z at a solute lies below lines of MT and water that are extrapolated from far offsets.

Extrapolated semisolid MT reference (EMR; Heo et al., Magn Reson Med 75:137 and 75:1630, 2016): what far offsets tell of MT and of
the direct saturation of water, without solutes, is continued to +3.5 and -3.5 ppm; APT# = Z_EMR(3.5) - Z(3.5), NOE# = Z_EMR(-3.5) -
Z(-3.5). Theirs is the steady state of two pools (Henkelman et al., 1993) with a super-Lorentzian line. Here it is a sum of lines as
in the fit of pools: MT with height and width, centred at -2.4 ppm, and a line of water at 0 of which the width is free. Far from
water that is the same A/Δ² of direct saturation, T2 of water in theirs; it needs no B1 or T1, nor a steady state.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.spectra.lorentzian.image_fit import LINES, image_search
from qmri_bids.estimation.spectra.lorentzian.optima import Search
from qmri_bids.estimation.spectra.lorentzian.pools import WATER, Bounded
from qmri_bids.estimation.spectra.measures.background import Background, fit_background
from qmri_bids.estimation.spectra.measures.far_lines import FAR, FAR_LINES, TOLERANCE, WITHIN
from qmri_bids.estimation.spectra.measures.linearised import Measured
from qmri_bids.estimation.spectra.series import Spectra


def _is_far(offsets: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which offsets from true water [ppm] tell the reference."""
    return np.abs(offsets) >= FAR - TOLERANCE


def reference_search(
    some: Spectra, *, offsets: NDArray[np.float64], water_shift: NDArray[np.floating], field_strength: float
) -> tuple[Search, str]:
    """Return where the fit of the extrapolated reference begins by the mean spectrum of the image, and what it is.

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
    counted = _is_far(offsets)
    search, _ = image_search(
        some,
        offsets=offsets,
        water_shift=water_shift,
        pools=FAR_LINES.names,
        field_strength=field_strength,
        model=FAR_LINES,
        counted=counted,
    )
    search = _near_image(search)
    line = LINES[search.pools[FAR_LINES.semisolid[0]].line]
    return search, (
        f"The reference of APT# and NOE# is a {line} line of MT and the wing of that of water, fitted to "
        f"{np.count_nonzero(counted)} offsets from {FAR:g} ppm outwards and extrapolated to 3.5 and -3.5 ppm."
    )


def _near_image(search: Search) -> Search:
    """Return the search with the width of water near that of the mean spectrum, at which it begins."""
    water = search.pools[WATER]
    column = 2 + 3 * list(search.pools).index(WATER)
    width = float(search.centre[column])
    bounds = Bounded(
        start=width, lower=max(width / WITHIN, water.width.lower), upper=min(width * WITHIN, water.width.upper)
    )
    starts = search.starts.copy()
    starts[:, column] = np.clip(starts[:, column], bounds.lower, bounds.upper)
    return replace(search, pools={**search.pools, WATER: replace(water, width=bounds)}, starts=starts)


def fit_reference(measured: Measured, search: Search) -> Background:
    """Fit the lines to the far offsets of the spectra.

    Parameters
    ----------
    measured
        The spectra.
    search
        That of `reference_search`.
    """
    return fit_background(measured, search, counts=_is_far)
