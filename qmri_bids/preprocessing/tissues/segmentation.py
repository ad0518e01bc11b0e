"""White matter, grey matter and fluid from maps of T1 and T2 themselves, with their uncertainty, and from a T1-weighted image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.tissues.mixtures import mixed_times
from qmri_bids.preprocessing.tissues.pure import FLUID_SHARE, pure_tissue, white_around
from qmri_bids.sentence import count_of
from qmri_bids.tissue_labels import FLUID, GREY, NAMES, TISSUE_LABELS, WHITE

TYPICAL = {GREY: (1.4, 0.085), WHITE: (0.94, 0.062), FLUID: (4.0, 1.5)}
"""T1 and T2 at 3 T [s] where the search for the classes begins."""

WATER = {GREY: 0.8, WHITE: 0.7, FLUID: 1.0}
"""M0 by volume, relative to fluid."""

FEWEST_VOXELS = 300
"""Values needed for three classes."""

ROUNDS = 15
"""Rounds of the search for the classes."""

LOOPS = 2
"""How often shares are found: the first tells which voxels are pure, and these what the tissues are."""

SMOOTHNESS = 1.75
"""Weight of a neighbour of the same tissue (Potts), as a logarithm of probability."""

SPREAD = 0.05
"""Relative standard deviation of the rates inside a tissue: they differ from place to place."""

MATTER_SHARES = np.array([0.2, 0.4, 0.6, 0.8])
FLUID_SHARES = np.array([0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.88])
"""Share of the second tissue in the mixtures that are compared with a voxel."""

PURE_FLUID = 20.0
"""Percentile of the rates of voxels with fluid at which fluid itself is taken to lie."""

OUTLIER = 4.0
"""A voxel further than this many standard deviations from every tissue and every mixture of two fits none."""

OUTLYING_TOGETHER = 2.0
"""The same for the mean of a voxel and its 26 neighbours, all of whose deviations point the same way."""

TRACE, MOST = 0.1, 0.6
"""Share of fluid from which a voxel may be a mixture with it, and from which it is mostly fluid."""

AMID_WHITE = 0.55
"""Share of white matter around a mixture with fluid from which it cannot be one."""

OPEN = 0.1
"""Share of the voxels of such mixtures that may touch fluid or mixtures elsewhere."""

SMALLEST_LESION = 6
"""Voxels of such mixtures that touch each other: fewer are noise."""

_CHUNK = 20_000
"""Voxels compared with all mixtures at a time: the memory stays bounded."""


@dataclass(frozen=True, kw_only=True)
class TissueSegmentation:
    """Tissues of a brain.

    Parameters
    ----------
    labels
        uint8, shape (X, Y, Z): 0 outside the mask, without a value, or where no tissue fits.
    probabilities
        Expected share of the volume of grey matter, white matter and fluid, shape (X, Y, Z, 3), 0 where there is no label.
    unfitted
        Voxels that fit no tissue and no mixture of two, or a mixture that cannot be where they are, shape (X, Y, Z).
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
    protocol: BssfpProtocol | None = None,
) -> TissueSegmentation:
    """Return tissues by their relaxation rates.

    Every voxel is compared with the three tissues and with mixtures of two of them, as the acquisition shows mixtures.
    Its label is the tissue with the largest expected share. The tissues' own rates are found from the scan: from the
    voxels nearest to typical ones, then from those that are pure by their surroundings. A voxel's stated uncertainty is added to
    the spread inside a tissue, and neighbours speak for each other (mean field of a Potts model).

    No label is given to a voxel that fits no tissue and no mixture, alone or with its surroundings, nor to a mixture with fluid
    where there can be none: in the midst of white matter, or thick in all directions and away from fluid. Lesions are such.

    Parameters
    ----------
    t1, t2
        Maps [s], shape (X, Y, Z), NaN where there is no value; T2 may be missing.
    mask
        The brain, shape (X, Y, Z).
    t1_stdev, t2_stdev
        Their standard deviations [s]; without them the spread of the values within matter stands for the noise.
    protocol
        The bSSFP acquisition of the maps, which says what mixtures look like; without one, or without T2, rates add up.

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
    unstated = [stdev is None for _, stdev in maps]
    noise[:, unstated] = spread[unstated]
    shares = _states()
    for loop in range(LOOPS):
        expected = _state_rates(shares, means, protocol=protocol)
        found = _with_neighbours(_logarithms(rates, expected, noise=noise), shares, inside)
        volumes = np.zeros((*mask.shape, len(TISSUE_LABELS)), dtype=np.float32)
        volumes[inside] = found
        if loop < LOOPS - 1:
            means = _of_pure(rates, means, volumes=volumes, inside=inside)
    strange = _strange(rates, expected, noise=noise, inside=inside)
    # T1 alone does not tell fluid from grey matter with more of it.
    unfitted = strange | _misplaced(volumes, mask=inside) if len(maps) == 2 else strange.copy()
    labels = np.zeros(mask.shape, dtype=np.uint8)
    labels[inside] = np.array(TISSUE_LABELS)[np.argmax(found, axis=1)]
    labels[unfitted] = 0
    volumes[unfitted] = 0.0
    decisions = _sentences(
        labels,
        means=means,
        number=number,
        strange=int(strange.sum()),
        misplaced=int((unfitted & ~strange).sum()),
        missing=int(np.count_nonzero(mask & ~inside)),
    )
    return TissueSegmentation(labels=labels, probabilities=volumes, unfitted=unfitted, decisions=decisions)


def _classes(
    rates: NDArray[np.float64], *, start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates of the classes, shape (3, channels), from the voxels nearest to them, and the spread within matter."""
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


def _states() -> NDArray[np.float64]:
    """Return the shares of grey matter, white matter and fluid of what voxels are compared with, shape (K, 3)."""
    nothing = np.zeros_like(FLUID_SHARES)
    return np.concatenate(
        [
            np.eye(3),
            np.stack([1.0 - MATTER_SHARES, MATTER_SHARES, np.zeros_like(MATTER_SHARES)], axis=1),
            np.stack([1.0 - FLUID_SHARES, nothing, FLUID_SHARES], axis=1),
            np.stack([nothing, 1.0 - FLUID_SHARES, FLUID_SHARES], axis=1),
        ]
    )


def _state_rates(
    shares: NDArray[np.float64], means: NDArray[np.float64], *, protocol: BssfpProtocol | None
) -> NDArray[np.float64]:
    """Return the rates that mixtures show, shape (K, channels)."""
    rates = shares @ means
    if protocol is not None and means.shape[1] == 2:
        # Without fluid both tissues give about the same signal, and rates add up.
        wet = (shares[:, -1] > 0.0) & (shares[:, -1] < 1.0)
        t1, t2 = mixed_times(
            shares[wet],
            t1=1.0 / means[:, 0],
            t2=1.0 / means[:, 1],
            m0=np.array([WATER[label] for label in TISSUE_LABELS]),
            protocol=protocol,
        )
        rates[wet] = 1.0 / np.stack([t1, t2], axis=1)
    return rates


