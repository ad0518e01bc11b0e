"""Figures of the CEST benchmark; each function returns a `Figure` and leaves no state behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qmri_bids.evaluation.figures import COLORS
from qmri_bids.evaluation.pools.scores import WHOLE, ExchangeRow
from qmri_bids.evaluation.pools.sensitivity import SensitivityRow
from qmri_bids.priors.pools import EXCHANGE_PRIOR
from qmri_bids.units import fraction_to_percent

SYMBOLS: Mapping[str, str] = {
    "MT.fraction": "fss (semisolid fraction)",
    "MT.rate": "kssw (semisolid rate, 1/s)",
    "amide.fraction": "fs (amide fraction)",
    "amide.rate": "ksw (amide rate, 1/s)",
}
"""Published symbols of parameters; others go by their name."""

MARKERS = ("o", "s", "^", "D", "v", "P")
LARGEST_BIAS = 50.0
"""End of the axes of biases [%]; what is farther off is drawn at the edge."""
LARGEST_RATIO = 5.0
"""End of the axes of errors over the bound, likewise."""
LARGEST_CHANGE = 40.0
"""End of the colour scale of sensitivities [%]."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Estimates of one estimator against the truth over a set.

    Parameters
    ----------
    estimator
        Its name.
    parameters
        Names of the columns.
    truth, estimate
        True and estimated parameters, shape (V, P), estimates clipped into the box of the prior.
    """

    estimator: str
    parameters: tuple[str, ...]
    truth: NDArray[np.float64]
    estimate: NDArray[np.float64]


def label_of(parameter: str) -> str:
    """Return what a figure calls a parameter."""
    return SYMBOLS.get(parameter, parameter)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def tissue_figure(rows: Sequence[ExchangeRow]) -> Figure:
    """Return bias of the written maps (above) and error over the bound (below) by tissue, one column a parameter.

    Parameters
    ----------
    rows
        Rows of one set with groups. What lies beyond the axes is drawn at their edge, hollow.
    """
    shown = [row for row in rows if row.group != WHOLE]
    names, tissues, parameters = (
        list(dict.fromkeys(getattr(row, key) for row in shown)) for key in ("estimator", "group", "parameter")
    )
    cells = {(row.estimator, row.group, row.parameter): row for row in shown}
    figure = Figure(figsize=(2.9 * len(parameters) + 0.6, 5.8), layout="constrained")
    panels = figure.subplots(2, len(parameters), squeeze=False, sharex=True, sharey="row")
    for column, parameter in zip(panels.T, parameters, strict=True):
        for order, name in enumerate(names):
            found = [cells.get((name, tissue, parameter)) for tissue in tissues]
            bias = [np.nan if row is None or row.written is None else row.written.bias for row in found]
            ratio = [np.nan if row is None or row.over_bound is None else row.over_bound for row in found]
            offset = 0.7 * ((order + 0.5) / len(names) - 0.5)
            position = np.arange(len(tissues)) + offset
            _dots(column[0], position, fraction_to_percent(1.0) * np.array(bias), LARGEST_BIAS, order, name)
            _dots(column[1], position, np.array(ratio), LARGEST_RATIO, order, name)
        column[0].set_title(label_of(parameter), fontsize=9)
        column[0].axhline(0.0, color="0.5", linewidth=0.8, zorder=0)
        column[1].axhline(1.0, color="0.5", linewidth=0.8, zorder=0)
        for axes in column:
            _tidy(axes)
            for edge in np.arange(len(tissues) - 1) + 0.5:
                axes.axvline(edge, color="0.85", linewidth=0.8, zorder=0)
        column[1].set_xticks(np.arange(len(tissues)), tissues)
        column[1].set_xlim(-0.5, len(tissues) - 0.5)
    panels[0, 0].set_ylim(-1.08 * LARGEST_BIAS, 1.08 * LARGEST_BIAS)
    panels[1, 0].set_ylim(0.0, 1.08 * LARGEST_RATIO)
    panels[0, 0].set_ylabel("bias of the map (%)", fontsize=9)
    panels[1, 0].set_ylabel("RMSE / Cramér-Rao bound", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=max(1, min(6, len(names))), frameon=False, fontsize=8
    )
    return figure


def _dots(
    axes: Axes,
    position: NDArray[np.floating],
    values: NDArray[np.floating],
    end: float,
    order: int,
    name: str,
) -> None:
    beyond = np.abs(values) > end
    style: dict[str, Any] = {"marker": MARKERS[order % len(MARKERS)], "linestyle": "none", "markersize": 5}
    color = COLORS[order % len(COLORS)]
    axes.plot(position, np.where(beyond, np.nan, values), color=color, label=name, **style)
    axes.plot(
        position, np.where(beyond, np.clip(values, -end, end), np.nan), color=color, markerfacecolor="white", **style
    )


def sensitivity_figure(rows: Sequence[SensitivityRow]) -> Figure:
    """Return the change of every estimate under every wrong assumption as a table of colours, one panel a tissue."""
    tissues, assumptions = (list(dict.fromkeys(getattr(row, key) for row in rows)) for key in ("tissue", "assumption"))
    parameters = list(rows[0].change)
    cells = {(row.tissue, row.assumption): row.change for row in rows}
    figure = Figure(figsize=(3.0 * len(tissues) + 2.6, 0.27 * len(assumptions) + 1.7), layout="constrained")
    panels = figure.subplots(1, len(tissues), squeeze=False, sharey=True)[0]
    image = None
    for axes, tissue in zip(panels, tissues, strict=True):
        table = fraction_to_percent(1.0) * np.array(
            [[cells[tissue, each][parameter] for parameter in parameters] for each in assumptions]
        )
        image = axes.imshow(table, cmap="RdBu_r", vmin=-LARGEST_CHANGE, vmax=LARGEST_CHANGE, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            dark = abs(value) > 0.65 * LARGEST_CHANGE
            axes.text(
                column,
                row,
                f"{round(value):+d}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "0.1",
            )
        axes.set_title(tissue, fontsize=9)
        short = [label_of(parameter).split(" (")[0] for parameter in parameters]
        axes.set_xticks(np.arange(len(parameters)), short, fontsize=8)
        axes.set_yticks(np.arange(len(assumptions)), assumptions, fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    assert image is not None
    bar = figure.colorbar(image, ax=panels, extend="both", orientation="horizontal", aspect=40, pad=0.02)
    bar.set_label("change of the estimate when this is assumed, without noise (%)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def scatter_figure(clouds: Sequence[Scatter]) -> Figure:
    """Return estimates against truth over the box, one line an estimator and one column a parameter."""
    parameters = clouds[0].parameters
    size = (2.5 * len(parameters) + 0.4, 2.2 * len(clouds) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(clouds), len(parameters), squeeze=False, sharex="col", sharey="col")
    for line, cloud in zip(panels, clouds, strict=True):
        for place, (axes, parameter) in enumerate(zip(line, parameters, strict=True)):
            low, high = EXCHANGE_PRIOR.ranges[parameter]
            axes.plot(
                cloud.truth[:, place],
                cloud.estimate[:, place],
                color=COLORS[0],
                marker=".",
                markersize=3,
                markeredgewidth=0,
                alpha=0.5,
                linestyle="none",
            )
            axes.plot([low, high], [low, high], color="0.3", linewidth=0.8)
            axes.set_aspect("equal", adjustable="box")
            # Fractions of an amide pool are thousandths: few ticks, or they run into each other.
            axes.locator_params(nbins=4)
            _tidy(axes)
        line[0].set_ylabel(f"{cloud.estimator}\nestimate, clipped", fontsize=8)
    for axes, parameter in zip(panels[0], parameters, strict=True):
        axes.set_title(label_of(parameter), fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("truth", fontsize=8)
    return figure
