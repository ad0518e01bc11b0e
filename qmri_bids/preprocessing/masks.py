"""Where the head and the brain are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.ants_bridge import Schedule, deterministic_pool, voxel_sizes
from qmri_bids.preprocessing.resampling import resample

_PLAUSIBLE_VOLUME = (0.5, 2.5)
"""Of a brain with its fluid [litres], from infants to the largest: outside, the registration has failed."""
_LEAST_OVERLAP = 0.5
_WORKING_VOXEL = 2.0
"""Voxel size at which the template is registered [mm]."""


class BrainNotFound(RuntimeError):
    """The registration of the template to the head has failed; the message says by what this was seen."""


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
    smooth = ndimage.gaussian_filter(np.asarray(magnitude, dtype=np.float32), 1.0)
    # The threshold between noise and tissue lies low: on the square root all tissue is one class.
    bright = np.sqrt(smooth)
    above = bright > _otsu(bright)
    labels, _ = ndimage.label(above)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return ndimage.binary_fill_holes(largest)


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
    """Return a brain mask of a bSSFP magnitude image with or without scalp.

    A first guess by intensity (ANTs) removes most of the scalp, so that the skull-stripped MNI template that
    comes with nilearn can be registered by an affine transform; its mask, not the guess, is the result. Bands
    and tissue contrast therefore do not shape the mask.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z): best the mean over the cycles, in which the bands are weakest.
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Returns
    -------
    mask, decisions
        The mask on the same grid, boolean, and what was decided, as sentences.

    Raises
    ------
    BrainNotFound
        If the mask has not the volume of a brain or lies where there is no signal.
    """
    with deterministic_pool(processes=1) as pool:
        return pool.submit(_brain_mask, np.asarray(magnitude, dtype=np.float32), affine).result()


def _brain_mask(
    magnitude: NDArray[np.float32], affine: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return the mask; runs in a process of its own."""
    import ants
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    from qmri_bids.preprocessing.ants_bridge import register, to_ants

    size = voxel_sizes(affine)
    factor = np.maximum(1, np.round(_WORKING_VOXEL / size)).astype(int)
    small, small_affine = shrink(magnitude, affine=affine, factor=tuple(factor))
    image = to_ants(small, affine=small_affine)
    first = ants.get_mask(image).numpy() > 0
    template = load_mni152_template(resolution=2)
    matrix = register(
        fixed=template.get_fdata().astype(np.float32),
        fixed_affine=template.affine,
        moving=small * first,
        moving_affine=small_affine,
        schedule=Schedule(iterations=(1000, 500), shrink_factors=(4, 2), smoothing=(2, 1)),
        transform="Affine",
        initial="centre",
    )
    template_mask = load_mni152_brain_mask(resolution=2)

    def on_grid(shape: tuple[int, ...], grid_affine: NDArray[np.floating]) -> NDArray[np.bool_]:
        warped = resample(
            template_mask.get_fdata().astype(np.float32),
            affine=template_mask.affine,
            target_shape=shape,
            target_affine=grid_affine,
            transform=np.linalg.inv(matrix),
            order=1,
        )
        return warped > 0.5

    mask = on_grid(magnitude.shape, affine)
    volume = float(mask.sum() * np.prod(size)) * 1e-6
    # The guess holds some scalp, so that overlap is never perfect; without any the registration has failed.
    coarse = on_grid(small.shape, small_affine)
    sizes = int(coarse.sum()) + int(first.sum())
    overlap = 2.0 * np.count_nonzero(coarse & first) / sizes if sizes else 0.0
    if not _PLAUSIBLE_VOLUME[0] <= volume <= _PLAUSIBLE_VOLUME[1] or overlap < _LEAST_OVERLAP:
        raise BrainNotFound(
            f"the brain mask holds {volume:.2f} litres, expected {_PLAUSIBLE_VOLUME[0]} to "
            f"{_PLAUSIBLE_VOLUME[1]}, and its overlap (Dice) with the bright tissue is {overlap:.2f}, "
            f"expected {_LEAST_OVERLAP} or more; check the orientation of the image "
            "and that it covers the head"
        )
    return mask, (f"The brain mask is that of the MNI template after affine registration ({volume:.2f} litres).",)


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
