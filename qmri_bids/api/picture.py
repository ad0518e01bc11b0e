"""What a result looks like: slices of its maps in the windows and colours of the report, or values with error bars."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qmri_bids.quantities import QUANTITIES, find_quantity
from qmri_bids.quantity import Quantity, bare
from qmri_bids.reports.drawing.colormaps import windowed
from qmri_bids.reports.drawing.planes import Cut, View
from qmri_bids.reports.drawing.styles import no_value_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = 42
"""Letters of a line of a title."""

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Planes by the axis of RAS that runs across them."""

_BAND_FREE = "bSSFP"
"""Name in a result of the image without bands, however it was made."""

_COLOURS_OF_STDEV = "plasma"


@dataclass(frozen=True, kw_only=True)
class Map:
    """A map of a result in the unit on display.

    Parameters
    ----------
    quantity
        How it is shown.
    values, stdev
        Its values and standard deviations, shape (...); None without the latter.
    """

    quantity: Quantity
    values: NDArray[np.floating]
    stdev: NDArray[np.floating] | None

    def title(self, *, of_stdev: bool = False) -> str:
        """Return what is shown, with its unit."""
        words = f"Standard deviation of {self.quantity.in_sentence}" if of_stdev else self.quantity.label
        unit = {"arbitrary": "a.u.", "1": "", "": ""}.get(self.quantity.display.unit, self.quantity.display.unit)
        return f"{words} [{unit}]" if unit else words

    def colors(self, *, of_stdev: bool) -> str:
        """Name of the colour map."""
        return _COLOURS_OF_STDEV if of_stdev else self.quantity.display.colormap

    def window(self, values: NDArray[np.floating], *, of_stdev: bool) -> tuple[float, float]:
        """Return the limits: those of the report, or percentiles of the values where it has none."""
        limits = self.quantity.display.window
        if of_stdev:
            spread = self.quantity.spread
            limits = None if spread is None or spread.limit is None else (0.0, spread.limit)
        if limits is None:
            finite = values[np.isfinite(values)]
            low, high = np.percentile(finite, (2, 98)).tolist() if finite.size else (0.0, 1.0)
            limits = (
                (0.0, high) if of_stdev or (self.quantity.display.colormap == "gray" and low >= 0.0) else (low, high)
            )
        low, high = limits
        return (low, high) if low < high else (low - 0.5, low + 0.5)


def map_of(name: str, *, unit: str, values: NDArray[np.floating], stdev: NDArray[np.floating] | None) -> Map:
    """Return a map of a result in the unit of the report, or as it is where the report has none.

    Parameters
    ----------
    name, unit
        Its name and unit in the result.
    values, stdev
        Its values and standard deviations in that unit, shape (...).
    """
    found = find_quantity(name) or find_quantity(f"synthetic_{name}")
    if name == _BAND_FREE:
        found = replace(QUANTITIES["bandfree_model"], label=name, phrase=name)
    factor = None if found is None else _factor(found, unit)
    if found is None or factor is None:
        return Map(quantity=bare(name, unit), values=values, stdev=stdev)
    return Map(quantity=found, values=values * factor, stdev=None if stdev is None else stdev * factor)


def _factor(quantity: Quantity, unit: str) -> float | None:
    """Return what brings a value of a result to the unit on display; None where that is another kind of unit."""
    shown = quantity.display.unit
    if unit == shown or (not unit and shown == "1"):
        return 1.0
    return {("s", "ms"): 1000.0, ("", "%"): 100.0}.get((unit, shown))


def draw_result(
    maps: Mapping[str, Map],
    *,
    inside: NDArray[np.bool_],
    affine: NDArray[np.floating] | None,
    slice_index: int | None,
) -> Figure:
    """Return a picture of maps: a row of each, its standard deviation beside it.

    Parameters
    ----------
    maps
        By name.
    inside
        Voxels that were estimated, shape (...).
    affine
        Voxel to scanner coordinates [mm] of images that have them: they are shown as a radiologist sees them. Arrays without are
        shown as printed, the first axis downwards.
    slice_index
        Slice along the third axis; None for the middle of the voxels that were estimated.

    Raises
    ------
    ValueError
        If there is no such slice.
    """
    from matplotlib.figure import Figure as Canvas

    is_image = inside.ndim in (2, 3) and sum(length > 1 for length in inside.shape) >= 2
    if slice_index is not None and not (inside.ndim == 3 and -inside.shape[2] <= slice_index < inside.shape[2]):
        raise ValueError(
            f"slice_index: expected a slice along the third axis of maps of shape {inside.shape}, found {slice_index}"
        )
    columns = 2 if is_image and any(each.stdev is not None for each in maps.values()) else 1
    canvas = Canvas(figsize=(3.8 * columns if is_image else 7.2, 3.0 * len(maps)), layout="constrained")
    panels = canvas.subplots(len(maps), columns, squeeze=False)
    if not is_image:
        for (axes,), shown in zip(panels, maps.values(), strict=True):
            _draw_values(axes, shown, inside=inside)
        return canvas
    volume = inside.reshape((*inside.shape, 1)[:3])
    place = _middle(volume) if slice_index is None else slice_index % volume.shape[2]
    cut = _Cut(inside=volume, place=place, affine=affine)
    for row, shown in zip(panels, maps.values(), strict=True):
        _draw_plane(row[0], cut, shown, of_stdev=False)
        if columns == 2:
            _draw_plane(row[1], cut, shown, of_stdev=True)
    return canvas


