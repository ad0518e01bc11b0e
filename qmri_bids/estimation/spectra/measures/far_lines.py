"""The lines of the extrapolated reference: those of `LineModel` that the wings of water and MT are told by, far from water."""

from __future__ import annotations

from dataclasses import replace

from qmri_bids.estimation.spectra.lorentzian.pools import SHIPPED_LINES, WATER, LineModel

FAR = 8.0
"""From here outwards [ppm] a spectrum tells the wings alone: the bands of solutes end before."""

TOLERANCE = 0.5
"""The shift of water moves an offset so far [ppm] across that border without its being left out."""

FEWEST_FAR = 4
"""Offsets needed there."""

FARTHEST = 15.0
"""One must lie so far out [ppm] for the height of the line of MT and its width to be told apart."""

HEIGHT_OF_WATER = 0.9
"""Height of the line of water: its wing tells height times width squared alone."""

WITHIN = 2.0
"""The width of the line of water of a voxel is that of the mean spectrum times or over this at the most.

The prior of the fit (`optima.REACH`) makes of it 23 % as a standard deviation, what B1 (12 %) and √(T1/T2) (15 %) of tissue make of
it together; the bounds of the table, a factor of 15, would leave the wing of water at ±3.5 ppm unknown by its own height."""

FAR_LINES = LineModel(
    rows={
        WATER: replace(
            SHIPPED_LINES.rows[WATER], heights=(HEIGHT_OF_WATER, HEIGHT_OF_WATER), start=HEIGHT_OF_WATER, within=0.0
        ),
        **{name: replace(SHIPPED_LINES.rows[name], within=0.0) for name in SHIPPED_LINES.semisolid},
    }
)
"""Water, of which the width alone is free, and MT, whose centre far offsets do not tell from its width: it is that of the table."""
