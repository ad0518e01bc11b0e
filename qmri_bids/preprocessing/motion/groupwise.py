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

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.registration.rigid_freedom import freedom_of
from qmri_bids.preprocessing.registration.spline_kernels import sample_spline

_DEGREES_OF_FREEDOM = 1.0
"""Degrees of freedom of the t distribution: few enough to leave bands at air out, enough to use most of the head."""
_RIDGE = 1e-3
"""Share of the mean variance that is added to the covariance: noise-free images make it singular."""
_SAMPLES = 200_000
"""Most voxels in which images are compared; of more, so many are drawn."""
FEWEST_SAMPLES = {6: 1000, 3: 150}
"""Fewest voxels by the number of free parameters: fewer do not tell a motion."""
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
    points = sample_points(samples, affine=matrix)
    centre = points.mean(axis=0)
    transforms = np.array(start, dtype=float)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for level in levels:
            images = splines(magnitude, level=level, short=freedom.short, pool=pool)
            for _ in range(level.steps):
                step = gauss_newton_step(
                    images,
                    points,
                    centre,
                    affine=matrix,
                    transforms=transforms,
                    reference=reference,
                    basis=freedom.basis,
                    pool=pool,
                )
                for cycle in range(number):
                    transforms[cycle] = transforms[cycle] @ small_motion(step[cycle], centre=centre)
                if np.abs(step[:, :3]).max() < _SMALLEST_STEP:
                    break
            del images
    return transforms


def sample_points(samples: NDArray[np.bool_], *, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions of samples, RAS [mm], shape (S, 3); of many a part."""
    voxels = np.argwhere(samples)
    if voxels.shape[0] > _SAMPLES:
        # A fixed draw: the same input gives the same result.
        chosen = np.random.default_rng(0).choice(voxels.shape[0], _SAMPLES, replace=False)
        voxels = voxels[np.sort(chosen)]
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


def splines(
    magnitude: NDArray[np.float32], *, level: Level, short: tuple[bool, bool, bool], pool: ThreadPoolExecutor
) -> list[NDArray[np.float32]]:
    """Return images, band-passed along all axes but short ones, as cubic spline coefficients."""
    from scipy import ndimage

    low, high = ([0.0 if few else sigma for few in short] for sigma in (level.smoothing, level.high_pass))

    def one(image: int) -> NDArray[np.float32]:
        values = np.ascontiguousarray(magnitude[..., image])
        band = ndimage.gaussian_filter(values, low)
        band -= ndimage.gaussian_filter(values, high)
        return ndimage.spline_filter(band, order=3, output=np.float32)

    return list(pool.map(one, range(magnitude.shape[3])))


def gauss_newton_step(
    images: Sequence[NDArray[np.float32]],
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

    `images` are those of `splines`. Only the columns of `basis` (6, K) are free.
    """
    number, size = len(images), basis.shape[1]
    free = [image for image in range(number) if image != reference]
    to_voxel = np.linalg.inv(affine)
    values = np.empty((number, len(points)), dtype=np.float32)
    within = np.empty((number, len(points)), dtype=bool)
    jacobian = np.empty((len(points), len(free), size), dtype=np.float32)
    arm, columns = (points - centre).astype(np.float32), basis.astype(np.float32)

    def sample(image: int) -> None:
        values[image], slope, within[image] = sample_spline(
            images[image], points=points, voxel_map=to_voxel @ transforms[image]
        )
        if image != reference:
            jacobian[:, free.index(image)] = np.concatenate([slope, np.cross(arm, slope)], axis=1) @ columns

    list(pool.map(sample, range(number)))
    inside = np.logical_and.reduce(within)
    if size == 0 or np.count_nonzero(inside) < FEWEST_SAMPLES[size]:
        raise TooFewSamples(
            f"only {np.count_nonzero(inside)} voxels of the head lie inside all volumes, expected at least "
            f"{FEWEST_SAMPLES.get(size, FEWEST_SAMPLES[6])}; the motion is larger than the field of view, the images hold no head "
            "or too few voxels"
        )
    weights, precision = robust_precision(values, inside)
    root = np.sqrt(weights)
    jacobian *= root[:, None, None]
    pull = (precision[free].astype(np.float32) @ values) * root
    gradient = np.stack([pull[row] @ jacobian[:, row] for row in range(len(free))]).astype(float)
    flat = size * len(free)
    columns_of_all = jacobian.reshape(len(points), flat)
    hessian = (columns_of_all.T @ columns_of_all).astype(float)
    hessian *= np.kron(precision[np.ix_(free, free)], np.ones((size, size)))
    step = np.zeros((number, 6))
    step[free] = -np.linalg.solve(hessian, gradient.ravel()).reshape(-1, size) @ basis.T
    return step


def robust_precision(
    values: NDArray[np.float32], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the weights of the samples and the inverse covariance of the images under a t distribution."""
    number = values.shape[0]
    weights = inside.astype(np.float32)
    count = float(weights.sum(dtype=float))
    precision: NDArray[np.float64] = np.eye(number)
    for _ in range(6):
        covariance = ((values * weights) @ values.T).astype(float) / count
        covariance += _RIDGE * np.trace(covariance) / number * np.eye(number)
        precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        distance = np.sum(values * (precision.astype(np.float32) @ values), axis=0)
        weights = inside * (np.float32(_DEGREES_OF_FREEDOM + number) / (np.float32(_DEGREES_OF_FREEDOM) + distance))
    return weights, precision


def small_motion(motion: NDArray[np.float64], *, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix of a translation [mm] and a rotation vector [rad] about a centre, shape (4, 4)."""
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(motion[3:]).as_matrix()
    matrix[:3, 3] = motion[:3] + centre - matrix[:3, :3] @ centre
    return matrix
