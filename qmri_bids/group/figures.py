"""Pictures of numbers over participants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qmri_bids.group.distributions import Distribution
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.encode import encode_png
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
"""Panels in a row, where the tissues do not give their number."""

FEWEST_FOR_A_BOX = 5
"""With fewer points no quartiles are drawn."""

MOST_LABELS = 3
"""Points of a panel that are named; all of them stand in the table."""

_HEIGHT, _HEAD, _FOOT = 1.12, 0.1, 0.32
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_BOX, _APART = "#dfe4e8", "#b3261e"


def strip_figure(
    distributions: Sequence[Distribution], *, key: str, title: str, caption: str, by_tissue: bool
) -> Figure:
    """Return a panel for every number: a point a run, the quartiles, and names at the points that lie apart.

    Parameters
    ----------
    distributions
        At least one.
    key, title, caption
        Name, heading and explanation of the figure.
    by_tissue
        A row a map and a column a tissue, where there are several; otherwise panels fill the rows.
    """
    tissues = list(dict.fromkeys(each.of for each in distributions)) if by_tissue else []
    panels: list[Distribution | None] = list(distributions)
    columns = COLUMNS
    if len(tissues) > 1:
        columns = len(tissues)
        found = {(each.name, each.unit, each.of): each for each in distributions}
        names = list(dict.fromkeys((each.name, each.unit) for each in distributions))
        panels = [found.get((*name, tissue)) for name in names for tissue in tissues]
    rows = math.ceil(len(panels) / columns)
    height = _HEAD + rows * _HEIGHT + _FOOT - 0.2
    canvas = new_canvas(height=height)
    grid = canvas.subplots(rows, columns, squeeze=False)
    canvas.subplots_adjust(
        left=0.015, right=0.985, bottom=_FOOT / height, top=1.0 - (_HEAD + 0.2) / height, wspace=0.09, hspace=1.05
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for number, (axes, distribution) in enumerate(zip(grid.flat, panels, strict=False)):
        if distribution is None:
            axes.set_axis_off()
            continue
        column = number % columns if len(tissues) > 1 else 0
        _panel(axes, distribution, color=TISSUE_COLORS[column % len(TISSUE_COLORS)])
    return Figure(
        key=key,
        title=title,
        caption=caption,
        image=encode_png(canvas),
        section=Section.HISTOGRAMS,
        alternative=f"{title}: " + ", ".join(each.title for each in distributions),
    )


def _panel(axes: Axes, distribution: Distribution, *, color: str) -> None:
    """Draw one number."""
    values = distribution.values
    # The golden ratio spreads points evenly whatever their number, and every time alike.
    heights = 0.22 + 0.56 * (np.arange(1, len(values) + 1) * _GOLDEN % 1.0)
    apart = np.array([point.apart for point in distribution.points])
    for place, number in enumerate(_farthest(distribution)):
        heights[number] = 0.82 - 0.32 * place  # names do not overlap
    if len(values) >= FEWEST_FOR_A_BOX:
        lower, upper = distribution.quartiles
        axes.axvspan(lower, upper, ymin=0.12, ymax=0.88, color=_BOX, linewidth=0, zorder=0)
        axes.plot([distribution.median] * 2, [0.12, 0.88], color="#586673", linewidth=1.4, zorder=1)
    size, alpha = (16, 0.75) if len(values) <= 100 else (6, 0.3)
    axes.scatter(values[~apart], heights[~apart], s=size, color=color, alpha=alpha, linewidths=0, zorder=2)
    axes.scatter(values[apart], heights[apart], s=size + 6, color=_APART, marker="D", linewidths=0, zorder=3)
    low, high = float(values.min()), float(values.max())
    pad = 0.08 * (high - low) or 0.02 * abs(high) or 0.5
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(0.0, 1.0)
    _name_points(axes, distribution, heights)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(labelsize=7, length=2, pad=2)
    unit = f" [{'a.u.' if distribution.unit == 'arbitrary' else distribution.unit}]" if distribution.unit else ""
    axes.set_title(f"{distribution.name}{unit}", fontsize=8, loc="left", pad=10 if distribution.of else 3)
    if distribution.of:
        axes.text(0.0, 1.03, distribution.of, transform=axes.transAxes, fontsize=7, color="#586673", va="bottom")
    axes.text(
        1.0, 1.03, f"n = {len(values)}", transform=axes.transAxes, fontsize=7, color="#586673", ha="right", va="bottom"
    )
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def _farthest(distribution: Distribution) -> list[int]:
    """Return the places of the points that are named, from left to right."""
    apart = [number for number, point in enumerate(distribution.points) if point.apart]
    chosen = sorted(apart, key=lambda number: -abs(distribution.points[number].score))[:MOST_LABELS]
    return sorted(chosen, key=lambda number: distribution.points[number].value)


def _name_points(axes: Axes, distribution: Distribution, heights: NDArray[np.floating]) -> None:
    """Write names beside points, readable over those of others."""
    from matplotlib.patheffects import withStroke

    middle = sum(axes.get_xlim()) / 2.0
    for number in _farthest(distribution):
        point = distribution.points[number]
        right = point.value > middle
        axes.annotate(
            point.name,
            (point.value, heights[number]),
            xytext=(-5 if right else 5, 0),
            textcoords="offset points",
            fontsize=7,
            color=_APART,
            ha="right" if right else "left",
            va="center",
            zorder=4,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )
