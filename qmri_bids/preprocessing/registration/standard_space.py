"""From the grid of one space to positions in another, and maps interpolated there once.

A grid asked for is carried through all transforms as positions; the map is then interpolated at these, whatever lies between. The
template is the skull-stripped one inside nilearn, ICBM 152 2009a symmetric, or one from a file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import shrink
from qmri_bids.preprocessing.registration.ants_bridge import deterministic_pool, to_ants, voxel_sizes

LEAST_VALID = 0.5
"""Share of the weight of an interpolated value that its valid neighbours must have."""

REACH = 2000.0
"""Half of the edge of the cube over which coordinates are given to ANTs [mm]: beyond, a position is nowhere."""

TEMPLATE_VOXEL = 2.0
"""Voxels at which a head is registered to the template [mm]."""

LEAST_OVERLAP = 0.85
"""Dice of the brain and that of the template after registration, below which it has failed."""

LEAST_CORRELATION = 0.5
"""Correlation of an image and the template inside both brains, below which it has failed."""


OWN_NAME = "MNI152NLin2009aSym"
"""Name of the template inside nilearn."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateBrain:
    """A template to which brains are registered.

    Parameters
    ----------
    name
        Label of its space.
    image
        Its brain, T1 contrast, 0 elsewhere, shape (X, Y, Z).
    mask
        Where that brain is, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    """

    name: str
    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]

    def at(self, voxel: float) -> TemplateBrain:
        """Return it averaged over blocks of voxels, so that their edges are about as long as asked for [mm]."""
        factor = tuple(int(step) for step in np.maximum(1, np.round(voxel / voxel_sizes(self.affine))))
        image, affine = shrink(self.image, affine=self.affine, factor=factor)
        share, _ = shrink(self.mask.astype(np.float32), affine=self.affine, factor=factor)
        return TemplateBrain(name=self.name, image=image, mask=share > 0.5, affine=affine)


def nilearn_template(*, resolution: int = 1) -> TemplateBrain:
    """Return the template inside nilearn.

    Parameters
    ----------
    resolution
        Edge of its voxels [mm].
    """
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    image = load_mni152_template(resolution=resolution)
    mask = load_mni152_brain_mask(resolution=resolution)
    return TemplateBrain(
        name=OWN_NAME,
        image=image.get_fdata().astype(np.float32),
        mask=np.asarray(mask.dataobj) > 0,
        affine=np.asarray(image.affine, dtype=float),
    )


class TemplateNotReached(RuntimeError):
    """A brain could not be registered to the template; the message says by what this was seen."""


@dataclass(frozen=True, kw_only=True)
class TemplateTransform:
    """How a brain comes to the template.

    Parameters
    ----------
    forward, inverse
        Composite transforms of ANTs, image of the brain to the template and back.
    overlap
        Dice of the masks of the brain and the template, after an affine transform and after all.
    correlation
        Correlation of both images inside the template's brain, after an affine transform and after all.
    template
        Name of the template.
    """

    forward: Path
    inverse: Path
    overlap: tuple[float, float]
    correlation: tuple[float, float]
    template: str = OWN_NAME

    @property
    def sentence(self) -> str:
        """What was done, and how well it went."""
        return (
            f"The brain was registered to {self.template} (ANTs, affine and SyN): Dice of the brains "
            f"{self.overlap[0]:.3f} after the affine part and {self.overlap[1]:.3f} after all, correlation of the images "
            f"{self.correlation[0]:.2f} and {self.correlation[1]:.2f}."
        )


