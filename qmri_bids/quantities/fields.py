"""Rows of the fields: B1 and off-resonance."""

from __future__ import annotations

from qmri_bids.quantity import Display, Known, MapFile, Quantity, Spread
from qmri_bids.units import fraction_to_percent

_HERTZ = Display(unit="Hz", window=(-150, 150), colormap="RdBu_r")

FIELDS = (
    Quantity(
        name="b1",
        label="B1",
        symbol="B1",
        full_name="actual over nominal flip angle in percent,",
        file=MapFile(
            key="TB1map",
            suffix="TB1map",
            folder="fmap",
            unit="percent",
            convert=fraction_to_percent,
            skull_stripped=False,
            description="Actual over nominal flip angle in percent, on the grid of this scan: another scan's map as used, "
            "registered, made smooth and resampled, or that of the scan itself.",
        ),
        display=Display(
            unit="%",
            window=(60, 140),
            colormap="PuOr_r",
            convert=fraction_to_percent,
            note="100 % is the nominal flip angle.",
            section="b1",
        ),
        spread=Spread(limit=10, cause="from the noise of the scan that measured it. NaN where B1 was not measured"),
        known=Known(title="Actual over nominal B1 in percent", transform="b1_to_scan_transform", unit=""),
    ),
    Quantity(
        name="off_resonance",
        label="Off-resonance",
        symbol="ΔB0",
        phrase="the off-resonance",
        file=MapFile(
            key="fieldmap",
            suffix="fieldmap",
            folder="fmap",
            unit="Hz",
            description="Off-resonance. Of pc-bSSFP it is determined up to multiples of 1/TR and not unwrapped beyond that "
            "(desc-unwrapped_fieldmap is); of CEST it is the shift of water by which spectra were corrected; of a field map it is "
            "that map. NaN where it was not determined.",
        ),
        display=_HERTZ,
        spread=Spread(limit=5),
        known=Known(
            title="Off-resonance",
            transform="b0_to_scan_transform",
            unit="Hz",
            option="--cest-off-resonance",
        ),
    ),
    Quantity(
        name="off_resonance_unwrapped",
        label="Off-resonance, unwrapped",
        symbol="ΔB0",
        phrase="the unwrapped off-resonance",
        file=MapFile(
            key="fieldmap_unwrapped",
            suffix="fieldmap",
            desc="unwrapped",
            folder="fmap",
            unit="Hz",
            description="Off-resonance of pc-bSSFP made continuous in space by multiples of 1/TR; the multiple of all is the one "
            "whose median is nearest to 0. Its standard deviation is that of the fieldmap without desc. NaN where it was not "
            "determined.",
        ),
        display=_HERTZ,
    ),
)
