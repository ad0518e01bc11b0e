"""How numbers are distributed over participants, and which lie apart."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.group.collect import Group, GroupRun
from qmri_bids.group.protocols import COMPARABLE, Protocols, protocols_of
from qmri_bids.reports.content import Level
from qmri_bids.reports.measures import MEASURES, Measure
from qmri_bids.reports.record import DONE

FEWEST_PARTICIPANTS = 5
"""With fewer no value is judged."""

LIMITS = (
    (5, 17.9),
    (6, 10.3),
    (8, 8.1),
    (10, 6.7),
    (12, 6.2),
    (15, 6.1),
    (20, 5.3),
    (30, 4.8),
    (50, 4.5),
    (100, 4.4),
    (1000, 4.5),
    (10_000, 4.9),
)
"""Number of values from which a limit holds, and the robust score beyond which a value lies apart: of a hundred groups of so many
normally distributed values, one has a value beyond it (by simulation; the usual 3.5 is exceeded in 20 groups of 5, in 10 of 20)."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

ARBITRARY = "arbitrary"
"""Unit of maps whose scale is that of the receiver: they are not comparable between participants."""

EQUAL = "most values are equal"
"""Why values without spread are not judged."""

RULE = (
    "A value lies apart where it differs from the median of the comparable runs by more robust standard deviations "
    f"({MAD_TO_SD} × the median absolute deviation) than chance allows: one group in a hundred of as many normally distributed "
    f"values has such a value (beyond {LIMITS[0][1]:g} of {LIMITS[0][0]} values, {LIMITS[3][1]:g} of {LIMITS[3][0]}, "
    f"{LIMITS[6][1]:g} of {LIMITS[6][0]}, {LIMITS[-3][1]:g} of {LIMITS[-3][0]}, {LIMITS[-1][1]:g} of {LIMITS[-1][0]} and more). "
    "Medians of tissues and of regions of atlases and quality measures are judged. "
    f"{COMPARABLE} Maps in arbitrary units are not judged. Look before leaving anybody out."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One number of one run.

    Parameters
    ----------
    run
        The run.
    place
        Its place in the group.
    value
        The number.
    median
        Of the runs that are comparable.
    score
        Its distance from that median in robust standard deviations, NaN where it is not judged.
    apart
        Whether it lies apart from those of the others.
    """

    run: GroupRun
    place: int
    value: float
    median: float
    score: float
    apart: bool

    @property
    def name(self) -> str:
        """The participant and its session."""
        return f"sub-{self.run.participant}" + (f" ses-{self.run.session}" if self.run.session else "")


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One number over all runs that have it.

    Parameters
    ----------
    kind, series
        The runs that are compared: what was done, and the entities that name the scan.
    name, of
        What was measured, and where: a map and a tissue, or a quality measure and what it is of. It holds no name of a file.
    unit
        Of the values; empty for a bare number.
    atlas
        Name of the atlas whose region it is of; empty for tissues and quality measures.
    runs, places
        The runs, sorted by participant and session, and their places in the group.
    values, scores, medians
        Their numbers, robust scores (NaN where they are not judged), and medians of the comparable runs, shape (N,).
    protocols
        Numbers of their protocols, shape (N,).
    outlying
        Which lie apart, shape (N,).
    unjudged
        Why no value is judged; empty where any is.
    """

    kind: str
    series: str
    name: str
    of: str
    unit: str
    atlas: str = ""
    runs: tuple[GroupRun, ...]
    places: NDArray[np.intp]
    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    medians: NDArray[np.float64]
    protocols: NDArray[np.intp]
    outlying: NDArray[np.bool_]
    unjudged: str

    @property
    def points(self) -> tuple[Point, ...]:
        """All values with their runs."""
        return tuple(self.point(number) for number in range(len(self.runs)))

    def point(self, number: int) -> Point:
        """Return the value of a number in the order of the runs."""
        return Point(
            run=self.runs[number],
            place=int(self.places[number]),
            value=float(self.values[number]),
            median=float(self.medians[number]),
            score=float(self.scores[number]),
            apart=bool(self.outlying[number]),
        )

    @property
    def median(self) -> float:
        """Median over the runs."""
        return float(np.median(self.values))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile over the runs."""
        lower, upper = np.percentile(self.values, (25, 75))
        return float(lower), float(upper)

    @property
    def participants(self) -> int:
        """How many participants have a value."""
        return len({run.participant for run in self.runs})

    @property
    def apart(self) -> tuple[Point, ...]:
        """The values that lie apart."""
        return tuple(self.point(int(number)) for number in np.flatnonzero(self.outlying))

    @property
    def title(self) -> str:
        """What was measured, of what."""
        return f"{self.name}, {self.of}" if self.of else self.name


class Gathered:
    """Numbers of many runs by what they are, held in little memory until all runs have been seen."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[array[int], array[float]]] = {}

    def add(self, key: Key, *, place: int, value: float) -> None:
        """Take a number of the run at a place of the group; one that could not be told is left out."""
        if np.isfinite(value):
            places, values = self._found.setdefault(key, (array("q"), array("d")))
            places.append(place)
            values.append(value)

    def distributions(self, group: Group, protocols: Protocols) -> tuple[Distribution, ...]:
        """Return a distribution of every number, those of one kind and series together, in the order in which they came."""
        series = list(dict.fromkeys(key[:2] for key in self._found))
        keys = sorted(self._found, key=lambda key: series.index(key[:2]))
        return tuple(
            _distribution(key, *(np.array(each) for each in self._found[key]), group=group, protocols=protocols)
            for key in keys
        )


Key = tuple[str, str, str, str, str, str]
"""Kind, series, name, of, unit and atlas of a distribution."""


def tissue_distributions(group: Group, protocols: Protocols | None = None) -> tuple[Distribution, ...]:
    """Return the medians of every map in every tissue over the participants."""
    gathered = Gathered()
    for place, run in enumerate(group.runs):
        for row in run.record.statistics if run.record and run.state == DONE else ():
            gathered.add((run.kind, run.series, row.map, row.region, row.unit, ""), place=place, value=row.median)
    return gathered.distributions(group, protocols or protocols_of(group))


def quality_distributions(group: Group, protocols: Protocols | None = None) -> tuple[Distribution, ...]:
    """Return every quality measure over the participants."""
    gathered = Gathered()
    for place, run in enumerate(group.runs):
        for measure, _ in measures_of(run) if run.state == DONE else ():
            key = (run.kind, run.series, MEASURES[measure.key].label, measure.of, measure.unit, "")
            gathered.add(key, place=place, value=measure.value)
    return gathered.distributions(group, protocols or protocols_of(group))


def measures_of(run: GroupRun) -> Iterator[tuple[Measure, Level | None]]:
    """Return the quality measures of a run, each with the light of the check that judges it."""
    if run.record is None:
        return
    for check in run.record.checks:
        for measure in check.measures:
            yield measure, check.level
    for measure in run.record.measures:
        yield measure, None


def robust_scores(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return how many robust standard deviations each value lies from the median; None where most values are equal.

    Parameters
    ----------
    values
        Finite numbers, shape (N,).

    Examples
    --------
    >>> robust_scores(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).round(1).tolist()
    [-1.3, -0.7, 0.0, 0.7, 65.4]
    >>> robust_scores(np.array([1.0, 1.0, 1.0, 1.0, 2.0])) is None
    True
    """
    away = values - np.median(values)
    spread = MAD_TO_SD * float(np.median(np.abs(away)))
    # Medians of equal values differ by rounding: that is no spread.
    if spread <= 1e-9 * float(np.max(np.abs(values), initial=0.0)):
        return None
    scores: NDArray[np.float64] = away / spread
    return scores


def limit_of(number: int) -> float:
    """Return the robust score beyond which one of so many values lies apart; infinite where too few are judged.

    Examples
    --------
    >>> limit_of(4), limit_of(11), limit_of(5000)
    (inf, 6.7, 4.5)
    """
    return max((row for row in LIMITS if row[0] <= number), default=(0, float("inf")))[1]


def _distribution(
    key: Key, places: NDArray[np.intp], values: NDArray[np.float64], *, group: Group, protocols: Protocols
) -> Distribution:
    """Return a distribution, its values judged among the runs of the same protocol."""
    kind, series, name, of, unit, atlas = key
    runs = tuple(group.runs[place] for place in places)
    numbers = np.array([protocols.number_of[int(place)] for place in places], dtype=np.intp)
    scores, medians = np.full(len(values), np.nan), np.full(len(values), np.nan)
    outlying = np.zeros(len(values), dtype=bool)
    reasons = []
    for number in np.unique(numbers):
        own = np.flatnonzero(numbers == number)
        medians[own] = np.median(values[own])
        found = None if unit == ARBITRARY else robust_scores(values[own])
        if unit == ARBITRARY:
            reasons.append("arbitrary units")
        elif len({runs[place].participant for place in own}) < FEWEST_PARTICIPANTS:
            reasons.append(f"fewer than {FEWEST_PARTICIPANTS} participants")
        elif found is None:
            reasons.append(EQUAL)
        else:
            reasons.append("")
            scores[own] = found
            outlying[own] = np.abs(found) > limit_of(len(own))
    return Distribution(
        kind=kind,
        series=series,
        name=name,
        of=of,
        unit=unit,
        atlas=atlas,
        runs=runs,
        places=places,
        values=values,
        scores=scores,
        medians=medians,
        protocols=numbers,
        outlying=outlying,
        unjudged="" if "" in reasons else reasons[0],
    )
