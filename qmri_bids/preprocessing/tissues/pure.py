"""Voxels of grey and white matter that hold nothing else: those of which statistics speak of a tissue.

Half of what is labelled grey matter holds some fluid, and 3 % of T2 come with every 1 % of it. Pure voxels are told by their
surroundings and never by their own value, so that their median and spread are those of the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.tissue_labels import FLUID, GREY, NAMES, WHITE

FLUID_SHARE = 0.15
"""Expected share of fluid from which a voxel counts as one that holds fluid: noise alone makes less."""

DISTANCES = ((2.0, 2.0), (1.5, 1.5), (1.5, 1.0))
"""Least distance from voxels with fluid and from the other tissue [voxels], the strictest first: 2 leaves out the neighbours and
theirs along an axis, 1.5 those that touch by a side or an edge."""

FEWEST_PURE = 50
"""Voxels from which a median is stated; with fewer the next distance is taken."""

AMONG_WHITE = 0.4
"""Share of white matter around a voxel of grey matter from which it is no part of the cortex or of a nucleus."""

SURROUNDINGS = 0.075
"""Radius of the ball that is looked at around a voxel over the root of the largest section through the brain: 10 mm in a human,
also of a slab or a slice."""


@dataclass(frozen=True, kw_only=True)
class PureTissue:
    """Voxels of pure tissue.

    Parameters
    ----------
    labels
        uint8, the labels of grey and white matter where they are pure, else 0, shape (X, Y, Z).
    decisions
        How many there are and how they were told, as sentences.
    """

    labels: NDArray[np.uint8]
    decisions: tuple[str, ...]


def pure_tissue(
    labels: NDArray[np.integer], *, mask: NDArray[np.bool_], fluid: NDArray[np.floating] | None = None
) -> PureTissue:
    """Return the voxels of grey and white matter that lie away from fluid, from the other tissue and from the edge of the mask.

    Grey matter in the midst of white matter is not counted: a lesion there may look like it.

    Parameters
    ----------
    labels
        Labels of the tissues, 0 for none, shape (X, Y, Z).
    mask
        The brain.
    fluid
        Expected share of fluid, shape (X, Y, Z); without it only voxels labelled as fluid hold it.

    Raises
    ------
    ValueError
        If shapes differ.

    Examples
    --------
    >>> labels = np.full((12, 12, 12), 2)
    >>> labels[:4] = 3
    >>> found = pure_tissue(labels, mask=np.ones(labels.shape, dtype=bool))
    >>> int(found.labels[4, 6, 6]), int(found.labels[5, 6, 6])
    (0, 2)
    """
    from scipy.ndimage import distance_transform_edt

    if labels.shape != mask.shape or (fluid is not None and fluid.shape != mask.shape):
        raise ValueError(f"labels, mask and fluid must have one shape, found {labels.shape}, {mask.shape}")
    inside = np.asarray(mask, dtype=bool)
    wet = ~inside | (labels == FLUID) | (inside & (labels == 0))
    if fluid is not None:
        wet |= fluid > FLUID_SHARE
    # The edge of the image is not an edge of the brain, so that a slab keeps its outer slices.
    dry = distance_transform_edt(~wet) if wet.any() else np.full(labels.shape, np.inf)
    pure = np.zeros(labels.shape, dtype=np.uint8)
    said = []
    for tissue, other in ((GREY, WHITE), (WHITE, GREY)):
        own = inside & (labels == tissue)
        if tissue == GREY:
            own &= white_around(labels == WHITE, mask=inside) < AMONG_WHITE
        foreign = labels == other
        away = distance_transform_edt(~foreign) if foreign.any() else np.full(labels.shape, np.inf)
        for from_fluid, from_other in DISTANCES:
            found = own & (dry >= from_fluid) & (away >= from_other)
            if np.count_nonzero(found) >= FEWEST_PURE:
                pure[found] = tissue
                said.append(
                    f"{np.count_nonzero(found):,} of {np.count_nonzero(labels == tissue):,} voxels of {NAMES[tissue]} are pure: at "
                    f"least {from_fluid:g} voxels from any that holds fluid or has no tissue, {from_other:g} from {NAMES[other]}."
                )
                break
        else:
            said.append(
                f"Fewer than {FEWEST_PURE} voxels of {NAMES[tissue]} are pure: there are no statistics of these."
            )
    return PureTissue(labels=pure, decisions=tuple(said))


def white_around(white: NDArray[np.generic], *, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the share of white matter around every voxel.

    Parameters
    ----------
    white
        Mask of white matter, or its share, shape (X, Y, Z).
    mask
        The brain, which says how large the surroundings are.
    """
    from scipy.ndimage import gaussian_filter

    sections = [mask.sum(axis=axes).max(initial=0) for axes in ((0, 1), (0, 2), (1, 2))]
    radius = SURROUNDINGS * float(np.sqrt(max(sections)))
    return gaussian_filter(np.asarray(white, dtype=np.float32), 0.5 * radius, mode="nearest")
