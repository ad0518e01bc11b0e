"""What stands beside a mask, so that one that a person has corrected is told from the program's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BRAIN, OBJECT = "brain", "object"
"""What a mask holds; of an object there are no tissues."""

MASK_OUTPUTS: Mapping[str, str] = {BRAIN: "brain_mask", OBJECT: "object_mask"}
"""Rows of `data/outputs.json` by what the mask holds, in the order in which they are looked for."""

HASH = "VoxelsSHA256"
"""Key of the sidecar: of the mask as the program wrote it. Saved again by an editor without a change it stays the same."""

BY_HAND = "Manual"
"""Key of BIDS: whether a person has made or corrected the mask."""


def mask_output(kind: str) -> str:
    """Return the row of `data/outputs.json` of a mask; one that holds everything is written as that of an object."""
    return MASK_OUTPUTS[BRAIN if kind == BRAIN else OBJECT]


def mask_hash(mask: ArrayLike) -> str:
    """Return the hash of the voxels of a mask above one half.

    Examples
    --------
    >>> import numpy as np
    >>> mask_hash(np.array([[[0, 1]]])) == mask_hash(np.array([[[0.1, 0.9]]]))
    True
    >>> mask_hash(np.array([[[0, 1]]])) == mask_hash(np.array([[[0], [1]]]))
    False
    """
    inside = np.asarray(mask, dtype=np.float32) > 0.5
    while inside.ndim > 3 and inside.shape[-1] == 1:
        inside = inside[..., 0]
    return hashlib.sha256(repr(inside.shape).encode() + np.packbits(inside).tobytes()).hexdigest()


def mask_record(mask: ArrayLike, *, by_hand: bool) -> dict[str, Any]:
    """Return what the sidecar of a mask says of it."""
    return {BY_HAND: by_hand, HASH: mask_hash(mask)}


def made_by_hand(sidecar: Mapping[str, Any] | None, mask: ArrayLike) -> bool:
    """Whether a person has made or corrected a mask.

    Parameters
    ----------
    sidecar
        Its content; None where there is none, as beside a file that an editor has made.
    mask
        The voxels.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.ones((2, 2, 2))
    >>> made_by_hand(mask_record(mask, by_hand=False), mask), made_by_hand(mask_record(mask, by_hand=False), 0 * mask)
    (False, True)
    """
    if sidecar is None:
        return True
    if sidecar.get(BY_HAND) is True:
        return True
    # A version of this program before the record left none: what it wrote is not taken for a person's.
    return HASH in sidecar and sidecar[HASH] != mask_hash(mask)
