"""How maps of pool fractions and exchange rates are shown, as a table; windows are those of the brain at 3 T."""

from __future__ import annotations

from dataclasses import replace

from qmri_bids.reports.content import Section
from qmri_bids.reports.map_style import MapStyle
from qmri_bids.units import fraction_to_percent

_POOLS: dict[str, tuple[str, tuple[float, float, float, float]]] = {
    "MT": ("semisolid (MT) pool", (25, 5, 80, 20)),
    "amide": ("amide pool", (0.6, 0.2, 500, 200)),
}
"""What the pool is, and upper limits of fraction and its standard deviation [%], of rate and its standard deviation [1/s]."""


def _spread(style: MapStyle, limit: float) -> MapStyle:
    return replace(
        style,
        label=f"Standard deviation of the {style.label}",
        symbol=f"sd({style.symbol})",
        window=(0, limit),
        colormap="plasma",
        note="",
        section=Section.UNCERTAINTY,
    )


def _styles(key: str, name: str, limits: tuple[float, float, float, float]) -> dict[str, MapStyle]:
    fraction = MapStyle(
        label=f"{key} fraction",
        symbol=f"f {key}",
        unit="%",
        window=(0, limits[0]),
        colormap="viridis",
        display=fraction_to_percent,
        note=f"Equilibrium magnetisation of the {name} over that of water. The file holds fractions.",
    )
    rate = MapStyle(
        label=f"{key} exchange rate",
        symbol=f"k {key}",
        unit="1/s",
        window=(0, limits[2]),
        colormap="magma",
        note=f"From the {name} to water.",
    )
    styles = {
        f"{key}_fraction": fraction,
        f"{key}_fraction_stdev": _spread(fraction, limits[1]),
        f"{key}_rate": rate,
        f"{key}_rate_stdev": _spread(rate, limits[3]),
    }
    posterior = {
        f"posterior_{each}": replace(
            style,
            label=f"Posterior: {style.label}",
            symbol=f"post. {style.symbol}",
            section=Section.POSTERIOR,
        )
        for each, style in styles.items()
    }
    correlation = MapStyle(
        label=f"Correlation of {key} fraction and exchange rate",
        symbol=f"corr(f, k) {key}",
        unit="1",
        window=(-1, 1),
        colormap="RdBu_r",
        note="Of the errors of both. Near −1 only their product is told well: a high fraction with a low rate fits nearly as well.",
        section=Section.UNCERTAINTY,
    )
    return styles | posterior | {f"{key}_correlation": correlation}


EXCHANGE_STYLES: dict[str, MapStyle] = {
    each: style for key, (name, limits) in _POOLS.items() for each, style in _styles(key, name, limits).items()
}
"""Display of each map by its name inside the package; `<name>_stdev` is the standard deviation of it, `posterior_<name>` its
posterior."""