def positions(
    *,
    shape: tuple[int, ...],
    affine: NDArray[np.floating],
    transform: Path | None = None,
    after: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return where the voxels of a grid lie in another space, RAS millimetres, shape (3, X, Y, Z); NaN where nowhere.

    Parameters
    ----------
    shape, affine
        The grid.
    transform
        File of ANTs or ITK that brings images of the other space to the space of the grid; None for none.
    after
        Matrix on the positions that result, shape (4, 4).
    """
    matrix = np.eye(4) if after is None else np.asarray(after, dtype=float)
    if transform is None:
        whole = matrix @ np.asarray(affine, dtype=float)
        axes = np.ogrid[tuple(slice(0, size) for size in shape)]
        found = np.empty((3, *shape), dtype=np.float32)
        for row in range(3):
            found[row] = sum(whole[row, axis] * axes[axis] for axis in range(3)) + whole[row, 3]
        return found
    import ants

    # A linear function is interpolated exactly, however coarse its grid is.
    corner = np.diag([2.0 * REACH, 2.0 * REACH, 2.0 * REACH, 1.0])
    corner[:3, 3] = -REACH
    ends = np.array([-REACH, REACH], dtype=np.float32)
    grid = to_ants(np.zeros(shape, dtype=np.float32), affine=affine)
    found = np.empty((3, *shape), dtype=np.float32)
    for axis in range(3):
        values = np.broadcast_to(ends.reshape([2 if each == axis else 1 for each in range(3)]), (2, 2, 2))
        moved = ants.apply_transforms(
            fixed=grid,
            moving=to_ants(np.array(values), affine=corner),
            transformlist=[str(transform)],
            interpolator="linear",
            defaultvalue=10.0 * REACH,
        )
        found[axis] = moved.numpy()
    found[:, (found > REACH).any(axis=0)] = np.nan
    if after is not None:
        found = (np.tensordot(matrix[:3, :3], found, axes=1) + matrix[:3, 3].reshape(3, 1, 1, 1)).astype(np.float32)
    return found


def interpolate(
    values: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    at: NDArray[np.floating],
    nearest: bool = False,
    period: float | None = None,
) -> NDArray[np.float32]:
    """Interpolate a map at positions.

    Parameters
    ----------
    values
        The map, shape (X, Y, Z), NaN where there is no value.
    affine
        Its voxel to RAS millimetres, shape (4, 4).
    at
        Positions [RAS mm], shape (3, …).
    nearest
        Take the nearest value: of labels and codes nothing else has a meaning.
    period
        The map is known up to multiples of this: its phase is interpolated.

    Returns
    -------
    ndarray
        float32, shape of `at` without its first axis. Linear: NaN where valid neighbours have less than half of the weight;
        voxels without a value do not enter. Nearest: 0 outside the grid.
    """
    from scipy.ndimage import map_coordinates

    inverse = np.linalg.inv(np.asarray(affine, dtype=float))
    shape = at.shape[1:]
    outside = np.float32(0.0) if nearest else np.float32(np.nan)
    result = np.full(int(np.prod(shape)), outside, dtype=np.float32)
    valid = np.isfinite(values)
    if not valid.any():
        return result.reshape(shape)
    # Single precision: the anatomical grids of 256³ voxels hold 17 million positions.
    inverse = inverse.astype(np.float32)
    points = inverse[:3, :3] @ np.asarray(at, dtype=np.float32).reshape(3, -1)
    points += inverse[:3, 3:]
    occupied = np.argwhere(valid if not nearest else np.asarray(values) != 0)
    if not len(occupied):
        return result.reshape(shape)
    low, high = occupied.min(axis=0) - 1.0, occupied.max(axis=0) + 1.0
    with np.errstate(invalid="ignore"):
        near = np.flatnonzero(np.all((points >= low[:, None]) & (points <= high[:, None]), axis=0))
    points = points[:, near]
    if nearest:
        result[near] = map_coordinates(
            np.nan_to_num(np.asarray(values, dtype=np.float32)), points, order=0, mode="grid-constant"
        )
        return result.reshape(shape)
    weight = map_coordinates(valid.astype(np.float32), points, order=1, mode="grid-constant")

    def total(part: NDArray[np.floating]) -> NDArray[np.float32]:
        filled = np.where(valid, part, 0.0).astype(np.float32)
        return map_coordinates(filled, points, order=1, mode="grid-constant")

    with np.errstate(all="ignore"):
        if period is None:
            found = total(values) / weight
        else:
            turn = 2.0 * np.pi * np.asarray(values, dtype=float) / period
            found = period * np.arctan2(total(np.sin(turn)), total(np.cos(turn))) / (2.0 * np.pi)
        result[near] = np.where(weight >= LEAST_VALID - 1e-4, found, np.nan)
    return result.reshape(shape)


def template_grid(*, resolution: int = 1) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return shape and affine of the template inside nilearn.

    Parameters
    ----------
    resolution
        Edge of its voxels [mm].
    """
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=resolution)
    return tuple(image.shape), np.asarray(image.affine, dtype=float)


