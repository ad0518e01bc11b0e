"""Rigid motion within series whose volumes do not predict each other: scans of different contrast, and spectra full of fringes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import head_mask
from qmri_bids.preprocessing.motion.evidence import (
    FINE,
    edge_correlation,
    linked,
    remaining_by_edges,
    remaining_by_similarity,
    same_edges,
)
from qmri_bids.preprocessing.motion.head_regions import check_brain, grown
from qmri_bids.preprocessing.motion.phase_cycles import register_to_reference
from qmri_bids.preprocessing.motion.saturated import RIM, SaturatedMotion, apply_series_motion
from qmri_bids.preprocessing.registration.ants_bridge import deterministic_pool
from qmri_bids.preprocessing.registration.rigid_freedom import Freedom, freedom_of
from qmri_bids.preprocessing.registration.scans import register_scans

_BESIDE_BRAIN = 4.0
"""Surroundings of the brain by which volumes with fringes are compared [mm]."""


def align_scans(volumes: NDArray[np.floating], *, affine: NDArray[np.floating]) -> SaturatedMotion:
    """Align every scan to the first by mutual information, of one or few slices within their plane.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).

    Raises
    ------
    RegistrationFailed
        If two scans cannot be aligned.
    """
    transforms = np.tile(np.eye(4), (volumes.shape[3], 1, 1))
    freedom = freedom_of(volumes.shape[:3], affine=affine)
    if not freedom.assessed.all():
        if freedom.assessed.any():
            with deterministic_pool(processes=1) as pool:
                transforms = register_to_reference(
                    np.asarray(volumes, dtype=np.float32), affine=affine, reference=0, pool=pool
                )
        sentences = [_plane_sentence(freedom, reference=0, shape=volumes.shape[:3])]
        return _aligned(volumes, affine=affine, transforms=transforms, reference=0, sentences=sentences)
    sentences = []
    for index in range(1, volumes.shape[3]):
        found = register_scans(volumes[..., 0], fixed_affine=affine, moving=volumes[..., index], moving_affine=affine)
        transforms[index] = found.transform
        sentences += [f"Scan {index + 1} to scan 1: {sentence}" for sentence in found.decisions]
    return _aligned(volumes, affine=affine, transforms=transforms, reference=0, sentences=sentences)


def align_fringes(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    reference: int,
    brain: NDArray[np.bool_] | None = None,
    processes: int = 1,
) -> SaturatedMotion:
    """Align the volumes of a WASABI or WASSR series to one of them by mutual information on a coarse grid.

    Fringes move over the head from offset to offset, which a joint alignment on edges takes for motion: on a simulated head of 4 mm
    it was 3 mm off around water, mutual information 0.3 mm at most.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    reference
        Index of a volume without fringes.
    brain
        The brain, shape (X, Y, Z), by which what is left is judged; the head by default.
    processes
        Worker processes; the result does not depend on it.
    """
    check_brain(brain, volumes.shape[:3])
    series = np.asarray(volumes, dtype=np.float32)
    freedom = freedom_of(series.shape[:3], affine=affine)
    with deterministic_pool(processes=processes) as pool:
        transforms = register_to_reference(series, affine=affine, reference=reference, pool=pool)
    if freedom.through is None and freedom.assessed.any():
        sentence = (
            f"Every volume was registered rigidly to volume {reference + 1} by mutual information on a coarse grid: fringes that "
            "move from offset to offset mislead a finer alignment."
        )
    else:
        sentence = _plane_sentence(freedom, reference=reference, shape=series.shape[:3])
    left = remaining_of_fringes(series, affine=affine, transforms=transforms, reference=reference, brain=brain)
    return _aligned(
        series, affine=affine, transforms=transforms, reference=reference, sentences=[sentence], remaining=left
    )


def remaining_of_fringes(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    brain: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return how far each volume of a WASABI or WASSR series still lies from the reference [m], shape (N,).

    Parameters
    ----------
    volumes, affine, transforms, reference, brain
        Magnitudes, shape (X, Y, Z, N), with their grid, reference and brain, see `align_fringes`; and the transforms from the
        reference to each volume, RAS millimetres, shape (N, 4, 4).
    """
    series = np.asarray(volumes, dtype=np.float32)
    known: dict[str, Any] = {
        "affine": affine,
        "transforms": transforms,
        "samples": head_mask(series[..., reference])
        if brain is None
        else grown(brain, by=_BESIDE_BRAIN, affine=affine),
    }
    by_similarity = remaining_by_similarity(series, reference=reference, **known)
    if not np.isfinite(by_similarity).any():
        return 1e-3 * by_similarity
    # Fringes differ little from one offset to the next, and the edge of the head does not at all: where edges are shared from
    # volume to volume, they tell what is left, and fringes do not.
    whole = grown(head_mask(series[..., reference]), by=RIM, affine=affine)
    correlation = edge_correlation(series, level=FINE, **(known | {"samples": whole}))
    near = linked(same_edges(correlation), reference=reference)
    by_edges = remaining_by_edges(series, reference=reference, **known)
    return 1e-3 * np.where(near & np.isfinite(by_edges), by_edges, by_similarity)


def _plane_sentence(freedom: Freedom, *, reference: int, shape: tuple[int, ...]) -> str:
    """Say how volumes were aligned whose grid does not tell all of a motion."""
    if not freedom.assessed.any():
        return f"Motion was not corrected: a grid of {' × '.join(str(size) for size in shape)} voxels tells none."
    return f"Every volume was registered rigidly within the plane to volume {reference + 1} by mutual information."


def _aligned(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    sentences: list[str],
    remaining: NDArray[np.float64] | None = None,
) -> SaturatedMotion:
    """Return the volumes brought to the reference, with what the transforms say."""
    return apply_series_motion(
        volumes,
        affine=affine,
        transforms=transforms,
        reference=reference,
        trusted=np.ones(volumes.shape[3], dtype=bool),
        centre=grid_centre(volumes.shape[:3], affine=affine),
        remaining=remaining,
        decisions=sentences,
    )


def grid_centre(shape: tuple[int, ...], *, affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the centre of a grid, RAS [mm]: the parameters of motion are about it."""
    return np.asarray((np.asarray(affine) @ np.append((np.asarray(shape) - 1) / 2.0, 1.0))[:3], dtype=np.float64)
