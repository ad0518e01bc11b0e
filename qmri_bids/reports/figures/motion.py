"""Pictures of the motion between the images of a series."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain, widen
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
from qmri_bids.units import radians_to_degrees

_MILLIMETRES = 1e3
_CENSORED = "#c0392b"
_degrees: Callable[[Any], Any] = radians_to_degrees


def motion_figure(
    parameters: NDArray[np.floating],
    framewise_displacement: NDArray[np.floating],
    *,
    reference: int | None = None,
    censored: NDArray[np.bool_] | None = None,
    noun: str = "cycle",
    key: str = "motion",
    title: str | None = None,
) -> Figure:
    """Return translations, rotations and framewise displacement over a series of images.

    Parameters
    ----------
    parameters
        Translations along x, y, z [m] and rotations about x, y, z [rad], shape (N, 6).
    framewise_displacement
        Displacement from image to image [m], shape (N,); NaN where it has none (the first image).
    reference
        Index of the reference image, marked where given; None where it is not one of them.
    censored
        Images that were left out of the estimation, marked where given, shape (N,).
    noun
        What one image of the series is called.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    parameters = np.asarray(parameters, dtype=float)
    displacement = np.asarray(framewise_displacement, dtype=float) * _MILLIMETRES
    if parameters.ndim != 2 or parameters.shape[1] != 6 or displacement.shape != parameters.shape[:1]:
        raise ValueError(
            "parameters must have shape (N, 6) and framewise_displacement (N,), "
            f"found {parameters.shape} and {displacement.shape}"
        )
    numbers = np.arange(1, len(parameters) + 1)
    canvas = new_canvas(height=4.6)
    top, middle, bottom = canvas.subplots(3, 1, sharex=True, gridspec_kw={"hspace": 0.16})
    canvas.subplots_adjust(left=0.09, right=0.90, top=0.98, bottom=0.10)
    translations = parameters[:, :3] * _MILLIMETRES
    rotations = _degrees(parameters[:, 3:])
    unseen = [
        f"{kind} {'xyz'[column]}"
        for kind, values in (("translation", translations), ("rotation", rotations))
        for column in range(3)
        if not np.isfinite(values[:, column]).any()
    ]
    for axes, values in ((top, translations), (middle, rotations)):
        for column, label in enumerate("xyz"):
            if not np.isfinite(values[:, column]).any():
                continue
            axes.plot(
                numbers,
                values[:, column],
                "o-",
                color=TISSUE_COLORS[column],
                markersize=3.5,
                linewidth=1.4,
                label=label,
            )
        axes.axhline(0.0, color="#999999", linewidth=0.6, zorder=0)
        widen(axes, np.nan_to_num(values), least=0.1)
        if not axes.lines[1:]:
            axes.text(0.5, 0.6, "not assessed", transform=axes.transAxes, ha="center", fontsize=9, color="#555555")
            continue
        axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False, fontsize=9, handlelength=1.4)
    out = np.zeros(len(numbers), dtype=bool) if censored is None else np.asarray(censored, dtype=bool)
    colors = [_CENSORED if each else "#5b6f7d" for each in out]
    bottom.bar(numbers, np.nan_to_num(displacement), color=colors, width=0.6)
    finite = displacement[np.isfinite(displacement)]
    bottom.set_ylim(0.0, 1.15 * max(float(finite.max(initial=0.0)), 0.1))
    top.set_ylabel("translation [mm]", fontsize=9)
    middle.set_ylabel("rotation [°]", fontsize=9)
    bottom.set_ylabel("displacement [mm]", fontsize=9)
    bottom.set_xlabel(noun, fontsize=9)
    bottom.set_xlim(0.4, len(numbers) + 0.6)
    step = max(1, math.ceil(len(numbers) / 24))
    bottom.set_xticks(numbers[::step])
    for axes in (top, middle, bottom):
        plain(axes)
        for number in numbers[out]:
            axes.axvspan(number - 0.5, number + 0.5, color=_CENSORED, alpha=0.12, zorder=-1, linewidth=0)
        if reference is not None:
            axes.axvspan(reference + 0.5, reference + 1.5, color="#f0e442", alpha=0.35, zorder=-1, linewidth=0)
    canvas.align_ylabels([top, middle, bottom])
    if reference is not None:
        top.annotate(
            "reference",
            (reference + 1, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -3),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            color="#555555",
        )
    largest = f"{finite.max():.2f} mm" if finite.size else "not known"
    return Figure(
        key=key,
        title=title or f"Head motion between the {noun}s",
        caption=f"Rigid motion of every {noun} relative to the reference{' (shaded)' if reference is not None else ''}, as "
        "estimated and corrected: translations along and rotations about x (right), y (anterior) and z (superior), and the "
        f"displacement from the {noun} before. Largest displacement: {largest}."
        + (f" Not assessed, since there are too few slices: {', '.join(unseen)}." if unseen else "")
        + (f" Left out of the estimation (red): {', '.join(str(each) for each in numbers[out])}." if out.any() else ""),
        image=encode_picture(canvas),
        section=Section.MOTION,
        alternative=f"Curves of translation, rotation and displacement over the {noun}s",
    )
