"""Pictures of maps and of the quality mask in three planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import Status
from qmri_bids.quantities import QUANTITIES, find_quantity
from qmri_bids.quantity import Display, Quantity, bare
from qmri_bids.reports.content import Figure, Overview, Section
from qmri_bids.reports.drawing.colormaps import is_logarithmic, windowed
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import RADIOLOGICAL, WIDTH, Panels, View, gray, lay_out, show
from qmri_bids.reports.drawing.slices import slice_png
from qmri_bids.reports.drawing.status_styles import STATUS_STYLES
from qmri_bids.reports.drawing.styles import no_value_color
from qmri_bids.sentence import count_of

_BAR_WIDTH = 0.16


def map_figure(
    values: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    mask: NDArray[Any],
    name: str,
    unit: str | None = None,
    window: tuple[float, float] | None = None,
    colormap: str | None = None,
    background: NDArray[np.floating] | None = None,
    key: str | None = None,
    title: str | None = None,
    section: Section | None = None,
    remark: str = "",
) -> Figure:
    """Return a map in three planes with its colour bar.

    Parameters
    ----------
    values
        The map in the unit of the package (T1 in s, B1 as a fraction), shape (X, Y, Z). NaN inside the mask
        is drawn in a neutral grey and counted.
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Voxels for which the map was computed, shape (X, Y, Z). Outside is black, or `background` in grey.
    name
        A name that `find_quantity` knows, or any other name together with `unit`.
    unit
        Unit of a map that has no row in `quantities`; the values are then shown as they are.
    window
        Limits in the unit of the package, in place of those of the row: for the off-resonance ±1/(2 TR).
    colormap
        Name of a colour map, as `drawing.colormaps` knows it, in place of that of the row.
    background
        Anatomical image shown outside the mask, shape (X, Y, Z).
    key, title, section
        Name, heading and section of the figure, in place of those that follow from the name of the map.
    remark
        A sentence more for the caption.

    Raises
    ------
    ValueError
        If the name has no row and no unit is given, or the shapes differ.
    """
    from matplotlib.colors import ListedColormap

    quantity = _quantity(name, unit)
    display = quantity.display
    colors = colormap or display.colormap
    absent = no_value_color(colors)
    view = View(affine=affine, mask=mask)
    shown = np.asarray(display.convert(view.reorient(np.asarray(values, dtype=np.float32))))
    inside = view.mask & np.isfinite(shown)
    (low, high), how = _limits(display, window, shown[inside])
    automatic = how == AUTOMATIC  # by its name it leaves 2 % at both ends
    painted = windowed(colors, low=low, high=high)
    panels = lay_out(view, view.standard_rows())
    if background is not None:
        _show_background(panels, view, background)
    missing = view.mask & ~inside
    if missing.any():
        flat = ListedColormap([absent])
        show(panels, view, np.where(missing, np.float32(0), np.float32(np.nan)), cmap=flat)
    drawn = show(
        panels,
        view,
        np.where(inside, shown, np.float32(np.nan)),
        cmap=painted,
        vmin=low,
        vmax=high,
    )
    below, above = _share(shown[inside] < low), _share(shown[inside] > high)
    _color_bar(panels, drawn, quantity, below=below > 0, above=above > 0)
    count = max(int(view.mask.sum()), 1)
    unit_name = "" if display.unit in ("arbitrary", "1") else f" {display.unit}"
    unit_word = "a.u." if display.unit == "arbitrary" else display.unit
    caption = [f"{quantity.label} [{unit_word}], {how} {_limit(low)} to {_limit(high)}{unit_name}."]
    if is_logarithmic(colors):
        caption.append(f"Colours: {colors.removesuffix('_r')}, logarithmic in the upper part of the window.")
    if display.note:
        caption.append(display.note)
    if remark:
        caption.append(remark)
    if below and not automatic:
        caption.append(f"{_percent(below)} of the voxels lie below the window.")
    if above and not automatic:
        caption.append(f"{_percent(above)} of the voxels lie above the window.")
    if missing.any():
        caption.append(
            f"No value: {count_of(int(missing.sum()), 'voxel')} ({_percent(missing.sum() / count)} of the mask)."
        )
        _swatch(panels, absent)
    if not inside.any():
        caption.append("No voxel of this map has a value.")
    caption.append(RADIOLOGICAL)
    return Figure(
        key=key or name.lower().replace("_", "-"),
        title=title or quantity.label,
        caption=" ".join(caption),
        image=encode_picture(panels.canvas, colormap=painted, extra=(absent,)),
        section=section or Section(display.section),
        alternative=f"{quantity.label} in axial, coronal and sagittal planes",
        overview=Overview(
            image=slice_png(shown, view=view, window=(low, high), colormap=painted, absent=absent),
            symbol=quantity.symbol,
            window=f"{_limit(low)} to {_limit(high)}{unit_name}"
            + (f", {_percent(below + above)} beyond" if below + above and not automatic else ""),
            with_value=float(inside.sum() / count),
        ),
    )


def quality_figure(
    status: NDArray[np.uint8],
    *,
    affine: NDArray[np.floating],
    key: str = "quality",
    title: str = "Quality mask",
) -> Figure:
    """Return the codes of the quality mask in colours, with a legend that gives the share of each.

    Parameters
    ----------
    status
        `Status` codes, shape (X, Y, Z).
    affine
        Voxel to world [mm], shape (4, 4).
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If a code is not one of `Status`.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    status = np.asarray(status)
    unknown = sorted(set(np.unique(status).tolist()) - {int(code) for code in Status})
    if unknown:
        raise ValueError(f"status holds the codes {unknown}; known are {[int(code) for code in Status]}")
    view = View(affine=affine, mask=status != Status.OUTSIDE)
    panels = lay_out(view, view.standard_rows())
    palette = ListedColormap([STATUS_STYLES[code].color for code in sorted(Status)])
    show(panels, view, view.reorient(status), cmap=palette, vmin=-0.5, vmax=len(Status) - 0.5)
    count = max(int(view.mask.sum()), 1)
    handles = []
    for code, style in STATUS_STYLES.items():
        share = float((status == code).sum()) / count
        # Codes that no voxel has would push the others out of a low picture.
        if code is not Status.OUTSIDE and share > 0.0:
            handles.append(Patch(color=style.color, label=f"{int(code)}  {style.name}\n    {_percent(share)}"))
    panels.canvas.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(panels.right + 0.005, 0.5),
        frameon=False,
        fontsize=8,
        handlelength=1.1,
        labelspacing=0.9,
    )
    return Figure(
        key=key,
        title=title,
        caption=f"Why a voxel has a value or none, the codes that occur; percentages are of the brain mask. {RADIOLOGICAL}",
        image=encode_picture(panels.canvas),
        section=Section.QUALITY,
        alternative="Status codes in axial, coronal and sagittal planes",
    )


