"""Rows of what fits leave."""

from __future__ import annotations

from qmri_bids.quantities.shared import IN_FRACTIONS
from qmri_bids.quantity import Display, MapFile, Quantity
from qmri_bids.units import fraction_to_percent

_RESIDUAL_FILE = MapFile(
    key="residual",
    suffix="residualmap",
    unit="1",
    in_bids=False,
    description="Root mean square of signal minus model over the images, relative to that of the signal.",
)

RESIDUALS = (
    Quantity(
        name="residual",
        label="Residual of the fit",
        symbol="residual",
        file=_RESIDUAL_FILE,
        display=Display(
            unit="%",
            window=(0, 20),
            colormap="plasma",
            convert=fraction_to_percent,
            note="Signal minus model, relative to the signal (root mean squares over the images).",
            section="uncertainty",
        ),
    ),
    Quantity(
        name="residual_spectrum",
        label="Residual of the fit",
        symbol="residual",
        file=_RESIDUAL_FILE,
        display=Display(
            unit="%",
            window=(0, 5),
            colormap="plasma",
            convert=fraction_to_percent,
            note=f"Spectrum minus model, relative to the spectrum (root mean squares over the offsets). {IN_FRACTIONS}",
            section="uncertainty",
        ),
    ),
)
