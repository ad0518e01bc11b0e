"""Where the head and the brain are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.ants_bridge import voxel_sizes
from qmri_bids.preprocessing.brain_surface import RIM
from qmri_bids.preprocessing.resampling import resample

_PLAUSIBLE_VOLUME = (0.5, 2.5)
"""Of a brain with its fluid [litres], from infants to the largest: outside, the registration has failed."""
_LEAST_OVERLAP = 0.8
"""Of the brain found and that of the template laid over it: below it is no brain."""
_WORKING_VOXEL = 2.5
"""Voxel size at which the outline is looked for [mm]."""
_COARSE = 5.0
"""Voxels up to this were measured [mm]; at 7 mm a head had a mask 42 % too large."""
_FARTHEST = 8.0
"""No brain lies further outside of the template [mm]."""


_FEW_SLICES = 24
"""Up to so many an image is open above and below: its slices have no holes of their own."""


class BrainNotFound(RuntimeError):
    """What was found is no brain; the message says by what this was seen."""


def head_mask(magnitude: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the foreground of a magnitude image: the largest part above Otsu's threshold, holes filled.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z).

    Raises
    ------
    ValueError
        If the image is constant.
    """
    from scipy import ndimage

    if not np.ptp(magnitude) > 0.0:
        raise ValueError("the magnitude image is constant: no head in it")
    # A few slices are smoothed in their planes alone.
    widths = [1.0 if size > 3 else 0.0 for size in magnitude.shape]
    smooth = ndimage.gaussian_filter(np.maximum(np.asarray(magnitude, dtype=np.float32), 0.0), widths)
    # The threshold between noise and tissue lies low: on the square root all tissue is one class.
    bright = np.sqrt(smooth)
    above = bright > _otsu(bright)
    labels, _ = ndimage.label(above)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return filled(largest, thin=_through_slices(largest.shape))