def _logarithms(
    rates: NDArray[np.float64], expected: NDArray[np.float64], *, noise: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the logarithm of the likelihood of every state in every voxel, shape (V, K)."""
    found = np.empty((len(rates), len(expected)), dtype=np.float32)
    for begin in range(0, len(rates), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        variance = noise[part, None, :] ** 2 + (SPREAD * expected) ** 2
        found[part] = -0.5 * np.sum((rates[part, None, :] - expected) ** 2 / variance + np.log(variance), axis=2)
    return found


def _with_neighbours(
    logarithms: NDArray[np.float32], shares: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the expected shares, shape (V, 3), where every voxel hears its six neighbours."""
    from scipy.ndimage import convolve, generate_binary_structure
    from scipy.special import softmax

    cross = generate_binary_structure(3, 1).astype(np.float32)
    cross[1, 1, 1] = 0.0
    shares = shares.astype(np.float32)
    found = softmax(logarithms, axis=1) @ shares
    volume = np.zeros(inside.shape, dtype=np.float32)
    for _ in range(4):
        heard = np.empty_like(found)
        for place in range(found.shape[1]):
            volume[inside] = found[:, place]
            heard[:, place] = convolve(volume, cross, mode="constant")[inside]
        found = softmax(logarithms + np.float32(SMOOTHNESS) * (heard @ shares.T), axis=1) @ shares
    return found


def _of_pure(
    rates: NDArray[np.float64], means: NDArray[np.float64], *, volumes: NDArray[np.float32], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the rates of the tissues as their pure voxels have them; as they were where there are none."""
    labels = np.where(inside, np.array(TISSUE_LABELS, dtype=np.uint8)[np.argmax(volumes, axis=-1)], 0)
    pure = pure_tissue(labels, mask=inside, fluid=volumes[..., -1]).labels[inside]
    found = means.copy()
    for place, label in enumerate(TISSUE_LABELS[:2]):
        if np.any(pure == label):
            found[place] = np.median(rates[pure == label], axis=0)
    return found


def _strange(
    rates: NDArray[np.float64],
    expected: NDArray[np.float64],
    *,
    noise: NDArray[np.float64],
    inside: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return the voxels that fit no state, alone or with their surroundings, shape (X, Y, Z)."""
    from scipy.ndimage import uniform_filter

    least = np.full(len(rates), np.inf)
    deviation = np.zeros_like(rates)
    for state in expected:
        away = (rates - state) / np.sqrt(noise**2 + (SPREAD * state) ** 2)
        distance = np.sum(away**2, axis=1)
        nearer = distance < least
        least[nearer], deviation[nearer] = distance[nearer], away[nearer]
    alone = np.sqrt(least) > OUTLIER
    # The deviations of noise point anywhere, those of a lesion the same way.
    volume = np.zeros(inside.shape, dtype=np.float32)
    volume[inside] = 1.0
    share = np.maximum(uniform_filter(volume, 3)[inside], 1.0 / 27.0)
    together = np.zeros(len(rates))
    for channel in range(rates.shape[1]):
        volume[inside] = deviation[:, channel]
        together += (uniform_filter(volume, 3)[inside] / share) ** 2
    found = np.zeros(inside.shape, dtype=bool)
    found[inside] = alone | ((np.sqrt(together) > OUTLYING_TOGETHER) & (np.sqrt(least) > OUTLYING_TOGETHER))
    return found


def _misplaced(volumes: NDArray[np.float32], *, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mixtures with fluid that cannot be where they are, shape (X, Y, Z).

    A mixture lies between its two tissues: it is a sheet of two voxels at most, and beside fluid or in a fissure. In the midst of
    white matter, or in all directions thicker and away from fluid, it is a lesion.
    """
    from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt, generate_binary_structure, label

    fluid = volumes[..., TISSUE_LABELS.index(FLUID)]
    white = volumes[..., TISSUE_LABELS.index(WHITE)]
    most = fluid >= MOST
    wet = (fluid >= TRACE) & ~most
    cross = generate_binary_structure(3, 1)
    away = distance_transform_edt(~most) if most.any() else np.full(fluid.shape, np.inf)
    core = binary_erosion(wet & (fluid >= FLUID_SHARE), cross) & (away >= 2.0)
    thick = binary_dilation(core, cross, iterations=2, mask=wet)
    amid = wet & (white_around(white, mask=mask) > AMID_WHITE)
    parts, _ = label(amid, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())
    # The floor of a fissure goes on outwards, the wall of a ventricle has fluid beside it.
    open_to = binary_dilation((wet | most) & ~amid, cross) & amid
    enclosed = np.bincount(parts.ravel(), weights=open_to.ravel()) <= OPEN * sizes
    lesion = enclosed & (sizes >= SMALLEST_LESION)
    lesion[0] = False
    return thick | lesion[parts]


def _sentences(
    labels: NDArray[np.uint8],
    *,
    means: NDArray[np.float64],
    number: int,
    strange: int,
    misplaced: int,
    missing: int,
) -> tuple[str, ...]:
    times = [
        f"{NAMES[label]} " + " and ".join(f"{1000.0 / rate:.0f} ms" for rate in means[place])
        for place, label in enumerate(TISSUE_LABELS)
    ]
    said = [
        f"Tissues were told apart by {'T1 and T2' if means.shape[1] == 2 else 'T1'} ({', '.join(times)}) and their mixtures; "
        "neighbouring voxels speak for each other."
    ]
    share = f"{100.0 * strange / number:.2f} %"
    sentence = f"No tissue and no mixture of two fits {count_of(strange, 'voxel')} ({share}): no label is given there."
    if misplaced:
        sentence += f" {misplaced:,} more look like a mixture with fluid where there can be none, as a lesion may: no label either."
    if missing:
        sentence += f" {missing:,} more have no value."
    said.append(sentence)
    few = [NAMES[label] for label in TISSUE_LABELS if np.count_nonzero(labels == label) < 0.005 * number]
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
        The image, shape (X, Y, Z), white matter brighter than grey matter brighter than fluid.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    mask
        The brain, shape (X, Y, Z).

    Returns
    -------
    labels, decisions
        Labels of the tissues, uint8, 0 outside the mask; and what was decided, as sentences.
    """
    from qmri_bids.preprocessing.registration.ants_bridge import deterministic_pool
    from qmri_bids.preprocessing.tissues.classes import tissue_classes

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

    from qmri_bids.preprocessing.registration.ants_bridge import to_ants, voxel_sizes

    # Shading is smooth: a few steps on coarse voxels tell it.
    factor = int(max(1, round(4.0 / float(voxel_sizes(affine).max()))))
    corrected = ants.n4_bias_field_correction(
        to_ants(image, affine=affine),
        mask=to_ants(mask, affine=affine),
        shrink_factor=factor,
        convergence={"iters": [25, 25, 25], "tol": 1e-5},
    )
    return np.asarray(corrected.numpy(), dtype=np.float32)
