"""Where the head is, or whatever has signal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEW_SLICES = 24
"""Up to so many an image is open above and below: its slices have no holes of their own."""


def head_mask(magnitude: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the foreground of a magnitude image: the largest part with signal, holes filled.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z); one slice or many.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    if not np.ptp(magnitude) > 0.0:
        raise ValueError("the magnitude image is constant: no head in it")
    labels, sizes = _parts(magnitude)
    return filled(labels == int(np.argmax(sizes)), thin=_through_slices(magnitude.shape))


def object_mask(magnitude: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return everything that has signal: phantoms, animals, a cord, a knee, one slice or many.

    Parts from a twentieth of the largest are kept and their holes filled.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z).

    Raises
    ------
    ValueError
        If the image is constant.
    """
    if not np.ptp(magnitude) > 0.0:
        raise ValueError("the magnitude image is constant: no signal in it")
    labels, sizes = _parts(magnitude)
    return filled((sizes >= 0.05 * sizes.max())[labels], thin=_through_slices(magnitude.shape))


def _parts(magnitude: NDArray[np.floating]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the connected parts with signal as labels, and their sizes, 0 for the air.

    The threshold lies above the noise of the air, which is the darker class of Otsu's threshold: that threshold itself loses fluid
    and tissue far from a receive coil.
    """
    from scipy import ndimage

    image = np.maximum(np.asarray(magnitude, dtype=np.float32), 0.0)
    # A few slices are smoothed in their planes alone.
    smooth = ndimage.gaussian_filter(image, [0.7 if size > 3 else 0.0 for size in image.shape])
    # The threshold between noise and tissue lies low: on the square root all tissue is one class.
    between = _otsu(np.sqrt(smooth)) ** 2
    air = smooth[smooth <= between]
    middle = float(np.median(air))
    spread = 1.4826 * float(np.median(np.abs(air - middle)))
    threshold = max(middle + 6.0 * spread, 0.03 * float(np.quantile(smooth[smooth > between], 0.9)))
    threshold = min(threshold, between)
    # The image itself is asked too: smoothed, an edge moves outwards.
    labels, _ = ndimage.label((smooth > threshold) & (image > threshold))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels, sizes


def filled(mask: NDArray[np.bool_], *, thin: int | None) -> NDArray[np.bool_]:
    """Return a mask without holes; a slab is open at its faces, so that there they are those of its slices.

    Parameters
    ----------
    mask
        Shape (X, Y, Z).
    thin
        Axis through the slices of a slab; None of an image that shows all of what it shows.
    """
    from scipy import ndimage

    whole = np.asarray(ndimage.binary_fill_holes(mask))
    if thin is not None:
        slices = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(mask, thin, 0)]
        whole |= np.moveaxis(np.stack(slices), 0, thin)
    return whole


def _through_slices(shape: tuple[int, ...]) -> int | None:
    thin = int(np.argmin(shape))
    return thin if shape[thin] <= _FEW_SLICES else None


def _otsu(values: NDArray[np.floating]) -> float:
    """Return Otsu's threshold: the largest variance between two classes."""
    counts, edges = np.histogram(values, bins=256)
    centres = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(counts)
    total = np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * below - total * below[-1]) ** 2 / (below.astype(float) * above)
    return float(centres[np.argmax(np.nan_to_num(between, nan=0.0, posinf=0.0))])


def bounding_box(mask: NDArray[np.bool_], *, margin: int = 0) -> tuple[slice, ...]:
    """Return the slices of the smallest box around a mask, grown by `margin` voxels within the image."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if occupied.size == 0:
            raise ValueError("the mask is empty")
        box.append(slice(max(0, int(occupied[0]) - margin), min(mask.shape[axis], int(occupied[-1]) + 1 + margin)))
    return tuple(box)


def shrink(
    image: NDArray[np.floating], *, affine: NDArray[np.floating], factor: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the image averaged over blocks of voxels, and its affine; the rest at the end is left out."""
    shape = [size // step for size, step in zip(image.shape, factor, strict=True)]
    cut = image[tuple(slice(0, size * step) for size, step in zip(shape, factor, strict=True))]
    blocks = cut.reshape([length for size, step in zip(shape, factor, strict=True) for length in (size, step)])
    coarse = np.asarray(affine, dtype=float).copy()
    coarse[:3, 3] += coarse[:3, :3] @ ((np.asarray(factor) - 1) / 2.0)
    coarse[:3, :3] *= np.asarray(factor)
    return blocks.mean(axis=(1, 3, 5)).astype(np.float32), coarse
