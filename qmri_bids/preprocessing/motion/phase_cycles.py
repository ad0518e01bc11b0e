"""Rigid head motion between phase cycles.

Banding moves with the RF phase increment: the cycles differ in contrast although nothing moved. Each
magnitude is first registered to the middle cycle by mutual information (ANTs, coarse grid, safe against large
motion), then all are aligned jointly on their edges (`groupwise`), then on what the signal model predicts
(`predicted`), where phase and enough evenly spaced cycles allow. The complex data are interpolated once,
as real and imaginary parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.preprocessing.masks import bounding_box, head_mask, shrink
from qmri_bids.preprocessing.motion import evidence
from qmri_bids.preprocessing.motion.groupwise import TooFewSamples, align_jointly
from qmri_bids.preprocessing.motion.head_regions import apart_from_head, check_brain, depth, grown
from qmri_bids.preprocessing.motion.parameters import centre_of_mass, known_motion, motion_sentences, seen_motion
from qmri_bids.preprocessing.motion.predicted import FEWEST_CYCLES, align_to_prediction
from qmri_bids.preprocessing.registration.ants_bridge import (
    Schedule,
    deterministic_pool,
    register,
    register_plane,
    voxel_sizes,
)
from qmri_bids.preprocessing.registration.resampling import common_coverage, resample
from qmri_bids.preprocessing.registration.rigid_freedom import FEWEST_SLICES, Freedom, blocks, freedom_of

_COARSE_VOXEL = 4.0
"""Voxel size of the first registration [mm]: it only has to come within `_CAPTURE_RANGE`."""
_COARSE = Schedule(iterations=(500, 200), shrink_factors=(3, 1), smoothing=(1, 0), sampling_rate=0.5)
"""Where nothing finer follows."""
_START = Schedule(iterations=(100, 60), shrink_factors=(3, 2), smoothing=(1, 0.5), sampling_rate=0.5)
"""Where the joint alignment follows: a sixth of the time, within 0.8 mm on a digital head of 2 mm turned and shifted by up to 12°
and 15 mm (`_COARSE`: 0.6 mm)."""
_PLANE_VOXEL = 2.0
"""Voxel size of the first registration of few slices [mm]: at 4 mm mutual information was off by up to 2.5 mm, pixels being few."""
_COARSE_PLANE = Schedule(iterations=(500, 200), shrink_factors=(2, 1), smoothing=(1, 0), sampling_rate=1.0)
_RIM = 12.0
"""Air around the head whose edge takes part in the joint alignment [mm]."""
_AROUND_BRAIN = 20.0
"""Surroundings of the brain whose edges take part in the joint alignment [mm]: skull, scalp and the air beside it, which move with
it. On a real head (3 mm, 8 cycles, face at rest) 5, 10 and 20 mm leave 0.32, 0.23 and 0.15 mm by edges alone."""
_CAPTURE_RANGE = 3.0
"""A joint alignment that moves a cycle further than this from the first registration [mm] is not believed."""
_DEPTH = 12.0
"""The signal model is compared this far inside the head [mm]: fat, skin and the sinuses lie outside."""
_FEWEST_VOXELS = 2000
_FEWEST_IN_PLANE = 500
"""Fewest voxels inside the head, in a volume and in few slices, from which an alignment on the signal model is tried."""
_PREDICTED_RANGE = 1.5
"""An alignment on the signal model that moves a cycle further than this from the edges [mm] is not believed."""
_SAME_PLACE = 0.25
"""Two alignments on the signal model that end no further apart than this [mm] have found the same place."""
_WORSE = 1.02
"""Residual against that before, from which on the alignment on the signal model is not believed."""


@dataclass(frozen=True, kw_only=True)
class MotionEstimate:
    """Aligned cycles, and where the head was in each.

    Parameters
    ----------
    cycles
        Aligned cycles, complex64, shape (X, Y, Z, N), on the grid and in the head position of the reference cycle.
    transforms
        Matrices from the position of a point of the head in the reference cycle to its position in cycle j, RAS millimetres, shape
        (N, 4, 4). The inverse brings cycle j back.
    parameters
        Translation x, y, z [m] and rotation about x, y, z [rad] of `transforms`, RAS axes, shape (N, 6); the rotation Rz Ry Rx is
        about `centre`, and the translation is that of `centre`.
    centre
        The centre of rotation of `parameters`, RAS [mm], shape (3,).
    framewise_displacement
        Displacement from each cycle to the next [m], shape (N,), the first 0 (Power et al. 2012).
    coverage
        Whether every cycle has data, shape (X, Y, Z).
    reference
        Index of the reference cycle.
    assessed
        Which of the six parameters can be seen in such images, shape (6,): all of a volume, those in the plane of few slices. The
        others are NaN in `parameters`, and nothing was moved along them.
    remaining
        Estimated misalignment that is left of each cycle [m], root mean square over the head, shape (N,); NaN where not known.
    decisions
        What was decided, as sentences.
    """

    cycles: NDArray[np.complex64]
    transforms: NDArray[np.float64]
    parameters: NDArray[np.float64]
    centre: NDArray[np.float64]
    framewise_displacement: NDArray[np.float64]
    coverage: NDArray[np.bool_]
    reference: int
    assessed: NDArray[np.bool_]
    remaining: NDArray[np.float64]
    decisions: tuple[str, ...]


def correct_motion(
    cycles: NDArray[np.complexfloating],
    *,
    affine: NDArray[np.floating],
    protocol: BssfpProtocol | None = None,
    brain: NDArray[np.bool_] | None = None,
    processes: int = 1,
) -> MotionEstimate:
    """Align all phase cycles to the middle one.

    Parameters
    ----------
    cycles
        Complex cycles, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    protocol
        The acquisition, by which the signal model predicts the cycles; without it they are aligned on edges alone.
    brain
        The brain in the mean of the cycles, shape (X, Y, Z): face and neck, which need not move with the skull, are then left
        out. None to use the whole head.
    processes
        Number of worker processes; the result does not depend on it.

    Returns
    -------
    MotionEstimate
        Aligned cycles and motion; see there for the conventions.

    Raises
    ------
    ValueError
        If `cycles` does not have four dimensions or has values that are not finite.
    """
    if cycles.ndim != 4:
        raise ValueError(f"cycles must have the shape (X, Y, Z, N), found {cycles.shape}")
    if not np.all(np.isfinite(cycles)):
        raise ValueError("cycles hold values that are not finite (NaN or infinite)")
    check_brain(brain, cycles.shape[:3])
    number = cycles.shape[3]
    reference = number // 2
    magnitude = np.abs(cycles).astype(np.float32)
    head = head_mask(magnitude.mean(axis=3))
    brain = apart_from_head(brain, head=head)
    freedom = freedom_of(cycles.shape[:3], affine=affine)
    known: dict[str, Any] = {
        "affine": affine,
        "reference": reference,
        "head": head,
        "brain": brain,
        "threads": processes,
    }
    with deterministic_pool(processes=processes) as pool:
        transforms = np.tile(np.eye(4), (number, 1, 1))
        remaining = np.full(number, np.nan)
        assessed = freedom.assessed
        if not assessed.any():
            decisions = [
                f"Motion was not corrected: a grid of {' × '.join(str(each) for each in cycles.shape[:3])} voxels tells none."
            ]
        else:
            start = register_to_reference(magnitude, affine=affine, reference=reference, pool=pool, schedule=_START)
            decisions = [
                f"Magnitudes were registered rigidly{'' if freedom.through is None else ' within the plane'} to cycle "
                f"{reference + 1} of {number} (mutual information)."
            ]
            try:
                transforms, sentence = _refine(magnitude, start=start, **known)
                transforms, remaining, predicted = _predict(cycles, start=transforms, protocol=protocol, **known)
                remaining = _evidence(magnitude, transforms=transforms, remaining=remaining, **known)
                decisions += [sentence, predicted]
            except TooFewSamples as few:
                assessed = np.zeros(6, dtype=bool)
                decisions = [f"Motion was not corrected: {few}."]
        return _moved_back(
            cycles,
            affine=affine,
            transforms=transforms,
            reference=reference,
            assessed=assessed,
            remaining=1e-3 * remaining,
            pool=pool,
            decisions=tuple(decisions),
        )


def apply_motion(
    cycles: NDArray[np.complexfloating],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    threads: int = 1,
) -> MotionEstimate:
    """Bring phase cycles back by a motion that is known, interpolating once: what `correct_motion` does with what it found.

    Parameters
    ----------
    cycles
        Complex cycles, shape (X, Y, Z, N).
    affine
        Voxel to RAS millimetres, shape (4, 4).
    transforms, reference
        Matrices from the position in the reference cycle to that in each cycle, RAS millimetres, shape (N, 4, 4), and index of the
        reference cycle.
    threads
        Threads; the result does not depend on it.

    Raises
    ------
    ValueError
        If there is not one transform a cycle, or the reference is none of them.
    """
    number = cycles.shape[3]
    if transforms.shape != (number, 4, 4):
        raise ValueError(f"transforms must have the shape ({number}, 4, 4), found {transforms.shape}")
    if not 0 <= reference < number:
        raise ValueError(f"reference must be one of the {number} cycles, found index {reference}")
    magnitude = np.abs(cycles).astype(np.float32)
    remaining = _evidence(
        magnitude,
        affine=affine,
        transforms=transforms,
        remaining=np.full(number, np.nan),
        reference=reference,
        head=head_mask(magnitude.mean(axis=3)),
        brain=None,
        threads=threads,
    )
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return _moved_back(
            cycles,
            affine=affine,
            transforms=transforms,
            reference=reference,
            assessed=known_motion(transforms, shape=cycles.shape[:3], affine=affine),
            remaining=1e-3 * remaining,
            pool=pool,
            decisions=(),
        )


def _moved_back(
    cycles: NDArray[np.complexfloating],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    reference: int,
    assessed: NDArray[np.bool_],
    remaining: NDArray[np.float64],
    pool: Executor,
    decisions: tuple[str, ...],
) -> MotionEstimate:
    """Return the cycles on the grid of the reference, with what the transforms say."""
    centre = centre_of_mass(np.abs(cycles[..., reference]).astype(np.float32), affine=affine)
    parameters, displacement = seen_motion(transforms, centre=centre, assessed=assessed)
    return MotionEstimate(
        cycles=_resample_cycles(cycles, affine=affine, transforms=transforms, pool=pool),
        transforms=transforms,
        parameters=parameters,
        centre=centre,
        framewise_displacement=displacement,
        coverage=common_coverage(transforms, shape=cycles.shape[:3], affine=affine),
        reference=reference,
        assessed=assessed,
        remaining=remaining,
        decisions=(*decisions, *motion_sentences(displacement, remaining=remaining, assessed=assessed)),
    )


def register_to_reference(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    reference: int,
    pool: ProcessPoolExecutor,
    schedule: Schedule = _COARSE,
) -> NDArray[np.float64]:
    """Return the transforms of all magnitudes to one of them, of one or few slices within their plane, shape (N, 4, 4)."""
    number = magnitude.shape[3]
    freedom = freedom_of(magnitude.shape[:3], affine=affine)
    if freedom.through is not None:
        return _register_in_plane(magnitude, affine=affine, reference=reference, freedom=freedom, pool=pool)
    if not freedom.assessed.any():
        return np.tile(np.eye(4), (number, 1, 1))
    factor = blocks(magnitude.shape[:3], affine=affine, voxel=_COARSE_VOXEL)
    small = [shrink(magnitude[..., cycle], affine=affine, factor=factor) for cycle in range(number)]
    futures = {
        cycle: pool.submit(
            register,
            fixed=small[reference][0],
            fixed_affine=small[reference][1],
            moving=small[cycle][0],
            moving_affine=small[cycle][1],
            schedule=schedule,
        )
        for cycle in range(number)
        if cycle != reference
    }
    transforms = np.tile(np.eye(4), (number, 1, 1))
    for cycle, future in futures.items():
        transforms[cycle] = future.result()
    return transforms


def _register_in_plane(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    reference: int,
    freedom: Freedom,
    pool: ProcessPoolExecutor,
) -> NDArray[np.float64]:
    """Return the transforms within the plane of one or few slices, which are averaged, shape (N, 4, 4)."""
    through = freedom.through
    if through is None:
        raise ValueError("a plane needs one short axis, found none")
    number, sizes = magnitude.shape[3], voxel_sizes(affine)
    factor = np.clip(np.round(_PLANE_VOXEL / sizes), 1, np.maximum(1, np.array(magnitude.shape[:3]) // FEWEST_SLICES))
    factor[through] = magnitude.shape[through]
    steps = tuple(int(step) for step in factor)
    first, second = (float(each) for each in np.delete(sizes * factor, through))
    small = [shrink(magnitude[..., index], affine=affine, factor=steps)[0].squeeze(through) for index in range(number)]
    futures = {
        index: pool.submit(
            register_plane, fixed=small[reference], moving=small[index], spacing=(first, second), schedule=_COARSE_PLANE
        )
        for index in range(number)
        if index != reference
    }
    # Blocks begin at the corner of the first voxel, their first centre lies further in.
    shift = np.eye(3)
    shift[:2, 2] = np.delete(0.5 * (factor - 1.0) * sizes, through)
    transforms = np.tile(np.eye(4), (number, 1, 1))
    for index, future in futures.items():
        transforms[index] = freedom.in_space(shift @ future.result() @ np.linalg.inv(shift))
    return transforms


def _refine(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    start: NDArray[np.float64],
    reference: int,
    head: NDArray[np.bool_],
    brain: NDArray[np.bool_] | None,
    threads: int,
) -> tuple[NDArray[np.float64], str]:
    """Return the jointly aligned transforms, or `start` if they are not believable, and a sentence."""
    region = grown(head, by=_RIM, affine=affine) if brain is None else grown(brain, by=_AROUND_BRAIN, affine=affine)
    box = bounding_box(region, margin=4)
    inside = affine @ _shift([part.start for part in box])
    transforms = align_jointly(
        magnitude[box],
        affine=inside,
        start=start,
        reference=reference,
        samples=region[box],
        threads=threads,
    )
    change = _distance(transforms, start, head=head if brain is None else brain, affine=affine)
    if not change.max() <= _CAPTURE_RANGE:
        return start, (
            f"The joint alignment of all cycles moved cycle {int(change.argmax()) + 1} by "
            f"{change.max():.1f} mm and was discarded: the motion is that of the first registration."
        )
    return transforms, (
        f"All cycles were then aligned jointly on their edges, which moved the head by {change.max():.2f} mm or less."
    )


def _predict(
    cycles: NDArray[np.complexfloating],
    *,
    affine: NDArray[np.floating],
    start: NDArray[np.float64],
    reference: int,
    head: NDArray[np.bool_],
    brain: NDArray[np.bool_] | None,
    protocol: BssfpProtocol | None,
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return the transforms aligned on the signal model, what is left [mm], and a sentence.

    The transforms are `start`, and what is left NaN, where that cannot be or is not believable.
    """
    number = cycles.shape[3]
    unknown = np.full(number, np.nan)
    inside = (depth(head, affine=affine) > _DEPTH) & (head if brain is None else brain)
    box = bounding_box(head, margin=4)
    inside = inside[box]
    fewest = _FEWEST_VOXELS if freedom_of(cycles.shape[:3], affine=affine).through is None else _FEWEST_IN_PLANE
    reason = None
    if protocol is None:
        reason = "no protocol was given"
    elif number < FEWEST_CYCLES:
        reason = f"{number} cycles leave too little to compare (at least {FEWEST_CYCLES} needed)"
    elif not protocol.is_evenly_spaced:
        reason = "the phase increments are not evenly spaced"
    elif not np.any(np.imag(cycles)):
        reason = "there is no phase"
    elif np.count_nonzero(inside) < fewest:
        reason = f"the inside of the head is {np.count_nonzero(inside)} voxels (at least {fewest} needed)"
    if reason is not None or protocol is None:
        return (
            start,
            unknown,
            f"The signal model did not take part in the alignment: {reason}. The motion is that of the edges.",
        )
    known: dict[str, Any] = {
        "affine": np.asarray(affine, dtype=float) @ _shift([part.start for part in box]),
        "reference": reference,
        "samples": inside,
        "protocol": protocol,
        "threads": threads,
    }
    found = align_to_prediction(cycles[box], start=start, **known)
    where: dict[str, Any] = {"head": head if brain is None else brain, "affine": affine}
    change = _distance(found.transforms, start, **where)
    if not change.max() <= _PREDICTED_RANGE:
        # Edges can mislead, too: a place that is also reached from where the scanner put the cycles is one.
        again = align_to_prediction(cycles[box], start=np.tile(np.eye(4), (number, 1, 1)), **known)
        apart = float(_distance(found.transforms, again.transforms, **where).max())
        if not (apart <= _SAME_PLACE and found.residual[1] < found.residual[0]):
            sentence = (
                f"The alignment on the signal model moved cycle {int(change.argmax()) + 1} by {change.max():.1f} mm and was "
                "discarded: the motion is that of the edges."
            )
            return start, unknown, sentence
        sentence = (
            f"The alignment on the signal model moved cycle {int(change.argmax()) + 1} by {change.max():.1f} mm from where edges "
            f"had put it; believed, since from the positions of the scanner it ends at the same place, within {apart:.2f} mm. "
            f"It took the residual of the model from {found.residual[0]:.3g} to {found.residual[1]:.3g}."
        )
        return found.transforms, found.remaining, sentence
    if found.residual[1] > _WORSE * found.residual[0]:
        sentence = (
            "The alignment on the signal model left a larger residual than it found and was discarded: the motion is that of the "
            "edges."
        )
        return start, unknown, sentence
    sentence = (
        f"All cycles were then aligned jointly on what the signal model predicts from them, which moved the head by "
        f"{change.max():.2f} mm or less and took the residual of the model from {found.residual[0]:.3g} to {found.residual[1]:.3g}."
    )
    return found.transforms, found.remaining, sentence


