"""White matter, grey matter and fluid from maps of T1 and T2 themselves, with their uncertainty, and from a T1-weighted image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GREY, WHITE, FLUID = 1, 2, 3
"""Labels, as BIDS and the digital brain have them."""

TISSUE_LABELS = (GREY, WHITE, FLUID)

TYPICAL = {GREY: (1.4, 0.085), WHITE: (0.94, 0.062), FLUID: (4.0, 1.5)}
"""T1 and T2 at 3 T [s] where the search for the classes begins."""

FEWEST_VOXELS = 300
"""Values needed for three classes."""

ROUNDS = 15
"""Of the search for the classes."""

SMOOTHNESS = 0.5
"""Weight of a neighbour of the same tissue (Potts), as a logarithm of probability."""

PURE_FLUID = 20.0
"""Percentile of the rates of voxels with fluid at which fluid itself is taken to lie."""

OUTLIER = 4.0
"""A voxel further than this many standard deviations from every tissue and every mixture of two fits none."""


@dataclass(frozen=True, kw_only=True)
class TissueSegmentation:
    """Tissues of a brain.

    Parameters
    ----------
    labels
        uint8, shape (X, Y, Z): 0 outside the mask, without a value, or where no tissue fits.
    probabilities
        Of grey matter, white matter and fluid, shape (X, Y, Z, 3), 0 where there is no label.
    unfitted
        Voxels that fit no tissue and no mixture of two, shape (X, Y, Z).
    decisions
        What was decided, as sentences.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    unfitted: NDArray[np.bool_]
    decisions: tuple[str, ...]


def segment_tissues(
    t1: NDArray[np.floating],
    t2: NDArray[np.floating] | None,
    *,
    mask: NDArray[np.bool_],
    t1_stdev: NDArray[np.floating] | None = None,
    t2_stdev: NDArray[np.floating] | None = None,
) -> TissueSegmentation:
    """Return tissues by their relaxation rates.

    Rates add up in a mixed voxel, so that half a voxel of each tissue lies half way between their rates. The classes are found
    from the voxels nearest to them, share one spread, to which the stated uncertainty of every voxel is added, and neighbours
    speak for each other (mean field of a Potts model). A voxel that fits no tissue and no mixture of two gets no label: a rare
    lesion is not forced into a tissue.

    Parameters
    ----------
    t1, t2
        Maps [s], shape (X, Y, Z), NaN where there is no value; T2 may be missing.
    mask
        The brain, shape (X, Y, Z).
    t1_stdev, t2_stdev
        Their standard deviations [s].

    Raises
    ------
    ValueError
        If shapes do not belong together, or there are too few values for three classes.
    """
    maps = [(t1, t1_stdev), *([(t2, t2_stdev)] if t2 is not None else [])]
    if any(each is not None and each.shape != mask.shape for pair in maps for each in pair):
        raise ValueError(f"maps and mask must have one shape, found {[each[0].shape for each in maps]}, {mask.shape}")
    inside = np.asarray(mask, dtype=bool).copy()
    for values, _ in maps:
        inside &= np.isfinite(values) & (np.nan_to_num(values) > 0.0)
    number = int(inside.sum())
    if number < FEWEST_VOXELS or not np.ptp(t1[inside]) > 0.0:
        raise ValueError(
            f"tissues need at least {FEWEST_VOXELS} different values inside the mask, found {number} voxels with a value"
        )
    rates = np.stack([1.0 / values[inside].astype(float) for values, _ in maps], axis=1)
    noise = np.stack(
        [
            np.zeros(number) if stdev is None else np.nan_to_num(stdev[inside] / values[inside].astype(float) ** 2)
            for values, stdev in maps
        ],
        axis=1,
    )
    start = np.array([[1.0 / each for each in TYPICAL[label]][: rates.shape[1]] for label in TISSUE_LABELS])
    means, spread = _classes(rates, start=start)
    deviation = np.sqrt(spread**2 + noise**2)
    unlike = np.sum(((rates[:, None, :] - means) / deviation[:, None, :]) ** 2, axis=2)
    off = _from_mixtures(rates, means, deviation) > OUTLIER
    probabilities = _with_neighbours(-0.5 * unlike, inside)
    full = np.zeros((*mask.shape, len(TISSUE_LABELS)), dtype=np.float32)
    full[inside] = np.where(off[:, None], 0.0, probabilities)
    labels = np.zeros(mask.shape, dtype=np.uint8)
    labels[inside] = np.where(off, 0, np.array(TISSUE_LABELS)[np.argmax(probabilities, axis=1)])
    unfitted = np.zeros(mask.shape, dtype=bool)
    unfitted[inside] = off
    return TissueSegmentation(
        labels=labels,
        probabilities=full,
        unfitted=unfitted,
        decisions=_sentences(labels, off, means=means, number=number, missing=int(np.count_nonzero(mask & ~inside))),
    )


