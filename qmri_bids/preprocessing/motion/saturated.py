"""Rigid head motion within a series of saturated images.

Saturation changes the contrast from volume to volume, and near water next to no signal is left: no volume can serve as a template
for all. But every volume is a mixture of the same few tissues, so that aligned volumes predict each other: all are aligned jointly
on their edges (`groupwise`), coarse to fine, without any first registration. The reference is a saturated volume, whose contrast
most others share; against an unsaturated one all of them are off by a tenth of a millimetre together.

The rim of fat and muscle behaves unlike the brain: at the offset of fat it vanishes and draws the alignment. The last stage
therefore looks at the inside of the head alone, except for volumes in which next to nothing is left there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.masks import bounding_box, head_mask, shrink
from qmri_bids.preprocessing.motion import evidence
from qmri_bids.preprocessing.motion.groupwise import FEWEST_SAMPLES, Level, TooFewSamples, align_jointly
from qmri_bids.preprocessing.motion.head_regions import apart_from_head, check_brain, depth, grown
from qmri_bids.preprocessing.motion.parameters import (
    centre_of_mass,
    known_motion,
    motion_parameters,
    motion_sentences,
    seen_motion,
)
from qmri_bids.preprocessing.registration.ants_bridge import voxel_sizes
from qmri_bids.preprocessing.registration.resampling import common_coverage, resample_series
from qmri_bids.preprocessing.registration.rigid_freedom import FEWEST_SLICES, freedom_of

STAGES: tuple[tuple[float, Level], ...] = (
    (8.0, Level(smoothing=1.0, high_pass=3.0, steps=8)),
    (4.0, Level(smoothing=1.0, high_pass=2.0, steps=6)),
)
"""Voxel size [mm] and pass band of the coarse stages; from rest they catch a motion of about a voxel of the first."""

FINEST = Level(smoothing=0.7, high_pass=1.5, steps=5)
"""Pass band of the last stage, on the voxels of the series."""

RIM = 12.0
"""Thickness [mm] of the rim of scalp and skull, and of the air around it that takes part."""

AROUND_BRAIN = 20.0
"""What lies this near to the brain [mm] moves with it: skull, scalp and the air beside it."""

SAMPLES = 50_000
"""Voxels that are compared: 56 volumes of more of them do not fit into the memory of a small computer."""

ENOUGH_INSIDE = 0.95
"""Share of the edges of a volume inside the head that the others must explain for the inside alone to align it: 0.98 or more where
there is signal, 0.8 to 0.95 near water."""

TRUSTED = 0.3
"""Share of the edges of a volume, with its rim or without, that the others must explain for its alignment to be believed: 0.5 or
more with a hundredth of the signal left at a signal-to-noise ratio of 100, 0.01 of noise alone."""

LARGEST_TRANSLATION = 40.0
"""A volume that has moved further [mm] was not aligned."""


@dataclass(frozen=True, kw_only=True)
class SaturatedMotion:
    """Aligned volumes, and where the head was in each.

    Parameters
    ----------
    volumes
        Aligned volumes, float32, shape (X, Y, Z, N), on the grid and in the head position of the reference. Magnitudes: where the
        interpolation overshoots below 0, in air beside an edge, they are 0.
    transforms
        Matrices from the position of a point of the head in the reference to its position in volume j, RAS millimetres, shape
        (N, 4, 4).
    parameters
        Translation x, y, z [m] and rotation about x, y, z [rad] of `transforms`, shape (N, 6); see `motion_parameters`.
    centre
        The centre of rotation of `parameters`, RAS [mm], shape (3,).
    framewise_displacement
        Displacement from each volume to the next [m], shape (N,), the first 0.
    coverage
        Whether every volume has data, shape (X, Y, Z).
    reference
        Index of the reference.
    assessed
        Which of the six parameters can be seen in such images, shape (6,): all of a volume, those in the plane of few slices.
        The others are NaN in `parameters`, and nothing was moved along them.
    remaining
        Estimated misalignment that is left of each volume [m], root mean square over the head, shape (N,); NaN where it is not
        known.
    trusted
        Whether the alignment of the volume itself was believed, shape (N,); where it was not, its transform is interpolated in the
        order of acquisition.
    decisions
        What was decided, as sentences.
    """

    volumes: NDArray[np.float32]
    transforms: NDArray[np.float64]
    parameters: NDArray[np.float64]
    centre: NDArray[np.float64]
    framewise_displacement: NDArray[np.float64]
    coverage: NDArray[np.bool_]
    reference: int
    trusted: NDArray[np.bool_]
    assessed: NDArray[np.bool_]
    remaining: NDArray[np.float64]
    decisions: tuple[str, ...]


def correct_saturated_motion(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    roles: Sequence[str],
    offsets: Sequence[float | None],
    b1_rms: Sequence[float] | None = None,
    brain: NDArray[np.bool_] | None = None,
    processes: int = 1,
) -> SaturatedMotion:
    """Align all volumes of a saturated series.

    Parameters
    ----------
    volumes
        Magnitudes in the order of acquisition, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    roles
        What each volume is: "m0", "cest" or "wassr".
    offsets
        Saturation offset of each volume [ppm], None without saturation; for the sentences.
    b1_rms
        Root mean square of B1 of each volume [T]; for the sentences.
    brain
        The brain, shape (X, Y, Z): face and neck, which need not move with the skull, are then left out. None to use the whole
        head.
    processes
        Threads; the result does not depend on it.

    Raises
    ------
    ValueError
        If shapes do not belong together, there are fewer than two volumes or values are not finite.
    """
    if volumes.ndim != 4 or volumes.shape[3] < 2:
        raise ValueError(f"volumes must have the shape (X, Y, Z, N) with N of 2 or more, found {volumes.shape}")
    number = volumes.shape[3]
    for name, each in (("roles", roles), ("offsets", offsets), ("b1_rms", b1_rms)):
        if each is not None and len(each) != number:
            raise ValueError(f"{name} must be as many as volumes, expected {number}, found {len(each)}")
    if not np.all(np.isfinite(volumes)):
        raise ValueError("volumes hold values that are not finite (NaN or infinite)")
    check_brain(brain, volumes.shape[:3])
    series = np.asarray(volumes, dtype=np.float32)
    head = head_mask(series.mean(axis=3))
    brain = apart_from_head(brain, head=head)
    reference = _reference(series, head=head if brain is None else brain, roles=roles)
    names = [_name(index, offsets[index], None if b1_rms is None else b1_rms[index]) for index in range(number)]
    centre = centre_of_mass(series[..., reference], affine=affine)
    regions = (
        (_around(head, affine), _within(head, affine))
        if brain is None
        else (grown(brain, by=AROUND_BRAIN, affine=affine), np.asarray(brain, dtype=bool))
    )
    freedom = freedom_of(series.shape[:3], affine=affine)
    found = _Alignment(
        transforms=np.tile(np.eye(4), (number, 1, 1)),
        trusted=np.zeros(number, dtype=bool),
        remaining=np.full(number, np.nan),
        assessed=np.zeros(6, dtype=bool),
    )
    if freedom.assessed.any():
        try:
            found = _align(
                series,
                affine=affine,
                head=head if brain is None else brain,
                regions=regions,
                reference=reference,
                centre=centre,
                names=names,
                threads=processes,
            )
        except TooFewSamples as few:
            found.sentences.append(f"Motion was not corrected: {few}.")
    else:
        found.sentences.append(
            f"Motion was not corrected: a grid of {' × '.join(str(each) for each in series.shape[:3])} voxels tells none."
        )
    return apply_series_motion(
        series,
        affine=affine,
        transforms=found.transforms,
        reference=reference,
        trusted=found.trusted,
        centre=centre,
        assessed=found.assessed,
        remaining=1e-3 * found.remaining,
        threads=processes,
        decisions=found.sentences,
    )


def apply_series_motion(
    volumes: NDArray[np.floating],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    trusted: NDArray[np.bool_],
    centre: NDArray[np.floating],
    assessed: NDArray[np.bool_] | None = None,
    remaining: NDArray[np.floating] | None = None,
    threads: int = 1,
    decisions: Sequence[str] = (),
) -> SaturatedMotion:
    """Bring the volumes of a series back by a motion that is known, interpolating once.

    Parameters
    ----------
    volumes
        Magnitudes, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    transforms, reference, trusted, centre
        Transforms, index of the reference, which volumes were believed, and centre of rotation: see `SaturatedMotion`.
    assessed, remaining
        Which parameters can be seen, shape (6,), by default what the grid tells; and misalignment that is left of each volume [m],
        shape (N,), by default what the edges of the head and mutual information say.
    threads
        Threads; the result does not depend on it.
    decisions
        How the motion is known, as sentences.

    Raises
    ------
    ValueError
        If there is not one transform a volume, or the reference is none of them.
    """
    shape, number = volumes.shape[:3], volumes.shape[3]
    if transforms.shape != (number, 4, 4) or len(trusted) != number:
        raise ValueError(
            f"transforms must have the shape ({number}, 4, 4) and trusted {number} values, found {transforms.shape} and "
            f"{len(trusted)}"
        )
    if not 0 <= reference < number:
        raise ValueError(f"reference must be one of the {number} volumes, found index {reference}")
    aligned = resample_series(
        volumes, affine=affine, target_shape=shape, target_affine=affine, transforms=transforms, threads=threads
    )
    if assessed is None:
        assessed = known_motion(transforms, shape=shape, affine=affine)
    if remaining is None:
        series = np.asarray(volumes, dtype=np.float32)
        remaining = 1e-3 * evidence.remaining(
            series,
            affine=affine,
            transforms=transforms,
            reference=reference,
            samples=_some(_around(head_mask(series.mean(axis=3)), affine)),
            threads=threads,
        )
    parameters, displacement = seen_motion(transforms, centre=centre, assessed=assessed)
    return SaturatedMotion(
        volumes=aligned,
        transforms=transforms,
        parameters=parameters,
        centre=np.asarray(centre, dtype=np.float64),
        framewise_displacement=displacement,
        coverage=common_coverage(transforms, shape=shape, affine=affine),
        reference=reference,
        trusted=trusted,
        assessed=assessed,
        remaining=np.asarray(remaining, dtype=np.float64),
        decisions=(*decisions, *motion_sentences(displacement, remaining=remaining, assessed=assessed)),
    )


def _reference(series: NDArray[np.float32], *, head: NDArray[np.bool_], roles: Sequence[str]) -> int:
    """Return the brightest saturated volume, the brightest of all where none is saturated."""
    level = series[head].mean(axis=0)
    saturated = np.array([role != "m0" for role in roles])
    return int(np.argmax(np.where(saturated, level, -1.0) if saturated.any() else level))


def _name(index: int, offset: float | None, power: float | None) -> str:
    """Return how a sentence calls a volume."""
    if offset is None:
        return f"{index + 1} (unsaturated)"
    return f"{index + 1} ({offset:g} ppm" + (")" if power is None else f", {1e6 * power:.2g} µT)")


@dataclass(frozen=True, kw_only=True)
class _Alignment:
    """Transforms, which of them are believed, what is left [mm], which parameters were looked at, and sentences."""

    transforms: NDArray[np.float64]
    trusted: NDArray[np.bool_]
    remaining: NDArray[np.float64]
    assessed: NDArray[np.bool_]
    sentences: list[str] = field(default_factory=list)


def _align(
    series: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    head: NDArray[np.bool_],
    regions: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    reference: int,
    centre: NDArray[np.float64],
    names: Sequence[str],
    threads: int,
) -> _Alignment:
    """Align the volumes within two regions: the head with its surroundings, and its inside."""
    number = series.shape[3]
    freedom = freedom_of(series.shape[:3], affine=affine)
    empty = ~(np.ptp(series.reshape(-1, number), axis=0) > 0.0)
    used = np.flatnonzero(~empty)
    # The joint alignment adds a ridge to the covariance of all: without one scale it would hide the dark volumes.
    level_of = series[head].mean(axis=0)
    scaled = [series[..., index] / level_of[index] for index in used]
    place = int(np.searchsorted(used, reference))
    size = voxel_sizes(affine)
    found = np.tile(np.eye(4), (len(used), 1, 1))
    for voxel, level in STAGES:
        factor = tuple(
            int(np.clip(round(voxel / edge), 1, max(1, length // FEWEST_SLICES)))
            for edge, length in zip(size, series.shape[:3], strict=True)
        )
        small = [shrink(image, affine=affine, factor=factor) for image in scaled]
        try:
            found = _stage(
                np.stack([image for image, _ in small], axis=-1),
                affine=small[0][1],
                start=found,
                reference=place,
                samples=shrink(regions[0].astype(np.float32), affine=affine, factor=factor)[0] > 0.5,
                level=level,
                threads=threads,
            )
        except TooFewSamples:
            # A small part of a head: the voxels of the series are left to tell.
            continue
    box = bounding_box(regions[0], margin=4)
    corner = np.eye(4)
    corner[:3, 3] = [part.start for part in box]
    inside_affine = np.asarray(affine, dtype=float) @ corner
    cut = np.stack([image[box] for image in scaled], axis=-1)
    shares: list[Any] = []
    left: list[Any] = []
    alike = np.zeros((len(used), len(used)), dtype=bool)
    for region in regions:
        samples = _some(region[box])
        if shares and np.count_nonzero(samples) < FEWEST_SAMPLES[freedom.basis.shape[1]]:
            shares.append(np.full(len(used), -np.inf))
            left.append(left[0])
            continue
        known: dict[str, Any] = {"affine": inside_affine, "samples": samples, "threads": threads}
        finer = _stage(cut, start=found, reference=place, level=FINEST, **known)
        correlation = evidence.edge_correlation(cut, transforms=finer, level=FINEST, **known)
        share = evidence.shared_variance(correlation)
        # The first pass is for all; the second, inside the head, for those of which something is left there.
        keep = share >= (ENOUGH_INSIDE if shares else -np.inf)
        alike |= np.outer(keep, keep) & evidence.same_edges(correlation)
        found = np.where(keep[:, None, None], finer, found)
        shares.append(share)
        left.append(evidence.remaining_by_edges(cut, transforms=found, reference=place, **known))
    transforms = np.tile(np.eye(4), (number, 1, 1))
    transforms[used] = found
    believed = np.zeros(number, dtype=bool)
    believed[used] = np.maximum(*shares) >= TRUSTED
    shift = np.linalg.norm(motion_parameters(transforms, centre=centre)[:, :3], axis=1)
    believed &= 1e3 * shift <= LARGEST_TRANSLATION
    believed[reference] = True
    inner = np.zeros(number, dtype=bool)
    inner[used] = shares[1] >= ENOUGH_INSIDE
    remaining = np.full(number, np.nan)
    remaining[used] = evidence.remaining(
        cut,
        affine=inside_affine,
        transforms=found,
        reference=place,
        samples=_some(regions[0][box]),
        fine=np.where(shares[1] >= ENOUGH_INSIDE, left[1], left[0]),
        linked=evidence.linked(alike, reference=place),
        threads=threads,
    )
    remaining[~believed] = np.nan
    sentences = [
        f"All {number} volumes were aligned jointly and rigidly{'' if freedom.through is None else ' within the plane'} on their "
        f"edges, with volume {names[reference]} as the reference.",
    ]
    rim = [names[index] for index in np.flatnonzero(believed & ~inner) if index != reference]
    if rim:
        sentences.append(
            f"Volumes {', '.join(rim)} share too little with the others inside the head (next to no signal, or another contrast): "
            "they were aligned by the head with its scalp."
        )
    if not believed.all():
        lost = ", ".join(names[index] for index in np.flatnonzero(~believed))
        transforms = _interpolated(transforms, believed=believed, centre=centre)
        sentences.append(
            f"The alignment of volumes {lost} was not believed (the others explain less than {100 * TRUSTED:.0f} % of their "
            "edges); their motion was interpolated between the volumes before and after."
        )
    return _Alignment(
        transforms=transforms,
        trusted=believed,
        remaining=remaining,
        assessed=freedom.assessed,
        sentences=sentences,
    )


def _stage(
    images: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    start: NDArray[np.float64],
    reference: int,
    samples: NDArray[np.bool_],
    level: Level,
    threads: int,
) -> NDArray[np.float64]:
    """Return transforms after one stage."""
    return align_jointly(
        images,
        affine=affine,
        start=start,
        reference=reference,
        samples=samples,
        threads=threads,
        levels=(level,),
    )


def _around(head: NDArray[np.bool_], affine: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the head with a rim of air, whose edge all volumes share."""
    return grown(head, by=RIM, affine=affine)


def _within(head: NDArray[np.bool_], affine: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the inside of the head."""
    return depth(head, affine=affine) > RIM


def _some(samples: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return `SAMPLES` of the voxels: a fixed draw, so that the same input gives the same result."""
    places = np.flatnonzero(samples)
    if len(places) <= SAMPLES:
        return samples
    chosen = np.zeros(samples.size, dtype=bool)
    chosen[np.random.default_rng(0).choice(places, SAMPLES, replace=False)] = True
    return chosen.reshape(samples.shape)


def _interpolated(
    transforms: NDArray[np.float64], *, believed: NDArray[np.bool_], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return transforms of which those not believed are interpolated between their neighbours that are."""
    from scipy.spatial.transform import Rotation

    known = motion_parameters(transforms[believed], centre=centre)
    places = np.flatnonzero(believed)
    found = transforms.copy()
    for index in np.flatnonzero(~believed):
        motion = np.array([np.interp(index, places, column) for column in known.T])
        matrix: NDArray[Any] = np.eye(4)
        matrix[:3, :3] = Rotation.from_euler("xyz", motion[3:]).as_matrix()
        matrix[:3, 3] = 1e3 * motion[:3] + centre - matrix[:3, :3] @ centre
        found[index] = matrix
    return found
