"""The same slice of several volumes side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.drawing.planes import GAP, MARKS, WIDTH, Cut, View, foreground, gray, new_canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True, kw_only=True)
class Montage:
    """A canvas with the cut that all of its panels show."""

    canvas: Canvas
    cut: Cut


def draw_montage(
    volumes: NDArray[np.floating],
    *,
    labels: Sequence[str],
    affine: NDArray[np.floating],
    mask: NDArray[Any],
    mean: NDArray[np.floating],
    marked: int | None = None,
) -> Montage:
    """Draw the central slice of every volume in one window, beside their mean with the outline of the brain mask.

    The slice is axial, but that of the scan where it has few slices of another plane.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    labels
        What each of the N volumes is.
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Brain mask, shape (X, Y, Z); it places the slice and sets the window.
    mean
        The large image, shape (X, Y, Z).
    marked
        Index of the volume that is the reference.
    """
    from matplotlib.patches import Rectangle

    count = len(labels)
    inside = View(affine=affine, mask=mask)
    plane = inside.main_plane
    cut = inside.cuts(plane, (0.5,))[0]
    view = View(affine=affine, mask=foreground(mean) | np.asarray(mask, dtype=bool))
    width, height = view.size(plane)

    rows = max(1, round(math.sqrt(count / 3.0)))
    columns = math.ceil(count / rows)
    # The mean is as high as all rows of volumes together.
    tile = (WIDTH - GAP * (columns + 2)) / (columns + rows)
    tile_height = tile * height / width
    canvas_height = rows * tile_height + GAP * (rows + 1)
    canvas = new_canvas(height=canvas_height)
    canvas.add_artist(Rectangle((0, 0), 1, 1, transform=canvas.transFigure, color="black", zorder=-1))

    def panel(left: float, top: float, scale: float, image: NDArray[Any], limit: float) -> Axes:
        box = (
            left / WIDTH,
            (canvas_height - top - scale * tile_height) / canvas_height,
            scale * tile / WIDTH,
            scale * tile_height / canvas_height,
        )
        axes = canvas.add_axes(box)
        axes.set_axis_off()
        axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", cmap="gray", vmin=0, vmax=limit)
        return axes

    block = rows + GAP * (rows - 1) / tile_height
    shown = gray(view.reorient(np.nan_to_num(mean)), within=inside.mask)
    large = panel(GAP, GAP, block, view.image(shown, cut), 1.0)
    outline = view.image(inside.mask, cut).astype(float)
    if outline.min() < 0.5 < outline.max():
        large.contour(outline, levels=[0.5], colors="#f0e442", linewidths=1.0)
    white: dict[str, Any] = {"color": "white", "fontsize": 8}
    left_mark, right_mark = MARKS[plane]
    large.text(0.02, 0.985, left_mark, transform=large.transAxes, va="top", **white)
    large.text(0.98, 0.985, right_mark, transform=large.transAxes, ha="right", va="top", **white)
    large.text(0.02, 0.015, "mean", transform=large.transAxes, **white)
    slices = [np.nan_to_num(view.image(view.reorient(volumes[..., n]), cut)) for n in range(count)]
    brain = outline > 0.5
    limit = float(np.percentile([image[brain] if brain.any() else image for image in slices], 99.5)) or 1.0
    for number, label in enumerate(labels):
        row, column = divmod(number, columns)
        left = 2 * GAP + block * tile + column * (tile + GAP)
        axes = panel(left, GAP + row * (tile_height + GAP), 1.0, slices[number], limit)
        axes.text(0.03, 0.97, label, transform=axes.transAxes, va="top", **white)
        if number == marked:
            axes.text(0.02, 0.02, "reference", color="#f0e442", fontsize=7, transform=axes.transAxes, va="bottom")
    return Montage(canvas=canvas, cut=cut)
