"""Tables and traffic lights of a report, and the histograms that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.reports.content import Check, Figure, Level, QualityRow, Section, StatisticsRow
from qmri_bids.reports.encode import encode_png
from qmri_bids.reports.planes import new_canvas
from qmri_bids.reports.styles import STATUS_STYLES, STYLES, TISSUE_COLORS, MapStyle

GOOD_SHARE, USABLE_SHARE = 0.95, 0.80
"""Share of voxels with a value from which a run is good, and below which it is bad."""

_COLUMNS = 4
_BINS = 80


def quality_rows(status: NDArray[np.uint8]) -> tuple[QualityRow, ...]:
    """Return how many voxels carry each status code.

    Parameters
    ----------
    status
        `Status` codes, any shape.
    """
    status = np.asarray(status)
    inside = int((status != Status.OUTSIDE).sum())
    rows = []
    for code, style in STATUS_STYLES.items():
        voxels = int((status == code).sum())
        percent = None if code is Status.OUTSIDE or not inside else 100.0 * voxels / inside
        rows.append(
            QualityRow(code=int(code), name=style.name, meaning=style.meaning, voxels=voxels, percent=percent)
        )
    return tuple(rows)


def statistics_rows(
    maps: Mapping[str, NDArray[np.floating]],
    *,
    mask: NDArray[Any],
    labels: NDArray[np.integer] | None = None,
    label_names: Mapping[int, str] | None = None,
) -> tuple[StatisticsRow, ...]:
    """Return the distribution of every map in the mask and in every labelled region, in units of display.

    Parameters
    ----------
    maps
        Maps in the units of the package by their names in `STYLES`, shape (X, Y, Z) each. NaN is left out.
    mask
        Brain mask, shape (X, Y, Z).
    labels, label_names
        Integer label image and the names of its labels; regions without any value are left out.
    """
    rows = []
    for name, values in maps.items():
        style = _style(name)
        shown = np.asarray(style.display(np.asarray(values, dtype=float)))
        for region, where in _regions(mask, labels, label_names).items():
            finite = shown[where & np.isfinite(shown)]
            if not finite.size:
                continue
            lower, median, upper = (float(value) for value in np.percentile(finite, [25, 50, 75]))
            rows.append(
                StatisticsRow(
                    map=style.label,
                    unit=style.unit,
                    region=region,
                    median=median,
                    lower_quartile=lower,
                    upper_quartile=upper,
                    mean=float(finite.mean()),
                    standard_deviation=float(finite.std()),
                    voxels=int(finite.size),
                )
            )
    return tuple(rows)


def histogram_figure(
    maps: Mapping[str, NDArray[np.floating]],
    *,
    mask: NDArray[Any],
    labels: NDArray[np.integer] | None = None,
    label_names: Mapping[int, str] | None = None,
    windows: Mapping[str, tuple[float, float]] | None = None,
    key: str = "histograms",
    title: str = "Distribution of the maps",
) -> Figure:
    """Return a histogram of every map, by region where labels are given, with the medians marked.

    Parameters
    ----------
    maps, mask, labels, label_names
        As in `statistics_rows`.
    windows
        Limits [unit of the package] by name of map, in place of those of the styles.
    key, title
        Name and heading of the figure.
    """
    columns = min(_COLUMNS, max(len(maps), 1))
    rows = -(-len(maps) // columns) or 1
    canvas = new_canvas(height=0.35 + 2.15 * rows)
    grid = canvas.subplots(rows, columns, squeeze=False)
    canvas.subplots_adjust(
        left=0.055,
        right=0.985,
        bottom=0.48 / (0.35 + 2.15 * rows),
        top=1.0 - 0.38 / (0.35 + 2.15 * rows),
        wspace=0.22,
        hspace=0.45,
    )
    regions = _regions(mask, labels, label_names)
    if len(regions) > 1:
        regions.pop("brain mask")
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    for axes, (name, values) in zip(grid.flat, maps.items(), strict=False):
        style = _style(name)
        shown = np.asarray(style.display(np.asarray(values, dtype=float)))
        low, high = _range(style, shown[np.asarray(mask, dtype=bool)], (windows or {}).get(name))
        for (region, where), color in zip(regions.items(), _cycle(len(regions)), strict=True):
            finite = shown[where & np.isfinite(shown)]
            counts, edges = np.histogram(finite, bins=_BINS, range=(low, high))
            share = 100.0 * counts / max(finite.size, 1)
            axes.stairs(share, edges, fill=True, color=color, alpha=0.25, linewidth=0)
            axes.stairs(share, edges, color=color, linewidth=1.2, label=region)
            if finite.size:
                axes.axvline(float(np.median(finite)), color=color, linewidth=1.0, linestyle=(0, (3, 2)))
        axes.set_xlim(low, high)
        axes.set_ylim(bottom=0.0)
        unit = "a.u." if style.unit == "arbitrary" else style.unit
        axes.set_xlabel(f"{style.label} [{unit}]", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.locator_params(axis="both", nbins=5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("voxels [%]", fontsize=9)
    handles, names = grid.flat[0].get_legend_handles_labels()
    if len(names) > 1:
        canvas.legend(handles, names, loc="upper center", ncol=len(names), frameon=False, fontsize=9)
    where_text = "in each region" if len(regions) > 1 else "in the brain mask"
    return Figure(
        key=key,
        title=title,
        caption=f"Share of the voxels {where_text} (bins of 1/{_BINS} of the range shown); dashed: median. Voxels without a value "
        "are left out.",
        image=encode_png(canvas),
        section=Section.HISTOGRAMS,
        alternative="Histograms of " + ", ".join(_style(name).label for name in maps),
    )


def convergence_check(rows: tuple[QualityRow, ...]) -> Check:
    """Return the traffic light of the share of voxels with a value."""
    inside = sum(row.voxels for row in rows if row.code != Status.OUTSIDE)
    converged = sum(row.voxels for row in rows if row.code == Status.CONVERGED)
    share = converged / inside if inside else 0.0
    level = Level.GOOD if share >= GOOD_SHARE else Level.CHECK if share >= USABLE_SHARE else Level.BAD
    return Check(
        name="Voxels with a value",
        value=f"{100 * share:.1f} % of {inside}",
        level=level,
        explanation=f"Good from {100 * GOOD_SHARE:.0f} %, bad below {100 * USABLE_SHARE:.0f} % of the brain mask.",
    )


def motion_check(framewise_displacement: NDArray[np.floating], *, voxel_size: float) -> Check:
    """Return the traffic light of the motion between cycles.

    Parameters
    ----------
    framewise_displacement
        Displacement from cycle to cycle [m]; NaN where there is none.
    voxel_size
        Smallest side of a voxel [m].
    """
    displacement = np.asarray(framewise_displacement, dtype=float)
    finite = displacement[np.isfinite(displacement)]
    if not finite.size:
        return Check(
            name="Motion", value="not estimated", level=Level.CHECK, explanation="No displacement is known."
        )
    largest = float(finite.max())
    level = (
        Level.GOOD if largest < 0.5 * voxel_size else Level.CHECK if largest < 2.0 * voxel_size else Level.BAD
    )
    return Check(
        name="Motion",
        value=f"at most {1e3 * largest:.2f} mm between cycles",
        level=level,
        explanation=f"Good below half a voxel ({500 * voxel_size:.2f} mm), bad from two voxels "
        f"({2000 * voxel_size:.2f} mm); the motion shown is corrected.",
    )


def _style(name: str) -> MapStyle:
    """Return the style of a map, or the bare values under its own name."""
    return STYLES.get(name) or MapStyle(label=name, unit="arbitrary", window=None, colormap="viridis")


def _regions(
    mask: NDArray[Any], labels: NDArray[np.integer] | None, label_names: Mapping[int, str] | None
) -> dict[str, NDArray[np.bool_]]:
    """Return the mask and every labelled region inside it."""
    inside = np.asarray(mask, dtype=bool)
    regions = {"brain mask": inside}
    if labels is not None:
        names = dict(label_names or {})
        for label in sorted(set(np.unique(labels).tolist()) - {0}):
            regions[names.get(int(label), f"label {int(label)}")] = inside & (labels == label)
    return regions


def _range(
    style: MapStyle, values: NDArray[np.floating], window: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the range of a histogram [unit on display]."""
    if window is not None:
        return float(style.display(window[0])), float(style.display(window[1]))
    if style.window is not None:
        return style.window
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(finite, [0.5, 99.5]))
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _cycle(count: int) -> list[str]:
    """Return as many colours as asked for."""
    return [TISSUE_COLORS[number % len(TISSUE_COLORS)] for number in range(count)]
