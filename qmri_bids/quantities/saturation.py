"""Rows of saturated images: MTR, MTsat and what is measured in Z-spectra."""

from __future__ import annotations

from dataclasses import replace

from qmri_bids.quantities.shared import GAPS, IN_FRACTIONS, IN_PERCENT, M0_FILE
from qmri_bids.quantity import ANY_POOL, PLACEHOLDER, Display, MapFile, Quantity, Spread
from qmri_bids.units import fraction_to_percent

_FIT = "Least-squares fit of Lorentzian pools to the Z-spectrum, offsets counted from the shifted water frequency"

MAGNETIZATION_TRANSFER = (
    Quantity(
        name="MTR",
        label="MTR",
        symbol="MTR",
        full_name="the magnetization transfer ratio",
        file=MapFile(
            key="MTRmap",
            suffix="MTRmap",
            unit="percent",
            convert=fraction_to_percent,
            description=f"Magnetization transfer ratio: one minus the signal with over that without MT pulse. {GAPS}",
        ),
        display=Display(unit="%", window=(0, 60), colormap="viridis", convert=fraction_to_percent, note=IN_PERCENT),
        algorithm="1 - S_on/S_off",
        references=("dousset1992",),
        spread=Spread(limit=5),
    ),
    Quantity(
        name="MTsat",
        label="MT saturation",
        symbol="MTsat",
        file=MapFile(
            key="MTsat",
            suffix="MTsat",
            unit="percent",
            convert=fraction_to_percent,
            description=f"MT saturation: share of the longitudinal magnetization that one MT pulse destroys. {GAPS}",
        ),
        display=Display(unit="%", window=(0, 5), colormap="viridis", convert=fraction_to_percent, note=IN_PERCENT),
        algorithm="MT saturation of three spoiled gradient echoes",
        references=("helms2008",),
        spread=Spread(limit=1),
    ),
    Quantity(
        name="A",
        label="Amplitude A",
        symbol="A",
        full_name="M0",
        file=M0_FILE,
        display=Display(
            unit="arbitrary",
            window=None,
            colormap="gray",
            note="Signal of full magnetisation flipped by 90°, with the scale of the receiver.",
        ),
        algorithm="Amplitude of two spoiled gradient echoes",
        references=("helms2008",),
        spread=Spread(limit=None),
    ),
)


def _amplitude(pool: str, limit: float, spread: float) -> Quantity:
    """Return the row of the amplitude of a Lorentzian line; upper limits of it and of its standard deviation [%]."""
    return Quantity(
        name=f"amplitude_{pool}",
        label=f"Lorentzian amplitude of {pool}",
        symbol=pool,
        full_name=f"the amplitude of {pool}",
        file=MapFile(
            key=f"amplitude_{pool}",
            suffix="amplitudemap",
            desc=pool,
            unit="1",
            in_bids=False,
            description=f"Amplitude of the Lorentzian line of {pool}: its saturation at its centre, as a fraction. NaN where the "
            "quality mask is not 1 or a bound held this line.",
        ),
        display=Display(
            unit="%",
            window=(0, limit),
            colormap="cividis" if pool == "water" else "viridis",
            convert=fraction_to_percent,
            note=f"Saturation at the centre of the fitted line. {IN_FRACTIONS}",
        ),
        algorithm=_FIT,
        references=("zaiss2011",),
        spread=Spread(limit=spread),
    )


def _arex(pool: str, limit: float, spread: float) -> Quantity:
    """Return the row of AREX of a pool; upper limits of it and of its standard deviation [1/s]."""
    return Quantity(
        name=f"arex_{pool}",
        label=f"AREX of {pool}",
        symbol=f"AREX {pool}",
        file=MapFile(
            key=f"arex_{pool}",
            suffix="arexmap",
            desc=pool,
            unit="1/s",
            in_bids=False,
            description=f"Apparent exchange-dependent relaxation (AREX) of {pool}. NaN where the quality mask is not 1, a bound "
            "held its line, T1 has no value or Z does not stand out of the noise.",
        ),
        display=Display(
            unit="1/s",
            window=(0, limit),
            colormap="magma",
            note="Apparent exchange-dependent relaxation rate.",
        ),
        algorithm=f"{_FIT}; inverse difference over T1 and duty cycle",
        references=("zaiss2014",),
        spread=Spread(limit=spread, cause="from the noise of the scan and the standard deviation of T1"),
    )


def _of_any_pool(quantity: Quantity) -> Quantity:
    """Return the row of a map for pools of one's own, which `of_line` gives their names."""
    kind = quantity.name.partition("_")[0]
    own = quantity.written
    return replace(
        quantity,
        name=f"{kind}_",
        file=replace(
            own, key=f"{kind}_", desc=PLACEHOLDER, description=f"{own.description} Its name is the label of desc."
        ),
    )


