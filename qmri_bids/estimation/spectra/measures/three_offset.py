"""The three-offset measure: how far Z at a solute lies below the straight line through two offsets beside it.

MTR = w Z(a) + (1 - w) Z(b) - Z(Δ), with Z(a) and Z(b) interpolated linearly at Δ: of amide at 3.5 ppm from 3 and 4 ppm, of the relayed
NOE at -3.5 ppm from -2 and -5 ppm (Jin et al., Magn Reson Med 69:760, 2013; Xu et al., NMR Biomed 27:406, 2014, who write APT* and
NOE*). What papers write APT# and NOE# is another measure, the distance from a line of MT extrapolated from far offsets. The line passes
through the flanks of the solute, whose own part in them is lost: the measure is less than the height of the solute.
"""

from __future__ import annotations

from collections.abc import Mapping

from qmri_bids.estimation.spectra.measures.linearised import Linearised, Measured, average, sampled
from qmri_bids.estimation.spectra.spline import SplineOperator

SOLUTES: Mapping[str, tuple[float, float, float]] = {"APT": (3.5, 3.0, 4.0), "NOE": (-3.5, -2.0, -5.0)}
"""Offset of a solute and the two beside it [ppm]."""


def three_offset(measured: Measured, operator: SplineOperator, solute: str) -> Linearised:
    """Return the measure of a solute of `SOLUTES`, as a fraction, shape (V,); NaN where an offset was not measured.

    Parameters
    ----------
    measured, operator
        Spectra, and the spline through their offsets.
    solute
        Key of `SOLUTES`.
    """
    at, first, second = SOLUTES[solute]
    share = (second - at) / (second - first)
    return average([sampled(measured, operator, each) for each in (first, second, at)], [share, 1.0 - share, -1.0])
