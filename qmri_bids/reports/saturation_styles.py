"""How the maps of CEST and MT runs are shown, as a table; windows are those of the brain at 3 T.

Amplitudes and AREX depend on the power of the saturation: their windows fit the low powers (0.6 to 0.9 µT) at which pools are told
apart. That of the asymmetry is the one in which APT-weighted images at 2 µT are read.
"""

from __future__ import annotations

import re
from dataclasses import replace

from qmri_bids.reports.content import Section
from qmri_bids.reports.map_style import MapStyle
from qmri_bids.units import fraction_to_percent

_PERCENT = "The file is in percent."
_FRACTION = "The file holds fractions."

_POOLS: dict[str, tuple[str, float, float, float, float]] = {
    "water": ("water", 100, 5, 0, 0),
    "MT": ("MT", 20, 3, 0.6, 0.1),
    "amide": ("amide", 6, 2, 0.15, 0.08),
    "NOE": ("NOE", 8, 2, 0.2, 0.08),
    "amine": ("amine", 4, 2, 0.1, 0.08),
}
"""Name, and upper limits of amplitude and its standard deviation [%], of AREX and its standard deviation [1/s]."""


def _percent_style(label: str, symbol: str, limit: float, colormap: str, note: str) -> MapStyle:
    return MapStyle(
        label=label,
        symbol=symbol,
        unit="%",
        window=(0, limit),
        colormap=colormap,
        display=fraction_to_percent,
        note=note,
    )


def _deviation(style: MapStyle, limit: float | None) -> MapStyle:
    return replace(
        style,
        label=f"Standard deviation of {style.label}",
        symbol=f"sd({style.symbol})",
        window=None if limit is None else (0, limit),
        colormap="plasma",
        section=Section.UNCERTAINTY,
    )


_ASYMMETRY = MapStyle(
    label="MTR asymmetry",
    symbol="MTRasym",
    unit="%",
    window=(-5, 5),
    colormap="RdBu_r",
    display=fraction_to_percent,
    note=f"Z(−Δω) − Z(+Δω). {_PERCENT}",
)
_AMPLITUDE_R1 = MapStyle(
    label="Amplitude A",
    symbol="A",
    unit="arbitrary",
    window=None,
    colormap="gray",
    note="Signal of full magnetisation flipped by 90°, with the scale of the receiver.",
)

SATURATION_STYLES: dict[str, MapStyle] = {
    "MTR": _percent_style("MTR", "MTR", 60, "viridis", _PERCENT),
    "MTsat": _percent_style("MT saturation", "MTsat", 5, "viridis", _PERCENT),
    "A": _AMPLITUDE_R1,
    "MTRasym": _ASYMMETRY,
    "R1_stdev": MapStyle(
        label="Standard deviation of R1",
        symbol="sd(R1)",
        unit="1/s",
        window=(0, 0.2),
        colormap="plasma",
        section=Section.UNCERTAINTY,
    ),
    "residual_spectrum": MapStyle(
        label="Residual of the fit",
        symbol="residual",
        unit="%",
        window=(0, 5),
        colormap="plasma",
        display=fraction_to_percent,
        note=f"Spectrum minus model, relative to the spectrum (root mean squares over the offsets). {_FRACTION}",
        section=Section.UNCERTAINTY,
    ),
}
SATURATION_STYLES |= {
    "MTR_stdev": _deviation(SATURATION_STYLES["MTR"], 5),
    "MTsat_stdev": _deviation(SATURATION_STYLES["MTsat"], 1),
    "A_stdev": _deviation(_AMPLITUDE_R1, None),
    "MTRasym_stdev": _deviation(_ASYMMETRY, 2),
}
for _name, (_pool, _amplitude, _amplitude_stdev, _arex, _arex_stdev) in _POOLS.items():
    _style = _percent_style(
        f"Lorentzian amplitude of {_pool}",
        _pool,
        _amplitude,
        "cividis" if _name == "water" else "viridis",
        f"Saturation at the centre of the fitted line. {_FRACTION}",
    )
    SATURATION_STYLES |= {
        f"amplitude_{_name}": _style,
        f"amplitude_{_name}_stdev": _deviation(_style, _amplitude_stdev),
    }
    if _arex:
        _style = MapStyle(
            label=f"AREX of {_pool}",
            symbol=f"AREX {_pool}",
            unit="1/s",
            window=(0, _arex),
            colormap="magma",
            note="Apparent exchange-dependent relaxation rate.",
        )
        SATURATION_STYLES |= {f"arex_{_name}": _style, f"arex_{_name}_stdev": _deviation(_style, _arex_stdev)}
"""Display of each map by its name inside the package; `<name>_stdev` is the standard deviation of it."""

_AT_OFFSET = re.compile(r"MTRasym_(?P<offset>\d+(?:\.\d+)?)(?P<stdev>_stdev)?")


def asymmetry_style(name: str) -> MapStyle | None:
    """Return the style of the asymmetry at one offset, None of any other map.

    Parameters
    ----------
    name
        `MTRasym_<offset in ppm>`, with `_stdev` for the standard deviation.

    Examples
    --------
    >>> asymmetry_style("MTRasym_3.5").label
    'MTR asymmetry at 3.5 ppm'
    """
    found = _AT_OFFSET.fullmatch(name)
    if found is None:
        return None
    offset = float(found["offset"])
    style = SATURATION_STYLES["MTRasym_stdev" if found["stdev"] else "MTRasym"]
    return replace(
        style,
        label=f"{style.label} at {offset:g} ppm",
        symbol=style.symbol.replace("MTRasym", f"asym {offset:g} ppm"),
    )
