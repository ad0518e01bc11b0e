"""Panels with the fitted lines of the pools of a Z-spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.spectra import Curves
from qmri_bids.units import fraction_to_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

POOL_COLORS = {"water": "#56b4e9", "MT": "#8c8c8c", "amide": "#cc79a7", "NOE": "#6a3d9a", "amine": "#e69f00"}
"""Colours of pools, none of them that of a region."""

_OTHER_POOLS = ("#009e73", "#b8860b", "#444444")


def draw_pools(axes: Axes, curves: Curves, *, reach: float, limit: float) -> None:
    """Draw the line of every pool of one region [%]."""
    dense, _, lines = curves
    for (name, line), color in zip(lines.items(), _pool_colors(lines), strict=True):
        shown = fraction_to_percent(1.0) * np.asarray(line)
        axes.fill_between(dense, 0.0, shown, color=color, alpha=0.15, linewidth=0)
        axes.plot(dense, shown, color=color, linewidth=1.3, label=name)
    axes.set_xlim(1.02 * reach, -1.02 * reach)
    axes.set_ylim(0.0, limit)
    axes.set_xlabel("offset [ppm]", fontsize=9)
    step = 4.0 if reach > 5.0 else 2.0 if reach > 2.0 else 1.0
    axes.set_xticks(step * np.arange(-(reach // step), reach // step + 1.0))
    plain(axes)


def _pool_colors(lines: Mapping[str, Any]) -> list[str]:
    """Return one colour a pool, the same for pools of the same name."""
    others = iter(_OTHER_POOLS * len(lines))
    return [POOL_COLORS.get(name) or next(others) for name in lines]


def pool_limit(fitted: Mapping[str, Curves], reach: float) -> float:
    """Return the height of the panels of pools [%]: the largest line but that of water fits in."""
    largest = 0.0
    for dense, _, lines in fitted.values():
        others = [line for name, line in lines.items() if name != "water"] or list(lines.values())
        largest = max(largest, *(float(np.max(np.asarray(line)[np.abs(dense) <= reach])) for line in others))
    return max(1.15 * fraction_to_percent(largest), 1.0)


def draw_pool_legend(canvas: Canvas, fitted: Mapping[str, Curves], *, at: float) -> None:
    """Draw the colours of the pools in one row; `at` is its height as a fraction of the canvas."""
    from matplotlib.lines import Line2D

    lines = {name: line for _, _, each in fitted.values() for name, line in each.items()}
    handles = [
        Line2D([], [], color=color, linewidth=1.6, label=name)
        for name, color in zip(lines, _pool_colors(lines), strict=True)
    ]
    canvas.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(0.5, at),
        ncol=len(handles),
        frameon=False,
        fontsize=8,
        handlelength=1.4,
        columnspacing=1.4,
    )
