"""The true maps on the acquisition grid, from the points of each voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.acquisition import oversampling
from qmri_bids.phantom.anatomy import Head
from qmri_bids.phantom.geometry import Grid
from qmri_bids.phantom.tissues import BRAIN_LABELS, Label


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a perfect measurement would find in the space of the reference cycle, arrays of shape (x, y, z).

    A mixed voxel has no single T1: `t1` and `t2` are those of the mean relaxation rates, weighted by M0, of the
    points of brain tissue (GM, WM, CSF) in the voxel (a mean of times would be that of a trace of fluid); `m0` is
    the mean over these points. NaN where there is none. `off_resonance` and `b1` are means over all points with a
    signal, the scalp included.

    Parameters
    ----------
    fractions
        Share of the voxel's volume for GM, WM and CSF.
    segmentation
        The largest of them inside the brain mask, else 0.
    brain
        Where GM, WM and CSF together fill at least half the voxel.
    t1, t2, m0
        [s], [s], against cerebrospinal fluid.
    off_resonance
        Of water [Hz].
    b1
        Actual over nominal flip angle.
    """

    fractions: dict[Label, NDArray[np.float32]]
    segmentation: NDArray[np.uint8]
    brain: NDArray[np.bool_]
    t1: NDArray[np.float32]
    t2: NDArray[np.float32]
    m0: NDArray[np.float32]
    off_resonance: NDArray[np.float32]
    b1: NDArray[np.float32]


def true_maps(head: Head, *, grid: Grid, placement: NDArray[np.float64]) -> Truth:
    """Return the true maps of a head at rest.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the acquisition.
    placement
        From coordinates of the head to the scanner's RAS [mm] in the reference cycle, shape (4, 4).
    """
    factor = oversampling(float(grid.voxel_sizes.max()))
    fine = grid.finer(factor)
    inverse = np.linalg.inv(placement)
    names = ("t1", "t2", "m0", "off_resonance", "b1")
    means = {name: np.empty(grid.shape, dtype=np.float32) for name in names}
    fractions = {label: np.empty(grid.shape, dtype=np.float32) for label in BRAIN_LABELS}

    def block_sum(values: NDArray) -> NDArray:
        """Sum over the points of every voxel of one plane."""
        blocks = values.reshape(factor, grid.shape[1], factor, grid.shape[2], factor)
        return blocks.sum(axis=(0, 2, 4), dtype=np.float64)

    for plane in range(grid.shape[0]):
        points = fine.slab_points(plane * factor, (plane + 1) * factor)
        inside, sample = head.sample(inverse[:3, :3] @ points + inverse[:3, 3:])
        labels = np.zeros(inside.shape, dtype=np.uint8)
        labels[inside] = sample.label
        for label in BRAIN_LABELS:
            fractions[label][plane] = block_sum(labels == label) / factor**3
        brain = np.isin(labels, BRAIN_LABELS)
        for name in names:
            counted = inside if name in ("off_resonance", "b1") else brain
            spread = np.zeros(inside.shape, dtype=np.float32)
            if name in ("t1", "t2"):
                # Σ m0 / Σ (m0/T): the time of the mean rate.
                spread[inside] = sample.m0 / getattr(sample, name)
                weight = np.zeros(inside.shape, dtype=np.float32)
                weight[inside] = sample.m0
                below, above = (
                    block_sum(np.where(counted, spread, 0.0)),
                    block_sum(np.where(counted, weight, 0.0)),
                )
            else:
                spread[inside] = getattr(sample, name)
                below, above = block_sum(counted), block_sum(np.where(counted, spread, 0.0))
            means[name][plane] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)

    share = np.stack([fractions[label] for label in BRAIN_LABELS])
    mask = share.sum(axis=0) >= 0.5
    winner = np.array(BRAIN_LABELS, dtype=np.uint8)[np.argmax(share, axis=0)]
    return Truth(fractions=fractions, segmentation=np.where(mask, winner, 0).astype(np.uint8), brain=mask, **means)
