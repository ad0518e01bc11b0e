"""How numbers are distributed over participants, and which lie apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qmri_bids.group.collect import Group, GroupRun
from qmri_bids.reports.content import Level
from qmri_bids.reports.measures import MEASURES, Measure

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
)
"""Number of values from which a limit holds, and the robust score beyond which a value lies apart: of a hundred groups of so many
normally distributed values, one has a value beyond it (by simulation; the usual 3.5 is exceeded in 20 groups of 5, in 10 of 20)."""

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

ARBITRARY = "arbitrary"
"""Unit of maps whose scale is that of the receiver: they are not comparable between participants."""

RULE = (
    "A value lies apart where it differs from the median of the runs by more robust standard deviations "
    f"({MAD_TO_SD} × the median absolute deviation) than chance allows: one group in a hundred of as many normally distributed "
    f"values has such a value (beyond {LIMITS[0][1]:g} of {LIMITS[0][0]} values, {LIMITS[3][1]:g} of {LIMITS[3][0]}, "
    f"{LIMITS[6][1]:g} of {LIMITS[6][0]}, {LIMITS[-1][1]:g} of {LIMITS[-1][0]} and more). Medians of tissues and quality measures "
    "are judged; they are compared between runs of the same kind and name, repetitions and sessions together. Maps in arbitrary "
    "units are not judged. Look before leaving anybody out."
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One number of one run.

    Parameters
    ----------
    run
        The run.
    value
        The number.
    score
        Its distance from the median in robust standard deviations, NaN where it is not judged.
    apart
        Whether it lies apart from those of the others.
    """

    run: GroupRun
    value: float
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
        What was measured, and where: a map and a tissue, or a quality measure and what it is of.
    unit
        Of the values; empty for a bare number.
    points
        The values, sorted by participant and session.
    unjudged
        Why no value is judged; empty where they are.
    """

    kind: str
    series: str
    name: str
    of: str
    unit: str
    points: tuple[Point, ...]
    unjudged: str

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """All values."""
        return np.array([point.value for point in self.points])

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
        return len({point.run.participant for point in self.points})

    @property
    def apart(self) -> tuple[Point, ...]:
        """The values that lie apart."""
        return tuple(point for point in self.points if point.apart)

    @property
    def title(self) -> str:
        """What was measured, of what."""
        return f"{self.name}, {self.of}" if self.of else self.name


_Key = tuple[str, str, str, str, str]


def tissue_distributions(group: Group) -> tuple[Distribution, ...]:
    """Return the medians of every map in every tissue over the participants."""

    def rows(run: GroupRun) -> Iterator[tuple[tuple[str, str, str], float]]:
        for row in run.record.statistics if run.record else ():
            yield (row.map, row.region, row.unit), row.median

    return _distributions(group, rows)


def quality_distributions(group: Group) -> tuple[Distribution, ...]:
    """Return every quality measure over the participants."""

    def rows(run: GroupRun) -> Iterator[tuple[tuple[str, str, str], float]]:
        for measure, _ in measures_of(run):
            yield (MEASURES[measure.key].label, measure.of, measure.unit), measure.value

    return _distributions(group, rows)


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
    (inf, 6.7, 4.4)
    """
    return max((row for row in LIMITS if row[0] <= number), default=(0, float("inf")))[1]


def _distributions(
    group: Group, rows: Callable[[GroupRun], Iterator[tuple[tuple[str, str, str], float]]]
) -> tuple[Distribution, ...]:
    """Return a distribution of every number of the runs that were processed, those of one kind and series together."""
    found: dict[_Key, list[tuple[GroupRun, float]]] = {}
    for run in group.done:
        for (name, of, unit), value in rows(run):
            if np.isfinite(value):
                found.setdefault((run.kind, run.series, name, of, unit), []).append((run, value))
    series = list(dict.fromkeys(key[:2] for key in found))
    keys = sorted(found, key=lambda key: series.index(key[:2]))
    return tuple(_distribution(key, found[key]) for key in keys)


def _distribution(key: _Key, values: list[tuple[GroupRun, float]]) -> Distribution:
    kind, series, name, of, unit = key
    unjudged, scores = "", None
    participants = len({run.participant for run, _ in values})
    if unit == ARBITRARY:
        unjudged = "arbitrary units"
    elif participants < FEWEST_PARTICIPANTS:
        unjudged = f"fewer than {FEWEST_PARTICIPANTS} participants"
    else:
        scores = robust_scores(np.array([value for _, value in values]))
        if scores is None:
            unjudged = "most values are equal"
    limit = limit_of(len(values))
    points = []
    for number, (run, value) in enumerate(values):
        score = float("nan") if scores is None else float(scores[number])
        points.append(Point(run=run, value=value, score=score, apart=abs(score) > limit))
    return Distribution(kind=kind, series=series, name=name, of=of, unit=unit, points=tuple(points), unjudged=unjudged)
