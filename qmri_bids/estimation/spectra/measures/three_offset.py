"""The three-offset measure: how far Z at a solute lies below the straight line through two offsets beside it.

MTR = w Z(a) + (1 - w) Z(b) - Z(Δ), with Z(a) and Z(b) interpolated linearly at Δ: of amide at 3.5 ppm from 3 and 4 ppm, of the
relayed NOE at -3.5 ppm from -2 and -5 ppm (Jin et al., Magn Reson Med 69:760, 2013; Xu et al., NMR Biomed 27:406, 2014, who write
APT* and NOE*). What papers write APT# and NOE# is another measure: the distance from a line of MT extrapolated from far offsets.
The line passes through the flanks of the solute, whose own part in them is lost: the measure is less than the height of the solute.
"""

from __future__ import annotations

from qmri_bids.estimation.spectra.measures.linearised import Linearised, Measured, average, sampled
from qmri_bids.estimation.spectra.measures.plan import THREE_OFFSETS
from qmri_bids.estimation.spectra.spline import SplineOperator


def three_offset(measured: Measured, operator: SplineOperator, solute: str) -> Linearised:
    """Return the measure of a solute of `THREE_OFFSETS`, as a fraction, shape (V,); NaN where an offset was not measured.

    Parameters
    ----------
    measured, operator
        Spectra, and the spline through their offsets.
    solute
        Key of `THREE_OFFSETS`.
    """
    at, first, second = THREE_OFFSETS[solute]
    share = (second - at) / (second - first)
    return average([sampled(measured, operator, each) for each in (first, second, at)], [share, 1.0 - share, -1.0])
