"""The carpet of a scan: what the model leaves of every phase cycle, over the whole image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
from qmri_bids.units import radians_to_degrees

WINDOW = (0.5, 2.0)
"""Residual over the noise on display."""


def carpet_figure(
    carpet: NDArray[np.floating],
    *,
    by_cycle: NDArray[np.floating],
    increments: Sequence[float],
    named_from: float = 1.35,
    key: str = "carpet",
    title: str = "What the model leaves, cycle by cycle",
) -> Figure:
    """Return the residual of every cycle in groups of voxels, beside that of the whole tissue.

    Parameters
    ----------
    carpet
        Residual over the noise, shape (rows, N): rows are groups of neighbours in the order of the image.
    by_cycle
        Residual of each cycle over what is expected of it, shape (N,).
    increments
        RF phase increments [rad], N of them.
    named_from
        Residual of a cycle from which it is named, drawn as a line.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If the number of increments is not that of the cycles.
    """
    count = len(increments)
    if np.shape(carpet)[1:] != (count,) or np.shape(by_cycle) != (count,):
        raise ValueError(
            f"carpet and by_cycle must have {count} cycles, found {np.shape(carpet)}, {np.shape(by_cycle)}"
        )
    degrees = [f"{radians_to_degrees(each):.4g}°" for each in increments]
    canvas = new_canvas(height=2.9)
    left, right = canvas.subplots(1, 2, width_ratios=(2.2, 1.0))
    canvas.subplots_adjust(left=0.105, right=0.985, top=0.97, bottom=0.17, wspace=0.28)
    image = left.imshow(
        np.asarray(carpet).T,
        aspect="auto",
        cmap="plasma",
        vmin=WINDOW[0],
        vmax=WINDOW[1],
        interpolation="nearest",
        extent=(0.0, 100.0, count + 0.5, 0.5),
    )
    left.set_xlabel("voxels of tissue in the order of the file [%]", fontsize=9)
    left.set_ylabel("RF phase increment", fontsize=9)
    left.set_yticks(range(1, count + 1), degrees)
    left.tick_params(labelsize=8)
    bar = canvas.colorbar(image, ax=left, fraction=0.05, pad=0.02, extend="both")
    bar.set_label("residual over noise", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    right.barh(np.arange(1, count + 1), by_cycle, color=TISSUE_COLORS[0], height=0.7)
    right.axvline(1.0, color="#555555", linewidth=0.9, linestyle=(0, (4, 3)))
    right.axvline(named_from, color="#a3342b", linewidth=0.9, linestyle=(0, (1, 2)))
    right.set_ylim(count + 0.6, 0.4)
    right.set_yticks(range(1, count + 1), [])
    right.set_xlim(0.0, max(2.0, 1.1 * float(np.max(by_cycle))))
    right.set_xlabel("residual over that expected", fontsize=9)
    plain(right)
    return Figure(
        key=key,
        title=title,
        caption="Left: signal minus model in groups of neighbouring voxels of tissue, over the noise; a horizontal "
        "stripe is a cycle that does not fit the others, a vertical one a part of the head that moved or that the model does not "
        "describe. Right: the residual of each cycle in all of this tissue over what is expected of it (dashed); beyond the dotted "
        "line "
        "a cycle is named. Cycles are called by their RF phase increment.",
        image=encode_picture(canvas),
        section=Section.QUALITY,
        alternative="Residual of every phase cycle over the image, and of each cycle as a whole",
    )
