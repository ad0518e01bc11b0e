"""What stands beside a mask, so that one that a person has corrected is told from the program's own."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qmri_bids.bids.files.plain import read_json

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
    # Without a record nothing says that the program wrote it: rather one mask too many is kept than a person's work lost.
    return sidecar is None or sidecar.get(BY_HAND) is True or sidecar.get(HASH) != mask_hash(mask)


def file_of_person(path: Path, *, besides: ArrayLike | None = None) -> bool:
    """Whether a file is a mask that a person has made or corrected, and must be neither written over nor removed.

    Parameters
    ----------
    path
        Any file of the output folder; it need not exist.
    besides
        Voxels of a mask that is about to be written: a file that holds the very same loses nothing.
    """
    if not re.search(r"_desc-(brain|object)_mask\.nii(\.gz)?$", path.name) or not path.is_file():
        return False
    if path.suffix == ".nii":  # this program writes none
        return True
    import nibabel as nib

    beside = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    try:
        image: Any = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
        content = read_json(beside) if beside.is_file() else None
    except (OSError, ValueError, EOFError, zlib.error, nib.filebasedimages.ImageFileError):
        return True
    by_hand = made_by_hand(content if isinstance(content, dict) else None, values)
    return by_hand and (besides is None or mask_hash(values) != mask_hash(besides))
