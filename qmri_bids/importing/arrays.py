"""Arrays of Python and Matlab: with a small description they become images."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.files.plain import UnreadableError, check_regular

ENDINGS = (".npy", ".npz", ".mat")
OWN_KEYS = ("VoxelSize", "Kind", "Part", "Axes", "Variable")
"""Keys of a description that are for the array; all others are for the sidecar."""

AXES = ("x", "y", "z", "volume")
"""Names of axes; `cycle` and `offset` say `volume`."""

TEMPLATE = (
    '{"VoxelSize": [2, 2, 2], "Kind": "pcbssfp", "Part": "complex", "Axes": ["x", "y", "z", "cycle"], '
    '"FlipAngle": 15, "RepetitionTimeExcitation": 0.005, "EchoTime": 0.0025, "RFPhaseIncrement": [0, 90, 180, 270], '
    '"MagneticFieldStrength": 3}'
)
"""A description to copy."""

_STORED = {"float16": np.float32, "bool": np.uint8}


def write_array(path: Path, *, description: Mapping[str, Any] | None, scratch: Path) -> Path:
    """Write an array as a NIfTI image and return where.

    The values stay as they are, complex ones in a complex image. Array axes run to the right, to the front and up; the centre
    of the volume is the origin.

    Parameters
    ----------
    path
        `.npy`, `.npz` or `.mat`.
    description
        Content of the JSON file of the same name; None without one.
    scratch
        Folder for the image.

    Raises
    ------
    ValueError
        If there is no description, it does not fit the array, or the array cannot be read.
    """
    import nibabel as nib

    sidecar = path.with_suffix(".json").name
    if description is None:
        raise ValueError(
            f"{path.name}: description: expected {sidecar} beside it, found none. Write one such as {TEMPLATE} (VoxelSize in "
            "mm, times in s, angles in degrees)."
        )
    size = description.get("VoxelSize")
    if not isinstance(size, list) or len(size) != 3 or not all(_positive(edge) for edge in size):
        raise ValueError(
            f"{sidecar}: VoxelSize: expected three numbers above zero in mm, found {size!r}. Add it, for instance "
            '"VoxelSize": [2, 2, 2].'
        )
    array = _ordered(_load(path, description.get("Variable")), description, path=path, sidecar=sidecar)
    if array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise ValueError(
            f"{path.name}: type: expected numbers of 64 bits at most (complex128), found {array.dtype.name}. Save it as float64 or "
            "complex128."
        )
    array = array.astype(_STORED.get(array.dtype.name, array.dtype), copy=False)
    affine = np.diag([*map(float, size), 1.0])
    affine[:3, 3] = -0.5 * affine[:3, :3] @ (np.array(array.shape[:3]) - 1.0)
    image = nib.Nifti1Image(array, None, dtype=array.dtype)
    image.header.set_slope_inter(1.0, 0.0)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    target = scratch / uuid.uuid4().hex / f"{path.stem}.nii.gz"
    target.parent.mkdir(parents=True)
    nib.save(image, target)
    return target


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 < value < float("inf")


def _ordered(array: NDArray[Any], description: Mapping[str, Any], *, path: Path, sidecar: str) -> NDArray[Any]:
    """Return an array with its axes in the order x, y, z, volume.

    Raises
    ------
    ValueError
        If the axes that are stated are none, or not as many as those of the array.
    """
    given = description.get("Axes", list(AXES[: array.ndim]) if array.ndim in (3, 4) else None)
    names = (
        []
        if not isinstance(given, list)
        else [{"cycle": "volume", "offset": "volume"}.get(str(a), str(a)) for a in given]
    )
    if len(names) != array.ndim or sorted(names) not in (
        sorted(AXES),
        sorted(AXES[:3]),
        sorted(("x", "y", "volume")),
        ["x", "y"],
    ):
        raise ValueError(
            f"{sidecar}: Axes: expected one of x, y, z and cycle (or volume, offset) for each of the {array.ndim} axes of "
            f'{path.name}, shape {array.shape}, found {given!r}. Add for instance "Axes": ["cycle", "x", "y", "z"].'
        )
    if "z" not in names:
        array, names = array[..., np.newaxis], [*names, "z"]
    return np.ascontiguousarray(array.transpose([names.index(axis) for axis in AXES if axis in names]))


def _load(path: Path, variable: Any) -> NDArray[Any]:
    """Return the array of a file.

    Raises
    ------
    ValueError
        If it cannot be read, holds no array of numbers or several.
    """
    try:
        check_regular(path)
    except UnreadableError as error:
        raise ValueError(f"{path.name}: file: expected a file, found {error}. Restore it.") from error
    try:
        found = _variables(path)
    except ValueError:
        raise
    except Exception as error:  # readers of arrays have errors of their own for every damage
        raise ValueError(
            f"{path.name}: file: expected an array that can be read, found {' '.join(str(error).split())}. Save it again."
        ) from error
    if variable is None and len(found) == 1:
        variable = next(iter(found))
    if variable not in found:
        raise ValueError(
            f"{path.name}: Variable: expected the name of the array ({', '.join(sorted(found)) or 'there is none'}), found "
            f'{variable!r}. State it in {path.stem}.json, for instance "Variable": "{next(iter(sorted(found)), "image")}".'
        )
    return found[variable]


def _variables(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers of two axes or more by name."""
    if path.suffix.lower() == ".mat":
        with path.open("rb") as handle:
            begin = handle.read(520)
        if begin[:10] == b"MATLAB 7.3" or b"\x89HDF" in (begin[:4], begin[512:516]):
            raise ValueError(
                f"{path.name}: file: expected a MAT-file of version 7 or earlier, found version 7.3 (HDF5). Save it again in "
                "Matlab by save(..., '-v7')."
            )
        from scipy.io import loadmat

        content: Mapping[str, Any] = loadmat(path)
    else:
        loaded = np.load(path, allow_pickle=False)
        content = {"array": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    return {
        key: value
        for key, value in content.items()
        if isinstance(value, np.ndarray) and value.ndim >= 2 and value.size > 1 and value.dtype.kind in "biufc"
    }
