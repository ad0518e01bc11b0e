"""Which pools a fingerprint can tell, from its offsets and powers, and which fingerprints are estimated together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qmri_bids.physics.published_pools import AMIDE, MT
from qmri_bids.scans.cest.kind import POWER_SPREAD
from qmri_bids.scans.findings import in_order
from qmri_bids.scans.nearest import distance, run_index, shared_letters
from qmri_bids.scans.saturation.run import CestRun

FEWEST_IMAGES = 4
"""Saturated images, of at least two powers, from which on a pool can be told."""

MT_NEAREST = 5.0
"""Offsets from water as far see the semisolid pool, and little else [ppm]."""

AMIDE_WITHIN = 1.0
"""Distance from its shift up to which an offset sees amide [ppm]."""

SHORTEST_LABEL = 3
"""Letters that two stages must share for a label of their own."""

AMIDE_ALONE = (
    "THERE IS NO STAGE FOR THE SEMISOLID POOL: images near the shift of amide alone hardly tell the two pools apart. Voxels in "
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


def pools_told(run: CestRun, *, amide_shift: float) -> tuple[str, ...]:
    """Return the pools that a series can tell.

    Parameters
    ----------
    run
        The series; what it is called does not matter.
    amide_shift
        Of the amide pool [ppm].
    """
    sees: Mapping[str, Callable[[float], bool]] = {
        MT: lambda offset: abs(offset) >= MT_NEAREST,
        AMIDE: lambda offset: abs(offset - amide_shift) <= AMIDE_WITHIN,
    }
    saturated = [
        (image.offset, image.saturation.b1_rms)
        for image, role in zip(run.protocol.images, run.roles, strict=True)
        if role == "cest" and image.saturation is not None and image.offset is not None
    ]
    powers = {pool: [power for offset, power in saturated if near(offset)] for pool, near in sees.items()}
    return tuple(
        pool for pool, own in powers.items() if len(own) >= FEWEST_IMAGES and max(own) > min(own) * (1.0 + POWER_SPREAD)
    )


def group_stages(runs: Sequence[CestRun], *, amide_shift: float) -> tuple[tuple[Fingerprint, ...], tuple[CestRun, ...]]:
    """Return the fingerprints of a subject, and the series that tell no pool.

    A series that tells the semisolid pool and one that tells amide, of one session, are estimated together: those of one `run`
    first, else the nearest by `run` and `acq`.

    Parameters
    ----------
    runs
        CEST runs of the kind fingerprint.
    amide_shift
        Of the amide pool [ppm].
    """
    told = [(run, pools_told(run, amide_shift=amide_shift)) for run in runs]
    both = [Fingerprint(stages=(run,), pools=pools) for run, pools in told if pools == (MT, AMIDE)]
    semisolid = [run for run, pools in told if pools == (MT,)]
    amide = [run for run, pools in told if pools == (AMIDE,)]
    pairs = _pairs(semisolid, amide)
    paired = [run for pair in pairs for run in pair]
    groups = [
        *both,
        *(_together(*pair, semisolid=semisolid, amide=amide) for pair in pairs),
        *(Fingerprint(stages=(run,), pools=(MT,)) for run in semisolid if run not in paired),
        *(
            Fingerprint(stages=(run,), pools=(MT, AMIDE), warnings=(f"{run.label}: {AMIDE_ALONE}",))
            for run in amide
            if run not in paired
        ),
    ]
    groups.sort(key=lambda group: min(runs.index(stage) for stage in group.stages))
    return tuple(groups), tuple(run for run, pools in told if not pools)


def _pairs(semisolid: Sequence[CestRun], amide: Sequence[CestRun]) -> list[tuple[CestRun, CestRun]]:
    """Return pairs of stages of one session, the nearest first, each stage in one pair at most."""
    possible = [
        (first, second)
        for first in semisolid
        for second in amide
        if first.entities.get("ses") == second.entities.get("ses")
    ]
    possible.sort(key=lambda pair: (*distance(*pair), pair[0].label, pair[1].label))
    pairs: list[tuple[CestRun, CestRun]] = []
    for pair in possible:
        if not any(run in taken for run in pair for taken in pairs):
            pairs.append(pair)
    return pairs


def _together(
    first: CestRun, second: CestRun, *, semisolid: Sequence[CestRun], amide: Sequence[CestRun]
) -> Fingerprint:
    """Return the fingerprint of a pair, which says so where other pairs were possible."""
    session = first.entities.get("ses")
    others = [
        each.label
        for each in (*semisolid, *amide)
        if each not in (first, second) and each.entities.get("ses") == session
    ]
    said = []
    if others or run_index(first) != run_index(second):
        sentence = f"{first.label} and {second.label} are estimated together: the nearest by run and acq"
        said.append(sentence + (f" (other stages: {', '.join(others)})." if others else "; their runs differ."))
    return Fingerprint(stages=(first, second), pools=(MT, AMIDE), warnings=tuple(said))


def exchange_names(stages: Sequence[CestRun], *, taken: Sequence[str]) -> tuple[dict[str, str], ...]:
    """Return the entities that stages which are estimated together may have, the best first.

    `acq` is what the labels begin with alike, else all of them joined; of the other entities those remain that are equal.

    Parameters
    ----------
    stages
        One or two series.
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
    shared = shared_letters(labels[0], labels[-1])
    possible = [shared] if len(shared) >= SHORTEST_LABEL and shared not in taken else []
    kept = {key: label for key, label in first.items() if all(each.entities.get(key) == label for each in stages)}
    return tuple(in_order(kept | {"acq": acquisition}) for acquisition in (*possible, "".join(labels)))
