"""How well images lie on each other once they are aligned: what is left of the motion, and how much they say of each other.

An alignment is at rest when a next step moves nothing, also one that rests at the wrong place. The step is therefore taken
twice, by two halves of the head that interlock as the fields of a board: noise, bands, fringes and what does not move rigidly
pull each half elsewhere. The root mean square of both, times a factor for what both halves have in common, is the misalignment
that is left, and grows where an image was left uncorrected.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import shrink
from qmri_bids.preprocessing.motion.groupwise import (
    Level,
    TooFewSamples,
    gauss_newton_step,
    robust_precision,
    sample_points,
    small_motion,
    splines,
)
from qmri_bids.preprocessing.registration.rigid_freedom import blocks, freedom_of
from qmri_bids.preprocessing.registration.similarity import mutual_information
from qmri_bids.preprocessing.registration.spline_kernels import sample_spline

FIELD = 40.0
"""Edge of the fields that make up a half [mm]: bands and fringes are alike within them."""

COARSE = Level(smoothing=2.0, high_pass=5.0, steps=1)
"""Pass band that sees an image which lies off by voxels."""

FINE = Level(smoothing=0.7, high_pass=1.5, steps=1)
"""Pass band of the estimate, which sees a voxel or two."""

FAR = 0.5
"""An image is far off [voxels] where coarse edges and mutual information both find it so: each alone is misled by contrast."""

SAME_EDGES = 0.9
"""Squared correlation of the edges of two images of like contrast that lie on each other: 0.97 and more from offset to offset of a
WASABI scan or Z-spectrum, 0.84 at most where one of them is half a voxel off."""

COMMON = 2.0
"""True misalignment over the root mean square of both halves: 1.4 to 3 (mean 2) for phase cycles of a digital head at 4 mm, still
or moved, on edges or on the signal model."""

FEWEST_PROBED = 200
"""Voxels in each half from which mutual information is told."""

PROBE = 3.0
"""How far volumes are shifted to see how their mutual information falls [mm]; turned as far at `PROBE_RADIUS`."""

PROBE_SMOOTHING = 0.7
"""Standard deviation of the Gaussian before volumes are compared [voxels]: else interpolation smooths what is shifted alone."""

PROBE_BINS = 24
"""Bins of mutual information along either axis: halves of a slice hold few voxels."""

PROBE_SAMPLES = 30_000
"""Places at which volumes are compared."""

PROBE_RADIUS = 60.0
"""Distance from the centre at which a rotation moves as far as a translation [mm]."""

PROBE_VOXEL = 2.5
"""Voxels at which volumes with fringes are compared [mm]."""

_RIDGE = 1e-6
"""Added to the correlations: images without noise make them singular."""


def halves(points: NDArray[np.floating]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which positions (S, 3) [mm] belong to each of two interlocking halves, shape (S,) each."""
    centred = points - points.mean(axis=0)
    odd = np.floor(centred / FIELD).astype(int).sum(axis=1) % 2 == 1
    return odd, ~odd


