"""Which pools a fingerprint can tell, from its offsets and powers, and which fingerprints are estimated together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from qmri_bids.physics.pools import CestPool
from qmri_bids.physics.published_pools import AMIDE, MT
from qmri_bids.scans.cest.kind import POWER_SPREAD
from qmri_bids.scans.findings import in_order
from qmri_bids.scans.nearest import distance, run_index, shared_letters
from qmri_bids.scans.pools.pools import PUBLISHED_AMIDE, PoolChoice
from qmri_bids.scans.saturation.run import CestRun

FEWEST_IMAGES = 4
"""Saturated images, of at least two powers, from which on a pool can be told."""

MT_NEAREST = 5.0
"""Offsets as far from water, and not near a solute of the model, see the semisolid pool and little else [ppm]."""

AMIDE_WITHIN = 0.2
"""Distance from its shift up to which an offset sees the published amide pool, which nobody has asked for [ppm]."""

SOLUTE_WITHIN = 1.0
"""Distance from its shift up to which an offset sees a pool of a file [ppm]."""

SHORTEST_LABEL = 3
"""Letters that two stages must share for a label of their own."""

SEMISOLID_UNSEEN = (
    "THERE IS NO STAGE FOR THE SEMISOLID POOL: images near the shift of {solutes} alone hardly tell the two pools apart. Voxels in "
    "which they cannot be told are flagged."
)


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Series that are estimated together.

    Parameters
    ----------
    stages
        That of the semisolid pool first.
    pools
        Names of the pools to estimate.
    warnings
        Decisions and doubts, as sentences.
    """

    stages: tuple[CestRun, ...]
    pools: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def pools_told(run: CestRun, *, choice: PoolChoice) -> tuple[str, ...]:
    """Return the pools that a series can tell, the semisolid one first.

    Parameters
    ----------
    run
        The series; what it is called does not matter.
    choice
        The pool model. An offset sees the solute of the file that is nearest to it, if it is within `SOLUTE_WITHIN`; where none
        is, and without a file, amide if it is within `AMIDE_WITHIN` of the published shift.
    """
    seen: dict[str, list[float]] = {}
    for offset, power in _saturated(run):
        for pool in _seen_by(offset, choice):
            seen.setdefault(pool, []).append(power)
    told = [pool for pool, powers in seen.items() if _tell(powers)]
    solutes = [pool for pool in dict.fromkeys([*choice.model.names, AMIDE]) if pool in told and pool != MT]
    # Of a model without a semisolid pool, images far from all solutes are those of water alone.
    semisolid = MT in told and not (solutes and choice.from_file and choice.model.mt is None)
    return (*((MT,) if semisolid else ()), *solutes)


def _saturated(run: CestRun) -> list[tuple[float, float]]:
    """Return offset [ppm] and power [T] of the saturated images."""
    return [
        (image.offset, image.saturation.b1_rms)
        for image, role in zip(run.protocol.images, run.roles, strict=True)
        if role == "cest" and image.saturation is not None and image.offset is not None
    ]


def _seen_by(offset: float, choice: PoolChoice) -> tuple[str, ...]:
    """Return the pools that an offset sees."""
    near = nearest_solutes(offset, choice.model.cest) if choice.from_file else ()
    if near:
        return tuple(pool.name for pool in near)
    if abs(offset - PUBLISHED_AMIDE.shift) <= AMIDE_WITHIN:
        return (AMIDE,)
    return (MT,) if abs(offset) >= MT_NEAREST else ()


def nearest_solutes(offset: float, solutes: Sequence[CestPool]) -> tuple[CestPool, ...]:
    """Return the solute whose shift is nearest to an offset, within `SOLUTE_WITHIN`; several where they have one shift."""
    if not solutes:
        return ()
    least = min(abs(offset - pool.shift) for pool in solutes)
    if least > SOLUTE_WITHIN:
        return ()
    return tuple(pool for pool in solutes if math.isclose(abs(offset - pool.shift), least, abs_tol=1e-6))


def _tell(powers: Sequence[float]) -> bool:
    """Return whether images of these powers can tell a pool."""
    return len(powers) >= FEWEST_IMAGES and max(powers) > min(powers) * (1.0 + POWER_SPREAD)


def beside_amide(run: CestRun) -> tuple[float, ...]:
    """Return the offsets of a series that would see amide if it had another shift, sorted [ppm]; empty where too few are."""
    beside = [each for each in _saturated(run) if abs(each[0] - PUBLISHED_AMIDE.shift) <= SOLUTE_WITHIN]
    return tuple(sorted({offset for offset, _ in beside})) if _tell([power for _, power in beside]) else ()


def distance_sentences(stages: Sequence[CestRun], pools: Sequence[CestPool]) -> tuple[str, ...]:
    """Say of every pool that no offset lies at its shift, where that is so.

    Parameters
    ----------
    stages
        The series of a run.
    pools
        Solutes that are estimated.
    """
    offsets = sorted({offset for stage in stages for offset, _ in _saturated(stage)})
    said = []
    for pool in pools:
        nearest = min(offsets, key=lambda offset: abs(offset - pool.shift))
        if abs(nearest - pool.shift) > AMIDE_WITHIN:
            said.append(
                f"NO OFFSET LIES AT THE SHIFT OF {pool.name} ({pool.shift:+g} ppm): the nearest is {nearest:+g} ppm. It is "
                "estimated from there, and a pool that resonates there instead is taken for it."
            )
    return tuple(said)


