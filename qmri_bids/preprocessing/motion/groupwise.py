r"""Joint rigid alignment of images that differ in contrast: all phase cycles at once, none as the template.

The values of the N images at one voxel are a vector m of covariance C over the head. Aligned images are the
most dependent ones: the determinant of C is smallest (the Gaussian case of groupwise mutual information;
Huizinga et al., Med Image Anal 29:65 (2016), align quantitative MRI by the same principle). For a given C the
cost is the sum of mᵀ C⁻¹ m, whose Gauss-Newton step couples the 6 (N - 1) parameters of all cycles.

The bands of bSSFP wander with the cycle and look like motion to any registration. They are smooth where edges
of anatomy are sharp, so images are high-pass filtered; where bands are steep (sinuses) the vectors are
outliers, which a t distribution weights down. A rim of air around the head belongs to the samples: its edge
is the same in all cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.registration.rigid_freedom import freedom_of

_DEGREES_OF_FREEDOM = 1.0
"""Degrees of freedom of the t distribution: few enough to leave bands at air out, enough to use most of the head."""
_RIDGE = 1e-3
"""Share of the mean variance that is added to the covariance: noise-free images make it singular."""
_SAMPLES = 200_000
"""Most voxels in which images are compared; of more, so many are drawn."""
FEWEST_SAMPLES = {6: 1000, 3: 150}
"""Fewest voxels by the number of free parameters: fewer do not tell a motion."""
_BORDER = 1e-6
"""Positions so far outside of the grid [voxels] are rounding."""
_SMALLEST_STEP = 2e-3
"""Translation [mm] below which a level has converged."""


class TooFewSamples(ValueError):
    """Too little of the head lies inside all images to align them."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """The pass band of one level of the alignment.

    Parameters
    ----------
    smoothing, high_pass
        Standard deviations of the Gaussians whose difference is aligned [voxels].
    steps
        Largest number of Gauss-Newton steps.
    """

    smoothing: float
    high_pass: float
    steps: int


LEVELS = (Level(smoothing=1.0, high_pass=2.0, steps=3), Level(smoothing=0.7, high_pass=1.5, steps=5))
"""Coarse to fine: the first catches a voxel or two; of the bands tried for the second this one has the
least error. A wider one follows the bands of bSSFP, a narrower one the ringing and noise of moved images."""


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """Filtered images as spline coefficients, and their gradients along the voxel axes."""

    coefficients: list[NDArray[np.float32]]
    gradients: list[NDArray[np.float32]]


def align_jointly(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    start: NDArray[np.floating],
    reference: int,
    samples: NDArray[np.bool_],
    threads: int = 1,
    levels: Iterable[Level] = LEVELS,
) -> NDArray[np.float64]:
    """Refine rigid transforms of several images of one head, of one or few slices within their plane.

    Parameters
    ----------
    magnitude
        Magnitude images, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    start
        Transforms from the position in the reference to that in each image, RAS millimetres, shape (N, 4, 4),
        right to about a voxel.
    reference
        Index of the image that keeps its transform.
    samples
        Voxels in which images are compared, in the space of the reference: the head with a rim of air, shape (X, Y, Z).
    threads
        Threads that filter and interpolate; the result does not depend on it.
    levels
        Pass bands, coarse to fine.

    Returns
    -------
    transforms
        Matrices from the position in the reference to that in each image, RAS millimetres, shape (N, 4, 4).

    Raises
    ------
    TooFewSamples
        If fewer than `FEWEST_SAMPLES` lie inside all images.
    """
    number = magnitude.shape[3]
    matrix = np.asarray(affine, dtype=float)
    freedom = freedom_of(magnitude.shape[:3], affine=matrix)
    points = _points(samples, affine=matrix)
    centre = points.mean(axis=0)
    transforms = np.array(start, dtype=float)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for level in levels:
            prepared = _prepare(magnitude, level=level, short=freedom.short, pool=pool)
            for _ in range(level.steps):
                step = _gauss_newton_step(
                    prepared,
                    points,
                    centre,
                    affine=matrix,
                    transforms=transforms,
                    reference=reference,
                    basis=freedom.basis,
                    pool=pool,
                )
                for cycle in range(number):
                    transforms[cycle] = transforms[cycle] @ _small_motion(step[cycle], centre=centre)
                if np.abs(step[:, :3]).max() < _SMALLEST_STEP:
                    break
            del prepared
    return transforms


def _points(samples: NDArray[np.bool_], *, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions of samples, RAS [mm], shape (S, 3); of many a part."""
    voxels = np.argwhere(samples)
    if voxels.shape[0] > _SAMPLES:
        # A fixed draw: the same input gives the same result.
        chosen = np.random.default_rng(0).choice(voxels.shape[0], _SAMPLES, replace=False)
        voxels = voxels[np.sort(chosen)]
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


