"""Which participants a page shows one by one: all of a group, of a large one those to look at and a sample of the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from qmri_bids.group.collect import Group
from qmri_bids.group.distributions import Distribution
from qmri_bids.reports.record import DONE

MOST_PARTICIPANTS = 400
"""That are shown one by one."""

MOST_APART = 150
"""Of a larger group, participants that are shown since their values lie apart."""

MOST_AMISS = 50
"""Of a larger group, participants that are shown since they have no result."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What of a group is shown one by one.

    Parameters
    ----------
    participants
        Labels, sorted.
    places
        Places of their runs in the group.
    sentence
        How they were chosen; empty where they are all.
    """

    participants: tuple[str, ...]
    places: frozenset[int]
    sentence: str = ""


def sample_of(group: Group, distributions: Iterable[Distribution]) -> Sample:
    """Return whom to show: those with values farthest apart and those without a result first, then every so many of the others.

    Parameters
    ----------
    group
        What became of every participant.
    distributions
        Of which values lie apart or not.
    """
    everybody = group.participants
    if len(everybody) <= MOST_PARTICIPANTS:
        return Sample(participants=everybody, places=frozenset(range(len(group.runs))))
    farthest: dict[str, float] = {}
    for each in distributions:
        for point in each.apart:
            label = point.run.participant
            farthest[label] = max(farthest.get(label, 0.0), abs(point.score))
    apart = sorted(farthest, key=lambda label: (-farthest[label], label))[:MOST_APART]
    amiss = list(dict.fromkeys(run.participant for run in group.runs if run.state != DONE))
    chosen = dict.fromkeys([*apart, *amiss[:MOST_AMISS]])
    others = [label for label in everybody if label not in chosen]
    room = MOST_PARTICIPANTS - len(chosen)
    even = [others[int(place)] for place in np.linspace(0, len(others) - 1, min(room, len(others)))]
    labels = {*chosen, *even}
    sentence = (
        f"{len(labels)} of {len(everybody)} participants are shown one by one: {len(apart)} of the {len(farthest)} whose values "
        f"lie apart, the farthest, {len(set(amiss[:MOST_AMISS]))} of the {len(amiss)} without a result of some run, and of the "
        f"others every {max(1, round(len(others) / max(room, 1)))}th. Medians, quartiles, judgements and tables are those of all; "
        "the search finds the report of everybody."
    )
    return Sample(
        participants=tuple(label for label in everybody if label in labels),
        places=frozenset(place for place, run in enumerate(group.runs) if run.participant in labels),
        sentence=sentence,
    )
