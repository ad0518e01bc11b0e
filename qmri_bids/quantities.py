"""Every map, one row: names, files and reports follow from it.

A new map is a row here and an estimator that returns values under its name. Windows are those of the brain at 3 T. Amplitudes of
Lorentzian lines and AREX depend on the power of the saturation: their windows fit the low powers (0.6 to 0.9 µT) at which pools are
told apart; that of the asymmetry is the one in which APT-weighted images at 2 µT are read.

The command line imports this module: it must stay light, without NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from qmri_bids.choices import PAPER_PRIORS
from qmri_bids.quantity import (
    ANY_POOL,
    PLACEHOLDER,
    POSTERIOR,
    STDEV,
    Display,
    Known,
    MapFile,
    Posterior,
    Quantity,
    Spread,
    at_offset,
    known,
    labelled,
    of_line,
    of_pool,
    over_range,
    posterior,
    posterior_stdev,
    stdev,
)
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds

POOL_PRIORS = ("uniform",)
"""Priors under which posterior maps of pools can be asked for."""

SOLUTE = "solute"
"""Stands for the name of any pool in the rows of pools that are neither semisolid nor amide."""

_GAPS = "NaN where the quality mask is not 1."
_BSSFP_GAPS = "NaN where the quality mask is none of 1, 9 and 10; of other scans than pc-bSSFP, where it is not 1."
_SECONDS = "The file is in seconds."
_PERCENT = "The file is in percent."
_FRACTION = "The file holds fractions."

_FIT = "Least-squares fit of Lorentzian pools to the Z-spectrum, offsets counted from the shifted water frequency"

_TIMES_CAUSE = (
    "from the noise of the scan, from B1 where its own is known, and near fluid from what fluid the voxel may hold"
)
_TIMES = Posterior(priors=PAPER_PRIORS, gaps="NaN where the data contradict its range.")

_M0_FILE = MapFile(
    key="M0map",
    suffix="M0map",
    unit="arbitrary",
    description=f"Signal at equilibrium times receive sensitivity. {_BSSFP_GAPS}",
)

_SEMISOLID, _AMIDE, _SOLUTE = "semisolid (MT) pool", "amide pool", "solute pool"
_POOL_CAUSE = "from the noise of the scan and the standard deviations of the known maps"
_POOL_POSTERIOR = Posterior(priors=POOL_PRIORS, symbol="post.")

_HERTZ = Display(unit="Hz", window=(-150, 150), colormap="RdBu_r")

_RESIDUAL_FILE = MapFile(
    key="residual",
    suffix="residualmap",
    unit="1",
    in_bids=False,
    description="Root mean square of signal minus model over the images, relative to that of the signal.",
)

_RELAXATION = (
    Quantity(
        name="T1",
        label="T1",
        symbol="T1",
        file=MapFile(
            key="T1map",
            suffix="T1map",
            unit="s",
            description="Longitudinal relaxation time T1 of a single pool: of pc-bSSFP it is apparent, lowered by magnetization "
            f"transfer in tissue (desc-mtcorrected_T1map is not). {_BSSFP_GAPS}",
        ),
        display=Display(
            unit="ms",
            window=(0, 2500),
            colormap="lipari",
            convert=seconds_to_milliseconds,
            note=_SECONDS,
        ),
        spread=Spread(limit=400, cause=_TIMES_CAUSE),
        posterior=_TIMES,
        known=Known(
            title="Longitudinal relaxation time T1", transform="t1_to_scan_transform", unit="s", option="--cest-t1"
        ),
    ),
    Quantity(
        name="T2",
        label="T2",
        symbol="T2",
        file=MapFile(
            key="T2map", suffix="T2map", unit="s", description=f"Transverse relaxation time T2. {_BSSFP_GAPS}"
        ),
        display=Display(
            unit="ms",
            window=(0, 150),
            colormap="navia",
            convert=seconds_to_milliseconds,
            note=_SECONDS,
        ),
        spread=Spread(limit=40, cause=_TIMES_CAUSE),
        posterior=_TIMES,
        known=Known(
            title="Transverse relaxation time T2", transform="t2_to_scan_transform", unit="s", option="--cest-t2"
        ),
    ),
    Quantity(
        name="M0",
        label="M0",
        symbol="M0",
        file=_M0_FILE,
        display=Display(unit="arbitrary", window=None, colormap="gray", note="The scale is that of the receiver."),
        spread=Spread(limit=None, note=""),
    ),
    Quantity(
        name="R1",
        label="R1",
        symbol="R1",
        file=MapFile(key="R1map", suffix="R1map", unit="1/s", description=f"Longitudinal relaxation rate R1. {_GAPS}"),
        display=Display(unit="1/s", window=(0, 2), colormap="lipari_r"),
        algorithm="R1 of two spoiled gradient echoes",
        references=("helms2008",),
        spread=Spread(limit=0.2),
    ),
)

_FREED = "bSSFP freed of magnetization transfer by the subject's semisolid pool"
_FREED_CAUSE = (
    "from the noise of the scan, B1, fraction and rate of the semisolid pool, "
    "its line and R1, and the duration of the pulse"
)
_FREED_GAPS = "NaN where apparent T1 or the semisolid pool has no value, or the two contradict each other."


def _freed_t1(name: str, label: str, symbol: str, desc: str, title: str, note: str) -> Quantity:
    """Return the row of a T1 that was freed of magnetization transfer."""
    return Quantity(
        name=name,
        label=label,
        symbol=symbol,
        phrase=title,
        file=MapFile(
            key=f"T1map_{desc}",
            suffix="T1map",
            desc=desc,
            unit="s",
            description=f"{title[0].upper()}{title[1:]}: that of {_FREED}. {_FREED_GAPS}",
        ),
        display=Display(
            unit="ms", window=(0, 2500), colormap="lipari", convert=seconds_to_milliseconds, note=f"{note} {_SECONDS}"
        ),
        algorithm="Two-pool steady state of bSSFP: apparent T1 freed by fraction and rate of the semisolid pool",
        references=("gloor2008",),
        spread=Spread(limit=400, cause=_FREED_CAUSE),
    )


def _fitted_time(name: str, way: str, window: float, limit: float, colormap: str) -> Quantity:
    """Return the row of a relaxation time of water that was fitted along with pools."""
    return Quantity(
        name=f"water_{name}",
        label=f"{name} of water",
        symbol=f"{name} (water)",
        file=MapFile(
            key=f"{name}map_water",
            suffix=f"{name}map",
            desc="water",
            unit="s",
            description=f"{way} relaxation time {name} of water, fitted along with the pools of saturated images. {_GAPS}",
        ),
        display=Display(
            unit="ms", window=(0, window), colormap=colormap, convert=seconds_to_milliseconds, note=_SECONDS
        ),
        spread=Spread(limit=limit, cause=_POOL_CAUSE),
    )


_FITTED_WATER = (
    _fitted_time("T1", "Longitudinal", 4000, 400, "lipari"),
    _fitted_time("T2", "Transverse", 2000, 200, "navia"),
)

_TRANSFER = (
    _freed_t1(
        "mtcorrected_T1",
        "T1, MT-corrected",
        "T1 corr.",
        "mtcorrected",
        "T1 as an inversion recovery sees it",
        "T1 as an inversion recovery sees it; T1 without this name is what one pool under these pulses looks like.",
    ),
    _freed_t1(
        "free_T1",
        "T1 of free water",
        "T1 (free)",
        "free",
        "T1 of free water",
        "T1 of water alone, without exchange with the semisolid pool; it depends on R1 of that pool, which is assumed.",
    ),
    Quantity(
        name="free_M0",
        label="M0 of free water",
        symbol="M0 (free)",
        phrase="M0 of free water",
        file=MapFile(
            key="M0map_free",
            suffix="M0map",
            desc="free",
            unit="arbitrary",
            description=f"Signal of free water at equilibrium times receive sensitivity: that of {_FREED}. {_FREED_GAPS}",
        ),
        display=Display(unit="arbitrary", window=None, colormap="gray", note="The scale is that of the receiver."),
        algorithm="Two-pool steady state of bSSFP: apparent M0 freed by fraction and rate of the semisolid pool",
        references=("gloor2008",),
        spread=Spread(limit=None, cause=_FREED_CAUSE, note=""),
    ),
)

_BSSFP = (
    Quantity(
        name="fluid_fraction",
        label="Fluid fraction",
        symbol="fluid fraction",
        phrase="the fluid fraction",
        full_name="the share of fluid in the equilibrium magnetisation",
        file=MapFile(
            key="fluid_fraction",
            suffix="fractionmap",
            desc="fluid",
            unit="arbitrary",
            in_bids=False,
            description="Share of fluid in the equilibrium magnetisation of the voxel. Beside fluid it may be negative, where side "
            "lobes "
            f"of the point spread function are; NaN where its standard deviation exceeds 0.5, too. {_BSSFP_GAPS}",
        ),
        display=Display(
            unit="%",
            window=(-20, 100),
            colormap="viridis",
            convert=fraction_to_percent,
            note="Share of fluid in the equilibrium magnetisation. Noise, and side lobes of the point spread beside fluid, take it "
            "below 0 "
            f"and above 100 %; no value where its standard deviation exceeds 50 %. {_FRACTION}",
        ),
        spread=Spread(limit=20, cause="from the noise of the scan and what T1 and T2 of fluid vary by", note=""),
    ),
    Quantity(
        name="misfit",
        label="Residual over noise",
        symbol="misfit",
        file=MapFile(
            key="misfit",
            suffix="residualmap",
            desc="misfit",
            unit="1",
            in_bids=False,
            description="Root mean square of signal minus model over the phase cycles, over that which the noise of the "
            "surroundings leaves: 1 where the model holds.",
        ),
        display=Display(
            unit="noise",
            window=(0, 3),
            colormap="plasma",
            note="Residual of the fit over what the noise around leaves: 1 where the model holds. The noise is told from "
            "residuals, too: where "
            "the model fails in a whole region, the map shows less of it.",
            section="uncertainty",
        ),
    ),
    Quantity(
        name="noise",
        label="Noise",
        symbol="noise",
        file=MapFile(
            key="noise",
            suffix="residualmap",
            desc="noise",
            unit="arbitrary",
            in_bids=False,
            description="Standard deviation of the noise in real and imaginary part of a phase cycle, pooled over neighbours, in "
            "the unit of the images.",
        ),
        display=Display(
            unit="arbitrary",
            window=None,
            colormap="gray",
            note="Standard deviation of the noise in real and imaginary part of one phase cycle, from residuals of neighbours: it "
            "is also "
            "high where the model fails in a whole region. The scale is that of the images.",
            section="uncertainty",
        ),
    ),
)

_MAGNETIZATION_TRANSFER = (
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
            description=f"Magnetization transfer ratio: one minus the signal with over that without MT pulse. {_GAPS}",
        ),
        display=Display(unit="%", window=(0, 60), colormap="viridis", convert=fraction_to_percent, note=_PERCENT),
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
            description=f"MT saturation: share of the longitudinal magnetization that one MT pulse destroys. {_GAPS}",
        ),
        display=Display(unit="%", window=(0, 5), colormap="viridis", convert=fraction_to_percent, note=_PERCENT),
        algorithm="MT saturation of three spoiled gradient echoes",
        references=("helms2008",),
        spread=Spread(limit=1),
    ),
    Quantity(
        name="A",
        label="Amplitude A",
        symbol="A",
        full_name="M0",
        file=_M0_FILE,
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
            note=f"Saturation at the centre of the fitted line. {_FRACTION}",
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
            note=f"{what[0].upper()}{what[1:]}. {_PERCENT}",
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
            note=f"1/Z − 1/Z_ref: {how}. {_PERCENT}",
        ),
        algorithm=how,
        references=("zaiss2014",),
        spread=Spread(limit=4),
    )


_SPECTRA = (
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
            note=f"Z(−Δω) − Z(+Δω). {_PERCENT}",
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


def _fraction(pool: str, title: str, limit: float | None, spread: float | None) -> Quantity:
    """Return the row of the fraction of a pool; upper limits of it and of its standard deviation [%], None where any will do."""
    return Quantity(
        name=f"{pool}_fraction",
        label=f"{pool} fraction",
        symbol=f"f {pool}",
        phrase=f"the {pool} fraction",
        full_name=f"the fraction of the {title}",
        file=MapFile(
            key=f"fraction_{pool}",
            suffix="fractionmap",
            desc=pool,
            unit="arbitrary",
            in_bids=False,
            description=f"Equilibrium magnetisation of the {title} over that of water. NaN where desc-{pool}quality_mask "
            "(desc-quality_mask where the scan has but one) is neither 1 nor 10.",
        ),
        display=Display(
            unit="%",
            window=None if limit is None else (0, limit),
            colormap="viridis",
            convert=fraction_to_percent,
            note=f"Equilibrium magnetisation of the {title} over that of water. {_FRACTION}",
        ),
        spread=Spread(limit=spread, cause=_POOL_CAUSE, note=""),
        posterior=None if pool == SOLUTE else _POOL_POSTERIOR,
    )


def _rate(pool: str, title: str, limit: float | None, spread: float | None) -> Quantity:
    """Return the row of the exchange rate of a pool; upper limits of both [1/s], None where any will do."""
    return Quantity(
        name=f"{pool}_rate",
        label=f"{pool} exchange rate",
        symbol=f"k {pool}",
        phrase=f"the {pool} exchange rate",
        full_name=f"the exchange rate of the {title}",
        file=MapFile(
            key=f"exchange_{pool}",
            suffix="exchangemap",
            desc=pool,
            unit="1/s",
            in_bids=False,
            description=f"Exchange rate from the {title} to water. NaN where desc-{pool}quality_mask is neither 1 nor 10.",
        ),
        display=Display(
            unit="1/s",
            window=None if limit is None else (0, limit),
            colormap="magma",
            note=f"From the {title} to water.",
        ),
        spread=Spread(limit=spread, cause=_POOL_CAUSE, note=""),
        posterior=None if pool == SOLUTE else _POOL_POSTERIOR,
    )


def _correlation(pool: str, title: str) -> Quantity:
    """Return the row of the correlation of fraction and exchange rate of a pool."""
    return Quantity(
        name=f"{pool}_correlation",
        label=f"Correlation of {pool} fraction and exchange rate",
        symbol=f"corr(f, k) {pool}",
        file=MapFile(
            key=f"correlation_{pool}",
            suffix="correlationmap",
            desc=pool,
            unit="1",
            in_bids=False,
            description=f"Correlation of the errors of fraction and exchange rate of the {title}: near -1 only their product is "
            "told well.",
        ),
        display=Display(
            unit="1",
            window=(-1, 1),
            colormap="RdBu_r",
            note="Of the errors of both. Near −1 only their product is told well: a high fraction with a low rate fits nearly as "
            "well.",
            section="uncertainty",
        ),
    )


def _concentration(pool: str, title: str) -> Quantity:
    """Return the row of the concentration of a pool."""
    return Quantity(
        name=f"{pool}_concentration",
        label=f"{pool} concentration",
        symbol=f"c {pool}",
        phrase=f"the {pool} concentration",
        full_name=f"the concentration of the {title}",
        file=MapFile(
            key=f"concentration_{pool}",
            suffix="concentrationmap",
            desc=pool,
            unit="mmol/L",
            in_bids=False,
            description=f"Concentration of the {title} in its water: its fraction times 111 mol/L of protons of water over the "
            "protons of one molecule. It is not corrected for how much of a voxel is water. NaN where the quality mask of the pool "
            "is not 1.",
        ),
        display=Display(
            unit="mmol/L",
            window=None,
            colormap="viridis",
            note="Fraction times 111 mol/L of protons of water over the protons of one molecule; in its water, not in tissue.",
        ),
        spread=Spread(limit=None, cause=_POOL_CAUSE, note=""),
    )


_POOLS = (
    _fraction("MT", _SEMISOLID, 25, 5),
    _rate("MT", _SEMISOLID, 80, 20),
    _correlation("MT", _SEMISOLID),
    _fraction("amide", _AMIDE, 0.6, 0.2),
    _rate("amide", _AMIDE, 500, 200),
    _correlation("amide", _AMIDE),
)

_SOLUTES = (
    _fraction(SOLUTE, _SOLUTE, None, None),
    _rate(SOLUTE, _SOLUTE, None, None),
    _correlation(SOLUTE, _SOLUTE),
    _concentration(SOLUTE, _SOLUTE),
)
"""Of any other pool that a file names: `of_pool` puts its name in the place of `SOLUTE`."""

_FIELDS = (
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

_RESIDUALS = (
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
            note=f"Spectrum minus model, relative to the spectrum (root mean squares over the offsets). {_FRACTION}",
            section="uncertainty",
        ),
    ),
)

_IMAGE_GAPS = (
    "NaN where T1, T2 or M0 has no value, and where the standard deviation exceeds twice the median of the image."
)
_RECEIVER = "The scale is that of the receiver, whose sensitivity is in the image."


def _synthetic(name: str, suffix: str, desc: str, what: str) -> Quantity:
    """Return the row of an image that was computed from maps."""
    return Quantity(
        name=f"synthetic_{name}",
        label=f"Synthetic {name}",
        symbol=name,
        phrase=f"synthetic {name}",
        full_name=f"the synthetic image {name}",
        file=MapFile(
            key=f"synthetic_{name}",
            suffix=suffix,
            desc=desc,
            unit="arbitrary",
            description=f"{what} of the maps of this run, computed and not acquired, at the parameters of this sidecar. "
            f"{_IMAGE_GAPS}",
        ),
        display=Display(
            unit="arbitrary",
            window=None,
            colormap="gray",
            note=f"Computed from the maps, not acquired. {_RECEIVER}",
        ),
        algorithm=f"{what} in closed form of T1, T2 and M0; tissue and fluid of a voxel added up",
        references=("blystad2012",),
        spread=Spread(limit=None, cause="from those of T1, T2, M0 and fluid, with their correlations", note=""),
    )


_SYNTHETIC = (
    _synthetic("T1w", "T1w", "synthetic", "Inversion-prepared train of gradient echoes (MPRAGE)"),
    _synthetic("T1wSE", "T1w", "syntheticSE", "Spin echo of short repetition time"),
    _synthetic("T2w", "T2w", "synthetic", "Spin echo of long echo time"),
    _synthetic("PDw", "PDw", "synthetic", "Spin echo of long repetition and short echo time"),
    _synthetic("FLAIR", "FLAIR", "synthetic", "Inversion recovery spin echo without signal of fluid"),
)


def _band_free(
    way: str, desc: str, label: str, how: str, what: str, gaps: str, references: tuple[str, ...]
) -> Quantity:
    """Return the row of an image of bSSFP without bands; `what` follows the way in words as an apposition."""
    return Quantity(
        name=f"bandfree_{way}",
        label=label,
        symbol="bSSFP",
        phrase=f"bSSFP by {how}",
        full_name=f"bSSFP by {how}",
        file=MapFile(
            key=f"bandfree_{way}",
            suffix="bSSFP",
            desc=desc,
            unit="arbitrary",
            description=f"Balanced SSFP of all phase cycles by {how}, {what}. {gaps}",
            skull_stripped=way == "model",
            in_bids=False,
        ),
        display=Display(unit="arbitrary", window=None, colormap="gray", note=_RECEIVER),
        algorithm=f"{how[0].upper()}{how[1:]}, {what}",
        references=references,
        spread=Spread(limit=None, note=""),
    )


_BAND_FREE = (
    _band_free(
        "model",
        "bandfree",
        "bSSFP without bands",
        "the amplitude of the fitted profile",
        "which has no bands",
        _BSSFP_GAPS,
        ("zur1990",),
    ),
    _band_free(
        "geometric",
        "bandfreegeometric",
        "bSSFP, geometric solution",
        "the geometric solution",
        "the point nearest to all lines through cycles half a turn apart",
        "Its standard deviation is NaN outside the brain mask, where the noise is not known.",
        ("xiang2014",),
    ),
    _band_free(
        "rss",
        "bandfreerss",
        "bSSFP, root of the sum of squares",
        "the root of the sum of squares",
        "divided by that of the number of cycles: bands are left in it",
        "Its standard deviation is NaN outside the brain mask, where the noise is not known.",
        ("bangerter2004",),
    ),
)

ROWS = (
    *_RELAXATION,
    *_TRANSFER,
    *_BSSFP,
    *_SYNTHETIC,
    *_BAND_FREE,
    *_MAGNETIZATION_TRANSFER,
    *_SPECTRA,
    *_POOLS,
    *_SOLUTES,
    *_FITTED_WATER,
    *_FIELDS,
    *_RESIDUALS,
)
"""All rows, in the order in which their files are listed."""

QUANTITIES: Mapping[str, Quantity] = {quantity.name: quantity for quantity in ROWS}
"""All maps by name."""

KNOWN_QUANTITIES: Mapping[str, Quantity] = {
    quantity.argument: quantity for quantity in QUANTITIES.values() if quantity.known is not None
}
"""Maps that the estimation of another run takes, by their names as arguments: those of `physics.fingerprint.KNOWN`."""

_MTR_ASYMMETRY = re.compile(r"MTRasym_(?P<offset>\d+(?:\.\d+)?)(?:to(?P<end>\d+(?:\.\d+)?))?")

_OF_A_POOL = re.compile(r"(?P<kind>amplitude|arex|rex)_(?P<pool>[0-9a-zA-Z]+)")
_IMAGE = re.compile(r"synthetic_(?P<label>[0-9A-Za-z]+)_(?P<sequence>[0-9A-Za-z]+)")
_OF_POOL = re.compile(r"(?P<pool>[0-9A-Za-z]+)_(?P<what>fraction|rate|correlation|concentration)")


def find_quantity(name: str, *, prior: str | None = None) -> Quantity | None:
    """Return the map of a name, None where there is none.

    Parameters
    ----------
    name
        A name in `QUANTITIES`, or `MTRasym_<offset in ppm>`, `MTRasym_<offset>to<offset>`, `amplitude_<pool>`, `arex_<pool>`,
        `rex_<pool>` and `<pool>_fraction` (rate, correlation, concentration) of any pool, `synthetic_<label>_<sequence>`; with
        `_stdev` after it for the standard deviation, with `posterior_` before it for the posterior.
    prior
        That of a posterior map; without one it is only shown.

    Examples
    --------
    >>> find_quantity("posterior_T1_stdev", prior="uniform").written.desc
    'posteriorUniformStd'
    >>> find_quantity("iohexol_rate_stdev").written.desc
    'iohexolstd'
    """
    base = name.removeprefix(POSTERIOR).removesuffix(STDEV)
    quantity = QUANTITIES.get(base) or _of_a_family(base)
    of_posterior, of_stdev = name.startswith(POSTERIOR), name.endswith(STDEV)
    if quantity is None or (of_posterior and not quantity.posterior) or (of_stdev and not quantity.spread):
        return None
    if of_posterior:
        return (posterior_stdev if of_stdev else posterior)(quantity, prior=prior)
    return stdev(quantity) if of_stdev else quantity


def _of_a_family(name: str) -> Quantity | None:
    """Return a map whose name holds an offset or a pool of one's own."""
    if offset := _MTR_ASYMMETRY.fullmatch(name):
        start, end = float(offset["offset"]), offset["end"]
        asymmetry = QUANTITIES["MTRasym"]
        return at_offset(asymmetry, start) if end is None else over_range(asymmetry, start, float(end))
    if found := _OF_A_POOL.fullmatch(name):
        return of_line(QUANTITIES[f"{found['kind']}_"], found["pool"])
    if (image := _IMAGE.fullmatch(name)) and f"synthetic_{image['sequence']}" in QUANTITIES:
        return labelled(QUANTITIES[f"synthetic_{image['sequence']}"], image["label"])
    if found := _OF_POOL.fullmatch(name):
        return of_pool(QUANTITIES[f"{SOLUTE}_{found['what']}"], found["pool"])
    return None


def get_quantity(name: str, *, prior: str | None = None) -> Quantity:
    """Return the map of a name; parameters as those of `find_quantity`.

    Raises
    ------
    ValueError
        If there is none.
    """
    quantity = find_quantity(name, prior=prior)
    if quantity is None:
        raise ValueError(f"expected a map that has a row in qmri_bids.quantities, found {name!r}")
    return quantity


def all_files() -> Iterator[MapFile]:
    """Yield the files that maps, their standard deviations and posteriors, and known maps are written to."""
    for quantity in QUANTITIES.values():
        yield quantity.written
        if quantity.spread is not None:
            yield stdev(quantity).written
        for prior in quantity.posterior.priors if quantity.posterior is not None else ():
            yield posterior(quantity, prior=prior).written
            yield posterior_stdev(quantity, prior=prior).written
        if quantity.known is not None:
            yield known(quantity).written
