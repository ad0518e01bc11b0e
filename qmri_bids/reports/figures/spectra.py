"""Pictures of Z-spectra: measured, fitted, the lines of the pools, and the asymmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import WIDTH, new_canvas
from qmri_bids.reports.drawing.spectra import Band, Curves, asymmetry_of
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
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


CENTRE = 8.0
"""Offsets up to here [ppm] are drawn large; those beyond stand in narrow panels at the sides."""

_LEFT, _RIGHT = 0.60, 0.15
_SIDE = 1.05
_TOP, _UPPER, _BETWEEN, _LEGEND, _LOWER, _BOTTOM = 0.30, 2.70, 0.72, 0.26, 1.95, 0.48
"""Margins, widths and heights [inch]."""


def spectrum_figure(
    offsets: NDArray[np.floating],
    spectra: Mapping[str, Band],
    *,
    fitted: Mapping[str, Curves] | None = None,
    asymmetry: Sequence[float] = (),
    remark: str = "",
    key: str = "spectra",
    title: str = "Mean Z-spectra",
) -> Figure:
    """Return the mean spectrum of every region with its quartiles; below it the fitted pools and the asymmetry.

    Parameters
    ----------
    offsets
        Offsets, positive downfield [ppm], shape (K,), in any order; images of M0 are not among them.
    spectra
        Mean, lower and upper quartile of Z by region, from `mean_spectrum`.
    fitted
        Mean fitted curves by region, from `mean_curves`; None where nothing was fitted.
    asymmetry
        Offsets whose asymmetry is a map [ppm]: marked.
    remark
        A sentence more for the caption.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If there is no region, or a spectrum does not have a value for every offset.
    """
    offsets = np.asarray(offsets, dtype=np.float64)
    if not spectra:
        raise ValueError("spectra must hold at least one region, found none")
    for region, band in spectra.items():
        if any(np.shape(each) != offsets.shape for each in band):
            raise ValueError(
                f"spectra must have one value for each of the {len(offsets)} offsets, found {np.shape(band[0])} in {region}"
            )
    fitted = {region: curves for region, curves in (fitted or {}).items() if region in spectra}
    order = np.argsort(offsets)
    pairs = {region: asymmetry_of(offsets, np.asarray(band[0])) for region, band in spectra.items()}
    pairs = {region: pair for region, pair in pairs.items() if len(pair[0]) >= 3}
    panels = len(fitted) + bool(pairs)
    # The legend of the pools stands between the rows.
    between = _BETWEEN + (_LEGEND if fitted else 0.0)
    height = _TOP + _UPPER + _BOTTOM + (between + _LOWER if panels else 0.0)
    canvas = new_canvas(height=height)
    colors = {region: TISSUE_COLORS[n % len(TISSUE_COLORS)] for n, region in enumerate(spectra)}

    def box(left: float, bottom: float, width: float, tall: float) -> tuple[float, float, float, float]:
        return left / WIDTH, bottom / height, width / WIDTH, tall / height

    area = WIDTH - _LEFT - _RIGHT
    bottom = height - _TOP - _UPPER
    sides = _sides(offsets)
    shares = [_SIDE if side else 0.0 for side in sides]
    gap = 0.10
    middle_left = _LEFT + (shares[0] + gap if shares[0] else 0.0)
    middle_width = area - sum(share + gap for share in shares if share)
    middle = canvas.add_axes(box(middle_left, bottom, middle_width, _UPPER))
    drawn = [middle]
    if sides[0]:
        drawn.append(canvas.add_axes(box(_LEFT, bottom, shares[0], _UPPER)))
    if sides[1]:
        drawn.append(canvas.add_axes(box(WIDTH - _RIGHT - shares[1], bottom, shares[1], _UPPER)))
    signs = [0, *[sign for sign, side in zip((1, -1), sides, strict=True) if side]]
    reach = min(float(np.abs(offsets).max()), CENTRE) if any(sides) else float(np.abs(offsets).max())
    for axes, sign in zip(drawn, signs, strict=True):
        for region, band in spectra.items():
            curves = fitted.get(region)
            _spectrum(
                axes, offsets[order], [np.asarray(each)[order] for each in band], curves, sign, colors[region], region
            )
        _finish(axes, sign, edge=reach, far=float(np.abs(offsets).max()))
        axes.set_ylim(*_heights(spectra, fitted))
    leftmost = drawn[1] if sides[0] else middle
    leftmost.set_ylabel("Z", fontsize=9)
    for axes in drawn:
        if axes is not leftmost:
            axes.tick_params(left=False, labelleft=False)
            axes.spines["left"].set_visible(False)
    middle.set_xlabel("offset from water [ppm]", fontsize=9)
    handles, names = middle.get_legend_handles_labels()
    canvas.legend(handles, names, loc="upper center", ncol=len(names), frameon=False, fontsize=9, borderaxespad=0.2)

    if panels:
        width = (area - (panels - 1) * 0.55) / panels
        cells = [canvas.add_axes(box(_LEFT + n * (width + 0.55), _BOTTOM, width, _LOWER)) for n in range(panels)]
        for axes, (region, curves) in zip(cells, fitted.items(), strict=False):
            draw_pools(axes, curves, reach=reach, limit=pool_limit(fitted, reach))
            axes.set_title(f"pools, {region}", fontsize=9, color=colors[region], pad=3)
        if fitted:
            cells[0].set_ylabel("saturation [%]", fontsize=9)
            draw_pool_legend(canvas, fitted, at=(_BOTTOM + _LOWER + 0.38) / height)
        if pairs:
            _asymmetry(cells[-1], pairs, colors, marks=asymmetry, reach=reach)
    return Figure(
        key=key,
        title=title,
        caption=_caption(spectra, fitted, pairs=bool(pairs), sides=any(sides), marks=asymmetry, remark=remark),
        image=encode_picture(canvas),
        section=Section.SPECTRA,
        alternative="Mean Z-spectra of " + ", ".join(spectra),
    )


def _sides(offsets: NDArray[np.floating]) -> tuple[bool, bool]:
    """Return whether offsets lie so far downfield and upfield that they need a panel of their own."""
    if np.abs(offsets).max() <= 1.5 * CENTRE:
        return False, False
    return bool(offsets.max() > CENTRE), bool(offsets.min() < -CENTRE)


def _heights(spectra: Mapping[str, Band], fitted: Mapping[str, Curves]) -> tuple[float, float]:
    """Return the limits of Z: 0 to 1, more where values or fits lie beyond."""
    values = np.concatenate(
        [*(each for band in spectra.values() for each in band), *(curves[1] for curves in fitted.values())]
    )
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return min(0.0, low) - 0.02, max(1.0, high) + 0.04


def _spectrum(
    axes: Axes,
    offsets: NDArray[np.floating],
    band: Sequence[NDArray[np.floating]],
    curves: Curves | None,
    sign: int,
    color: str,
    region: str,
) -> None:
    """Draw one region; `sign` mirrors the axis of a side panel, which is logarithmic in the distance from water."""
    mean, lower, upper = band
    factor = sign or 1
    seen = offsets * factor > 0.0 if sign else np.ones(len(offsets), dtype=bool)
    x = factor * offsets[seen]
    axes.fill_between(x, lower[seen], upper[seen], color=color, alpha=0.18, linewidth=0)
    axes.plot(x, mean[seen], "o", color=color, markersize=3.2, label=region)
    if curves is None:
        axes.plot(x, mean[seen], color=color, linewidth=0.9)
        return
    dense, total, _ = curves
    within = dense * factor > 0.0 if sign else np.ones(len(dense), dtype=bool)
    axes.plot(factor * dense[within], total[within], color=color, linewidth=1.3)


def _finish(axes: Axes, sign: int, *, edge: float, far: float) -> None:
    """Set the axis of offsets, downfield at the left as the field draws it."""
    plain(axes)
    if not sign:
        margin = 0.02 * edge
        axes.set_xlim(edge + margin, -edge - margin)
        return
    axes.set_xscale("log")
    axes.set_xlim(*((1.15 * far, edge) if sign > 0 else (edge, 1.15 * far)))
    ticks = [tick for tick in (10, 30, 100, 300) if edge < tick <= far * 1.01]
    minus = "" if sign > 0 else "\N{MINUS SIGN}"
    axes.set_xticks(ticks)
    axes.set_xticklabels([f"{minus}{tick}" for tick in ticks])
    axes.minorticks_off()
    axes.set_facecolor("#f6f8f9")


def _asymmetry(
    axes: Axes,
    pairs: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    colors: Mapping[str, str],
    *,
    marks: Sequence[float],
    reach: float,
) -> None:
    """Draw the asymmetry of every region [%]."""
    axes.axhline(0.0, color="#999999", linewidth=0.8, zorder=0)
    for region, (positive, values) in pairs.items():
        near = positive <= 1.001 * reach
        axes.plot(
            positive[near],
            fraction_to_percent(1.0) * values[near],
            "o-",
            color=colors[region],
            markersize=2.8,
            linewidth=1.0,
        )
    for mark in marks:
        if mark <= reach:
            axes.axvline(mark, color="#586673", linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
    axes.set_xlim(1.02 * reach, -0.02 * reach)
    axes.set_xlabel("offset [ppm]", fontsize=9)
    axes.set_title("MTR asymmetry [%]", fontsize=9, pad=3)
    plain(axes)


def _caption(
    spectra: Mapping[str, Band],
    fitted: Mapping[str, Curves],
    *,
    pairs: bool,
    sides: bool,
    marks: Sequence[float],
    remark: str,
) -> str:
    """Return what is drawn, in sentences."""
    said = [f"Mean Z-spectrum of {', '.join(spectra)} (dots), with the quartiles over the voxels (band)"]
    said[0] += " and the mean of the fits (line)." if fitted else "."
    said.append("Positive offsets (downfield) are at the left.")
    if sides:
        said.append(f"Beyond {CENTRE:g} ppm the axis is logarithmic (grey panels).")
    if fitted:
        said.append("Below: the fitted line of every pool; that of water is cut off at the top.")
    if pairs:
        place = "Below" if not fitted else "Last"
        said.append(
            f"{place}: Z(\N{MINUS SIGN}Δω) \N{MINUS SIGN} Z(+Δω) of the mean spectra, at offsets measured on both sides."
        )
        if marks:
            said.append(f"Dashed: {', '.join(f'{mark:g}' for mark in marks)} ppm, of which there is a map.")
    if remark:
        said.append(remark)
    return " ".join(said)
