"""How each map is shown: unit, fixed window and colour map, as a table.

A fixed window makes reports of different participants comparable at a glance. Colour maps are perceptually
uniform and safe for colour-blind readers; a map with a sign or a nominal value has a diverging one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qmri_bids.estimation.base import Status
from qmri_bids.reports.content import Section
from qmri_bids.units import fraction_to_percent, seconds_to_milliseconds


def _as_is(value: Any) -> Any:
    """Return the value unchanged: the map is shown in the unit that it has inside."""
    return value


@dataclass(frozen=True, kw_only=True)
class MapStyle:
    """The display of one kind of map.

    Parameters
    ----------
    label
        Name of the quantity.
    symbol
        Its short form at the colour bar.
    unit
        Unit on display.
    window
        Limits on display [`unit`]; None means the 2nd and 98th percentile of the map itself.
    colormap
        Name of a matplotlib colour map.
    display
        Converts from the unit inside the package to `unit`.
    note
        What a reader must know about the unit of the file.
    section
        The part of the report in which the map stands.
    """

    label: str
    symbol: str
    unit: str
    window: tuple[float, float] | None
    colormap: str
    display: Callable[[Any], Any] = _as_is
    note: str = ""
    section: Section = Section.MAPS


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
    "residual": MapStyle(
        label="Residual of the fit",
        symbol="residual",
        unit="%",
        window=(0, 20),
        colormap="plasma",
        display=fraction_to_percent,
        note="Signal minus model, relative to the signal (root mean squares over the cycles).",
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


@dataclass(frozen=True, kw_only=True)
class StatusStyle:
    """The display of one code of the quality mask."""

    name: str
    meaning: str
    color: str


STATUS_STYLES: dict[Status, StatusStyle] = {
    Status.OUTSIDE: StatusStyle(name="outside", meaning="Outside the brain mask, not estimated", color="#000000"),
    Status.CONVERGED: StatusStyle(name="converged", meaning="Estimated, the maps have a value", color="#3d5a6c"),
    Status.OUT_OF_RANGE: StatusStyle(
        name="out of range", meaning="The estimate lies outside the range of the estimator", color="#e69f00"
    ),
    Status.NO_ROOT: StatusStyle(
        name="no solution", meaning="No positive T1 and T2 explain the signal", color="#d55e00"
    ),
    Status.LOW_SIGNAL: StatusStyle(
        name="low signal", meaning="The signal is too low against the noise", color="#56b4e9"
    ),
    Status.INVALID_INPUT: StatusStyle(
        name="invalid input", meaning="A cycle or a known map has no finite value", color="#f0e442"
    ),
    Status.NOT_CONVERGED: StatusStyle(
        name="not converged", meaning="The fit had not settled after its last iteration", color="#cc79a7"
    ),
    Status.AT_BOUND: StatusStyle(
        name="at a bound",
        meaning="The likelihood is highest at the edge of the bounds that were asked for",
        color="#009e73",
    ),
}
"""Name, meaning and colour (Okabe and Ito) of every code of the quality mask."""

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
