"""The brain of the MNI template laid over an image by its intensities: evidence for a mask that a leak cannot satisfy as well.

A first place comes from the shape of the mask; then mutual information moves the template to where ventricles, cortex and skull of
the image itself are (dipy), whatever the contrast. A mask that takes in neck, orbits or scalp, or leaves out a lobe, does not
overlap with what was found in this way.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.brain.shape import lay_template, signed_distance
from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes

STEP = 4.0
"""Voxel of the registration [mm]."""
NEAR = 8.0
"""The metric is evaluated so far around the mask [mm]: skull and its dark rim belong to it."""
SHADING = 24.0
"""Standard deviation of the Gaussian whose mean is taken out of the image [mm]: receive fields are smoother, tissue is not."""
SCALES = (0.7, 1.5)
"""Size of the template against a brain, smallest and largest of the three axes: beyond, the registration went astray."""
PART = 110.0
"""Field of view below which an image is a slab, whose place in the head is looked for at every height [mm]."""
THIN = 40.0
"""Field of view below which the template keeps its proportions: across a thin slab nothing tells them [mm]."""
SCALP = 14.0
"""Thickness of scalp and skull, where nothing better is known [mm]."""
HEIGHT = 150.0
"""A brain reaches no lower under the top of the head [mm]."""


@dataclass(frozen=True, kw_only=True)
class Laid:
    """The template on a coarse grid of the image.

    Parameters
    ----------
    overlap
        Dice of the mask and the template's brain where the image has it.
    by_shape
        Overlap in the same sense where the template is laid by the shape of the mask alone.
    beyond, within
        How far the surface of the mask lies outside and inside of the template's, 98th percentiles [mm].
    alike
        Share of the variance of the image in the brain that the template's intensity explains (correlation ratio).
    share
        Share of the template's brain that lies in the field of view.
    scales
        Singular values of the matrix: size of the template against the brain.
    matrix
        Matrix from the position in the scan to that in the template, RAS millimetres, shape (4, 4).
    """

    overlap: float
    by_shape: float
    beyond: float
    within: float
    alike: float
    share: float
    scales: tuple[float, float, float]
    matrix: NDArray[np.float64]

    @property
    def astray(self) -> bool:
        """Whether the registration cannot be right."""
        return min(self.scales) < SCALES[0] or max(self.scales) > SCALES[1]

    @property
    def measures(self) -> Mapping[str, float]:
        """Numbers for a report, by name."""
        return {
            "template_overlap": self.overlap,
            "shape_overlap": self.by_shape,
            "surface_outside": self.beyond,
            "surface_inside": self.within,
            "template_likeness": self.alike,
            "brain_share": self.share,
        }


@lru_cache(maxsize=1)
def _template() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return the template's intensities and its brain at `STEP`, and their affine."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
    from scipy.ndimage import gaussian_filter

    image = load_mni152_template(resolution=2)
    affine = np.asarray(image.affine, dtype=float) @ np.diag([2.0, 2.0, 2.0, 1.0])
    smooth = gaussian_filter(np.asarray(image.dataobj, dtype=np.float32), 0.8)[::2, ::2, ::2]
    mask = load_mni152_brain_mask(resolution=2)
    if not np.allclose(mask.affine, image.affine):
        raise ValueError(f"nilearn's template and its mask differ in their grids: {image.affine} and {mask.affine}")
    inside = np.asarray(mask.dataobj) > 0
    return smooth, gaussian_filter(inside.astype(np.float32), 0.8)[::2, ::2, ::2], affine


def coarse_grid(
    image: NDArray[np.floating], *, affine: NDArray[np.floating], step: float = STEP
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return an image on isotropic voxels along the same axes, smoothed to them, and its affine."""
    from scipy.ndimage import affine_transform, gaussian_filter

    affine = np.asarray(affine, dtype=float)
    size = voxel_sizes(affine)
    smooth = gaussian_filter(np.asarray(image, dtype=np.float32), 0.42 * np.maximum(0.0, step / size - 1.0))
    shape = np.maximum(1, np.round(np.array(image.shape) * size / step)).astype(int)
    grid = affine.copy()
    grid[:3, :3] *= step / size
    centre = affine[:3, :3] @ (0.5 * (np.array(image.shape) - 1.0)) + affine[:3, 3]
    grid[:3, 3] = centre - grid[:3, :3] @ (0.5 * (shape - 1.0))
    voxels = np.linalg.inv(affine) @ grid
    coarse = affine_transform(smooth, voxels, output_shape=tuple(shape.tolist()), order=1, mode="nearest")
    return np.asarray(coarse), np.asarray(grid, dtype=np.float64)


