"""Histograms of the maps, by region where regions are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.quantity import Display
from qmri_bids.reports.bands import APPARENT, Band, bands
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
from qmri_bids.reports.references import REFERENCES
from qmri_bids.reports.tables import quantity_of, regions
from qmri_bids.tissue_labels import ABBREVIATIONS, FLUID, GREY, WHITE

_COLUMNS = 4
_BINS = 80

LEAST_BEYOND = 0.001
"""Share of the values beyond an axis from which the caption states it."""

LONGEST_LABEL = 30
"""Letters of a label that fit under a panel in the usual size."""

_BAND_COLORS = {GREY: "#b9b2c8", WHITE: "#d9cfa8", FLUID: "#a9cfd9"}


def histogram_figure(
    maps: Mapping[str, NDArray[np.floating]],
    *,
    mask: NDArray[Any],
    labels: NDArray[np.integer] | None = None,
    label_names: Mapping[int, str] | None = None,
    windows: Mapping[str, tuple[float, float]] | None = None,
    field_strength: float | None = None,
    key: str = "histograms",
    title: str = "Distribution of the maps",
) -> Figure:
    """Return a histogram of every map, by region where labels are given, with the medians marked.

    Parameters
    ----------
    maps, mask, labels, label_names
        Maps in the units of the package by their names in `quantities`, brain mask, label image, and names of its labels; see
        `statistics_rows`.
    windows
        Limits [unit of the package] by name of map, in place of those of the rows.
    field_strength
        Static field [T] whose published ranges of brain tissue are drawn; None where it is not known, or no brain was scanned.
    key, title
        Name and heading of the figure.
    """
    rows = max(1, math.ceil(len(maps) / _COLUMNS))
    columns = max(1, math.ceil(len(maps) / rows))
    canvas = new_canvas(height=0.35 + 2.15 * rows)
    grid = canvas.subplots(rows, columns, squeeze=False)
    canvas.subplots_adjust(
        left=0.065,
        right=0.985,
        bottom=0.48 / (0.35 + 2.15 * rows),
        top=1.0 - 0.38 / (0.35 + 2.15 * rows),
        wspace=0.22,
        hspace=0.45,
    )
    found = regions(mask, labels, label_names)
    if len(found) > 1:
        found.pop("brain mask")
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    beyond: list[str] = []
    drawn: list[Band] = []
    for axes, (name, values) in zip(grid.flat, maps.items(), strict=False):
        quantity = quantity_of(name)
        display = quantity.display
        shown = np.asarray(display.convert(np.asarray(values, dtype=float)))
        low, high = _range(display, shown[np.asarray(mask, dtype=bool)], (windows or {}).get(name))
        for (region, where), color in zip(found.items(), _cycle(len(found)), strict=True):
            finite = shown[where & np.isfinite(shown)]
            counts, edges = np.histogram(finite, bins=_BINS, range=(low, high))
            share = 100.0 * counts / max(finite.size, 1)
            axes.stairs(share, edges, fill=True, color=color, alpha=0.25, linewidth=0)
            axes.stairs(share, edges, color=color, linewidth=1.2, label=region)
            if finite.size:
                axes.axvline(float(np.median(finite)), color=color, linewidth=1.0, linestyle=(0, (3, 2)))
        axes.set_xlim(low, high)
        axes.set_ylim(bottom=0.0)
        inside = shown[np.logical_or.reduce(list(found.values())) & np.isfinite(shown)]
        outside = float(np.mean((inside < low) | (inside > high))) if inside.size else 0.0
        if outside >= LEAST_BEYOND:
            beyond.append(f"{quantity.label} {100.0 * outside:.1f} %")
        for band in bands(name, field_strength):
            limits = (float(display.convert(band.low)), float(display.convert(band.high)))
            if limits[0] < limits[1] and limits[0] < high and limits[1] > low:
                drawn.append(band)
                axes.axvspan(*limits, color=_BAND_COLORS[band.tissue], alpha=0.35, linewidth=0, zorder=0)
                middle = 0.5 * (max(limits[0], low) + min(limits[1], high))
                axes.text(
                    (middle - low) / (high - low),
                    1.01,
                    ABBREVIATIONS[band.tissue],
                    transform=axes.transAxes,
                    ha="center",
                    va="bottom",
                    fontsize=7,
                    color="#444444",
                )
        unit = "a.u." if display.unit == "arbitrary" else display.unit
        text = f"{quantity.label} [{unit}]"
        # A long name gets smaller letters, so that it does not run into its neighbour.
        axes.set_xlabel(text, fontsize=min(9.0, 9.0 * LONGEST_LABEL / len(text)))
        axes.tick_params(labelsize=8)
        axes.locator_params(axis="both", nbins=5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("voxels [%]", fontsize=9)
    handles, names = grid.flat[0].get_legend_handles_labels()
    if len(names) > 1:
        canvas.legend(handles, names, loc="upper center", ncol=len(names), frameon=False, fontsize=9)
    where_text = "in each region" if len(found) > 1 else "in the brain mask"
    return Figure(
        key=key,
        title=title,
        caption=" ".join(
            [
                f"Share of the voxels {where_text} (bins of 1/{_BINS} of the axis); dashed: median. Voxels without a value are "
                "left out.",
                f"Beyond their axis lie {', '.join(beyond)}."
                if beyond
                else "No map has 0.1 % or more beyond its axis.",
                *_band_words(drawn),
            ]
        ),
        image=encode_picture(canvas),
        section=Section.HISTOGRAMS,
        alternative="Histograms of " + ", ".join(quantity_of(name).label for name in maps),
    )


def _band_words(drawn: Sequence[Band]) -> list[str]:
    """Return what the caption says of the published ranges that are drawn."""
    if not drawn:
        return []
    papers = sorted({REFERENCES[key].short for band in drawn for key in band.sources})
    words = [f"Shaded: published in healthy adults at {drawn[0].field:g} T ({'; '.join(papers)})."]
    return [*words, APPARENT] if any(band.map == "T1" for band in drawn) else words


def _range(display: Display, values: NDArray[np.floating], window: tuple[float, float] | None) -> tuple[float, float]:
    """Return the range of a histogram [unit on display]."""
    if window is not None:
        return float(display.convert(window[0])), float(display.convert(window[1]))
    if display.window is not None:
        return display.window
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(finite, [0.5, 99.5]))
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _cycle(count: int) -> list[str]:
    """Return as many colours as asked for."""
    return [TISSUE_COLORS[number % len(TISSUE_COLORS)] for number in range(count)]
