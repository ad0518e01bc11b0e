"""Pictures of WASABI: the fringes of typical voxels, measured and fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.curves import plain
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.reports.drawing.spectra import Band
from qmri_bids.reports.drawing.styles import TISSUE_COLORS

EXAMPLES: Mapping[str, float] = {"low B1": 5.0, "median B1": 50.0, "high B1": 95.0}
"""Example voxels, by the percentile of B1 at which they lie."""


def example_voxels(b1: NDArray[np.floating]) -> dict[str, int]:
    """Return the index of the voxel at the 5th, 50th and 95th percentile of B1 by its name; empty where B1 has no value.

    Parameters
    ----------
    b1
        Actual over nominal B1, shape (V,).
    """
    known = np.flatnonzero(np.isfinite(b1))
    if not known.size:
        return {}
    limits = {name: float(np.percentile(b1[known], percent)) for name, percent in EXAMPLES.items()}
    return {name: int(known[np.argmin(np.abs(b1[known] - limit))]) for name, limit in limits.items()}


def wasabi_figure(
    offsets: NDArray[np.floating],
    measured: NDArray[np.floating],
    fitted: NDArray[np.floating],
    names: Sequence[str],
    *,
    fitted_offsets: NDArray[np.floating] | None = None,
    brain: Band | None = None,
    remark: str = "",
    key: str = "wasabi",
    title: str = "WASABI: measured and fitted",
) -> Figure:
    """Return WASABI spectra of example voxels with their fits, beside the mean spectrum of the brain.

    Parameters
    ----------
    offsets
        Offsets, positive downfield [ppm], shape (N,), in any order.
    measured
        Z of the example voxels (of `example_voxels`), shape (V, N); without any voxel the picture says so.
    fitted
        Fits of these voxels, shape (V, M).
    names
        What each voxel is and what was found there, V of them: "low B1: 81 %".
    fitted_offsets
        Offsets of the fits [ppm], shape (M,), close enough for a smooth line; those measured by default.
    brain
        Mean, lower and upper quartile of Z in the brain, of `mean_spectrum`, shape (N,) each.
    remark
        A sentence more for the caption.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If spectra, fits, offsets and names do not belong together.
    """
    offsets = np.asarray(offsets, dtype=np.float64)
    dense = offsets if fitted_offsets is None else np.asarray(fitted_offsets, dtype=np.float64)
    count = len(names)
    if np.shape(measured) != (count, len(offsets)) or np.shape(fitted) != (count, len(dense)):
        raise ValueError(
            f"measured must have shape ({count}, {len(offsets)}) and fitted ({count}, {len(dense)}) for {count} names, "
            f"found {np.shape(measured)} and {np.shape(fitted)}"
        )
    if brain is not None and np.shape(brain[0]) != offsets.shape:
        raise ValueError(
            f"brain must have one value for each of the {len(offsets)} offsets, found {np.shape(brain[0])}"
        )
    shown = count + (brain is not None)
    canvas = new_canvas(height=2.75)
    panels = list(canvas.subplots(1, max(shown, 1), sharey=True, squeeze=False)[0])
    canvas.subplots_adjust(left=0.055, right=0.99, top=0.90, bottom=0.17, wspace=0.08)
    if not count:
        panels[-1].text(0.5, 0.5, "no voxel was fitted", transform=panels[-1].transAxes, ha="center", fontsize=9)
    order, along = np.argsort(offsets), np.argsort(dense)
    rest = panels
    if brain is not None:
        mean, lower, upper = (np.asarray(each)[order] for each in brain)
        panels[0].fill_between(offsets[order], lower, upper, color="#5b6f7d", alpha=0.25, linewidth=0)
        panels[0].plot(offsets[order], mean, "o-", color="#5b6f7d", markersize=2.6, linewidth=1.0)
        panels[0].set_title("brain", fontsize=9, pad=4)
        rest = panels[1:]
    for number, (axes, name) in enumerate(zip(rest, names, strict=False)):
        color = TISSUE_COLORS[number % len(TISSUE_COLORS)]
        axes.plot(dense[along], np.asarray(fitted)[number, along], color=color, linewidth=1.4)
        axes.plot(offsets, np.asarray(measured)[number], "o", color=color, markersize=3.2)
        axes.set_title(name, fontsize=9, color=color, pad=4)
    margin = 0.02 * float(np.ptp(offsets))
    for axes in panels:
        axes.set_xlim(float(offsets.max()) + margin, float(offsets.min()) - margin)
        axes.set_xlabel("offset [ppm]", fontsize=9)
        plain(axes)
    panels[0].set_ylim(bottom=-0.02)
    panels[0].set_ylabel("Z", fontsize=9)
    sentences = []
    if brain is not None:
        sentences.append("Left: mean signal over M0 in the brain, with the quartiles over the voxels (band).")
    if count:
        sentences.append(
            f"Single voxels ({', '.join(names)}): measured (dots) and fitted (line). The distance of the fringes tells B1, their "
            "centre the shift of water."
        )
    sentences.append("Positive offsets (downfield) are at the left.")
    return Figure(
        key=key,
        title=title,
        caption=" ".join([*sentences, *([remark] if remark else [])]),
        image=encode_picture(canvas),
        section=Section.SPECTRA,
        alternative="Measured and fitted WASABI spectra of example voxels",
    )
