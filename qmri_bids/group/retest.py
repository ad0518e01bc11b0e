"""How well a number repeats itself in the same participant: within-subject variation and limits of agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qmri_bids.group.distributions import Distribution
from qmri_bids.quantities import QUANTITIES

CONFIDENCE = 0.95

FEWEST_PAIRS = 3
"""With fewer pairs no limits of agreement are stated."""

MOST_EXACT = 100
"""Pairs up to which the intervals of the limits are the exact ones."""

SESSION, RUN = "session", "run"

METHOD = (
    "Within-subject standard deviation: the root of the pooled variance of the repeated values of a participant (Bland and "
    "Altman 1996). Within-subject coefficient of variation: the root mean square of standard deviation over mean of each "
    "participant, weighted by degrees of freedom where some have more repeated values than others (Bland and Altman 1996; Quan "
    "and Shih 1996); only of maps without a sign whose values are all above 0. The intervals of both follow from the χ² "
    "distribution of the pooled variance. Repeatability coefficient: 2.77 within-subject standard deviations; two values of a "
    "participant differ by less in 95 % of cases. Bland–Altman: second minus first value; mean ± 1.96 standard deviations, "
    "intervals by Carkeet (2015). All intervals are of 95 %. By session: the first run of each session, sessions in the "
    "order of their labels. By run: the runs of one session. Only values of one protocol are compared."
)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number with its 95 % confidence interval; NaN where it cannot be told."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Repeatability:
    """How well a number repeats itself.

    Parameters
    ----------
    distribution
        The number.
    by
        `session` or `run`: what was repeated.
    units, values
        How many participants (by run: sessions of participants) have repeated values, and how many those are.
    left_out
        Values that were not compared, since they are of another protocol.
    stdev, variation, coefficient
        Within-subject standard deviation, within-subject coefficient of variation (a fraction), and repeatability coefficient.
    first, second
        Of each unit the first two values, shape (units,).
    places
        Place of the run of the second value in the group, shape (units,).
    bias, lower, upper
        Mean of the differences second minus first, and the limits of agreement.
    """

    distribution: Distribution
    by: str
    units: int
    values: int
    left_out: int
    stdev: Interval
    variation: Interval
    coefficient: Interval
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    places: NDArray[np.intp]
    bias: Interval
    lower: Interval
    upper: Interval


def repeatabilities(distributions: Sequence[Distribution]) -> tuple[Repeatability, ...]:
    """Return how well every number repeats itself, by session and by run, where there are repeated values."""
    found = (repeatability(each, by=by) for by in (SESSION, RUN) for each in distributions)
    return tuple(each for each in found if each is not None)


def repeatability(distribution: Distribution, *, by: str) -> Repeatability | None:
    """Return how well a number repeats itself, None where nothing is repeated.

    Parameters
    ----------
    distribution
        The number over all runs.
    by
        `session` or `run`.
    """
    if distribution.participants == len(distribution.runs):
        return None
    units, left_out = _repeated(distribution, by=by)
    if not units:
        return None
    values = [distribution.values[unit] for unit in units]
    pairs = np.array([unit[:2] for unit in units])
    first, second = distribution.values[pairs[:, 0]], distribution.values[pairs[:, 1]]
    stdev = within_stdev(values)
    factor = 1.96 * math.sqrt(2.0)
    bias, lower, upper = limits_of_agreement(second - first)
    return Repeatability(
        distribution=distribution,
        by=by,
        units=len(units),
        values=sum(len(unit) for unit in units),
        left_out=left_out,
        stdev=stdev,
        variation=Interval(value=math.nan) if has_sign(distribution.name) else within_variation(values),
        coefficient=Interval(value=factor * stdev.value, low=factor * stdev.low, high=factor * stdev.high),
        first=first,
        second=second,
        places=distribution.places[pairs[:, 1]],
        bias=bias,
        lower=lower,
        upper=upper,
    )


@cache
def has_sign(name: str) -> bool:
    """Whether a map has values on both sides of 0, whose mean is no scale: off-resonance, MTR asymmetry.

    Examples
    --------
    >>> has_sign("Off-resonance"), has_sign("T1")
    (True, False)
    """
    windows = ((each.label, each.display.window) for each in QUANTITIES.values())
    return any(window is not None and window[0] < 0.0 and name.startswith(label) for label, window in windows)


def within_stdev(values: Sequence[NDArray[np.float64]]) -> Interval:
    """Return the within-subject standard deviation.

    Parameters
    ----------
    values
        The repeated values of each subject, two or more.

    Notes
    -----
    Bland and Altman, BMJ 1996;313:744: the root of the pooled variance; its interval is exact for normally distributed values.

    Examples
    --------
    >>> round(within_stdev([np.array([1.0, 3.0]), np.array([5.0, 5.0])]).value, 6)
    1.0
    """
    freedom = np.array([len(each) - 1 for each in values])
    variances = np.array([np.var(each, ddof=1) for each in values])
    return _root(float(np.sum(freedom * variances) / freedom.sum()), int(freedom.sum()))


def within_variation(values: Sequence[NDArray[np.float64]]) -> Interval:
    """Return the within-subject coefficient of variation, a fraction; NaN where a value is not above 0.

    Parameters
    ----------
    values
        The repeated values of each subject, two or more.

    Notes
    -----
    Bland and Altman, BMJ 1996;313:106 and Quan and Shih, Biometrics 1996;52:1195: the root mean square of standard deviation over
    mean. The interval takes the errors for normally distributed and small against the mean.

    Examples
    --------
    >>> round(within_variation([np.array([99.0, 101.0]), np.array([198.0, 202.0])]).value, 6)
    0.014142
    """
    if any((each <= 0.0).any() for each in values):
        return Interval(value=math.nan)
    freedom = np.array([len(each) - 1 for each in values])
    squares = np.array([np.var(each, ddof=1) / np.mean(each) ** 2 for each in values])
    return _root(float(np.sum(freedom * squares) / freedom.sum()), int(freedom.sum()))


def limits_of_agreement(differences: NDArray[np.float64]) -> tuple[Interval, Interval, Interval]:
    """Return the mean of differences, and the lower and the upper limit of agreement.

    Notes
    -----
    Of up to 100 differences the intervals of the limits are the exact ones of normal differences, by the noncentral t distribution
    (Carkeet, Optom Vis Sci 2015;92:e71); of more, where both agree, a limit has the variance s² (1/n + 1.96²/(2 (n - 1)))
    (Bland and Altman, Stat Methods Med Res 1999;8:135, section 2).
    """
    number = len(differences)
    if number < FEWEST_PAIRS:
        nothing = Interval(value=math.nan)
        return Interval(value=float(np.mean(differences))), nothing, nothing
    mean, stdev = float(np.mean(differences)), float(np.std(differences, ddof=1))
    half, near, far = (factor * stdev for factor in _factors(number))
    return (
        Interval(value=mean, low=mean - half, high=mean + half),
        Interval(value=mean - 1.96 * stdev, low=mean - far, high=mean - near),
        Interval(value=mean + 1.96 * stdev, low=mean + near, high=mean + far),
    )


@cache
def _factors(number: int) -> tuple[float, float, float]:
    """Return how many standard deviations the ends of the intervals lie from the mean: of the mean, and of a limit."""
    from scipy.stats import nct, t

    ends = (0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0)
    quantile = float(t.ppf(ends[1], number - 1))
    if number <= MOST_EXACT:
        near, far = (float(nct.ppf(end, number - 1, 1.96 * math.sqrt(number))) / math.sqrt(number) for end in ends)
    else:
        half = quantile * math.sqrt(1.0 / number + 1.96**2 / (2.0 * (number - 1)))
        near, far = 1.96 - half, 1.96 + half
    return quantile / math.sqrt(number), near, far


def _root(square: float, freedom: int) -> Interval:
    """Return the root of a pooled variance, with the interval that its degrees of freedom leave."""
    from scipy.stats import chi2

    tails = (0.5 + CONFIDENCE / 2.0, 0.5 - CONFIDENCE / 2.0)
    low, high = (math.sqrt(square * freedom / float(chi2.ppf(tail, freedom))) for tail in tails)
    return Interval(value=math.sqrt(square), low=low, high=high)


def _repeated(distribution: Distribution, *, by: str) -> tuple[list[list[int]], int]:
    """Return the places of the repeated values of each unit in the distribution, and how many are of another protocol."""
    found: dict[tuple[str, str], list[int]] = {}
    order = sorted(range(len(distribution.runs)), key=lambda number: _order(distribution, number))
    seen: set[tuple[str, str]] = set()
    for number in order:
        run = distribution.runs[number]
        if by == RUN:
            found.setdefault((run.participant, run.session), []).append(number)
        elif (run.participant, run.session) not in seen:
            seen.add((run.participant, run.session))
            found.setdefault((run.participant, ""), []).append(number)
    units, left_out = [], 0
    for numbers in found.values():
        own = [each for each in numbers if distribution.protocols[each] == distribution.protocols[numbers[0]]]
        left_out += len(numbers) - len(own)
        if len(own) > 1:
            units.append(own)
    return units, left_out


def _order(distribution: Distribution, number: int) -> tuple[str, tuple[int, str], tuple[int, str]]:
    """Return by what runs are sorted: participant, session and repetition, numbers as such."""
    run = distribution.runs[number]
    repetition = next((part[4:] for part in run.run.split("_") if part.startswith("run-")), "")
    return run.participant, _natural(run.session), _natural(repetition)


def _natural(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdecimal() else (-1, label)
