"""What is checked of the files of an anatomy before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.refusal import RefusedError, refuse

LABELS = (0, 1, 2, 3)
"""Of a dseg: outside and three tissues, in whatever order."""

HDF5 = b"\x89HDF"
"""How a composite transform begins."""

ADVICE = "Restore the file, or leave this folder out of --derivatives; masks and tissues alone are left out with --ignore anatomy."


def check_anatomy_files(
    t1w: Path,
    *,
    brain_mask: Path | None = None,
    dseg: Path | None = None,
    probseg: Sequence[Path] = (),
    transforms: Sequence[Path] = (),
    grids: Sequence[Path] = (),
) -> None:
    """Check the files of an anatomy.

    Parameters
    ----------
    t1w
        The image: 3D, finite, not constant.
    brain_mask, dseg, probseg
        On its grid; the mask holds something, the labels are those of three tissues.
    transforms
        Files of transforms, that they are no stubs.
    grids
        Images whose grid is that of a template.

    Raises
    ------
    RefusedError
        At the first file that is not what it should be.
    """
    values, affine = _read(t1w)
    if values.ndim != 3:
        raise _refuse(t1w, key="shape", expected="a 3D image", found=f"shape {values.shape}")
    if not np.all(np.isfinite(values)):
        share = 100.0 * float(np.mean(~np.isfinite(values)))
        raise _refuse(
            t1w, key="values", expected="finite values", found=f"NaN or infinite in {share:.2g} % of the voxels"
        )
    if not np.ptp(values) > 0.0:
        raise _refuse(
            t1w, key="values", expected="an image of a head", found=f"the value {values.flat[0]:g} everywhere"
        )
    for path in (each for each in (brain_mask, dseg, *probseg) if each is not None):
        other, other_affine = _read(path)
        if other.shape != values.shape or not np.allclose(other_affine, affine, atol=1e-3):
            found = f"shape {other.shape}" if other.shape != values.shape else "another affine"
            raise _refuse(path, key="grid", expected=f"that of {t1w.name}, shape {values.shape}", found=found)
        if not np.any(other > 0):
            raise _refuse(path, key="values", expected="voxels of the brain", found="no value above 0")
        if path == dseg and not set(np.unique(other).tolist()) <= set(LABELS):
            shown = ", ".join(f"{each:g}" for each in np.unique(other)[:8])
            raise _refuse(path, key="labels", expected="0 and three tissues, 1 to 3", found=shown)
    for path in grids:
        _grid(path)
    for path in transforms:
        _check_transform(path)


def _check_transform(path: Path) -> None:
    """Refuse a transform that is empty, or not of the format that its name says."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(HDF5))
    except OSError as error:
        raise _refuse(path, key="transform", expected="a file that can be read", found=f"{error}") from error
    if not begin or (path.suffix == ".h5" and begin != HDF5):
        found = "an empty file" if not begin else "another format"
        raise _refuse(path, key="transform", expected="an ITK transform", found=found)


def _grid(path: Path) -> Any:
    """Return the image, whose data are not read."""
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        return image if len(image.shape) >= 3 else nib.squeeze_image(image)
    except Exception as error:
        raise _refuse(path, key="image", expected="a NIfTI image that can be read", found=f"{error}") from error


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return values and affine."""
    image = _grid(path)
    try:
        return np.asanyarray(image.dataobj), image.affine
    except Exception as error:
        raise _refuse(path, key="image", expected="a NIfTI image that can be read", found=f"{error}") from error


def _refuse(path: Path, *, key: str, expected: str, found: str) -> RefusedError:
    # The whole path: it may lie in any of several datasets.
    return refuse(file=str(path), key=key, expected=expected, found=found, advice=ADVICE)
