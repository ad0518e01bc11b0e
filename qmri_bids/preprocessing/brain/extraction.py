"""The brain by the library, in whole heads as it was made for, and in slabs and slices that are continued to a head."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import filled, object_mask
from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes

WEIGHTS = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
"""SHA-256 of the files of version 1.0.2."""

_NETWORK = (256, 256, 256)
"""Grid to which an image is brought for the network [voxels]."""


def weight_files() -> dict[str, Path]:
    """Return where the weights of the installed package lie, by their names.

    Raises
    ------
    FileNotFoundError
        If the package or one of its files is missing.
    ValueError
        If a file is not that of the version that was tested.
    """
    try:
        installed = files("deepbet") or []
    except PackageNotFoundError:
        installed = []
    found = {path.name: Path(str(path.locate())) for path in installed if path.name in WEIGHTS}
    for name, expected in WEIGHTS.items():
        if name not in found or not found[name].is_file():
            raise FileNotFoundError(f"{name} of the package deepbet 1.0.2 is not installed: pip install deepbet==1.0.2")
        digest = hashlib.sha256(found[name].read_bytes()).hexdigest()
        if digest != expected:
            raise ValueError(
                f"{found[name]}: sha256: expected {expected}, that of deepbet 1.0.2, found {digest}; install deepbet==1.0.2"
            )
    return found


@lru_cache(maxsize=1)
def _extraction() -> Any:
    paths = weight_files()
    with warnings.catch_warnings():
        # torch 2.13 calls the format of these weights deprecated; there are none in another.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        from deepbet import BrainExtraction

        return BrainExtraction(
            no_gpu=True, model_path=str(paths["model.pt"]), bbox_model_path=str(paths["bbox_model.pt"])
        )


def whole_head(image: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Return the probability that a voxel belongs to the brain, or nothing where no brain is seen.

    Parameters
    ----------
    image
        Magnitudes of a head with axes towards right, anterior and superior, shape (X, Y, Z).
    """
    with _one_thread():
        try:
            return np.asarray(_extraction().run_model(np.array(image, dtype=np.float32)), dtype=np.float32)
        except (AssertionError, ValueError, RuntimeError):  # its ways of saying that it saw nothing
            return None


