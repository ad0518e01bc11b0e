"""The outline of the brain as the image itself shows it: bright tissue inside the dark skull, whatever the contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.brain_shape import signed_distance

TISSUE_LEVEL = 0.6
"""Of the signal deep in the head: above it is tissue, below it skull and air, and fluid where that is dark."""

BRIGHTEST = 2.0
"""Of the signal deep in the head: what is brighter counts as that."""

DEEP = 25.0
"""Depth under the skin at which there is brain [mm]."""

SHELL = 6.0
"""Depth down to which there is scalp, if there is any [mm]."""

CORE = 20.0
"""Depth from which there is no scalp [mm]."""

DARK_SKULL = 0.65
"""Of the signal deep in the head: where scalp and brain meet most is darker, else there is no scalp."""

BAND = 4.0
"""The outline is looked for so far on either side of the first guess [mm]."""

CLOSING = 6.0
"""Sulci and fissures up to twice as wide belong to the brain [mm]."""

DARK_FLUID = 0.02
"""Share of what lies deep in the brain with less than half of its signal from which fluid is dark in this image."""

DARK_DEPTH = 6.0
"""Depth from which the brain counts as deep for that [mm]: what is dark there is no skull."""

EDGE = 0.6
"""Of the signal beside it: a voxel at the steepest edge with more is brain."""

RIM = 2.0
"""Thickness of the rim of fluid that is added around the tissue where fluid is dark [mm]."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What the image shows.

    Parameters
    ----------
    inside
        The brain, shape (X, Y, Z).
    distance
        Signed distance to its outline [mm], negative inside.
    scalp
        Whether there was scalp to part from.
    dark_fluid
        Whether fluid is dark, so that a rim was added.
    """

    inside: NDArray[np.bool_]
    distance: NDArray[np.float32]
    scalp: bool
    dark_fluid: bool


def filled_head(image: NDArray[np.floating], *, threshold: float) -> NDArray[np.bool_]:
    """Return the head with all that its tissue encloses, in space or in slices: a slab is open above and below."""
    from scipy import ndimage

    head = _largest(image > threshold)
    filled = ndimage.binary_fill_holes(head)
    for axis in range(3):
        slices = [ndimage.binary_fill_holes(each) for each in np.moveaxis(head, axis, 0)]
        filled |= np.moveaxis(np.stack(slices), 0, axis)
    return filled


def find_outline(image: NDArray[np.floating], *, head: NDArray[np.bool_], spacing: float) -> Outline:
    """Return the brain: tissue that holds together with what lies deep in the head once scalp has been parted from it.

    Tissue is thinned until the scalp falls off and grown back; the outline is then the steepest edge near it, which is half of
    the signal whatever tissue lies there. Sulci are closed, and where they were dark a rim of fluid is added.

    Parameters
    ----------
    image
        Magnitudes on an isotropic grid, shape (X, Y, Z).
    head
        The head with all that it encloses, shape (X, Y, Z).
    spacing
        Edge of a voxel [mm].

    Raises
    ------
    ValueError
        If nothing is left.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(image, 0.5)
    depth = ndimage.distance_transform_edt(head) * spacing
    deep = depth > min(DEEP, 0.6 * float(depth.max()))
    level = float(np.median(smooth[deep]))
    blurred = smooth
    # Bright fat and fluid would spill over the skull and outweigh the edge of tissue.
    smooth = ndimage.gaussian_filter(np.minimum(image, BRIGHTEST * level), 0.5)
    tissue = (smooth > TISSUE_LEVEL * level) & head
    parts = _part(smooth, tissue=tissue, depth=depth, head=head)
    border = smooth[ndimage.binary_dilation(parts == 1) & (parts == 2)]
    scalp = border.size > 0 and float(np.median(border)) < DARK_SKULL * level
    guess = ndimage.binary_fill_holes(_largest(tissue & (parts == 1) if scalp else tissue))
    if not guess.any():
        raise ValueError("there is no tissue deep in the head")
    hull = _closed(guess, spacing=spacing)
    deep = signed_distance(hull, spacing=spacing) < -DARK_DEPTH
    dark = bool(deep.any()) and float(np.mean(smooth[deep] < 0.5 * level)) > DARK_FLUID
    inside = guess if dark else _steepest(guess, smooth=smooth, blurred=blurred, head=head, spacing=spacing)
    closed = _closed(inside, spacing=spacing) & ndimage.binary_dilation(head)
    distance = signed_distance(closed, spacing=spacing) - np.float32(RIM if dark else 0.0)
    return Outline(inside=distance < 0.0, distance=distance, scalp=scalp, dark_fluid=dark)


def _steepest(
    guess: NDArray[np.bool_],
    *,
    smooth: NDArray[np.floating],
    blurred: NDArray[np.floating],
    head: NDArray[np.bool_],
    spacing: float,
) -> NDArray[np.bool_]:
    """Return what lies inside the steepest edge near a first guess, to a voxel by the share of the signal beside it."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    distance = signed_distance(guess, spacing=spacing)
    markers = np.where(distance < -BAND, 1, np.where((distance > BAND) | ~head, 2, 0)).astype(np.int32)
    edge = ndimage.gaussian_gradient_magnitude(smooth, 0.7)
    inside = ndimage.binary_fill_holes(watershed(edge, markers) == 1)
    distance = signed_distance(inside, spacing=spacing)
    beside = ndimage.maximum_filter(np.where(inside, blurred, 0.0), size=3)
    return (distance < -spacing) | ((distance < spacing) & (blurred > EDGE * beside) & (beside > 0.0))


def _part(
    smooth: NDArray[np.floating],
    *,
    tissue: NDArray[np.bool_],
    depth: NDArray[np.floating],
    head: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """Return 1 for what belongs to the deep of the head and 2 for the scalp: they meet where it is darkest between them."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    core = tissue & (depth > min(CORE, 0.5 * float(depth.max())))
    markers = np.where(core, 1, np.where(tissue & (depth < SHELL), 2, 0))
    return watershed(-ndimage.gaussian_filter(smooth, 0.7), markers, mask=head)


def _closed(mask: NDArray[np.bool_], *, spacing: float) -> NDArray[np.bool_]:
    """Return a mask closed by a ball; beyond the image it goes on as at its border."""
    from scipy import ndimage

    reach = int(np.ceil(CLOSING / spacing)) + 1
    wide = np.pad(mask, reach, mode="edge")
    dilated = ndimage.distance_transform_edt(~wide) * spacing <= CLOSING
    closed = ndimage.distance_transform_edt(dilated) * spacing > CLOSING
    return ndimage.binary_fill_holes(closed | wide)[(slice(reach, -reach),) * 3]


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, number = ndimage.label(mask)
    return mask if number == 0 else labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
