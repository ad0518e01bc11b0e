"""Pictures of the images of a CEST or MT run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.encode import encode_picture
from qmri_bids.reports.drawing.montage import draw_montage
from qmri_bids.reports.drawing.planes import RADIOLOGICAL

MOST_VOLUMES = 12
"""Volumes that a picture of a series shows at most."""


def series_figure(
    volumes: NDArray[np.floating],
    *,
    labels: Sequence[str],
    affine: NDArray[np.floating],
    mask: NDArray[Any],
    reference: int | None = None,
    remark: str = "",
    key: str = "series",
    title: str = "Images of the series",
) -> Figure:
    """Return the same axial slice of up to twelve images, beside the mean of all with the outline of the brain mask.

    Parameters
    ----------
    volumes
        Aligned magnitudes, shape (X, Y, Z, N).
    labels
        What each image is, N of them: "M0", "+3.5 ppm".
    affine
        Voxel to world [mm], shape (4, 4).
    mask
        Brain mask, shape (X, Y, Z); it places the slice and sets the window.
    reference
        Index of the reference of the motion correction, shown and marked where given.
    remark
        A sentence more for the caption.
    key, title
        Name and heading of the figure.

    Raises
    ------
    ValueError
        If the number of labels is not that of the images.
    """
    count = len(labels)
    if np.ndim(volumes) != 4 or np.shape(volumes)[-1] != count:
        raise ValueError(f"volumes must have shape (X, Y, Z, {count}) for {count} labels, found {np.shape(volumes)}")
    shown = choice(count, reference=reference)
    montage = draw_montage(
        volumes[..., shown],
        labels=[labels[index] for index in shown],
        affine=affine,
        mask=mask,
        mean=np.mean(volumes, axis=-1),
        marked=None if reference is None else shown.index(reference),
    )
    which = f"All {count} images" if len(shown) == count else f"{len(shown)} of the {count} images"
    sentences = [
        f"{which} in the {montage.cut.words}, in the order of the scan; all have the same window.",
        "What saturates the signal is dark; the outlines of the anatomy must not move.",
        f"Left: the mean of all {count}, with the outline of the brain mask in yellow.",
        *([remark] if remark else []),
        RADIOLOGICAL,
    ]
    return Figure(
        key=key,
        title=title,
        caption=" ".join(sentences),
        image=encode_picture(montage.canvas),
        section=Section.SERIES,
        alternative=f"Montage of {len(shown)} images and the mean of {count}",
    )


def choice(count: int, *, reference: int | None = None) -> list[int]:
    """Return the indices of at most twelve images: the first, the last, those spread evenly between, and the reference.

    Examples
    --------
    >>> choice(3)
    [0, 1, 2]
    >>> choice(34, reference=7)
    [0, 3, 7, 9, 12, 15, 18, 21, 24, 27, 30, 33]
    """
    chosen = np.unique(np.round(np.linspace(0, count - 1, min(count, MOST_VOLUMES))).astype(int)).tolist()
    if reference is not None and reference not in chosen:
        # The image closest to the reference makes room for it, but never the first, which is M0 nearly always.
        chosen[1 + int(np.argmin(np.abs(np.array(chosen[1:]) - reference)))] = reference
    return sorted(chosen)