def _unshaded(image: NDArray[np.float32], region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the image over its local mean in the region, clipped: receive fields are gone, and bright fat or fluid rule less."""
    from scipy.ndimage import gaussian_filter

    wide = SHADING / STEP
    weight = gaussian_filter(region.astype(np.float32), wide)
    mean = gaussian_filter(np.where(region, image, 0.0).astype(np.float32), wide) / np.maximum(weight, 1e-3)
    flat = image / np.maximum(mean, 1e-3 * float(mean.max()))
    return np.asarray(np.clip(flat, 0.0, np.quantile(flat[region], 0.98)), dtype=np.float32)


def lay_over(image: NDArray[np.floating], *, mask: NDArray[np.bool_], affine: NDArray[np.floating]) -> Laid | None:
    """Lay the template over an image, starting from a mask, and compare the mask with it.

    Parameters
    ----------
    image, mask
        Magnitudes and the mask on trial, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Returns
    -------
    laid
        None where the mask is empty or no registration is possible.
    """
    from dipy.align.imaffine import AffineInversionError, AffineRegistration, MutualInformationMetric
    from dipy.align.transforms import AffineTransform3D, RigidIsoScalingTransform3D

    small, grid = coarse_grid(image, affine=affine)
    inside = coarse_grid(mask.astype(np.float32), affine=affine)[0] > 0.5
    if np.count_nonzero(inside) < 50:
        return None
    distance = signed_distance(inside, spacing=STEP)
    shape = lay_template(inside, distance=distance, affine=grid, spacing=STEP)
    near = distance < NEAR
    flat = _unshaded(small, near)
    extent = np.array(image.shape) * voxel_sizes(affine)
    starts = [shape.matrix]
    if extent.min() < PART:
        starts += _heights(inside, grid=grid, thin=int(np.argmin(extent)))
        starts = sorted(starts, key=lambda start: -_alike(flat, near, matrix=start, grid=grid))
    template, _, template_affine = _template()
    registration = AffineRegistration(
        metric=MutualInformationMetric(nbins=24, sampling_proportion=None),
        level_iters=[60],
        sigmas=[0],
        factors=[1],
        verbosity=0,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it stopped at the number of iterations
            found = registration.optimize(
                flat,
                template,
                RigidIsoScalingTransform3D() if extent.min() < THIN else AffineTransform3D(),
                None,
                static_grid2world=grid,
                moving_grid2world=template_affine,
                starting_affine=starts[0],
                static_mask=near.astype(np.int32),
            )
    except (AffineInversionError, ValueError, np.linalg.LinAlgError):
        return None
    by_shape = _dice(_placed(shape.matrix, grid=grid, shape=small.shape), inside)
    return _compared(flat, inside, matrix=np.asarray(found.affine, dtype=float), grid=grid, by_shape=by_shape)


def _heights(inside: NDArray[np.bool_], *, grid: NDArray[np.float64], thin: int) -> list[NDArray[np.float64]]:
    """Return places of a slab in the template: every height and pitch, with the outline of both of one size in one place."""
    from scipy.spatial.transform import Rotation

    _, brain, affine = _template()
    axis = int(np.argmax(np.abs(grid[:3, thin])))
    voxels = np.argwhere(inside)
    centre = grid[:3, :3] @ voxels.mean(axis=0) + grid[:3, 3]
    area = len(voxels) / len(np.unique(voxels[:, thin]))
    template = np.argwhere(brain > 0.5)
    result = []
    for height in np.unique(template[:, axis])[1:-1:2]:
        section = template[template[:, axis] == height]
        size = np.clip(np.sqrt(len(section) / area), 0.9, 1.4)
        there = affine[:3, :3] @ section.mean(axis=0) + affine[:3, 3]
        for pitch in (-20.0, -10.0, 0.0, 10.0, 20.0):
            matrix = np.eye(4)
            matrix[:3, :3] = size * Rotation.from_euler("x", pitch, degrees=True).as_matrix()
            matrix[:3, 3] = there - matrix[:3, :3] @ centre
            result.append(matrix)
    return result


def _alike(
    flat: NDArray[np.float32], near: NDArray[np.bool_], *, matrix: NDArray[np.float64], grid: NDArray[np.float64]
) -> float:
    template, _, affine = _template()
    return _correlation_ratio(flat[near], by=_read(template, np.linalg.inv(affine) @ matrix @ grid, flat.shape)[near])


def _read(field: NDArray[np.float32], matrix: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.float32]:
    from scipy.ndimage import affine_transform

    return np.asarray(affine_transform(field, matrix, output_shape=shape, order=1))


def _dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    both = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / max(1, both)


def _placed(matrix: NDArray[np.floating], *, grid: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    _, brain, affine = _template()
    return _read(brain, np.linalg.inv(affine) @ matrix @ grid, shape) > 0.5


def _compared(
    flat: NDArray[np.float32],
    inside: NDArray[np.bool_],
    *,
    matrix: NDArray[np.float64],
    grid: NDArray[np.float64],
    by_shape: float,
) -> Laid:
    from scipy.ndimage import binary_erosion

    template, brain, template_affine = _template()
    voxels = np.linalg.inv(template_affine) @ matrix @ grid
    laid = _placed(matrix, grid=grid, shape=flat.shape)
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    surface = inside & ~binary_erosion(inside, border_value=1)
    depth = signed_distance(laid, spacing=STEP)[surface]
    beyond, within = (
        (float(np.quantile(depth, 0.98)), -float(np.quantile(depth, 0.02)))
        if laid.any() and depth.size
        else (99.0, 99.0)
    )
    volume = np.count_nonzero(laid) * STEP**3 * float(np.prod(scales))
    whole = np.count_nonzero(brain > 0.5) * STEP**3
    return Laid(
        overlap=_dice(laid, inside),
        by_shape=by_shape,
        beyond=beyond,
        within=within,
        alike=_correlation_ratio(flat[laid], by=_read(template, voxels, flat.shape)[laid]),
        share=min(1.0, float(volume) / float(whole)),
        scales=(float(scales[0]), float(scales[1]), float(scales[2])),
        matrix=matrix,
    )


def _correlation_ratio(values: NDArray[np.floating], *, by: NDArray[np.floating]) -> float:
    """Return the share of the variance of values that lies between twelve classes of another quantity."""
    if values.size < 50:
        return 0.0
    values = np.minimum(values, np.quantile(values, 0.98))
    classes = np.digitize(by, np.quantile(by, np.linspace(0.0, 1.0, 13)[1:-1]))
    within = sum(
        float(values[classes == label].var()) * np.count_nonzero(classes == label) for label in np.unique(classes)
    )
    return float(1.0 - within / max(values.size * float(values.var()), 1e-30))


def template_brain(
    laid: Laid, *, shape: tuple[int, ...], affine: NDArray[np.floating], margin: float = 0.0
) -> NDArray[np.bool_]:
    """Return the template's brain where it was laid, on the grid of the image, grown by a margin [mm]."""
    from scipy.ndimage import distance_transform_edt

    _, brain, template_affine = _template()
    affine = np.asarray(affine, dtype=float)
    inside = _read(brain, np.linalg.inv(template_affine) @ laid.matrix @ affine, shape) > 0.5
    if margin == 0.0 or not inside.any():
        return inside
    return np.asarray(distance_transform_edt(~inside, sampling=voxel_sizes(affine)) <= margin)


def depth_of_head(head: NDArray[np.bool_], *, affine: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return what lies as deep as a brain in a head, as a first place for the template: no lower than a brain reaches."""
    from scipy.ndimage import distance_transform_edt

    affine = np.asarray(affine, dtype=float)
    size = voxel_sizes(affine)
    deep = np.pad(
        head, [(0, 0) if length * edge < 110.0 else (1, 1) for length, edge in zip(head.shape, size, strict=True)]
    )
    depth = np.asarray(distance_transform_edt(deep, sampling=size))
    depth = depth[
        tuple(
            slice(0, None) if big == length else slice(1, -1)
            for big, length in zip(deep.shape, head.shape, strict=True)
        )
    ]
    height = sum(
        affine[2, axis] * np.arange(head.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis in range(3)
    )
    top = float(np.quantile(np.broadcast_to(height, head.shape)[head], 0.999))
    return np.asarray((depth > SCALP) & (height > top - HEIGHT))