def _prepare(
    magnitude: NDArray[np.float32], *, level: Level, short: tuple[bool, bool, bool], pool: ThreadPoolExecutor
) -> _Prepared:
    """Return images, band-passed along all axes but short ones, as cubic spline coefficients, and their gradients."""
    from scipy import ndimage

    low, high = ([0.0 if few else sigma for few in short] for sigma in (level.smoothing, level.high_pass))

    def one(cycle: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        image = np.ascontiguousarray(magnitude[..., cycle])
        band = ndimage.gaussian_filter(image, low) - ndimage.gaussian_filter(image, high)
        gradient = np.stack(
            [np.zeros_like(band) if few else np.gradient(band, axis=axis) for axis, few in enumerate(short)]
        ).astype(np.float32, copy=False)
        return ndimage.spline_filter(band, order=3, output=np.float32), gradient

    results = list(pool.map(one, range(magnitude.shape[3])))
    return _Prepared(
        coefficients=[coefficients for coefficients, _ in results],
        gradients=[gradient for _, gradient in results],
    )


def _gauss_newton_step(
    prepared: _Prepared,
    points: NDArray[np.float64],
    centre: NDArray[np.float64],
    *,
    affine: NDArray[np.float64],
    transforms: NDArray[np.float64],
    reference: int,
    basis: NDArray[np.float64],
    pool: ThreadPoolExecutor,
) -> NDArray[np.float64]:
    """Return the small motions (translation [mm], rotation [rad]) of all images, shape (N, 6).

    Only the columns of `basis` (6, K) are free.
    """
    number = len(prepared.coefficients)
    sampled = list(pool.map(_sampler(prepared, points, centre, affine, transforms), range(number)))
    values = np.stack([value for value, _, _ in sampled])
    inside = np.logical_and.reduce([within for _, _, within in sampled])
    size = basis.shape[1]
    if size == 0 or np.count_nonzero(inside) < FEWEST_SAMPLES[size]:
        raise TooFewSamples(
            f"only {np.count_nonzero(inside)} voxels of the head lie inside all volumes, expected at least "
            f"{FEWEST_SAMPLES.get(size, FEWEST_SAMPLES[6])}; the motion is larger than the field of view, the images hold no head "
            "or too few voxels"
        )
    weights, precision = _robust_precision(values, inside)
    jacobians = [jacobian @ basis for _, jacobian, _ in sampled]
    weighted = [jacobian * weights[:, None] for jacobian in jacobians]
    pull = precision @ values
    free = [cycle for cycle in range(number) if cycle != reference]
    gradient = np.stack([weighted[cycle].T @ pull[cycle] for cycle in free])
    hessian = np.empty((len(free), size, len(free), size))
    for row, first in enumerate(free):
        for column, second in enumerate(free[: row + 1]):
            block = precision[first, second] * weighted[first].T @ jacobians[second]
            hessian[row, :, column, :] = block
            hessian[column, :, row, :] = block.T
    flat = size * len(free)
    step = np.zeros((number, 6))
    step[free] = -np.linalg.solve(hessian.reshape(flat, flat), gradient.ravel()).reshape(-1, size) @ basis.T
    return step


def _sampler(
    prepared: _Prepared,
    points: NDArray[np.float64],
    centre: NDArray[np.float64],
    affine: NDArray[np.float64],
    transforms: NDArray[np.float64],
) -> Callable[[int], tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]]:
    """Return the function that gives value, derivative by a small motion, and validity of an image."""
    from scipy.ndimage import map_coordinates

    to_voxel = np.linalg.inv(affine)
    arm = points - centre

    def sample(cycle: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        voxel_map = to_voxel @ transforms[cycle]
        position = (points @ voxel_map[:3, :3].T + voxel_map[:3, 3]).T
        coefficients = prepared.coefficients[cycle]
        size = np.asarray(coefficients.shape)[:, None]
        inside = np.all((position >= -_BORDER) & (position <= size - 1.0 + _BORDER), axis=0)
        value = map_coordinates(coefficients, position, order=3, prefilter=False, mode="nearest")
        slope = np.stack(
            [map_coordinates(part, position, order=1, mode="nearest") for part in prepared.gradients[cycle]],
            axis=1,
        )
        slope = slope @ voxel_map[:3, :3]
        return value.astype(float), np.concatenate([slope, np.cross(arm, slope)], axis=1), inside

    return sample


def _robust_precision(
    values: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of the samples and the inverse covariance of the images under a t distribution."""
    number = values.shape[0]
    weights = inside.astype(float)
    count = weights.sum()
    precision = np.eye(number)
    for _ in range(6):
        covariance = (values * weights) @ values.T / count
        covariance += _RIDGE * np.trace(covariance) / number * np.eye(number)
        precision = np.linalg.inv(covariance)
        distance = np.sum(values * (precision @ values), axis=0)
        weights = inside * (_DEGREES_OF_FREEDOM + number) / (_DEGREES_OF_FREEDOM + distance)
    return weights, precision


def _small_motion(motion: NDArray[np.float64], *, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix of a translation [mm] and a rotation vector [rad] about a centre, shape (4, 4)."""
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(motion[3:]).as_matrix()
    matrix[:3, 3] = motion[:3] + centre - matrix[:3, :3] @ centre
    return matrix
