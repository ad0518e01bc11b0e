"""Pictures of the regions of an atlas: mean curves with their fit, and what was measured against what is stated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import WIDTH, new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 0.5
"""Share of the voxels with a value below which the mean of a region is that of a selection: drawn hollow."""

MOST_REGIONS = 24
"""Regions of which curves are drawn; the table holds all."""

_MEASURED, _FITTED, _STATED = TISSUE_COLORS[0], TISSUE_COLORS[1], "#586673"
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 0.12, 0.28, 0.50
_ACROSS, _DOWN = 0.34, 0.46
_LABELLED = 0.80
"""Margins of the figure, distances between its panels, and between those whose axes have names of their own [inch]."""

Values = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class RegionCurve:
    """What a region shows.

    Parameters
    ----------
    name
        Name of the region.
    at
        Where its points lie on the axis, shape (K,).
    mean, spread
        Mean over the voxels and standard deviation, shape (K,).
    fit_at, fit
        The fitted curve, shape (L,) each; empty where there is none.
    line
        Another line, same shape as `fit`, such as one of a simpler theory; empty where there is none.
    """

    name: str
    at: Values
    mean: Values
    spread: Values
    fit_at: Values
    fit: Values
    line: Values | None = None


@dataclass(frozen=True, kw_only=True)
class StatedPanel:
    """A map against a stated value, one point a region.

    Parameters
    ----------
    title, unit
        Of the map.
    column
        Column of the table of regions.
    stated, mean, spread
        Stated value, mean over the voxels and standard deviation of the regions, shape (R,).
    told
        Share of the voxels of each region that have a value, shape (R,).
    comparable
        Whether the stated values are those of the map, in its unit: a line of identity belongs there then.
    """

    title: str
    unit: str
    column: str
    stated: Values
    mean: Values
    spread: Values
    told: Values
    comparable: bool


def _grid(
    count: int, *, columns: int, tall: float, across: float = _ACROSS, down: float = _DOWN
) -> tuple[Any, list[Axes]]:
    """Return a canvas with panels of one size, row by row."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    height = _TOP + rows * tall + (rows - 1) * down + _BOTTOM
    canvas = new_canvas(height=height)
    # As wide as if the row were full, so that few panels do not become banners.
    shown = max(columns, 3)
    wide = (WIDTH - _LEFT - _RIGHT - (shown - 1) * across) / shown
    boxes = []
    for place in range(count):
        row, column = divmod(place, columns)
        left = _LEFT + column * (wide + across)
        bottom = height - _TOP - (row + 1) * tall - row * down
        boxes.append(canvas.add_axes((left / WIDTH, bottom / height, wide / WIDTH, tall / height)))
    return canvas, boxes


def region_curves_figure(
    curves: Sequence[RegionCurve],
    *,
    key: str,
    title: str,
    across: str,
    along: str,
    caption: str,
    reverse: bool = False,
    one_height: bool = True,
    section: Section = Section.SPECTRA,
) -> Figure:
    """Return the mean curve of every region with the standard deviation over its voxels and its fit, a panel each.

    Parameters
    ----------
    curves
        One a region; those beyond `MOST_REGIONS` are left out, which the caption says.
    key, title, caption, section
        Of the figure.
    across, along
        Names of the axes.
    reverse
        Whether the axis runs to the left, as that of a spectrum.
    one_height
        Whether all panels have the same limits, so that they can be compared.
    """
    shown = list(curves)[:MOST_REGIONS]
    canvas, panels = _grid(len(shown), columns=4, tall=1.45)
    limits = _limits(shown)
    columns = min(4, len(shown))
    for place, (axes, curve) in enumerate(zip(panels, shown, strict=True)):
        order = np.argsort(curve.at)
        at, mean, spread = curve.at[order], curve.mean[order], curve.spread[order]
        axes.fill_between(at, mean - spread, mean + spread, color=_MEASURED, alpha=0.20, linewidth=0)
        if curve.line is not None:
            axes.plot(curve.fit_at, curve.line, color=_STATED, linewidth=1.0, linestyle=(0, (4, 2)))
        if curve.fit.size:
            axes.plot(curve.fit_at, curve.fit, color=_FITTED, linewidth=1.2)
        else:
            axes.plot(at, mean, color=_MEASURED, linewidth=0.8)
        axes.plot(at, mean, "o", color=_MEASURED, markersize=2.6)
        plain(axes)
        axes.set_title(curve.name, fontsize=8.5, loc="left", pad=3)
        axes.set_ylim(*(limits if one_height else _limits([curve])))
        if reverse:
            _downfield_left(axes, at)
        if place % columns:
            axes.tick_params(labelleft=not one_height)
        else:
            axes.set_ylabel(along, fontsize=8.5)
        if place + columns >= len(shown):
            axes.set_xlabel(across, fontsize=8.5)
    left_out = len(curves) - len(shown)
    said = caption if not left_out else f"{caption} {left_out} more regions stand in the table alone."
    return Figure(
        key=key,
        title=title,
        caption=said,
        image=encode_picture(canvas),
        section=section,
        alternative=f"{title}: {', '.join(curve.name for curve in shown)}",
    )


