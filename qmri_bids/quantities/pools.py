"""Rows of pools of exchange, and of water that is fitted along with them."""

from __future__ import annotations

from qmri_bids.quantities.shared import GAPS, IN_FRACTIONS, IN_SECONDS, POOL_CAUSE
from qmri_bids.quantity import Display, MapFile, Posterior, Quantity, Spread
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds

POOL_PRIORS = ("uniform",)
"""Priors under which posterior maps of pools can be asked for."""

SOLUTE = "solute"
"""Stands for the name of any pool in the rows of pools that are neither semisolid nor amide."""

_SEMISOLID, _AMIDE, _SOLUTE = "semisolid (MT) pool", "amide pool", "solute pool"
_POOL_POSTERIOR = Posterior(priors=POOL_PRIORS, symbol="post.")


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
            note=f"Equilibrium magnetisation of the {title} over that of water. {IN_FRACTIONS}",
        ),
        spread=Spread(limit=spread, cause=POOL_CAUSE, note=""),
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
        spread=Spread(limit=spread, cause=POOL_CAUSE, note=""),
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
        spread=Spread(limit=None, cause=POOL_CAUSE, note=""),
    )


POOLS = (
    _fraction("MT", _SEMISOLID, 25, 5),
    _rate("MT", _SEMISOLID, 80, 20),
    _correlation("MT", _SEMISOLID),
    _fraction("amide", _AMIDE, 0.6, 0.2),
    _rate("amide", _AMIDE, 500, 200),
    _correlation("amide", _AMIDE),
)

SOLUTES = (
    _fraction(SOLUTE, _SOLUTE, None, None),
    _rate(SOLUTE, _SOLUTE, None, None),
    _correlation(SOLUTE, _SOLUTE),
    _concentration(SOLUTE, _SOLUTE),
)
"""Of any other pool that a file names: `of_pool` puts its name in the place of `SOLUTE`."""


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
            description=f"{way} relaxation time {name} of water, fitted along with the pools of saturated images. {GAPS}",
        ),
        display=Display(
            unit="ms", window=(0, window), colormap=colormap, convert=seconds_to_milliseconds, note=IN_SECONDS
        ),
        spread=Spread(limit=limit, cause=POOL_CAUSE),
    )


FITTED_WATER = (
    _fitted_time("T1", "Longitudinal", 4000, 400, "lipari"),
    _fitted_time("T2", "Transverse", 2000, 200, "navia"),
)
