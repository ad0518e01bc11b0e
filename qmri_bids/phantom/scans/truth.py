"""The true maps on the acquisition grid, from the points of each voxel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.phantom.heads.geometry import Grid
from qmri_bids.phantom.heads.head import Head, Region, Sample
from qmri_bids.phantom.scans.acquisition import oversamplings
from qmri_bids.phantom.scans.semisolid import Semisolid

BRAIN_RIM = 2.0
"""Fluid around the brain that a brain mask holds [mm]."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a perfect measurement would find in the space of the reference cycle, arrays of shape (x, y, z).

    GM, WM and CSF stand for the regions of the head, whatever they are. A mixed voxel has no single T1: `t1` and `t2` are those of
    the mean relaxation rates, weighted by M0, of the points of brain tissue (GM, WM, CSF) in the voxel (a mean of times would be
    that of a trace of fluid); `m0` is the mean over these points. NaN where there is none. `off_resonance` and `b1` are means over
    all points with a signal, the scalp included.

    Parameters
    ----------
    regions
        What the head tells apart: grey matter, white matter and fluid, or the bodies of an object.
    fractions
        Share of the voxel's volume of each, by its label.
    segmentation
        Index of the largest of them inside the brain mask, else 0.
    mask_name
        What the mask is called: brain or object.
    brain
        The brain with the fluid around it: `BRAIN_RIM` beyond the brain's surface. Where the head knows no such surface, GM, WM
        and CSF together fill at least half the voxel.
    tissue
        The brain alone, within its surface; the same as `brain` where the head knows none.
    t1, t2, m0
        T1 [s], T2 [s], and M0 relative to that of cerebrospinal fluid.
    off_resonance
        Off-resonance of water [Hz].
    b1
        Actual over nominal flip angle.
    free_t1
        T1 of free water [s], as `t1`, where the scans met semisolid pools with which it differs; else None.
    semisolid
        Those pools.
    """

    regions: tuple[Region, ...]
    fractions: dict[int, NDArray[np.float32]]
    segmentation: NDArray[np.uint8]
    mask_name: str
    brain: NDArray[np.bool_]
    tissue: NDArray[np.bool_]
    t1: NDArray[np.float32]
    t2: NDArray[np.float32]
    m0: NDArray[np.float32]
    off_resonance: NDArray[np.float32]
    b1: NDArray[np.float32]
    free_t1: NDArray[np.float32] | None = None
    semisolid: Semisolid | None = None


def true_maps(head: Head, *, grid: Grid, placement: NDArray[np.float64], semisolid: Semisolid | None = None) -> Truth:
    """Return the true maps of a head at rest.

    Parameters
    ----------
    head
        What is scanned.
    grid
        Voxels of the acquisition.
    placement
        Matrix from coordinates of the head to the scanner's RAS [mm] in the reference cycle, shape (4, 4).
    semisolid
        Semisolid pools that all scans meet; None where T1 is that of water.
    """
    factors = oversamplings(grid)
    fine = grid.finer(factors)
    inverse = np.linalg.inv(placement)
    labels = [region.label for region in head.regions]
    names = ["t1", "t2", "m0", "off_resonance", "b1", *([] if semisolid is None else ["free_t1"])]
    means = {name: np.empty(grid.shape, dtype=np.float32) for name in names}
    fractions = {label: np.empty(grid.shape, dtype=np.float32) for label in labels}

    voxels = grid.shape[1] * grid.shape[2]
    # Voxel of its plane in which every point lies.
    along = (np.arange(n * factor) // factor for n, factor in zip(grid.shape[1:], factors[1:], strict=True))
    axes = np.meshgrid(np.arange(factors[0]), *along, indexing="ij")
    voxel = (axes[1] * grid.shape[2] + axes[2]).ravel()

    for plane in range(grid.shape[0]):
        points = fine.slab_points(plane * factors[0], (plane + 1) * factors[0])
        where, sample = head.sample(inverse[:3, :3] @ points + inverse[:3, 3:])
        place, brain = voxel[where], np.isin(sample.label, labels)

        def plane_sum(values: NDArray, counted: NDArray[np.bool_], place: NDArray = place) -> NDArray[np.float64]:
            """Sum over the spins of every voxel of the plane."""
            sums = np.bincount(place[counted], weights=values[counted], minlength=voxels)
            return sums.astype(np.float64).reshape(grid.shape[1:])

        for label in labels:
            fractions[label][plane] = plane_sum(sample.share, sample.label == label) / math.prod(factors)
        for name in names:
            if semisolid is not None and name == "free_t1":
                values = _free_t1(sample, semisolid)
            else:
                values = getattr(sample, name).astype(np.float64)
            counted = np.ones(len(where), dtype=bool) if name in ("off_resonance", "b1") else brain
            if name in ("t1", "t2", "free_t1"):
                # Σ m0 / Σ (m0/T): the time of the mean rate.
                below, above = plane_sum(sample.m0 / values, counted), plane_sum(sample.m0, counted)
            else:
                below = plane_sum(sample.share, counted)
                above = plane_sum(values if name == "m0" else values * sample.share, counted)
            means[name][plane] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)

    share = np.stack([fractions[label] for label in labels])
    tissue = share.sum(axis=0) >= 0.5
    centres = grid.slab_points(0, grid.shape[0])
    distance = head.brain_distance(inverse[:3, :3] @ centres + inverse[:3, 3:])
    mask = tissue
    if distance is not None:
        tissue = (distance < 0.0).reshape(grid.shape)
        mask = (distance < BRAIN_RIM).reshape(grid.shape)
    winner = np.array([region.index for region in head.regions], dtype=np.uint8)[np.argmax(share, axis=0)]
    return Truth(
        regions=head.regions,
        mask_name=head.mask_name,
        fractions=fractions,
        segmentation=np.where(mask, winner, 0).astype(np.uint8),
        brain=mask,
        tissue=tissue,
        semisolid=semisolid,
        **means,
    )


def _free_t1(sample: Sample, semisolid: Semisolid) -> NDArray[np.float64]:
    """Return T1 of the free water of every spin [s], shape (n,)."""
    out = sample.t1.astype(np.float64)
    for label in np.unique(sample.label).tolist():
        here = sample.label == label
        out[here] = semisolid.free_t1(label, out[here])
    return out
