"""Where a volume is cut and how the cuts are laid out: orientation, slices and axes in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WIDTH = 9.6
"""Width of every figure [inch]."""
SIDE = 1.45
"""Width kept at the right for the colour bar or legend [inch]."""
GAP = 0.04
MAXIMUM_HEIGHT = 3.4
MARGIN = 6.0
SMALLEST_SIDE = 8
"""Voxels along an axis below which an image is one of few slices, which is cut in their plane alone."""

RADIOLOGICAL = "Radiological convention: the patient's right (R) is at the left of the picture."

_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
_COORDINATE = {"sagittal": "x", "coronal": "y", "axial": "z"}
MARKS = {"sagittal": ("A", "P"), "coronal": ("R", "L"), "axial": ("R", "L")}


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One slice: its plane, its index along the axis of RAS and its position there [mm]."""

    plane: str
    index: int
    position: float

    @property
    def words(self) -> str:
        """What the cut is, as a caption says it."""
        return f"{self.plane} slice at {_COORDINATE[self.plane]} = {signed(self.position)} mm"


class View:
    """Orientation of a volume and the part of it that is shown.

    Parameters
    ----------
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Voxels of interest, shape (X, Y, Z); the pictures are cropped to them. An empty mask shows everything.

    Notes
    -----
    Arrays are reoriented to the voxel axes closest to RAS; an oblique volume is not resampled, its cuts are
    oblique too.
    """

    def __init__(self, *, affine: NDArray[np.floating], mask: NDArray[Any]) -> None:
        from nibabel.affines import voxel_sizes
        from nibabel.orientations import inv_ornt_aff, io_orientation

        if np.ndim(mask) != 3:
            raise ValueError(f"mask must have 3 dimensions, found shape {np.shape(mask)}")
        self._orientation = io_orientation(affine)
        self._shape = np.shape(mask)
        self.affine = np.asarray(affine) @ inv_ornt_aff(self._orientation, self._shape)
        self.voxel_size = voxel_sizes(self.affine)
        self.mask = self.reorient(np.asarray(mask, dtype=bool))
        inside = self.mask if self.mask.any() else np.ones_like(self.mask)
        self._box = [self._bounds(inside, axis) for axis in range(3)]

    def reorient(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the array with its axes pointing right, anterior and superior."""
        from nibabel.orientations import apply_orientation

        if np.shape(values)[:3] != self._shape:
            raise ValueError(f"values must have the shape of the mask {self._shape}, found {np.shape(values)}")
        oriented: NDArray[Any] = apply_orientation(np.asarray(values), self._orientation)
        return oriented

    def _bounds(self, inside: NDArray[np.bool_], axis: int) -> tuple[int, int]:
        """Return first and last index (exclusive) of the mask along one axis, with a margin."""
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(inside.any(axis=others))
        margin = int(np.ceil(MARGIN / self.voxel_size[axis]))
        return max(int(occupied[0]) - margin, 0), min(int(occupied[-1]) + 1 + margin, inside.shape[axis])

    def across(self, plane: str) -> int:
        """Return the axis of the arrays as they were given that runs across the slices of a plane."""
        return int(np.flatnonzero(self._orientation[:, 0] == _AXIS[plane])[0])

    def cuts(self, plane: str, fractions: Sequence[float]) -> list[Cut]:
        """Return cuts at fractions of the extent of the mask along the plane's axis, without repetition."""
        axis = _AXIS[plane]
        inside = self.mask if self.mask.any() else np.ones_like(self.mask)
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        indices = dict.fromkeys(int(occupied[round(f * (len(occupied) - 1))]) for f in fractions)
        centre = [0.5 * (low + high - 1) for low, high in self._box]
        cuts = []
        for index in indices:
            voxel = [*centre, 1.0]
            voxel[axis] = index
            cuts.append(Cut(plane=plane, index=index, position=float((self.affine @ voxel)[axis])))
        return cuts

    @property
    def main_plane(self) -> str:
        """The plane in which to look: axial, but that of the slices where there are few of another plane."""
        few = [plane for plane, axis in _AXIS.items() if self.mask.shape[axis] < SMALLEST_SIDE]
        return min(few, key=lambda plane: self.mask.shape[_AXIS[plane]]) if few else "axial"

    def standard_rows(self) -> list[list[Cut]]:
        """Return two rows: axial cuts from the base up; coronal and sagittal ones. Of few slices one row of these."""
        rows = [self.cuts(self.main_plane, (0.32, 0.46, 0.60, 0.74))]
        if min(self.mask.shape) >= SMALLEST_SIDE:
            rows.append([*self.cuts("coronal", (0.36, 0.62)), *self.cuts("sagittal", (0.44,))])
        return rows

    def mixed_row(self) -> list[Cut]:
        """Return one row: axial, coronal and sagittal cuts; of few slices only these."""
        if min(self.mask.shape) < SMALLEST_SIDE:
            return self.cuts(self.main_plane, (0.35, 0.60))
        return [*self.cuts("axial", (0.35, 0.60)), *self.cuts("coronal", (0.5,)), *self.cuts("sagittal", (0.44,))]

    def image(self, values: NDArray[Any], cut: Cut) -> NDArray[Any]:
        """Return the slice as rows (upwards) and columns (to the right), for `imshow(origin="lower")`.

        `values` is already reoriented; it may have a last axis of colour channels.
        """
        axis = _AXIS[cut.plane]
        kept = [self._box[other] for other in range(3) if other != axis]
        plane = np.take(values, cut.index, axis=axis)[slice(*kept[0]), slice(*kept[1])]
        # Columns run to the patient's left (radiological) or to the back: both against RAS.
        return np.swapaxes(plane, 0, 1)[:, ::-1]

    def size(self, plane: str) -> tuple[float, float]:
        """Return width and height of a cut [mm]."""
        sides = [(high - low) * step for (low, high), step in zip(self._box, self.voxel_size, strict=True)]
        horizontal, vertical = [side for other, side in enumerate(sides) if other != _AXIS[plane]]
        return float(horizontal), float(vertical)


@dataclass(frozen=True, kw_only=True)
class Panels:
    """A canvas with one axes for every cut; `right` is the x of the free side as a fraction of the width."""

    canvas: Canvas
    axes: list[tuple[Axes, Cut]]
    height: float
    right: float


def lay_out(view: View, rows: Sequence[Sequence[Cut]], *, side: float = SIDE) -> Panels:
    """Return a canvas of `WIDTH` with rows of cuts, all at one scale, on black.

    Parameters
    ----------
    view
        The volume.
    rows
        Cuts, row by row from the top.
    side
        Free width at the right [inch].
    """
    from matplotlib.patches import Rectangle

    area = WIDTH - side
    sizes = [[view.size(cut.plane) for cut in row] for row in rows]
    scale = min(
        min((area - GAP * (len(row) + 1)) / sum(w for w, _ in row), MAXIMUM_HEIGHT / max(h for _, h in row))
        for row in sizes
    )
    heights = [scale * max(h for _, h in row) for row in sizes]
    height = sum(heights) + GAP * (len(rows) + 1)
    canvas = new_canvas(height=height)
    canvas.add_artist(Rectangle((0, 0), area / WIDTH, 1, transform=canvas.transFigure, color="black", zorder=-1))
    axes = []
    top = height - GAP
    for row, row_sizes, row_height in zip(rows, sizes, heights, strict=True):
        free = area - scale * sum(w for w, _ in row_sizes)
        gap = free / (len(row) + 1)
        left = gap
        for cut, (w, h) in zip(row, row_sizes, strict=True):
            bottom = top - 0.5 * (row_height + scale * h)
            box = (left / WIDTH, bottom / height, scale * w / WIDTH, scale * h / height)
            axes.append((_panel(canvas, box, cut), cut))
            left += scale * w + gap
        top -= row_height + GAP
    return Panels(canvas=canvas, axes=axes, height=height, right=area / WIDTH)


def new_canvas(*, height: float) -> Canvas:
    """Return an empty white canvas of `WIDTH` that belongs to no global state of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(canvas)
    return canvas


def _panel(canvas: Canvas, box: tuple[float, float, float, float], cut: Cut) -> Axes:
    """Return axes without ticks, marked with the sides of the patient and the position of the cut."""
    axes = canvas.add_axes(box, facecolor="black")
    axes.set_axis_off()
    low, high = MARKS[cut.plane]
    style: dict[str, Any] = {"color": "white", "fontsize": 8, "transform": axes.transAxes, "zorder": 5}
    axes.text(0.02, 0.985, low, ha="left", va="top", **style)
    axes.text(0.98, 0.985, high, ha="right", va="top", **style)
    axes.text(
        0.015,
        0.015,
        f"{_COORDINATE[cut.plane]} = {signed(cut.position)} mm",
        ha="left",
        va="bottom",
        **style | {"fontsize": 7},
    )
    return axes


def signed(position: float) -> str:
    """Return a position in whole millimetres, with a minus sign in place of a hyphen."""
    return f"{position:.0f}".replace("-0", "0").replace("-", "\N{MINUS SIGN}")


def show(panels: Panels, view: View, values: NDArray[Any], **options: Any) -> Any:
    """Draw a reoriented volume (or RGBA volume) into every panel and return the last image drawn."""
    drawn = None
    for axes, cut in panels.axes:
        drawn = axes.imshow(view.image(values, cut), origin="lower", aspect="auto", interpolation="nearest", **options)
    return drawn


def outline(panels: Panels, view: View, values: NDArray[Any], *, levels: Sequence[float], color: str) -> None:
    """Draw contours of a reoriented volume into every panel that crosses a level."""
    for axes, cut in panels.axes:
        image = np.nan_to_num(view.image(values, cut).astype(float))
        crossed = [level for level in levels if image.min() < level < image.max()]
        if crossed and min(image.shape) >= 2:
            axes.contour(image, levels=sorted(crossed), colors=color, linewidths=0.8)


def gray(values: NDArray[np.floating], *, within: NDArray[np.bool_] | None = None) -> NDArray[np.floating]:
    """Return an image scaled to 0 to 1 between zero (or its minimum) and its 99.5th percentile, NaN as 0.

    The percentile is taken `within` a mask where one is given (and not empty): a bright scalp does not darken
    the brain then.
    """
    image = np.nan_to_num(np.asarray(values, dtype=np.float32), posinf=0.0, neginf=0.0)
    brightest = image[within] if within is not None and within.any() else image
    low, high = min(0.0, float(image.min())), float(np.percentile(brightest, 99.5))
    return np.clip((image - low) / (high - low if high > low else 1.0), 0.0, 1.0)


def foreground(image: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where an image is above a tenth of its brightest part: a frame for pictures, not a head mask."""
    scaled = gray(image)
    return scaled > 0.1