def _middle(inside: NDArray[np.bool_]) -> int:
    """Return the slice that has as many voxels below it as above."""
    counts = np.cumsum(inside.sum(axis=(0, 1)))
    return int(np.searchsorted(counts, counts[-1] / 2.0)) if counts[-1] else inside.shape[2] // 2


class _Cut:
    """One slice along the third axis of arrays, as it is shown."""

    def __init__(self, *, inside: NDArray[np.bool_], place: int, affine: NDArray[np.floating] | None) -> None:
        self.inside = inside
        self._place = place
        self._view = None if affine is None else View(affine=affine, mask=inside)
        self.aspect = 1.0
        if self._view is not None:
            self._plane = next(plane for plane in PLANES if self._view.across(plane) == 2)
            width, height = self._view.size(self._plane)
            rows, columns = self.of(inside).shape
            self.aspect = (height / rows) / (width / columns)

    def of(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the slice of an array, its first row uppermost."""
        volume = values.reshape(self.inside.shape)
        if self._view is None:
            return volume[:, :, self._place]
        chosen = np.zeros(self.inside.shape, dtype=bool)
        chosen[:, :, self._place] = True
        others = tuple({0, 1, 2} - {PLANES[self._plane]})
        index = int(np.flatnonzero(self._view.reorient(chosen).any(axis=others))[0])
        cut = Cut(plane=self._plane, index=index, position=math.nan)
        return self._view.image(self._view.reorient(volume), cut)[::-1]


def _draw_plane(axes: Axes, cut: _Cut, shown: Map, *, of_stdev: bool) -> None:
    """Draw a map, or its standard deviation, in one slice: black outside of the voxels, flat where one has no value."""
    from matplotlib.colors import ListedColormap

    axes.set_axis_off()
    values = shown.stdev if of_stdev else shown.values
    if values is None:
        return
    colors = shown.colors(of_stdev=of_stdev)
    low, high = shown.window(values, of_stdev=of_stdev)
    plane = cut.of(np.asarray(values, dtype=float))
    inside = cut.of(cut.inside)
    missing = inside & ~np.isfinite(plane)
    for where, color in ((~inside.astype(bool), "black"), (missing, no_value_color(colors))):
        flat = np.where(where, 0.0, np.nan)
        axes.imshow(flat, cmap=ListedColormap([color]), aspect=cut.aspect, interpolation="nearest")
    drawn = axes.imshow(
        plane,
        cmap=windowed(colors, low=low, high=high),
        vmin=low,
        vmax=high,
        aspect=cut.aspect,
        interpolation="nearest",
    )
    known = plane[np.isfinite(plane)]
    ends = (bool((known < low).any()), bool((known > high).any()))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]
    axes.figure.colorbar(drawn, ax=axes, shrink=0.85, extend=extend)
    axes.set_title(textwrap.fill(shown.title(of_stdev=of_stdev), TITLE), fontsize=10)


def _draw_values(axes: Axes, shown: Map, *, inside: NDArray[np.bool_]) -> None:
    """Draw the values of voxels that form no image by their index, with a standard deviation to either side."""
    from matplotlib.ticker import MaxNLocator

    values = np.ravel(shown.values)
    voxels = np.flatnonzero(np.ravel(inside) & np.isfinite(values))
    spread = None if shown.stdev is None else np.nan_to_num(np.ravel(shown.stdev)[voxels])
    axes.errorbar(voxels, values[voxels], yerr=spread, fmt="o", markersize=4, capsize=3, linewidth=1.0, color="#0072b2")
    axes.set_title(shown.title(), fontsize=10)
    axes.set_xlabel("voxel")
    axes.set_xlim(-0.5, max(values.size, 1) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if not voxels.size:
        axes.text(0.5, 0.5, "no voxel has a value", transform=axes.transAxes, ha="center", va="center")