def _difference(name: str, label: str, *, desc: str, what: str, limit: float, references: tuple[str, ...]) -> Quantity:
    """Return the row of a difference of Z to a background, which `what` says as the end of a sentence; upper limit [%]."""
    return Quantity(
        name=name,
        label=label,
        symbol=label,
        file=MapFile(
            key=name,
            suffix="MTRmap",
            desc=desc,
            unit="percent",
            convert=fraction_to_percent,
            description=f"Magnetization transfer ratio as {what}, after correction for B0. NaN where the quality mask is not 1, "
            "the correction led beyond the measured offsets, or the background has no value.",
        ),
        display=Display(
            unit="%",
            window=(-2, limit),
            colormap="viridis",
            convert=fraction_to_percent,
            note=f"{what[0].upper()}{what[1:]}. {IN_PERCENT}",
        ),
        algorithm=f"Z-spectrum normalised, shifted by B0 along a cubic spline; {what}",
        references=references,
        spread=Spread(limit=2),
    )


def _inverse_difference(name: str, of: str, *, desc: str, how: str, gaps: str) -> Quantity:
    """Return the row of MTR_Rex of a pool; `how` it was made and where it has no value as parts of sentences."""
    return Quantity(
        name=name,
        label=f"inverse difference (MTR_Rex) of {of}",
        symbol=f"MTR_Rex {of}",
        full_name=f"MTR_Rex of {of}",
        file=MapFile(
            key=name,
            suffix="MTRmap",
            desc=desc,
            unit="percent",
            convert=fraction_to_percent,
            description=f"Inverse difference MTR_Rex = 1/Z - 1/Z_ref: {how}. NaN where the quality mask is not 1, {gaps}.",
        ),
        display=Display(
            unit="%",
            window=(-2, 20),
            colormap="magma",
            convert=fraction_to_percent,
            note=f"1/Z − 1/Z_ref: {how}. {IN_PERCENT}",
        ),
        algorithm=how,
        references=("zaiss2014",),
        spread=Spread(limit=4),
    )


SPECTRA = (
    Quantity(
        name="MTRasym",
        label="MTR asymmetry",
        symbol="MTRasym",
        full_name="the MTR asymmetry",
        file=MapFile(
            key="MTRasym",
            suffix="MTRmap",
            desc="asymAPT",
            unit="percent",
            convert=fraction_to_percent,
            description="MTR asymmetry, Z(-offset) - Z(+offset), after correction for B0; at 3.5 ppm (APT) where desc is asymAPT, "
            "else at the offset in desc (asym2p0: 2.0 ppm). NaN where the quality mask is not 1 or the correction led beyond the "
            "measured offsets.",
        ),
        display=Display(
            unit="%",
            window=(-5, 5),
            colormap="RdBu_r",
            convert=fraction_to_percent,
            note=f"Z(−Δω) − Z(+Δω). {IN_PERCENT}",
        ),
        algorithm="Z-spectrum normalised, shifted by B0 along a cubic spline; Z(-offset) - Z(+offset)",
        references=("zhou2003",),
        spread=Spread(limit=2),
    ),
    _amplitude("water", 100, 5),
    _amplitude("MT", 20, 3),
    _amplitude("amide", 6, 2),
    _amplitude("NOE", 8, 2),
    _amplitude("amine", 4, 2),
    _arex("MT", 0.6, 0.1),
    _arex("amide", 0.15, 0.08),
    _arex("NOE", 0.2, 0.08),
    _arex("amine", 0.1, 0.08),
    _of_any_pool(_amplitude(ANY_POOL, 8, 2)),
    _of_any_pool(_arex(ANY_POOL, 0.2, 0.08)),
    _inverse_difference(
        "rex_",
        ANY_POOL,
        desc=f"rex{PLACEHOLDER}",
        how=f"{_FIT}; inverse of the fit with the pool minus that without it, at its centre",
        gaps="its fit has none, or Z does not stand out of the noise",
    ),
    *(
        row
        for solute, at, beside in (("APT", 3.5, "3 and 4"), ("NOE", -3.5, "-2 and -5"))
        for row in (
            _difference(
                f"threeoffset_{solute}",
                f"three-offset {solute}",
                desc=f"threeoffset{solute}",
                what=f"the straight line through Z at {beside} ppm, minus Z at {at:g} ppm",
                limit=8,
                references=("jin2013",),
            ),
            _difference(
                f"lda_{solute}",
                f"Lorentzian difference of {solute}",
                desc=f"lda{solute}",
                what=f"the background of water and MT, fitted to offsets away from solutes, minus Z, at {at:g} ppm",
                limit=12,
                references=("jones2013",),
            ),
            _difference(
                f"emr_{solute}",
                f"{solute}# (extrapolated MT reference)",
                desc=f"emr{solute}",
                what=f"the line of MT and the wing of water, extrapolated from offsets of 8 ppm and more, minus Z, at {at:g} ppm",
                limit=12,
                references=("heo2016", "heo2016human"),
            ),
            _inverse_difference(
                f"ldarex_{solute}",
                solute,
                desc=f"ldarex{solute}",
                how=f"1/Z minus the inverse of the background of water and MT, fitted to offsets away from solutes, at {at:g} ppm",
                gaps="the fit of the background has none, or Z does not stand out of the noise",
            ),
        )
    ),
)
