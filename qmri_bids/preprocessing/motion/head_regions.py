"""Parts of an image that the alignment looks at: the brain, its surroundings, and how deep a voxel lies in the head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes

_ALL_OF_HEAD = 0.9
"""Share of the head from which on a mask leaves nothing out."""


def check_brain(brain: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> None:
    """Refuse a brain mask that is empty or of another grid.

    Raises
    ------
    ValueError
        If it is.
    """
    if brain is not None and brain.shape != tuple(shape):
        raise ValueError(f"the brain mask must have the shape {tuple(shape)} of the images, found {brain.shape}")
    if brain is not None and not brain.any():
        raise ValueError("the brain mask is empty; leave it out to use the whole head")


def apart_from_head(brain: NDArray[np.bool_] | None, *, head: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return a brain mask, None where it is all of the head: a phantom, an object, or a brain without its skull."""
    if brain is None or np.count_nonzero(brain & head) > _ALL_OF_HEAD * np.count_nonzero(head):
        return None
    return np.asarray(brain, dtype=bool)


def depth(head: NDArray[np.bool_], *, affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how deep each voxel lies in the head [mm]; the borders of the image are no skin."""
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(head, 1, mode="edge")
    if padded.all():
        return np.full(head.shape, np.inf)
    return np.asarray(distance_transform_edt(padded, sampling=voxel_sizes(affine))[1:-1, 1:-1, 1:-1])


def grown(mask: NDArray[np.bool_], *, by: float, affine: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return a mask with all that lies within a distance [mm] of it."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~mask, sampling=voxel_sizes(affine)) <= by)