def object_mask(magnitude: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return everything that has signal: phantoms, animals, a cord, a knee, one slice or many.

    The threshold lies above the noise of the air, which is the darker class of Otsu's threshold. Parts from a twentieth of the
    largest are kept and their holes filled.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z).

    Raises
    ------
    ValueError
        If the image is constant.
    """
    from scipy import ndimage

    image = np.asarray(magnitude, dtype=np.float32)
    if not np.ptp(image) > 0.0:
        raise ValueError("the magnitude image is constant: no signal in it")
    smooth = ndimage.gaussian_filter(np.maximum(image, 0.0), [0.7 if size > 3 else 0.0 for size in image.shape])
    between = _otsu(np.sqrt(smooth)) ** 2
    air = smooth[smooth <= between]
    middle = float(np.median(air))
    spread = 1.4826 * float(np.median(np.abs(air - middle)))
    threshold = max(middle + 6.0 * spread, 0.03 * float(np.quantile(smooth[smooth > between], 0.9)))
    above = smooth > min(threshold, between)
    labels, _ = ndimage.label(above)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return filled((sizes >= 0.05 * sizes.max())[labels], thin=_through_slices(image.shape))


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


def brain_mask(
    magnitude: NDArray[np.floating], *, affine: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return the brain, with its fluid, in an image of any contrast, with or without scalp, whole or a slab.

    The outline is that of the image itself: what holds together deep in the head, parted from the scalp along the dark skull.
    The brain of the MNI template that comes with nilearn, laid over it by shape, only cuts off what is far outside of it, such as
    the neck.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z); of phase cycles best the mean, in which the bands are weakest.
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Returns
    -------
    mask, decisions
        The mask on the same grid, boolean, and what was decided, as sentences.

    Raises
    ------
    BrainNotFound
        If what is found has not the size or shape of a brain.
    """
    from qmri_bids.preprocessing.brain_shape import lay_template
    from qmri_bids.preprocessing.brain_surface import filled_head, find_outline

    working, grid = _working_grid(np.asarray(magnitude, dtype=np.float32), np.asarray(affine, dtype=float))
    bright = np.sqrt(np.maximum(_blurred(working), 0.0))
    head = filled_head(bright, threshold=_otsu(bright))
    box = bounding_box(head, margin=2)
    try:
        outline = find_outline(working[box], head=head[box], spacing=_WORKING_VOXEL)
    except ValueError as error:
        raise BrainNotFound(f"{error}; check that the image shows a head") from error
    placed = grid.copy()
    placed[:3, 3] += grid[:3, :3] @ [each.start for each in box]
    volume = float(outline.inside.sum()) * _WORKING_VOXEL**3 * 1e-6
    # A slab holds less of the brain: its share is that of the template's.
    shape = lay_template(outline.inside, distance=outline.distance, affine=placed, spacing=_WORKING_VOXEL)
    whole = volume / max(shape.share, 0.01)
    laid = shape.distance < 0.0
    overlap = 2.0 * np.count_nonzero(laid & outline.inside) / max(1, int(laid.sum()) + int(outline.inside.sum()))
    if not _PLAUSIBLE_VOLUME[0] <= whole <= _PLAUSIBLE_VOLUME[1] or overlap < _LEAST_OVERLAP:
        raise BrainNotFound(
            f"the brain found has {whole:.2f} litres, expected {_PLAUSIBLE_VOLUME[0]} to {_PLAUSIBLE_VOLUME[1]}, and its overlap "
            f"(Dice) with the brain of the template laid over it is {overlap:.2f}, expected {_LEAST_OVERLAP} or more; check the "
            "orientation of the image and that it covers the head"
        )
    distance = np.maximum(outline.distance, shape.distance - _FARTHEST)
    lost = float(np.count_nonzero((outline.distance < 0.0) & (distance >= 0.0))) / max(1, int(outline.inside.sum()))
    mask = _on_grid(distance, placed, shape=magnitude.shape, affine_of_target=affine) < 0.0
    volume = float(mask.sum() * np.prod(voxel_sizes(affine))) * 1e-6
    said = [
        f"The brain mask follows the edge of the tissue in the image ({volume:.2f} litres); its surface lies {shape.misfit:.1f} mm "
        "from that of the template (median)."
    ]
    coarsest = float(voxel_sizes(affine).max())
    if coarsest > _COARSE:
        said.append(
            f"VOXELS OF {coarsest:.3g} mm ARE COARSE FOR A BRAIN MASK: scalp and brain may run into each other and the mask be a "
            "third too large; look at it, or give that of an anatomical image (--derivatives of fMRIPrep or sMRIPrep)."
        )
    if not outline.scalp:
        said.append("No dark skull was found around the brain: the image is taken to be skull-stripped.")
    if outline.dark_fluid:
        said.append(
            f"Fluid is dark in this image: sulci were closed, and a rim of {RIM:g} mm was added around the tissue."
        )
    if lost > 0.001:
        said.append(f"{100.0 * lost:.1f} % lay more than {_FARTHEST:g} mm outside of the template and were cut off.")
    return mask, tuple(said)


def _blurred(image: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, 0.75))


def _working_grid(
    magnitude: NDArray[np.float32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return an image on an isotropic grid of `_WORKING_VOXEL` along the same axes, and its affine."""
    factor = np.maximum(1, np.round(_WORKING_VOXEL / voxel_sizes(affine))).astype(int)
    small, small_affine = shrink(magnitude, affine=affine, factor=tuple(factor))
    size = voxel_sizes(small_affine)
    shape = np.maximum(1, np.round(np.array(small.shape) * size / _WORKING_VOXEL)).astype(int)
    grid = small_affine.copy()
    grid[:3, :3] *= _WORKING_VOXEL / size
    centre = small_affine[:3, :3] @ (0.5 * (np.array(small.shape) - 1.0)) + small_affine[:3, 3]
    grid[:3, 3] = centre - grid[:3, :3] @ (0.5 * (shape - 1.0))
    return _on_grid(small, small_affine, shape=tuple(shape.tolist()), affine_of_target=grid), grid


def _on_grid(
    image: NDArray[np.float32],
    affine: NDArray[np.floating],
    *,
    shape: tuple[int, ...],
    affine_of_target: NDArray[np.floating],
) -> NDArray[np.float32]:
    return np.asarray(
        resample(
            image,
            affine=affine,
            target_shape=shape,
            target_affine=affine_of_target,
            transform=np.eye(4),
            order=1,
            outside="nearest",
        )
    )


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
