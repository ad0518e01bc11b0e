"""Small pictures of maps, one slice each, for pages that show those of many participants beside each other."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.quantities import QUANTITIES, find_quantity
from qmri_bids.quantity import Quantity
from qmri_bids.reports.drawing.colormaps import windowed

SIDE = 60
"""Longer side of a picture [pixels]."""

SHOWN = ("maps", "b1")
"""Sections of the report whose maps have a small picture: uncertainty and posterior have none."""

_QUALITY = 42
_EMPTY = (24, 24, 24)

_FAMILIES = {
    "amplitudemap": "amplitude_{}",
    "arexmap": "arex_{}",
    "fractionmap": "{}_fraction",
    "exchangemap": "{}_rate",
    "correlationmap": "{}_correlation",
    "concentrationmap": "{}_concentration",
}


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small picture of one map of one run.

    Parameters
    ----------
    map
        Name of the map for readers, `T1`.
    image
        WebP, base64.
    """

    map: str
    image: str


@cache
def quantity_of_file(desc: str, suffix: str) -> Quantity | None:
    """Return the map that is written under a label of `desc` (empty without one) and a suffix; None where none is.

    Examples
    --------
    >>> quantity_of_file("", "T1map").label, quantity_of_file("iohexol", "exchangemap").label
    ('T1', 'iohexol exchange rate')
    >>> quantity_of_file("fluidstd", "fractionmap") is None
    True
    """
    for quantity in QUANTITIES.values():
        file = quantity.file
        if file is not None and (file.desc or "", file.suffix) == (desc, suffix):
            return quantity
    # What is written of a map beside it is no pool of one's own.
    is_pool = desc and not desc.startswith(("known", "posterior")) and not desc.lower().endswith("std")
    return find_quantity(_FAMILIES[suffix].format(desc)) if is_pool and suffix in _FAMILIES else None


def display_factor(quantity: Quantity) -> float:
    """Return by what a value in the unit of the file is multiplied to be in the unit on display."""
    return float(quantity.display.convert(1.0)) / float(quantity.written.convert(1.0))


def thumbnails(paths: Iterable[Path]) -> Iterator[Thumbnail]:
    """Return a small picture of every map among files.

    Parameters
    ----------
    paths
        Files of a run; standard deviations, masks, images and files that are gone are passed over.
    """
    for path in paths:
        name = parse_name(path)
        if name.extension != ".nii.gz" or not path.is_file():
            continue
        quantity = quantity_of_file(name.entities.get("desc", ""), name.suffix)
        if quantity is not None and quantity.display.section in SHOWN:
            yield Thumbnail(map=quantity.label, image=base64.b64encode(_picture(path, quantity)).decode("ascii"))


def _picture(path: Path, quantity: Quantity) -> bytes:
    """Return one axial slice of a map, as WebP."""
    from PIL import Image

    values, sides = middle_slice(path)
    values = values * display_factor(quantity)
    valid = np.isfinite(values)
    low, high = quantity.display.window or _own_window(values[valid])
    level = np.clip((np.where(valid, values, low) - low) / max(high - low, 1e-12), 0.0, 1.0)
    painted = windowed(quantity.display.colormap, low=low, high=high)
    colors = np.round(255 * np.asarray(painted(level))[..., :3]).astype(np.uint8)
    colors[~valid] = _EMPTY
    extent = np.array(values.shape) * sides
    rows, columns = np.maximum(1, np.round(SIDE * extent / extent.max())).astype(int)
    picture = Image.fromarray(colors).resize((int(columns), int(rows)), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=_QUALITY, method=6)
    return file.getvalue()


def middle_slice(path: Path) -> tuple[NDArray[np.float32], NDArray[np.floating]]:
    """Return the axial slice in the middle of what has a value, and the sides of its pixels.

    Anterior is up and the left of the picture is the right of the head, as in the reports.

    Parameters
    ----------
    path
        A map of three dimensions; of four, its first volume is taken.

    Returns
    -------
    slice
        Shape (rows, columns), cut to what has a value in it.
    sides
        Height and width of a pixel [mm].
    """
    import nibabel as nib

    image = nib.as_closest_canonical(nib.load(path))
    volume = np.asanyarray(image.dataobj, dtype=np.float32)
    volume = volume.reshape(*volume.shape[:3], -1)[..., 0]
    filled = np.isfinite(volume) & (volume != 0.0)
    counts = filled.sum(axis=(0, 1))
    middle = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2.0)) if counts.any() else volume.shape[2] // 2
    flat = volume[:, :, min(middle, volume.shape[2] - 1)]
    inside = filled[:, :, min(middle, volume.shape[2] - 1)]
    if inside.any():
        across, up = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        flat = flat[across[0] : across[-1] + 1, up[0] : up[-1] + 1]
    zooms = np.asarray(image.header.get_zooms()[:2], dtype=float)
    sides = np.where(np.isfinite(zooms) & (zooms > 0.0), zooms, 1.0)
    return flat.T[::-1, ::-1], sides[::-1]


def voxel_size(paths: Iterable[Path]) -> str:
    """Return the size of the voxels of the first map among files, `4 × 4 × 4 mm`; empty where there is none."""
    import nibabel as nib

    for path in paths:
        if path.name.endswith("map.nii.gz") and path.is_file():
            return (
                " × ".join(f"{float(side):.3g}" for side in nib.Nifti1Image.from_filename(path).header.get_zooms()[:3])
                + " mm"
            )
    return ""


def _own_window(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 2nd and 98th percentile of the values."""
    if not values.size:
        return 0.0, 1.0
    low, high = (float(each) for each in np.percentile(values, (2, 98)))
    return low, high
