"""Whether T1 follows B1 through the white matter, as it does where the B1 map is not that of the scan.

T1 of pc-bSSFP goes with the inverse square of the flip angle, so that a wrong B1 writes itself into T1. Tissue knows nothing of the
coil: over a lobe or two T1 of white matter is one, whatever B1 does there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Check, Level
from qmri_bids.tissue_labels import WHITE

NAME = "T1 against B1"

FEWEST_VOXELS = 300
"""Voxels of white matter from which a slope is told."""

LEAST_RANGE = 0.08
"""Logarithm of B1 from the 10th to the 90th percentile of white matter below which its slope says nothing."""

GROUPS = 12
"""Groups of voxels of like B1."""

DOUBT = 0.35
"""Change of T1 with B1, both as logarithms, from which somebody should look. Tissues are told apart by T1, so that white matter
that follows B1 is partly called grey, and less than half of the slope is seen: -0.1 in a simulated head as it is, -0.42 where B1
was squared, -2 with its inverse; magnetisation transfer makes -0.5, of which about -0.2 is seen."""


def b1_dependence_check(
    t1: NDArray[np.floating], *, b1: NDArray[np.floating], tissue: NDArray[np.integer] | None
) -> Check | None:
    """Return the traffic light of the dependence of T1 on B1, None where it cannot be told.

    Parameters
    ----------
    t1
        [s], shape (X, Y, Z), NaN where there is none.
    b1
        Actual over nominal flip angle that was used, same shape.
    tissue
        Labels of the tissues, None where they were not told apart.
    """
    if tissue is None:
        return None
    inside = (tissue == WHITE) & np.isfinite(t1) & np.isfinite(b1) & (t1 > 0.0) & (b1 > 0.0)
    if np.count_nonzero(inside) < FEWEST_VOXELS:
        return None
    value, field = np.log(t1[inside].astype(float)), np.log(b1[inside].astype(float))
    if np.subtract(*np.quantile(field, (0.9, 0.1))) < LEAST_RANGE:
        return None
    # Medians over groups of like B1 pass by lesions and fluid, which would bend a fit through all voxels.
    groups = np.array_split(np.argsort(field, kind="stable"), GROUPS)
    places, medians = (np.array([np.median(each[group]) for group in groups]) for each in (field, value))
    slope = float(np.polyfit(places, medians, 1)[0])
    odd = abs(slope) > DOUBT
    said = f"T1 of white matter changes by {10.0 * slope:+.1f} % where B1 is 10 % higher"
    if odd:
        said += ": is the B1 map that of this scan, and is its scale right?"
    return Check(
        name=NAME,
        value=said,
        level=Level.CHECK if odd else Level.GOOD,
        explanation=f"Tissue does not know B1: what T1 follows is an error of the B1 map. Good up to {10.0 * DOUBT:.1f} % "
        "(magnetisation transfer makes about 2), from the slope of both as logarithms.",
    )