def _evidence(
    magnitude: NDArray[np.float32],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    remaining: NDArray[np.float64],
    reference: int,
    head: NDArray[np.bool_],
    brain: NDArray[np.bool_] | None,
    threads: int,
) -> NDArray[np.float64]:
    """Return what is left of the motion [mm]: by the signal model where it is known, else by the edges."""
    region = grown(head, by=_RIM, affine=affine) if brain is None else grown(brain, by=_AROUND_BRAIN, affine=affine)
    box = bounding_box(region, margin=4)
    return evidence.remaining(
        magnitude[box],
        affine=np.asarray(affine, dtype=float) @ _shift([part.start for part in box]),
        transforms=transforms,
        reference=reference,
        samples=region[box],
        fine=remaining if np.isfinite(remaining).all() else None,
        threads=threads,
    )


def _distance(
    first: NDArray[np.float64], second: NDArray[np.float64], *, head: NDArray[np.bool_], affine: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the mean distance [mm] over the head between where two sets of transforms put it, shape (N,)."""
    corners = np.argwhere(head)[:: max(1, int(head.sum()) // 1000)]
    points = np.column_stack([corners, np.ones(len(corners))]) @ np.asarray(affine).T
    return np.linalg.norm(np.einsum("nij,pj->npi", first - second, points)[..., :3], axis=2).mean(axis=1)


def _shift(start: Sequence[int]) -> NDArray[np.float64]:
    """Return the matrix from the voxels of a box to those of the image."""
    matrix = np.eye(4)
    matrix[:3, 3] = start
    return matrix


def _resample_cycles(
    cycles: NDArray[np.complexfloating],
    *,
    affine: NDArray[np.floating],
    transforms: NDArray[np.float64],
    pool: Executor,
) -> NDArray[np.complex64]:
    """Return every cycle on the grid of the reference."""
    futures = [
        pool.submit(
            resample,
            cycles[..., cycle],
            affine=affine,
            target_shape=cycles.shape[:3],
            target_affine=affine,
            transform=transform,
        )
        for cycle, transform in enumerate(transforms)
    ]
    return np.stack([future.result() for future in futures], axis=-1).astype(np.complex64)
