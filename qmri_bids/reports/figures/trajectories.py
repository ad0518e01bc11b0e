"""Pictures of fingerprints: what was measured in each tissue, image by image, beside the fitted model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.saturation import SaturationProtocol
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import WIDTH, new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
from qmri_bids.units import tesla_to_microtesla

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 40
"""Images of a series of which more are not labelled with their offset."""

_LEFT, _RIGHT = 0.62, 0.12
_TOP, _PANEL, _LEFT_OVER, _STRIP, _BETWEEN, _BOTTOM = 0.42, 1.95, 0.75, 0.42, 0.62, 0.50
"""Margins and heights [inch]."""

_BARS = "#b9c2c9"


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The images of a series in a region, relative to M0, shape (N,) each.

    Parameters
    ----------
    median, lower, upper
        Measured: median and quartiles over the voxels.
    fitted
        Median of the model.
    left, left_lower, left_upper
        Measured minus model: median and quartiles over the voxels.
    """

    median: NDArray[np.floating]
    lower: NDArray[np.floating]
    upper: NDArray[np.floating]
    fitted: NDArray[np.floating]
    left: NDArray[np.floating]
    left_lower: NDArray[np.floating]
    left_upper: NDArray[np.floating]


def trajectories(
    signal: NDArray[np.floating],
    fitted: NDArray[np.floating],
    *,
    amplitude: NDArray[np.floating],
    series: Sequence[slice],
) -> tuple[Trajectory, ...]:
    """Return the trajectory of every series over the voxels of a region.

    Parameters
    ----------
    signal, fitted
        Measured and modelled signal, shape (V, N).
    amplitude
        M0 of each series, shape (V, S); voxels in which it is not positive are left out.
    series
        Places of the images of each series on the last axis.
    """
    found = []
    for place, part in enumerate(series):
        scale = amplitude[:, place]
        usable = np.isfinite(scale) & (scale > 0.0) & np.isfinite(fitted[:, part]).all(axis=1)
        if not usable.any():
            empty = np.full(part.stop - part.start, np.nan)
            found.append(Trajectory(**{field.name: empty for field in fields(Trajectory)}))
            continue
        relative = signal[usable, part] / scale[usable, None]
        model = fitted[usable, part] / scale[usable, None]
        lower, median, upper = np.percentile(relative, [25, 50, 75], axis=0)
        left_lower, left, left_upper = np.percentile(relative - model, [25, 50, 75], axis=0)
        found.append(
            Trajectory(
                median=median,
                lower=lower,
                upper=upper,
                fitted=np.median(model, axis=0),
                left=left,
                left_lower=left_lower,
                left_upper=left_upper,
            )
        )
    return tuple(found)


def trajectory_figure(
    protocols: Mapping[str, SaturationProtocol],
    regions: Mapping[str, Sequence[Trajectory]],
    *,
    remark: str = "",
    key: str = "trajectories",
    title: str = "Trajectories of the tissues",
) -> Figure:
    """Return the images of every series in order: measured with its quartiles, fitted, and the saturation of each.

    Parameters
    ----------
    protocols
        Protocols by name of the series, in the order of the trajectories.
    regions
        Trajectories by region, one for each series.
    remark
        A sentence more for the caption.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If there is no region, or a region lacks a series or an image.
    """
    if not regions:
        raise ValueError("regions must hold at least one, found none")
    for region, each in regions.items():
        lengths = [len(trajectory.median) for trajectory in each]
        if lengths != [protocol.number_of_images for protocol in protocols.values()]:
            raise ValueError(f"{region}: trajectories must have the images of the protocols, found {lengths}")
    panel = _PANEL + _LEFT_OVER + _STRIP + _BETWEEN
    height = _TOP + len(protocols) * panel - _BETWEEN + _BOTTOM
    canvas = new_canvas(height=height)
    width = WIDTH - _LEFT - _RIGHT
    upper = None
    for place, (name, protocol) in enumerate(protocols.items()):
        bottom = height - _TOP - place * panel - _PANEL
        upper = canvas.add_axes((_LEFT / WIDTH, bottom / height, width / WIDTH, _PANEL / height))
        below, lowest = bottom - _LEFT_OVER, bottom - _LEFT_OVER - _STRIP
        left_over = canvas.add_axes((_LEFT / WIDTH, below / height, width / WIDTH, _LEFT_OVER / height), sharex=upper)
        strip = canvas.add_axes((_LEFT / WIDTH, lowest / height, width / WIDTH, _STRIP / height), sharex=upper)
        for (region, each), color in zip(regions.items(), _colors(len(regions)), strict=True):
            _draw(upper, each[place], color=color, label=region)
            _draw_left(left_over, each[place], color=color)
        upper.set_title(name, fontsize=9, loc="left", pad=4)
        upper.set_ylabel("signal / M0", fontsize=9)
        upper.tick_params(labelbottom=False, bottom=False)
        left_over.set_ylabel("left\n[% of M0]", fontsize=8)
        left_over.tick_params(labelbottom=False, bottom=False)
        _saturation(strip, protocol, last=place == len(protocols) - 1)
        canvas.align_ylabels([upper, left_over, strip])
    assert upper is not None
    handles, names = upper.get_legend_handles_labels()
    canvas.legend(
        handles,
        names,
        loc="upper right",
        bbox_to_anchor=(1.0 - _RIGHT / WIDTH, 1.0),
        ncol=len(names),
        frameon=False,
        fontsize=9,
        borderaxespad=0.3,
    )
    said = [
        "Dots: median of the images over the voxels of a tissue, relative to the M0 of the fit, with the quartiles (band); line: "
        "median of the fitted model.",
        "Below: what the model leaves, in the same way; noise alone would lie around 0 in every image.",
        "Grey bars: B1 of the saturation (root mean square)"
        + (", with the offset of each image below." if _labelled(protocols) else "."),
        "A line that leaves the band, or a trend in what is left, tells of something that the model lacks or of a wrong known map.",
        *([remark] if remark else []),
    ]
    return Figure(
        key=key,
        title=title,
        caption=" ".join(said),
        image=encode_picture(canvas),
        section=Section.TRAJECTORIES,
        alternative="Measured and fitted signal of " + ", ".join(regions),
    )


