"""Checks of a NIfTI file before anything is computed from it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.files.nifti import HeaderError, check_content, read_header
from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.grids import SAME_GRID, grid_distance

AFFINE_TOLERANCE = 1e-3
"""Largest difference between the affines of two images on one grid [mm]: headers store float32."""

SHEAR_TOLERANCE = 1e-2
"""Cosine of the angle between two axes above which a grid is sheared: registration knows no such grids."""

VOXEL_SIZES = (0.01, 40.0)
"""Smallest and largest edge of a voxel [mm]: of mouse brains, and of thick slices; outside, lengths are in another unit."""

LARGEST_EXTENT = 3000.0
"""Largest field of view [mm]."""

LARGEST_MAP = 2**25
"""Voxels of a map that the check looks at as a whole: 320³ and more."""

LARGEST_FORM_DISTANCE = 0.5
"""Voxels between the places that sform and qform of one header state: rounding makes hundredths."""

LENGTH_UNITS = {1: "metres", 3: "micrometres"}
"""Units other than millimetres that a header may state, by their code."""


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """Header of an image that was found readable and complete.

    Parameters
    ----------
    path, name
        The file, and its name relative to the dataset for messages.
    shape
        Shape of the data.
    affine
        Voxel to scanner coordinates [mm], shape (4, 4).
    is_complex
        Whether the values are complex.
    doubts
        What is to be said of its place in the scanner, as sentences.
    volume_time
        Time from volume to volume by the header [s]; None where it states none.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    affine: NDArray[np.floating]
    is_complex: bool
    doubts: tuple[str, ...] = ()
    volume_time: float | None = None


def check_image(path: Path, *, root: Path) -> ImageInfo:
    """Read the header of a NIfTI file and check that all of its data are there.

    Parameters
    ----------
    path
        `.nii` or `.nii.gz`.
    root
        The dataset, for names in messages.

    Raises
    ------
    RefusedError
        If the file is missing, empty, no NIfTI, truncated, damaged, of a type that holds no numbers, or has no usable grid.
    """
    import nibabel as nib

    name = relative_name(path, root)
    try:
        header = read_header(path)
        check_content(path, header)
    except HeaderError as error:
        raise _refused(name, error) from error
    shape = header.shape
    while len(shape) > 3 and shape[-1] == 1:  # as every reader does
        shape = shape[:-1]
    if len(shape) < 3:
        raise refuse(
            file=name,
            key="shape",
            expected="an image of three or four axes",
            found=str(shape),
            advice="Convert the image again.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numbers out of range in an affine, which is judged below
            image: Any = nib.load(path)
            affine = np.asarray(image.affine, dtype=np.float64)
        data_type = image.get_data_dtype()
        doubts = _placement_doubts(image, name=name)
        volume_time = _volume_time(image)
    except Exception as error:  # whatever else a library stumbles over is a fault of the file
        raise refuse(
            file=name,
            key="file",
            expected="a readable NIfTI image",
            found="a header that cannot be read (" + " ".join(str(error).split()) + ")",
            advice="Convert or copy the image again.",
        ) from error
    _check_affine(affine, name=name, shape=shape, unit=header.unit)
    return ImageInfo(
        path=path,
        name=name,
        shape=shape,
        affine=affine,
        is_complex=bool(np.issubdtype(data_type, np.complexfloating)),
        doubts=doubts,
        volume_time=volume_time,
    )


def _placement_doubts(image: Any, *, name: str) -> tuple[str, ...]:
    """Return what is to be said where a header states no place, or two."""
    sform, qform = image.header.get_sform(coded=True)[0], image.header.get_qform(coded=True)[0]
    if sform is None and qform is None:
        return (f"{name}: neither sform nor qform is set: orientation and position in the scanner are unknown.",)
    if sform is None or qform is None or abs(np.linalg.det(sform[:3, :3])) < 1e-30:
        return ()
    apart = grid_distance(sform, qform, shape=image.shape)
    if not apart > LARGEST_FORM_DISTANCE:
        return ()
    return (
        f"{name}: sform and qform of the header place the image up to {apart:.1f} voxels apart; the sform was taken, as always. "
        "They differ where a program has moved or resampled an image: is this one as it was scanned?",
    )


def _volume_time(image: Any) -> float | None:
    """Return the time from volume to volume of a header that states it with its unit [s]."""
    scale = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}.get(image.header.get_xyzt_units()[1])
    if scale is None or len(image.shape) < 4:
        return None
    value = scale * float(image.header["pixdim"][4])
    return value if math.isfinite(value) and value > 0.0 else None


def _refused(name: str, error: HeaderError) -> RefusedError:
    return refuse(file=name, key=error.key, expected=error.expected, found=error.found, advice=error.advice)


