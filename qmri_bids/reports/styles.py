"""How each map is shown: unit, fixed window and colour map, as a table.

A fixed window makes reports of different participants comparable at a glance. Colour maps are perceptually
uniform and safe for colour-blind readers; a map with a sign or a nominal value has a diverging one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qmri_bids.reports.content import Section
from qmri_bids.reports.exchange_styles import EXCHANGE_STYLES
from qmri_bids.reports.map_style import MapStyle
from qmri_bids.reports.saturation_styles import SATURATION_STYLES, asymmetry_style
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds

_SECONDS = "The file is in seconds."
_PERCENT = "100 % is the nominal flip angle."

STYLES: dict[str, MapStyle] = {
    "T1": MapStyle(
        label="T1",
        symbol="T1",
        unit="ms",
        window=(0, 2500),
        colormap="magma",
        display=seconds_to_milliseconds,
        note=_SECONDS,
    ),
    "T2": MapStyle(
        label="T2",
        symbol="T2",
        unit="ms",
        window=(0, 150),
        colormap="viridis",
        display=seconds_to_milliseconds,
        note=_SECONDS,
    ),
    "R1": MapStyle(label="R1", symbol="R1", unit="1/s", window=(0, 2), colormap="magma"),
    "R2": MapStyle(label="R2", symbol="R2", unit="1/s", window=(0, 40), colormap="viridis"),
    "M0": MapStyle(
        label="M0",
        symbol="M0",
        unit="arbitrary",
        window=None,
        colormap="gray",
        note="The scale is that of the receiver.",
    ),
    "off_resonance": MapStyle(label="Off-resonance", symbol="ΔB0", unit="Hz", window=(-150, 150), colormap="RdBu_r"),
    "B1": MapStyle(
        label="B1",
        symbol="B1",
        unit="%",
        window=(60, 140),
        colormap="PuOr_r",
        display=fraction_to_percent,
        note=_PERCENT,
        section=Section.B1,
    ),
    "B1_stdev": MapStyle(
        label="Standard deviation of B1",
        symbol="sd(B1)",
        unit="%",
        window=(0, 10),
        colormap="plasma",
        display=fraction_to_percent,
        note=_PERCENT,
        section=Section.UNCERTAINTY,
    ),
    "residual": MapStyle(
        label="Residual of the fit",
        symbol="residual",
        unit="%",
        window=(0, 20),
        colormap="plasma",
        display=fraction_to_percent,
        note="Signal minus model, relative to the signal (root mean squares over the images).",
        section=Section.UNCERTAINTY,
    ),
    "T1_stdev": MapStyle(
        label="Standard deviation of T1",
        symbol="sd(T1)",
        unit="ms",
        window=(0, 400),
        colormap="plasma",
        display=seconds_to_milliseconds,
        note=_SECONDS,
        section=Section.UNCERTAINTY,
    ),
    "T2_stdev": MapStyle(
        label="Standard deviation of T2",
        symbol="sd(T2)",
        unit="ms",
        window=(0, 40),
        colormap="plasma",
        display=seconds_to_milliseconds,
        note=_SECONDS,
        section=Section.UNCERTAINTY,
    ),
    "M0_stdev": MapStyle(
        label="Standard deviation of M0",
        symbol="sd(M0)",
        unit="arbitrary",
        window=None,
        colormap="plasma",
        section=Section.UNCERTAINTY,
    ),
    "off_resonance_stdev": MapStyle(
        label="Standard deviation of the off-resonance",
        symbol="sd(ΔB0)",
        unit="Hz",
        window=(0, 5),
        colormap="plasma",
        section=Section.UNCERTAINTY,
    ),
}
# An estimator of B1 names its map as a known map of B1 is named.
STYLES |= SATURATION_STYLES | EXCHANGE_STYLES | {"b1": STYLES["B1"], "b1_stdev": STYLES["B1_stdev"]}
STYLES |= {
    f"posterior_{name}": replace(
        STYLES[name],
        label=f"Posterior: {STYLES[name].label}",
        symbol=f"posterior {STYLES[name].symbol}",
        section=Section.POSTERIOR,
    )
    for name in ("T1", "T2", "T1_stdev", "T2_stdev")
}
"""Display of each map by its name inside the package; `<name>_stdev` is the standard deviation of it, `posterior_<name>` its
posterior."""


def find_style(name: str) -> MapStyle | None:
    """Return the style of a map, None where it has none.

    Parameters
    ----------
    name
        A name in `STYLES`, or `MTRasym_<offset in ppm>` with or without `_stdev`.
    """
    return STYLES.get(name) or asymmetry_style(name)


NO_VALUE_COLORS = ("#8c8c8c", "#2a9d8f", "#e76f9b")
"""Colours of a voxel inside the mask that has no value: the first one that the colour map does not hold."""


def no_value_color(colormap: str) -> str:
    """Return a colour for missing values that cannot be taken for a value: grey, unless the map holds grey.

    Parameters
    ----------
    colormap
        Name of a matplotlib colour map.

    Raises
    ------
    ValueError
        If the colour map holds all candidates.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    colors = colormaps[colormap](np.linspace(0.0, 1.0, 256))[:, :3]
    for candidate in NO_VALUE_COLORS:
        if np.linalg.norm(colors - np.array(to_rgb(candidate)), axis=1).min() > 0.15:
            return candidate
    raise ValueError(f"the colour map {colormap} leaves no colour for missing values: choose another one")


TISSUE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of regions and curves (Okabe and Ito)."""