def register_to_template(
    image: NDArray[np.floating],
    *,
    brain: NDArray[np.bool_],
    affine: NDArray[np.floating],
    folder: Path,
    template: TemplateBrain | None = None,
) -> TemplateTransform:
    """Register a brain of T1 contrast to the template by an affine transform and SyN.

    Parameters
    ----------
    image
        White matter bright, fluid dark, shape (X, Y, Z).
    brain
        Brain mask, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    folder
        Takes the transforms.
    template
        The template; that inside nilearn by default.

    Raises
    ------
    TemplateNotReached
        If brains do not overlap or images do not correlate after registration.
    """
    stripped = np.where(brain, np.nan_to_num(np.asarray(image, dtype=np.float32)), 0.0).astype(np.float32)
    factor = tuple(int(step) for step in np.maximum(1, np.round(TEMPLATE_VOXEL / voxel_sizes(affine))))
    small, small_affine = shrink(stripped, affine=affine, factor=factor)
    share, _ = shrink(np.asarray(brain, dtype=np.float32), affine=affine, factor=factor)
    fixed = nilearn_template(resolution=round(TEMPLATE_VOXEL)) if template is None else template.at(TEMPLATE_VOXEL)
    with deterministic_pool(processes=1) as pool:
        overlap, correlation = pool.submit(_syn, small, share, small_affine, fixed, str(folder)).result()
    if overlap[1] < LEAST_OVERLAP or correlation[1] < LEAST_CORRELATION:
        raise TemplateNotReached(
            f"the registration to {fixed.name} has failed: Dice of the brains {overlap[1]:.2f} (at least {LEAST_OVERLAP} "
            f"expected), correlation of the images {correlation[1]:.2f} (at least {LEAST_CORRELATION}); check the brain mask and "
            "the orientation of the image"
        )
    return TemplateTransform(
        forward=folder / "Composite.h5",
        inverse=folder / "InverseComposite.h5",
        overlap=overlap,
        correlation=correlation,
        template=fixed.name,
    )


def _syn(
    image: NDArray[np.float32],
    brain: NDArray[np.float32],
    affine: NDArray[np.float64],
    template: TemplateBrain,
    folder: str,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Write the transforms and return their quality; runs in a process of its own."""
    import ants

    fixed = to_ants(template.image, affine=template.affine)
    top = float(np.percentile(image[brain > 0.5], 99.0))
    moving = to_ants(np.clip(image, 0.0, top), affine=affine)
    start = ants.registration(
        fixed=fixed,
        moving=moving,
        type_of_transform="Affine",
        outprefix=os.path.join(folder, "affine_"),
        aff_metric="mattes",
        aff_iterations=(500, 200, 0),
        aff_shrink_factors=(4, 2, 1),
        aff_smoothing_sigmas=(2, 1, 0),
    )
    ants.registration(
        fixed=fixed,
        moving=moving,
        type_of_transform="SyNOnly",
        initial_transform=start["fwdtransforms"][0],
        outprefix=os.path.join(folder, ""),
        syn_metric="mattes",
        syn_sampling=32,
        reg_iterations=(60, 30, 0),
        write_composite_transform=True,
    )
    overlaps, correlations = [], []
    for transform in (start["fwdtransforms"][0], os.path.join(folder, "Composite.h5")):
        options = {"fixed": fixed, "transformlist": [transform], "interpolator": "linear"}
        inside = ants.apply_transforms(moving=to_ants(brain, affine=affine), **options).numpy() > 0.5
        values = ants.apply_transforms(moving=moving, **options).numpy()
        both = inside & template.mask
        overlaps.append(2.0 * float(both.sum()) / float(inside.sum() + template.mask.sum()))
        correlations.append(float(np.corrcoef(values[both], template.image[both])[0, 1]) if both.sum() > 100 else 0.0)
    for left in Path(folder).glob("affine_*"):
        left.unlink()
    return (overlaps[0], overlaps[1]), (correlations[0], correlations[1])