def _colors(count: int) -> list[str]:
    return [TISSUE_COLORS[number % len(TISSUE_COLORS)] for number in range(count)]


def _draw(axes: Axes, trajectory: Trajectory, *, color: str, label: str) -> None:
    """Draw one region of one series."""
    numbers = np.arange(1, len(trajectory.median) + 1)
    axes.fill_between(numbers, trajectory.lower, trajectory.upper, color=color, alpha=0.20, linewidth=0)
    axes.plot(numbers, trajectory.fitted, color=color, linewidth=1.3)
    axes.plot(numbers, trajectory.median, "o", color=color, markersize=3.6, label=label)
    plain(axes)


def _draw_left(axes: Axes, trajectory: Trajectory, *, color: str) -> None:
    """Draw what the model leaves of one region of one series."""
    numbers = np.arange(1, len(trajectory.left) + 1)
    axes.axhline(0.0, color="#7a7a7a", linewidth=0.8)
    axes.fill_between(
        numbers, 100.0 * trajectory.left_lower, 100.0 * trajectory.left_upper, color=color, alpha=0.2, linewidth=0
    )
    axes.plot(numbers, 100.0 * trajectory.left, "o-", color=color, markersize=2.6, linewidth=0.8)
    plain(axes)


def _labelled(protocols: Mapping[str, SaturationProtocol]) -> bool:
    return any(protocol.number_of_images <= MOST_LABELS for protocol in protocols.values())


def _saturation(axes: Axes, protocol: SaturationProtocol, *, last: bool) -> None:
    """Draw B1 of every image as bars, with the offsets as labels where there is room."""
    numbers = np.arange(1, protocol.number_of_images + 1)
    levels = [
        0.0 if each.saturation is None else tesla_to_microtesla(each.saturation.b1_rms) for each in protocol.images
    ]
    axes.bar(numbers, levels, width=0.7, color=_BARS)
    plain(axes)
    axes.grid(False)
    top = max(*levels, 1e-3)
    axes.set_ylim(0.0, 1.1 * top)
    axes.set_yticks([0.0, _round(top)])
    axes.set_ylabel("B1 [µT]", fontsize=8)
    axes.set_xlim(0.3, len(numbers) + 0.7)
    axes.set_xticks(numbers[:: 1 if len(numbers) <= MOST_LABELS else math.ceil(len(numbers) / MOST_LABELS)])
    if len(numbers) <= MOST_LABELS:
        axes.set_xticklabels([_offset(each.offset) for each in protocol.images])
        axes.tick_params(axis="x", labelsize=7, length=0, pad=2)
    axes.set_xlabel(
        ("offset of each image [ppm], in the order of the scan" if len(numbers) <= MOST_LABELS else "image")
        if last
        else "",
        fontsize=9,
    )


def _round(level: float) -> float:
    """Return a level as a tick [µT]: rounded down to halves."""
    return max(math.floor(2.0 * level) / 2.0, 0.1)


def _offset(offset: Any) -> str:
    """Return an offset as a label; an image without saturation is M0."""
    return "M0" if offset is None else f"{offset:g}".replace("-", "\N{MINUS SIGN}")