def _quantity(name: str, unit: str | None) -> Quantity:
    """Return the row of a map, or one made for a map that has none."""
    quantity = find_quantity(name)
    if quantity is not None:
        if unit is not None and unit != quantity.display.unit:
            raise ValueError(f"the map {name} is shown in {quantity.display.unit}, found unit={unit!r}: leave unit out")
        return quantity
    if unit is None:
        raise ValueError(f"the map {name!r} has no style (known: {', '.join(QUANTITIES)}): give unit=")
    return bare(name, unit)


AUTOMATIC = "automatic window (2nd to 98th percentile)"
"""How a window came about that follows from the values."""


def _limit(value: float) -> str:
    """Return an end of a window with three digits, those before the point all."""
    text = f"{value:.0f}" if abs(value) >= 100.0 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _limits(
    display: Display, window: tuple[float, float] | None, values: NDArray[np.floating]
) -> tuple[tuple[float, float], str]:
    """Return the limits on display and how they came about."""
    if window is not None:
        low, high = (float(display.convert(limit)) for limit in window)
        how = "window"
    elif display.window is not None:
        (low, high), how = display.window, "fixed window"
    elif values.size:
        low, high = (float(limit) for limit in np.percentile(values, [2, 98]))
        how = AUTOMATIC
    else:
        low, high, how = 0.0, 1.0, "window"
    if not low < high:
        low, high = low - 0.5, low + 0.5
    return (low, high), how


def _share(condition: NDArray[np.bool_]) -> float:
    """Return the fraction of true values, 0 of none."""
    return float(condition.mean()) if condition.size else 0.0


def _percent(fraction: float) -> str:
    """Return a fraction as percent; what is small but not zero says so."""
    if fraction == 0.0:
        return "none"
    if fraction < 0.0005:
        return "< 0.1 %"
    return f"{100.0 * fraction:.1f} %"


def _show_background(panels: Panels, view: View, background: NDArray[np.floating]) -> None:
    """Draw an anatomical image, darkened so that it does not compete with the map."""
    show(panels, view, gray(view.reorient(background)), cmap="gray", vmin=0, vmax=1.6)


def _color_bar(panels: Panels, drawn: Any, quantity: Quantity, *, below: bool, above: bool) -> None:
    """Draw the colour bar at the right, with an arrow at an end that values exceed."""
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bottom, top = 0.30 / panels.height, 1.0 - 0.34 / panels.height
    box = (panels.right + 0.12 / WIDTH, bottom, _BAR_WIDTH / WIDTH, top - bottom)
    axes = panels.canvas.add_axes(box)
    bar = panels.canvas.colorbar(drawn, cax=axes, extend=extend[below, above], extendfrac=0.03)
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(labelsize=8, width=0.6, length=3)
    unit = "a.u." if quantity.display.unit == "arbitrary" else quantity.display.unit
    text = quantity.symbol if unit == "1" else f"{quantity.symbol} [{unit}]"
    # A long symbol gets smaller letters: the free side is as wide as 17 of the usual ones.
    size = min(9.0, 9.0 * 17.0 / len(text))
    panels.canvas.text(
        panels.right + 0.10 / WIDTH, 1.0 - 0.06 / panels.height, text, fontsize=size, ha="left", va="top"
    )


def _swatch(panels: Panels, color: str) -> None:
    """Draw the legend of the voxels without a value below the colour bar."""
    from matplotlib.patches import Rectangle

    left, bottom = panels.right + 0.12 / WIDTH, 0.04 / panels.height
    panels.canvas.add_artist(
        Rectangle(
            (left, bottom),
            _BAR_WIDTH / WIDTH,
            0.13 / panels.height,
            transform=panels.canvas.transFigure,
            facecolor=color,
            edgecolor="black",
            linewidth=0.5,
        )
    )
    panels.canvas.text(left + 0.22 / WIDTH, bottom + 0.06 / panels.height, "no value", fontsize=8, va="center")