def group_stages(runs: Sequence[CestRun], *, choice: PoolChoice) -> tuple[tuple[Fingerprint, ...], tuple[CestRun, ...]]:
    """Return the fingerprints of a subject, and the series that tell no pool.

    A series that tells the semisolid pool and those that tell solutes, one for each set of solutes, of one session, are estimated
    together: those of one `run` first, else the nearest by `run` and `acq`.

    Parameters
    ----------
    runs
        CEST runs of the kind fingerprint.
    choice
        The pool model.
    """
    told = [(run, pools_told(run, choice=choice)) for run in runs]
    both = [Fingerprint(stages=(run,), pools=pools) for run, pools in told if MT in pools and len(pools) > 1]
    semisolid = [run for run, pools in told if pools == (MT,)]
    solutes = [(run, pools) for run, pools in told if pools and MT not in pools]
    partners: dict[int, list[tuple[CestRun, tuple[str, ...]]]] = {}
    said: dict[int, list[str]] = {}
    for pools in dict.fromkeys(pools for _, pools in solutes):
        of_pools = [run for run, own in solutes if own == pools]
        for first, second in _pairs(semisolid, of_pools):
            place = runs.index(first)
            partners.setdefault(place, []).append((second, pools))
            said.setdefault(place, []).extend(_other_pairs(first, second, others=(*semisolid, *of_pools)))
    paired = [run for own in partners.values() for run, _ in own]
    groups = [
        *both,
        *(
            Fingerprint(
                stages=(runs[place], *(run for run, _ in own)),
                pools=tuple(dict.fromkeys([MT, *(pool for _, pools in own for pool in pools)])),
                warnings=tuple(said[place]),
            )
            for place, own in partners.items()
        ),
        *(Fingerprint(stages=(run,), pools=(MT,)) for run in semisolid if runs.index(run) not in partners),
        *(_without_semisolid(run, pools, choice) for run, pools in solutes if run not in paired),
    ]
    groups.sort(key=lambda group: min(runs.index(stage) for stage in group.stages))
    return tuple(groups), tuple(run for run, pools in told if not pools)


def _without_semisolid(run: CestRun, pools: tuple[str, ...], choice: PoolChoice) -> Fingerprint:
    """Return the fingerprint of a stage of solutes that no stage of the semisolid pool goes with."""
    if choice.model.mt is None:
        return Fingerprint(stages=(run,), pools=pools)
    sentence = SEMISOLID_UNSEEN.format(solutes=" and ".join(pools))
    return Fingerprint(stages=(run,), pools=(MT, *pools), warnings=(f"{run.label}: {sentence}",))


def _pairs(semisolid: Sequence[CestRun], solute: Sequence[CestRun]) -> list[tuple[CestRun, CestRun]]:
    """Return pairs of stages of one session, the nearest first, each stage in one pair at most."""
    possible = [
        (first, second)
        for first in semisolid
        for second in solute
        if first.entities.get("ses") == second.entities.get("ses")
    ]
    possible.sort(key=lambda pair: (*distance(*pair), pair[0].label, pair[1].label))
    pairs: list[tuple[CestRun, CestRun]] = []
    for pair in possible:
        if not any(run in taken for run in pair for taken in pairs):
            pairs.append(pair)
    return pairs


def _other_pairs(first: CestRun, second: CestRun, *, others: Sequence[CestRun]) -> list[str]:
    """Say of a pair where others were possible."""
    session = first.entities.get("ses")
    left = [each.label for each in others if each not in (first, second) and each.entities.get("ses") == session]
    if not left and run_index(first) == run_index(second):
        return []
    sentence = f"{first.label} and {second.label} are estimated together: the nearest by run and acq"
    return [sentence + (f" (other stages: {', '.join(left)})." if left else "; their runs differ.")]


def exchange_names(stages: Sequence[CestRun], *, taken: Sequence[str]) -> tuple[dict[str, str], ...]:
    """Return the entities that stages which are estimated together may have, the best first.

    `acq` is what the labels begin with alike, else all of them joined; of the other entities those remain that are equal.

    Parameters
    ----------
    stages
        The series.
    taken
        Labels of `acq` that other runs of the session have.

    Returns
    -------
    tuple of dict
        Short names and labels in the order of the file name.
    """
    first = stages[0].entities
    if len(stages) == 1:
        return (dict(first),)
    labels = [stage.entities["acq"] for stage in stages]
    shared = reduce(shared_letters, labels)
    possible = [shared] if len(shared) >= SHORTEST_LABEL and shared not in taken else []
    kept = {key: label for key, label in first.items() if all(each.entities.get(key) == label for each in stages)}
    return tuple(in_order(kept | {"acq": acquisition}) for acquisition in (*possible, "".join(labels)))
