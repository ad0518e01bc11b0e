"""The mask of a scan: its brain, or the object that it shows, with the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MASK_METHODS = ("auto", "library", "template", "object", "none")
"""Names of `--mask-method`."""


@dataclass(frozen=True, kw_only=True)
class FoundMask:
    """A mask and what speaks for it.

    Parameters
    ----------
    mask
        Boolean, on the grid of the image, shape (X, Y, Z).
    kind
        What it holds: `brain`, `object` or `all`.
    method
        What found it: `library`, `template`, `stripped`, `object` or `none`.
    level
        Traffic light: `good`, `check` or `bad`.
    value
        Short text beside the light.
    explanation
        What the light means and what to do.
    measures
        Numbers behind the light by name.
    decisions
        What was decided, as sentences.
    """

    mask: NDArray[np.bool_]
    kind: str
    method: str
    level: str
    value: str
    explanation: str
    measures: Mapping[str, float]
    decisions: tuple[str, ...]


def find_mask(magnitude: NDArray[np.floating], *, affine: NDArray[np.floating], method: str = "auto") -> FoundMask:
    """Return the mask of an image.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z); of phase cycles best the mean, in which the bands are weakest.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    method
        One of `MASK_METHODS`.

    Raises
    ------
    ValueError
        If the method is unknown or the image is constant.
    """
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

    from qmri_bids.preprocessing.brain_library import library_probability
    from qmri_bids.preprocessing.masks import head_mask

    if method not in MASK_METHODS:
        raise ValueError(f"method: expected one of {', '.join(MASK_METHODS)}, found {method!r}")
    image = np.asarray(magnitude, dtype=np.float32)
    edge = np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)
    if not np.ptp(image) > 0.0:
        raise ValueError("the magnitude image is constant: no signal in it; check the files of this run")
    kind, used = "object", "object"
    if method == "none":
        mask, kind, used = np.isfinite(image), "all", "none"
    elif method == "object":
        mask = head_mask(image)
    else:
        orientation = io_orientation(affine)
        probability = library_probability(apply_orientation(image, orientation))
        mask = head_mask(image)
        if probability is not None:
            back = ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), orientation)
            mask, kind, used = apply_orientation(probability, back) > 0.5, "brain", "library"
    volume = float(mask.sum() * np.prod(edge)) * 1e-3
    return FoundMask(
        mask=mask,
        kind=kind,
        method=used,
        level="check",
        value=f"{volume / 1000.0:.2f} litres",
        explanation="Look at the outline; --mask-method and --mask-file replace it.",
        measures={"brain_volume": volume},
        decisions=(f"The mask holds {volume / 1000.0:.2f} litres.",),
    )
