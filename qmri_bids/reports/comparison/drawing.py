"""Tables of pictures, one slice of many maps in rows and columns, and curves by estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.drawing.colormaps import windowed
from qmri_bids.reports.drawing.planes import MARKS, RADIOLOGICAL, WIDTH, View, new_canvas
from qmri_bids.reports.drawing.styles import no_value_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#1d2733")
"""Told apart in every common form of colour blindness."""
LINE_STYLES: tuple[str, ...] = ("-", "--", "-.", ":")
DIFFERENCE = "RdBu_r"
"""Colour map of what has a sign."""

_NAMES, _HEAD, _BAR, _GAP = 1.25, 0.26, 0.42, 0.03
_TALLEST = 2.3


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How the pictures of a column are coloured.

    Parameters
    ----------
    title
        Over the column.
    unit
        Of the values as they are shown.
    window
        Lowest and highest value [`unit`].
    colormap
        Name of a matplotlib colour map.
    """

    title: str
    unit: str
    window: tuple[float, float]
    colormap: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of pictures: its name and a volume for each column, None where there is none and why."""

    name: str
    volumes: tuple[NDArray[np.floating] | None, ...]
    reason: str = ""


def picture_table(
    rows: Sequence[Row], scales: Sequence[Scale], *, affine: NDArray[np.floating], mask: NDArray[np.bool_]
) -> tuple[Canvas, str]:
    """Return rows of pictures of one slice, a colour bar under each column, and what a caption must say.

    Parameters
    ----------
    rows
        The lines; each has as many volumes as there are columns, shape (X, Y, Z), in the units of the columns.
    scales
        The columns; one in which no line has a volume is left out.
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Voxels that could have a value; places the slice. Those of it without one are shown in a colour of their own.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    kept = [place for place in range(len(scales)) if any(row.volumes[place] is not None for row in rows)]
    scales = [scales[place] for place in kept]
    rows = [replace(row, volumes=tuple(row.volumes[place] for place in kept)) for row in rows]
    view = View(affine=affine, mask=mask)
    plane = view.main_plane
    occupied = view.cuts(plane, np.linspace(0.0, 1.0, 41).tolist())
    # The fullest slice of the middle: where one slice alone was estimated, it is that.
    cut = max(occupied, key=lambda each: np.count_nonzero(view.image(view.mask, each)))
    width, height = view.size(plane)
    tile = (WIDTH - _NAMES - _GAP * (len(scales) + 1)) / len(scales)
    tile_height = tile * height / width
    if tile_height > _TALLEST:
        tile, tile_height = tile * _TALLEST / tile_height, _TALLEST
    step = (WIDTH - _NAMES - _GAP) / len(scales)
    top = _HEAD
    total = top + len(rows) * (tile_height + _GAP) + _BAR
    canvas = new_canvas(height=total)
    inside = view.image(view.mask, cut)
    drawn: list[Any] = [None] * len(scales)
    for line, row in enumerate(rows):
        bottom = total - top - (line + 1) * (tile_height + _GAP) + _GAP
        canvas.text(
            0.06 / WIDTH, (bottom + 0.5 * tile_height) / total, _wrapped(row.name), fontsize=9, va="center", ha="left"
        )
        for column, (scale, volume) in enumerate(zip(scales, row.volumes, strict=True)):
            left = _NAMES + column * step + 0.5 * (step - tile)
            box = (left / WIDTH, bottom / total, tile / WIDTH, tile_height / total)
            if volume is None:
                canvas.text(
                    (left + 0.5 * tile) / WIDTH, (bottom + 0.5 * tile_height) / total, row.reason or "–",
                    fontsize=8, color="#586673", ha="center", va="center",
                )  # fmt: skip
                continue
            canvas.add_artist(Rectangle(box[:2], *box[2:], transform=canvas.transFigure, color="black", zorder=-1))
            axes = canvas.add_axes(box)
            axes.set_axis_off()
            image = view.image(view.reorient(np.asarray(volume, dtype=np.float32)), cut)
            plain: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
            missing = inside & ~np.isfinite(image)
            absent = no_value_color(scale.colormap)
            axes.imshow(np.where(missing, 0.0, np.nan), cmap=ListedColormap([absent]), **plain)
            low, high = scale.window
            drawn[column] = axes.imshow(
                image, cmap=windowed(scale.colormap, low=low, high=high), vmin=low, vmax=high, **plain
            )
            if line == 0:
                marks = MARKS[plane]
                for place, mark, side in ((0.03, marks[0], "left"), (0.97, marks[1], "right")):
                    axes.text(place, 0.97, mark, color="white", fontsize=7, ha=side, va="top", transform=axes.transAxes)
    for column, scale in enumerate(scales):
        left = _NAMES + column * step + 0.5 * (step - tile)
        canvas.text((left + 0.5 * tile) / WIDTH, 1.0 - 0.08 / total, scale.title, fontsize=9, ha="center", va="top")
        if drawn[column] is None:
            continue
        bar = canvas.add_axes(((left + 0.06 * tile) / WIDTH, (_BAR - 0.14) / total, 0.88 * tile / WIDTH, 0.1 / total))
        canvas.colorbar(drawn[column], cax=bar, orientation="horizontal", extend="both")
        bar.tick_params(labelsize=7, length=2, pad=1)
        bar.locator_params(axis="x", nbins=3)
        bar.set_xlabel(scale.unit, fontsize=7, labelpad=0)
    caption = (
        f"{cut.words.capitalize()}. Voxels beyond the windows have the colour of their end; those without a value are grey "
        f"(green where the colour map holds grey). {RADIOLOGICAL}"
    )
    return canvas, caption


def _wrapped(name: str) -> str:
    """Return the name of an estimator in lines short enough for the margin."""
    lines, line = [], ""
    for part in name.replace("-", "-\n").split("\n"):
        if len(line + part) > 16:
            lines.append(line)
            line = ""
        line += part
    return "\n".join([*lines, line])


def curve_style(index: int) -> dict[str, Any]:
    """Return colour and line of a curve; no pair comes back before all are used up."""
    return {
        "color": COLORS[index % len(COLORS)],
        "linestyle": LINE_STYLES[(index + index // len(COLORS)) % len(LINE_STYLES)],
        "linewidth": 1.6,
    }


def legend_below(canvas: Canvas, panels: Sequence[Axes], *, columns: int = 4) -> None:
    """Put one legend of all curves under all panels."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    canvas.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=max(1, min(columns, len(found))),
        frameon=False,
        fontsize=8,
    )


def curve_canvas(*, rows: int, columns: int, height: float) -> tuple[Canvas, NDArray[Any]]:
    """Return a canvas with panels for curves, shape (rows, columns)."""
    from qmri_bids.reports.drawing.curves import plain

    canvas = new_canvas(height=height)
    canvas.set_layout_engine("constrained")
    panels = canvas.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        plain(axes)
    return canvas, panels