def _downfield_left(axes: Axes, offsets: Values) -> None:
    """Set the axis of a spectrum: positive offsets at the left, ticks at whole numbers around water."""
    axes.set_xlim(float(offsets.max()), float(offsets.min()))
    reach = float(np.abs(offsets).max())
    step = 4.0 if reach > 5.0 else 2.0 if reach > 2.0 else 1.0
    axes.set_xticks(step * np.arange(-(reach // step), reach // step + 1.0))


def _limits(curves: Sequence[RegionCurve]) -> tuple[float, float]:
    """Return limits that hold all that is drawn of curves."""
    finite = np.concatenate([each[np.isfinite(each)] for curve in curves for each in _drawn(curve)] or [np.zeros(1)])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.06 * max(high - low, 1e-9)
    return low - room, high + room


def _drawn(curve: RegionCurve) -> tuple[Values, ...]:
    spread = np.nan_to_num(curve.spread)
    line = () if curve.line is None else (curve.line,)
    return (curve.mean - spread, curve.mean + spread, curve.fit, *line)


def stated_figure(panels: Sequence[StatedPanel], *, source: str) -> Figure:
    """Return what was measured in the regions against what is stated of them, a panel for each column and map.

    Parameters
    ----------
    panels
        What is compared.
    source
        The file that states it.
    """
    canvas, places = _grid(len(panels), columns=3, tall=2.2, across=_LABELLED, down=0.85)
    for axes, panel in zip(places, panels, strict=True):
        _stated(axes, panel)
    said = [
        f"Dots: mean of each region, bars: standard deviation over its voxels; what is stated comes from {source}.",
        "Dashed: identity." if any(panel.comparable for panel in panels) else "",
        f"Hollow: fewer than {100 * FEW:.0f} % of the voxels have a value, and the mean is that of a selection."
        if any((panel.told < FEW).any() for panel in panels)
        else "",
    ]
    return Figure(
        key="stated-values",
        title="Measured against stated values",
        caption=" ".join(each for each in said if each),
        image=encode_picture(canvas),
        section=Section.REGIONS,
        alternative=" and ".join(f"{panel.title} against {panel.column}" for panel in panels),
    )


def _stated(axes: Axes, panel: StatedPanel) -> None:
    stated, mean, spread = panel.stated, panel.mean, np.nan_to_num(panel.spread)
    measured = np.concatenate([mean - spread, mean + spread])
    across, up = (_room(stated), _room(measured)) if not panel.comparable else (_room(np.append(measured, stated)),) * 2
    if panel.comparable:
        axes.plot(across, across, color=_STATED, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
    for chosen, face in ((panel.told >= FEW, _MEASURED), (panel.told < FEW, "white")):
        axes.errorbar(
            stated[chosen],
            mean[chosen],
            yerr=spread[chosen],
            fmt="o",
            color=_MEASURED,
            markerfacecolor=face,
            markersize=4.0,
            elinewidth=1.0,
            capsize=2.0,
            zorder=2,
        )
    plain(axes)
    axes.set_xlim(*across)
    axes.set_ylim(*up)
    axes.set_xlabel(panel.column, fontsize=8.5)
    axes.set_ylabel("measured" + (f" [{panel.unit}]" if panel.unit else ""), fontsize=8.5)
    axes.set_title(panel.title, fontsize=8.5, loc="left", pad=3)
    words = _agreement(panel)
    if words:
        axes.text(0.03, 0.97, words, transform=axes.transAxes, fontsize=7.5, va="top", color="#333333")


def _agreement(panel: StatedPanel) -> str:
    """Return in words how far the means are from what is stated, and how they hang together."""
    usable = np.isfinite(panel.mean) & np.isfinite(panel.stated)
    words = []
    if panel.comparable and usable.any():
        away = panel.mean[usable] - panel.stated[usable]
        share = np.abs(away).sum() / max(float(np.abs(panel.stated[usable]).sum()), 1e-300)
        words.append(f"off by {np.mean(np.abs(away)):.2g} on average ({100.0 * share:.2g} %)")
    if np.unique(panel.stated[usable]).size >= 3 and np.ptp(panel.mean[usable]) > 0.0:
        words.append(f"r = {np.corrcoef(panel.stated[usable], panel.mean[usable])[0, 1]:.3f}")
    return "\n".join(words)


def _room(values: Values) -> tuple[float, float]:
    """Return limits around values with some room, from 0 where they are near it."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    start = 0.0 if 0.0 <= low < 0.5 * high else low - room
    return start, high + room