def _check_affine(affine: NDArray[np.floating], *, name: str, shape: tuple[int, ...], unit: int) -> None:
    """Refuse a grid that is none, is sheared, or has voxels of no scan of a head or an object.

    Raises
    ------
    RefusedError
        With the numbers.
    """
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-30:
        raise refuse(
            file=name,
            key="affine",
            expected="finite voxel sizes above zero",
            found=str(np.round(affine[:3], 6).tolist()),
            advice="Convert the image again.",
        )
    sizes = np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))
    shown = " × ".join(f"{size:.4g}" for size in sizes) + " mm"
    low, high = VOXEL_SIZES
    if sizes.min() < low or sizes.max() > high:
        stated = LENGTH_UNITS.get(unit)
        doubt = f"; the header says that lengths are in {stated}" if stated else ""
        raise refuse(
            file=name,
            key="voxel size",
            expected=f"{low:g} to {high:g} mm along each axis",
            found=f"{shown}{doubt}",
            advice="NIfTI images of scans are in millimetres: convert the image again, or correct its affine.",
        )
    extent = float((sizes * np.array(shape[:3])).max())
    if extent > LARGEST_EXTENT:
        raise refuse(
            file=name,
            key="voxel size",
            expected=f"a field of view of at most {LARGEST_EXTENT:g} mm",
            found=f"{extent:.4g} mm (voxels of {shown}, shape {shape})",
            advice="Convert the image again, or correct its affine.",
        )
    directions = affine[:3, :3] / sizes
    cosines = np.abs(directions.T @ directions - np.eye(3))
    if cosines.max() > SHEAR_TOLERANCE:
        angle = math.degrees(math.acos(min(1.0, float(cosines.max()))))
        raise refuse(
            file=name,
            key="affine",
            expected="axes that are perpendicular",
            found=f"two at an angle of {angle:.1f}° (shear)",
            advice="Resample the image to a grid without shear, or convert it again.",
        )


def stored_shape(path: Path) -> tuple[int, ...]:
    """Return the shape in the header of an image."""
    import nibabel as nib

    image: Any = nib.load(path)
    return tuple(int(each) for each in image.shape)


def volumes_in(path: Path) -> int:
    """Return the number of volumes in an image by its header."""
    return math.prod(stored_shape(path)[3:4])


def check_same_grid(first: ImageInfo, second: ImageInfo) -> None:
    """Check that two images have the same shape and affine.

    Raises
    ------
    RefusedError
        If they differ.
    """
    advice = f"Both must come from one acquisition: compare with {first.name} and convert both again."
    if first.shape != second.shape:
        raise refuse(file=second.name, key="shape", expected=str(first.shape), found=str(second.shape), advice=advice)
    apart = grid_distance(first.affine, second.affine, shape=first.shape)
    if apart > SAME_GRID:
        difference = float(np.abs(first.affine - second.affine).max())
        raise refuse(
            file=second.name,
            key="affine",
            expected=f"the affine of {Path(first.name).name}",
            found=f"one that differs by up to {difference:.4g} mm, which places a corner {apart:.2g} voxels away",
            advice=advice,
        )


def check_number_of_voxels(info: ImageInfo, number: int, *, largest: int = LARGEST_MAP) -> None:
    """Refuse an image that is too large to be looked at in the check.

    Parameters
    ----------
    info
        The image.
    number
        Voxels that would be read.
    largest
        How many may be.

    Raises
    ------
    RefusedError
        With its shape.
    """
    if number > largest:
        raise refuse(
            file=info.name,
            key="shape",
            expected=f"an image of at most {largest / 1e6:.0f} million voxels",
            found=str(info.shape),
            advice="Is this the right image? Resample it to voxels as large as it was measured with.",
        )


def central_slice(info: ImageInfo) -> NDArray[np.floating]:
    """Return the finite values of the central slice of the first volume, a quick look at their range."""
    import nibabel as nib

    check_number_of_voxels(info, math.prod(info.shape[:2]))
    index: tuple[slice | int, ...] = (slice(None), slice(None), info.shape[2] // 2)
    if len(info.shape) == 4:
        index += (0,)
    values = np.asarray(nib.load(info.path).dataobj[index])  # type: ignore[attr-defined]
    return values[np.isfinite(values)]


def median_of_nonzero(info: ImageInfo, *, volume: int | None) -> float:
    """Return the median of the finite values above zero, NaN if there are none."""
    import nibabel as nib

    check_number_of_voxels(info, math.prod(info.shape if volume is None else info.shape[:3]))
    data = nib.load(info.path).dataobj  # type: ignore[attr-defined]
    values = np.asarray(data if volume is None else data[..., volume])
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.median(values)) if values.size else math.nan