def mean_displacement(steps: NDArray[np.floating], *, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the root mean square distance [mm] by which small motions move positions, shape (..., N).

    Parameters
    ----------
    steps
        Translation [mm] and rotation [rad] about the centre of the positions, shape (..., N, 6).
    points
        RAS [mm], shape (S, 3).
    """
    arm = points - points.mean(axis=0)
    inertia = np.trace(arm.T @ arm) * np.eye(3) - arm.T @ arm
    turned = np.einsum("...i,ij,...j->...", steps[..., 3:], inertia / len(arm), steps[..., 3:])
    return np.asarray(np.sqrt(np.square(steps[..., :3]).sum(axis=-1) + np.maximum(turned, 0.0)))


def misalignment(steps: NDArray[np.floating], *, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what is left [mm] by the steps that both halves ask for, shape (2, N, 6); see `mean_displacement`."""
    return np.asarray(COMMON * np.sqrt(np.mean(mean_displacement(steps, points=points) ** 2, axis=0)))


def remaining(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    samples: NDArray[np.bool_],
    fine: NDArray[np.float64] | None = None,
    linked: NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return how far each image still lies from the others [mm], root mean square over the samples, shape (N,).

    For images of one or few slices the distance is within their plane; NaN where the images tell nothing.

    Parameters
    ----------
    magnitude, affine, transforms, reference, samples, threads
        Images, shape (X, Y, Z, N), their grid, transforms and reference, and where they are compared; see `remaining_by_edges`.
    fine
        What is known of images that lie within a voxel [mm]; by their fine edges where None.
    linked
        Images that are known to lie within a voxel, shape (N,): patterns of contrast, such as fringes, are not taken for motion.
    """
    known: dict[str, Any] = {"affine": affine, "transforms": transforms, "reference": reference, "samples": samples}
    near = remaining_by_edges(magnitude, level=FINE, threads=threads, **known) if fine is None else fine
    coarse = remaining_by_edges(magnitude, level=COARSE, threads=threads, **known)
    alike = remaining_by_similarity(magnitude, **known)
    both = np.fmin(coarse, alike)
    through = freedom_of(magnitude.shape[:3], affine=affine).through
    sides = np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)
    voxel = float(np.delete(sides, [] if through is None else through).min())
    far = both > FAR * voxel
    return np.where(far if linked is None else far & ~linked, np.fmax(both, near), near)


def remaining_by_edges(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    samples: NDArray[np.bool_],
    level: Level = FINE,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return how far each image still lies from the others by their edges [mm]; see `remaining`.

    Parameters
    ----------
    magnitude
        Magnitude images, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    transforms
        Matrices from the position in the reference to that in each image, RAS millimetres, shape (N, 4, 4).
    reference
        Index of the image that keeps its transform.
    samples
        Voxels in which images are compared, in the space of the reference, shape (X, Y, Z).
    level
        Pass band.
    threads
        Threads; the result does not depend on it.
    """
    matrix = np.asarray(affine, dtype=float)
    freedom = freedom_of(magnitude.shape[:3], affine=matrix)
    number = magnitude.shape[3]
    if not freedom.assessed.any() or not samples.any():
        return np.full(number, np.nan)
    points = sample_points(samples, affine=matrix)
    centre = points.mean(axis=0)
    steps = np.full((2, number, 6), np.nan)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        images = splines(magnitude, level=level, short=freedom.short, pool=pool)
        for row, half in enumerate(halves(points)):
            try:
                steps[row] = gauss_newton_step(
                    images,
                    points[half],
                    centre,
                    affine=matrix,
                    transforms=transforms,
                    reference=reference,
                    basis=freedom.basis,
                    pool=pool,
                )
            except (TooFewSamples, np.linalg.LinAlgError):
                return np.full(number, np.nan)
    left = misalignment(steps, points=points)
    left[reference] = 0.0
    return left


def remaining_by_similarity(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    samples: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return how far each volume still lies from the reference by mutual information [mm], shape (N,).

    For images that differ by patterns which a joint alignment on edges takes for motion.

    It is where mutual information would be largest, by a parabola through that of the volume as aligned and shifted either way,
    in two interlocking halves of the head; where there is no such place within reach, it is taken to be
    at twice the shift. NaN where the head is too small to tell.

    Parameters
    ----------
    magnitude, affine, transforms, reference, samples
        Images, shape (X, Y, Z, N), their grid, transforms and reference, and where they are compared; see `remaining_by_edges`.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    series = magnitude
    number = series.shape[3]
    freedom = freedom_of(series.shape[:3], affine=affine)
    left = np.full(number, np.nan)
    if not freedom.assessed.any():
        return left
    factor = list(blocks(series.shape[:3], affine=affine, voxel=PROBE_VOXEL))
    if freedom.through is not None:
        factor[freedom.through] = 1
    steps = (factor[0], factor[1], factor[2])
    small = [shrink(series[..., index], affine=affine, factor=steps) for index in range(number)]
    matrix = small[reference][1]
    width = [0.0 if few else PROBE_SMOOTHING for few in freedom.short]
    smooth = [np.asarray(gaussian_filter(image, width)) for image, _ in small]
    voxels = np.argwhere(shrink(samples.astype(np.float32), affine=affine, factor=steps)[0] > 0.5)
    if len(voxels) > PROBE_SAMPLES:
        # A fixed draw: the same input gives the same result.
        voxels = voxels[np.sort(np.random.default_rng(0).choice(len(voxels), PROBE_SAMPLES, replace=False))]
    points = voxels @ matrix[:3, :3].T + matrix[:3, 3]
    parts = halves(points)
    if min(np.count_nonzero(part) for part in parts) < FEWEST_PROBED:
        return left
    fixed, to_voxel = smooth[reference][tuple(voxels.T)], np.linalg.inv(matrix)
    centre = points.mean(axis=0)
    size = np.array([PROBE] * 3 + [PROBE / PROBE_RADIUS] * 3)
    moves = [(freedom.basis[:, column] * size) for column in range(freedom.basis.shape[1])]

    def similarity(index: int, motion: NDArray[np.float64]) -> list[float]:
        """Return the mutual information in both halves with a volume that is moved beyond its transform."""
        place = to_voxel @ transforms[index] @ small_motion(motion, centre=centre)
        moved = map_coordinates(smooth[index], (points @ place[:3, :3].T + place[:3, 3]).T, order=1, mode="nearest")
        return [mutual_information(fixed[part], moved[part], bins=PROBE_BINS) for part in parts]

    for index in range(number):
        if index == reference:
            left[index] = 0.0
            continue
        rest = np.array(similarity(index, np.zeros(6)))
        found = np.zeros((2, 1, 6))
        for move in moves:
            ahead, behind = (np.array(similarity(index, sign * move)) for sign in (1.0, -1.0))
            bend = ahead + behind - 2.0 * rest
            with np.errstate(divide="ignore", invalid="ignore"):
                # No farther than twice the probes reach: a parabola says nothing beyond.
                vertex = np.where(bend < 0.0, np.clip(0.5 * (behind - ahead) / bend, -2.0, 2.0), 2.0)
            found[:, 0] += vertex[:, None] * move
        left[index] = float(misalignment(found, points=points)[0])
    return left


def shared_variance(correlation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return which share of the variance of each image all others explain: its squared multiple correlation, shape (N,).

    About 0 for an image of noise, below that of its likes for one that lies elsewhere.

    Parameters
    ----------
    correlation
        Of the images, from `edge_correlation`, shape (N, N).
    """
    return np.asarray(1.0 - 1.0 / np.diag(np.linalg.inv(correlation + _RIDGE * np.eye(len(correlation)))))


def same_edges(correlation: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which images have the same edges, shape (N, N), by their `edge_correlation`; of opposite ones none has."""
    return np.asarray(np.sign(correlation) * correlation**2 >= SAME_EDGES)


def linked(alike: NDArray[np.bool_], *, reference: int) -> NDArray[np.bool_]:
    """Return which images lie on the reference, or on one that does, and so on, to less than half a voxel, shape (N,).

    Parameters
    ----------
    alike
        Pairs that have the same edges somewhere, from `same_edges`, shape (N, N).
    reference
        Index of the image that keeps its transform.
    """
    reached = np.zeros(len(alike), dtype=bool)
    reached[reference] = True
    for _ in range(len(alike)):
        reached = reached | alike[:, reached].any(axis=1)
    return reached


def edge_correlation(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    samples: NDArray[np.bool_],
    level: Level,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return the correlations of images over samples, shape (N, N).

    Parameters
    ----------
    magnitude
        Magnitude images, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    transforms
        Matrices from the position in the reference to that in each image, RAS millimetres, shape (N, 4, 4).
    samples
        Voxels in which images are compared, in the space of the reference, shape (X, Y, Z).
    level
        Pass band.
    threads
        Threads; the result does not depend on it.
    """
    matrix = np.asarray(affine, dtype=float)
    points = np.argwhere(samples) @ matrix[:3, :3].T + matrix[:3, 3]
    number = magnitude.shape[3]
    short = freedom_of(magnitude.shape[:3], affine=matrix).short
    with ThreadPoolExecutor(max_workers=threads) as pool:
        images = splines(magnitude, level=level, short=short, pool=pool)
        to_voxel = np.linalg.inv(matrix)
        found = list(
            pool.map(
                lambda index: sample_spline(images[index], points=points, voxel_map=to_voxel @ transforms[index]),
                range(number),
            )
        )
    values = np.stack([value for value, _, _ in found])
    weights, _ = robust_precision(values, np.logical_and.reduce([inside for _, _, inside in found]))
    covariance = (values * weights) @ values.T
    spread = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    # Of correlations, so that a dark image counts as a bright one does.
    return np.asarray(covariance / np.outer(spread, spread))
