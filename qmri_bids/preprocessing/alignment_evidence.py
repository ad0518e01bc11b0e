"""How much aligned images say of each other: by this a joint alignment is believed or not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.groupwise import Level, _prepare, _robust_precision, _sampler

_RIDGE = 1e-6
"""Added to the correlations: images without noise make them singular."""


def shared_variance(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    samples: NDArray[np.bool_],
    level: Level,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return which share of the variance of each image all others explain: its squared multiple correlation.

    About 0 for an image of noise, below that of its likes for one that lies elsewhere.

    Parameters
    ----------
    magnitude
        Shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    transforms
        From the position in the reference to that in each image, RAS millimetres, shape (N, 4, 4).
    samples
        Where images are compared, in the space of the reference, shape (X, Y, Z).
    level
        Pass band.
    threads
        Threads; the result does not depend on it.
    """
    matrix = np.asarray(affine, dtype=float)
    points = np.argwhere(samples) @ matrix[:3, :3].T + matrix[:3, 3]
    number = magnitude.shape[3]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        prepared = _prepare(magnitude, level=level, pool=pool)
        sample = _sampler(prepared, points, points.mean(axis=0), matrix, transforms)
        found = list(pool.map(lambda index: sample(index)[::2], range(number)))
    values = np.stack([value for value, _ in found])
    weights, _ = _robust_precision(values, np.logical_and.reduce([inside for _, inside in found]))
    covariance = (values * weights) @ values.T
    spread = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    # Of correlations, so that a dark image counts as a bright one does.
    correlation = covariance / np.outer(spread, spread) + _RIDGE * np.eye(number)
    return 1.0 - 1.0 / np.diag(np.linalg.inv(correlation))