def _classes(
    rates: NDArray[np.float64], *, start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates of the classes, shape (3, channels), and their common spread, shape (channels,)."""
    means = start.copy()
    scale = np.ptp(start, axis=0) / 4.0
    for _ in range(ROUNDS):
        distance = np.sum(((rates[:, None, :] - means) / scale) ** 2, axis=2)
        nearest = np.argmin(distance, axis=1)
        spreads = []
        for place in range(len(means)):
            own = rates[nearest == place]
            if len(own) < FEWEST_VOXELS // 10:
                continue
            centre = np.median(own, axis=0)
            spreads.append((len(own), 1.4826 * np.median(np.abs(own - centre), axis=0)))
            # Most voxels with fluid are mixtures, faster than fluid: its own rates are among the slowest.
            means[place] = centre if place < 2 else np.percentile(own, PURE_FLUID, axis=0)
        # Fluid spreads least in rates and mixtures with it most: the spread is that of the matter.
        matter = spreads[:2] or spreads
        scale = np.maximum(
            np.average([each for _, each in matter], axis=0, weights=[count for count, _ in matter]),
            0.02 * np.abs(start[0]),
        )
    return means, scale


def _from_mixtures(
    rates: NDArray[np.float64], means: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distance of every voxel to the nearest mixture of two tissues [standard deviations]."""
    nearest = np.full(len(rates), np.inf)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        way = (means[second] - means[first]) / deviation
        along = (rates - means[first]) / deviation
        share = np.clip(np.sum(along * way, axis=1) / np.maximum(np.sum(way**2, axis=1), 1e-12), 0.0, 1.0)
        nearest = np.minimum(nearest, np.sqrt(np.sum((along - share[:, None] * way) ** 2, axis=1)))
    return nearest


def _with_neighbours(logarithms: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return probabilities, shape (V, 3), where every voxel hears its six neighbours."""
    from scipy.ndimage import convolve
    from scipy.special import softmax

    cross = np.zeros((3, 3, 3))
    for axis in range(3):
        for step in (0, 2):
            corner = [1, 1, 1]
            corner[axis] = step
            cross[tuple(corner)] = 1.0
    found = softmax(logarithms, axis=1)
    volume = np.zeros(inside.shape)
    for _ in range(5):
        heard = np.empty_like(found)
        for place in range(found.shape[1]):
            volume[inside] = found[:, place]
            heard[:, place] = convolve(volume, cross, mode="constant")[inside]
        found = softmax(logarithms + SMOOTHNESS * heard, axis=1)
    return found


def _sentences(
    labels: NDArray[np.uint8], off: NDArray[np.bool_], *, means: NDArray[np.float64], number: int, missing: int
) -> tuple[str, ...]:
    names = {GREY: "grey matter", WHITE: "white matter", FLUID: "fluid"}
    times = [
        f"{names[label]} " + " and ".join(f"{1000.0 / rate:.0f} ms" for rate in means[place])
        for place, label in enumerate(TISSUE_LABELS)
    ]
    said = [
        f"Tissues were told apart by {'T1 and T2' if means.shape[1] == 2 else 'T1'} ({', '.join(times)}); "
        "neighbouring voxels speak for each other."
    ]
    count = int(off.sum())
    said.append(
        f"{count} voxels ({100.0 * count / number:.2f} %) fit no tissue and no mixture of two: they have no label."
        + (f" {missing} more have no value." if missing else "")
    )
    few = [names[label] for label in TISSUE_LABELS if np.count_nonzero(labels == label) < 0.005 * number]
    if few:
        said.append(f"Less than 0.5 % of the brain is {' or '.join(few)}: the maps hardly tell tissues.")
    return tuple(said)


def segment_t1w(
    image: NDArray[np.floating], *, affine: NDArray[np.floating], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return tissues of a T1-weighted image: its bias taken out (N4), then k-means with a Markov random field (ANTs Atropos).

    Parameters
    ----------
    image
        Shape (X, Y, Z), white matter brighter than grey matter brighter than fluid.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    mask
        The brain, shape (X, Y, Z).

    Returns
    -------
    labels, decisions
        uint8, 0 outside the mask, and what was decided, as sentences.
    """
    from qmri_bids.preprocessing.ants_bridge import deterministic_pool
    from qmri_bids.preprocessing.tissue_classes import tissue_classes

    with deterministic_pool(processes=1) as pool:
        flat = pool.submit(_without_bias, np.asarray(image, dtype=np.float32), np.asarray(affine), mask).result()
    labels, decisions = tissue_classes(flat, affine=affine, mask=mask, ascending=(FLUID, GREY, WHITE))
    said = "Tissues are those of the T1-weighted image: bias removed (N4), three classes by k-means with a Markov random field."
    return labels, (said, *decisions[1:])


def _without_bias(
    image: NDArray[np.float32], affine: NDArray[np.floating], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the image without its smooth shading; runs in a process of its own."""
    import ants

    from qmri_bids.preprocessing.ants_bridge import to_ants, voxel_sizes

    # Shading is smooth: a few steps on coarse voxels tell it.
    factor = int(max(1, round(4.0 / float(voxel_sizes(affine).max()))))
    corrected = ants.n4_bias_field_correction(
        to_ants(image, affine=affine),
        mask=to_ants(mask, affine=affine),
        shrink_factor=factor,
        convergence={"iters": [25, 25, 25], "tol": 1e-5},
    )
    return np.asarray(corrected.numpy(), dtype=np.float32)