def boxed(image: NDArray[np.floating], *, low: float, high: float) -> NDArray[np.float32]:
    """Return the probability in a box that the brain fills as the network expects it: with a tenth of its size on either side.

    Parameters
    ----------
    image
        Magnitudes with axes towards right, anterior and superior, shape (X, Y, Z).
    low, high
        Range of the magnitudes: what lies beyond is clipped.
    """
    import torch
    from deepbet.utils import normalize
    from torch.nn.functional import interpolate

    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    with _one_thread(), torch.no_grad():
        box = interpolate(values, _NETWORK, mode="trilinear")[0, 0]
        found = _extraction().model(normalize(box, low, high)[None, None])[:, 1:2]
        return np.asarray(interpolate(found, image.shape, mode="trilinear")[0, 0], dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: several would add in another order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


FINE = 1.0
"""Images are interpolated to voxels of this size: the networks were trained on them [mm]."""
LEAST = 0.8
"""Probability from which a voxel is brain: at 0.5 masks of large voxels were 2 to 4 % larger."""
WHOLE = 110.0
"""Field of view from which an image is taken to show a head as a whole [mm]."""
BOX = (170.0, 212.0, 170.0)
"""Brain with a tenth of its size on either side: right-left, posterior-anterior, inferior-superior [mm]."""
ABOVE = 35.0
"""A transverse slab is put so far above the middle of the box [mm]."""


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """A brain that was found.

    Parameters
    ----------
    mask
        Mask of the brain, shape (X, Y, Z).
    agreement
        Dice of the masks of both passes over a slab; 1 for a whole head.
    """

    mask: NDArray[np.bool_]
    agreement: float


def extract_brain(image: NDArray[np.floating], *, affine: NDArray[np.floating]) -> Extracted | None:
    """Return the brain, or nothing where no brain is seen.

    Parameters
    ----------
    image
        Magnitudes, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

    affine = np.asarray(affine, dtype=float)
    orientation = io_orientation(affine)
    upright = np.asarray(apply_orientation(image, orientation), dtype=np.float32)
    size = voxel_sizes(affine @ inv_ornt_aff(orientation, image.shape))
    thin = slab_axis(upright.shape, np.diag([*size, 1.0]))
    fine = _interpolated(np.maximum(upright, 0.0), size=size)
    if thin is None:
        probability, agreement = whole_head(fine), 1.0
    else:
        probability, agreement = _slab(fine, thin=thin)
    if probability is None:
        return None
    mask = largest_filled(_sampled(probability, upright.shape) > LEAST, thin=thin)
    if not mask.any():
        return None
    back = ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), orientation)
    return Extracted(mask=apply_orientation(mask, back) > 0, agreement=agreement)


def slab_axis(shape: tuple[int, ...], affine: NDArray[np.floating]) -> int | None:
    """Return the axis along which an image shows a part of the head, or None where it shows the whole."""
    extent = np.array(shape) * voxel_sizes(affine)
    return int(np.argmin(extent)) if extent.min() < WHOLE else None


def _sampled(field: NDArray[np.float32], shape: tuple[int, ...], *, order: int = 1) -> NDArray[np.float32]:
    """Return a field on another number of voxels over the same field of view."""
    from scipy.ndimage import affine_transform

    if field.shape == tuple(shape):
        return field
    ratio = np.array(field.shape) / np.array(shape)
    return np.asarray(
        affine_transform(
            field, np.diag(ratio), offset=0.5 * ratio - 0.5, output_shape=tuple(shape), order=order, mode="nearest"
        )
    )


def _interpolated(image: NDArray[np.float32], *, size: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return an image on voxels of `FINE` millimetres; those that are as small already stay."""
    edge = np.where(size > 1.1 * FINE, FINE, size)
    shape = np.maximum(1, np.round(np.array(image.shape) * size / edge)).astype(int)
    return np.maximum(_sampled(image, tuple(shape.tolist()), order=3 if min(image.shape) > 3 else 1), 0.0)


def _slab(image: NDArray[np.float32], *, thin: int) -> tuple[NDArray[np.float32] | None, float]:
    """Return the probability in a slab that goes on above and below as at its faces, in two passes, and their agreement.

    The box of the first is that of a brain of usual size around the object, that of the second follows what the first has found.
    """
    inside = object_mask(image)
    found = np.argwhere(inside)
    if len(found) == 0:
        return None, 0.0
    # Bright spots of one slice are as few in a box as in a head.
    low, high = (float(value) for value in np.quantile(image, (0.005, 0.995)))
    if not high > low:
        return None, 0.0
    box = np.array(BOX) / FINE
    centre = 0.5 * (found.min(axis=0) + found.max(axis=0))
    centre[thin] = 0.5 * (image.shape[thin] - 1.0) - (ABOVE / FINE if thin == 2 else 0.0)
    first = _in_box(image, centre=centre, box=box, thin=thin, low=low, high=high)
    brain = np.argwhere(largest_filled(first > 0.5, thin=thin))
    if len(brain) < 50:
        return None, 0.0
    lowest, highest = brain.min(axis=0), brain.max(axis=0) + 1
    follows = np.arange(3) != thin
    scale = float(np.clip(np.mean((1.2 * (highest - lowest) / box)[follows]), 0.75, 1.2))
    centre = np.where(follows, 0.5 * (lowest + highest - 1.0), centre)
    second = _in_box(image, centre=centre, box=scale * box, thin=thin, low=low, high=high)
    one, other = (largest_filled(part > LEAST, thin=thin) for part in (first, second))
    both = np.count_nonzero(one) + np.count_nonzero(other)
    agreement = 2.0 * float(np.count_nonzero(one & other)) / max(1, int(both))
    return 0.5 * (first + second), agreement


def _in_box(
    image: NDArray[np.float32],
    *,
    centre: NDArray[np.floating],
    box: NDArray[np.floating],
    thin: int,
    low: float,
    high: float,
) -> NDArray[np.float32]:
    """Return the probability on the grid of the image: outside of it a box is empty, along the thin axis the faces go on."""
    places = [
        int(np.floor(middle - 0.5 * length + 0.5)) + np.arange(round(length))
        for middle, length in zip(centre, box, strict=True)
    ]
    seen = [(place >= 0) & (place < size) for place, size in zip(places, image.shape, strict=True)]
    values = image[np.ix_(*[np.clip(place, 0, size - 1) for place, size in zip(places, image.shape, strict=True)])]
    for axis in range(3):
        if axis != thin:
            shape = [1, 1, 1]
            shape[axis] = -1
            values = values * seen[axis].reshape(shape)
    probability = boxed(values, low=low, high=high)
    result = np.zeros(image.shape, dtype=np.float32)
    result[np.ix_(*[place[known] for place, known in zip(places, seen, strict=True)])] = probability[np.ix_(*seen)]
    return result


def largest_filled(mask: NDArray[np.bool_], *, thin: int | None) -> NDArray[np.bool_]:
    """Return the largest part of a mask without its holes, see `filled`."""
    from scipy import ndimage

    labels, number = ndimage.label(mask)
    if number == 0:
        return mask
    return filled(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])), thin=thin)
