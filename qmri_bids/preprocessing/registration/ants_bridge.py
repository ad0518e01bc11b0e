"""Arrays and RAS affines to ANTs and back, and rigid registration as a 4×4 matrix.

ANTs works in LPS millimetres, NIfTI in RAS millimetres; the change happens here and nowhere else. ANTs reads
its number of threads and its random seed from the environment when it is loaded: registrations that must be
reproducible run in the workers of `deterministic_pool`.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.system.child_processes import end_with_parent
from qmri_bids.system.temporaries import scratch_folder
from qmri_bids.system.worker_context import worker_context

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The pyramid of a registration: one entry a level, coarse to fine.

    Parameters
    ----------
    iterations
        Largest number of iterations of each level.
    shrink_factors
        Subsampling of each level.
    smoothing
        Standard deviation of the Gaussian smoothing of each level [voxels].
    metric
        Metric by its ANTs name: `mattes`, `GC` (global correlation) or `meansquares`.
    sampling_rate
        Fraction of the voxels at which the metric is evaluated.
    """

    iterations: tuple[int, ...] = (2100, 1200, 1200, 10)
    shrink_factors: tuple[int, ...] = (6, 4, 2, 1)
    smoothing: tuple[float, ...] = (3, 2, 1, 0)
    metric: str = "mattes"
    sampling_rate: float = 0.2


def _one_thread_fixed_seed() -> None:
    """Make ANTs deterministic in this process; has an effect only before ANTs is imported."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    os.environ["ANTS_RANDOM_SEED"] = "1"
    end_with_parent()


def deterministic_pool(*, processes: int) -> ProcessPoolExecutor:
    """Return a pool of fresh processes in which ANTs has one thread and a fixed seed.

    Results do not depend on `processes`: one process also works in a worker of its own, since ANTs may be
    loaded with other settings in the caller.

    Raises
    ------
    ValueError
        If `processes` is not positive.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, found {processes}")
    return ProcessPoolExecutor(max_workers=processes, mp_context=worker_context(), initializer=_one_thread_fixed_seed)


def voxel_sizes(affine: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the edge lengths of a voxel [mm], shape (3,)."""
    return np.sqrt(np.sum(np.asarray(affine, dtype=float)[:3, :3] ** 2, axis=0))


def to_ants(image: NDArray[Any], *, affine: NDArray[np.floating]) -> Any:
    """Return the ANTs image of a 3D array.

    Parameters
    ----------
    image
        The array, real, shape (X, Y, Z).
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Raises
    ------
    ValueError
        If the axes of the affine are not perpendicular to 1 %: ANTs has no sheared grids.
    """
    import ants

    lps = _RAS_TO_LPS @ np.asarray(affine, dtype=float)
    spacing = voxel_sizes(affine)
    direction = lps[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-2):
        raise ValueError(
            f"affine has axes that are not perpendicular (shear): {np.asarray(affine).tolist()}; "
            "resample the image to a grid without shear first"
        )
    left, _, right = np.linalg.svd(direction)
    return ants.from_numpy(
        np.ascontiguousarray(image, dtype=np.float32),
        origin=tuple(lps[:3, 3]),
        spacing=tuple(spacing),
        direction=left @ right,
    )


def transform_matrix(path: str | Path) -> NDArray[np.float64]:
    """Return an ANTs affine transform file as a matrix from fixed to moving position, RAS millimetres."""
    import ants

    transform = ants.read_transform(str(path))
    centre = np.asarray(transform.fixed_parameters, dtype=float)
    parameters = np.asarray(transform.parameters, dtype=float)
    matrix = np.eye(4)
    matrix[:3, :3] = parameters[:9].reshape(3, 3)
    matrix[:3, 3] = parameters[9:] + centre - matrix[:3, :3] @ centre
    return _RAS_TO_LPS @ matrix @ _RAS_TO_LPS


def register(
    *,
    fixed: NDArray[Any],
    fixed_affine: NDArray[np.floating],
    moving: NDArray[Any],
    moving_affine: NDArray[np.floating],
    schedule: Schedule,
    transform: str = "Rigid",
    initial: str = "Identity",
) -> NDArray[np.float64]:
    """Register two images by a linear transform.

    Parameters
    ----------
    fixed, moving
        Real images, 3D.
    fixed_affine, moving_affine
        Their voxel to RAS millimetres, shape (4, 4).
    schedule
        Levels and metric.
    transform
        `Rigid` or `Affine`.
    initial
        `Identity`, or `centre` to start from the alignment of the centres of mass.

    Returns
    -------
    matrix
        Matrix from the position in the fixed image to that in the moving image, RAS millimetres, shape (4, 4).
        Nothing is left on disk.
    """
    import ants

    fixed_image = to_ants(fixed, affine=fixed_affine)
    moving_image = to_ants(moving, affine=moving_affine)
    with scratch_folder() as folder:
        result = ants.registration(
            fixed=fixed_image,
            moving=moving_image,
            type_of_transform=transform,
            initial_transform=None if initial == "centre" else initial,
            outprefix=str(folder / "transform_"),
            aff_metric=schedule.metric,
            aff_random_sampling_rate=schedule.sampling_rate,
            aff_iterations=schedule.iterations,
            aff_shrink_factors=schedule.shrink_factors,
            aff_smoothing_sigmas=schedule.smoothing,
        )
        files = [path for path in result["fwdtransforms"] if str(path).endswith(".mat")]
        matrix = np.eye(4)
        for path in files:
            matrix = transform_matrix(path) @ matrix
    return matrix


def register_plane(
    *,
    fixed: NDArray[Any],
    moving: NDArray[Any],
    spacing: tuple[float, float],
    schedule: Schedule,
) -> NDArray[np.float64]:
    """Register two images of one plane by a rigid transform within it.

    Parameters
    ----------
    fixed, moving
        Real images of one grid, 2D.
    spacing
        Edges of a voxel [mm].
    schedule
        Levels and metric.

    Returns
    -------
    matrix
        Matrix from the position in the fixed image to that in the moving image, in millimetres from the centre of the first voxel
        along both axes, shape (3, 3).
    """
    import ants

    images = [
        ants.from_numpy(np.ascontiguousarray(image, dtype=np.float32), spacing=tuple(spacing))
        for image in (fixed, moving)
    ]
    with scratch_folder() as folder:
        result = ants.registration(
            fixed=images[0],
            moving=images[1],
            type_of_transform="Rigid",
            initial_transform="Identity",
            outprefix=str(folder / "transform_"),
            aff_metric=schedule.metric,
            aff_random_sampling_rate=schedule.sampling_rate,
            aff_iterations=schedule.iterations,
            aff_shrink_factors=schedule.shrink_factors,
            aff_smoothing_sigmas=schedule.smoothing,
        )
        matrix = np.eye(3)
        for path in (each for each in result["fwdtransforms"] if str(each).endswith(".mat")):
            transform = ants.read_transform(str(path))
            centre = np.asarray(transform.fixed_parameters, dtype=float)
            parameters = np.asarray(transform.parameters, dtype=float)
            found = np.eye(3)
            found[:2, :2] = parameters[:4].reshape(2, 2)
            found[:2, 2] = parameters[4:] + centre - found[:2, :2] @ centre
            matrix = found @ matrix
    return matrix
