"""Whether the images of a template on disk are whole: a damaged one is refused before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qmri_bids.bids.anatomy.templates import HOME_VARIABLE, Template
from qmri_bids.bids.layout import BidsInputError

if TYPE_CHECKING:  # the command line reads this module
    import numpy as np
    from numpy.typing import NDArray


def check_template(template: Template, *, grids: Sequence[Path] = ()) -> None:
    """Refuse a template of which an image that is needed is damaged.

    Parameters
    ----------
    template
        Template with a head and a mask of its brain.
    grids
        Further images of it that show a grid; only their headers are looked at.

    Raises
    ------
    BidsInputError
        If one is no volume that can be read, holds no finite value in the brain, or the mask is empty or on another grid.
    """
    import numpy as np

    head, mask = template.registered
    values, affine = _volume(head)
    inside, mask_affine = _volume(mask)
    if values.shape != inside.shape or not np.allclose(affine, mask_affine, atol=1e-3):
        raise _refused(mask, f"the grid of {head.name} ({_text(values.shape)})", f"another ({_text(inside.shape)})")
    brain = inside > 0.5
    if not brain.any():
        raise _refused(mask, "a mask of the brain", "no voxel above one half")
    known = values[brain]
    if not (np.isfinite(known) & (known != 0)).any():
        raise _refused(head, "an image of the head", "no value but NaN and 0 in the brain")
    for path in grids:
        if path != head:
            _grid(path)


def _grid(path: Path) -> Any:
    """Return an image by its header, which is that of one volume."""
    import nibabel as nib

    try:
        image: Any = nib.load(path)
    except Exception as error:  # whatever a library says of content that is none
        raise _refused(path, "a NIfTI image", " ".join(str(error).split())) from error
    if len(image.shape) != 3 or min(image.shape) < 2:
        raise _refused(path, "one volume", _text(image.shape))
    return image


def _volume(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    import numpy as np

    image = _grid(path)
    try:
        return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=float)
    except Exception as error:  # a file that ends too early, in any of the ways of its compression
        raise _refused(path, "a NIfTI image that can be read to its end", " ".join(str(error).split())) from error


def _text(shape: Sequence[int]) -> str:
    return f"{' × '.join(map(str, shape))} voxels"


def _refused(path: Path, expected: str, found: str) -> BidsInputError:
    return BidsInputError(
        f"{HOME_VARIABLE}: {path}: expected {expected}, found {found}; get this file of the template anew"
    )
