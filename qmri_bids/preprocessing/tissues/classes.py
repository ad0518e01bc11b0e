"""White matter, grey matter and fluid from one quantitative map: for figures and statistics of a report, not a segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.registration.ants_bridge import deterministic_pool
from qmri_bids.system.temporaries import scratch_folder

CLASSES = 3
"""Grey matter, white matter, fluid."""

COMPRESSION = 2.5
"""Median absolute deviations of the map over which it is compressed. Fluid lies so far from both kinds of matter that k-means of
the map itself makes one class of them and two of fluid, in T1 as in MTR; the median is that of matter."""

FEWEST_VOXELS = 300
"""Values needed for three classes."""

SMALLEST_SHARE = 0.005
"""A class with less of the brain than this is named: the classes are then hardly tissues."""


def tissue_classes(
    values: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    mask: NDArray[np.bool_],
    ascending: Sequence[int],
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return labels of tissues by k-means and a Markov random field (ANTs Atropos).

    Parameters
    ----------
    values
        A map whose values order the tissues, such as T1 or MTR, shape (X, Y, Z); voxels that are not finite get no label.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    mask
        The brain, shape (X, Y, Z).
    ascending
        The labels of the three tissues in ascending order of the map, of T1 white matter, grey matter, fluid.

    Returns
    -------
    labels, decisions
        Labels of the tissues, uint8, 0 outside the mask; and what was decided, as sentences.

    Raises
    ------
    ValueError
        If shapes do not belong together, there are not three different labels or too few values.
    """
    if values.ndim != 3 or mask.shape != values.shape:
        raise ValueError(
            f"values must have three dimensions and the shape of the mask, found {values.shape}, {mask.shape}"
        )
    if len(ascending) != CLASSES or len(set(ascending)) != CLASSES:
        raise ValueError(f"ascending must hold {CLASSES} different labels, found {tuple(ascending)}")
    inside = np.asarray(mask, dtype=bool) & np.isfinite(values)
    number = int(inside.sum())
    if number < FEWEST_VOXELS or not np.ptp(values[inside]) > 0.0:
        raise ValueError(
            f"tissues need at least {FEWEST_VOXELS} different values inside the mask, found {number} voxels with a value"
        )
    middle = float(np.median(values[inside]))
    width = float(np.median(np.abs(values[inside] - middle)))
    if not width > 0.0:
        raise ValueError("more than half of the map inside the mask has one value: there are no tissues to tell")
    cut = np.where(inside, np.tanh((np.nan_to_num(values) - middle) / (COMPRESSION * width)), 0.0).astype(np.float32)
    with deterministic_pool(processes=1) as pool:
        classes = pool.submit(_classes, cut, np.asarray(affine, dtype=float), inside).result()
    means = [
        float(cut[classes == label].mean()) if (classes == label).any() else np.inf for label in range(1, 1 + CLASSES)
    ]
    labels = np.zeros(values.shape, dtype=np.uint8)
    for tissue, place in zip(ascending, np.argsort(means), strict=True):
        labels[classes == place + 1] = tissue
    shares = {tissue: float(np.count_nonzero(labels == tissue)) / number for tissue in ascending}
    decisions = [
        "Tissue classes are those of one map (k-means of three classes with a Markov random field): they serve figures and "
        "statistics and are no segmentation."
    ]
    few = [str(tissue) for tissue, share in shares.items() if share < SMALLEST_SHARE]
    if few:
        decisions.append(
            f"The classes {', '.join(few)} hold less than {100.0 * SMALLEST_SHARE:g} % of the brain: the map hardly tells tissues."
        )
    return labels, tuple(decisions)


def _classes(values: NDArray[np.float32], affine: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the classes 1 to 3 in no order, 0 outside; runs in a process of its own."""
    import ants

    from qmri_bids.preprocessing.registration.ants_bridge import to_ants

    with scratch_folder():  # for the probabilities that it writes to files and leaves there
        found = ants.atropos(
            a=to_ants(values, affine=affine),
            x=to_ants(inside, affine=affine),
            i=f"kmeans[{CLASSES}]",
            m="[0.1,1x1x1]",
            c="[10,0]",
        )
    return np.asarray(found["segmentation"].numpy()).round().astype(np.uint8)
