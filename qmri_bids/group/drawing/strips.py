"""Pictures of distributions as SVG, a panel for every measure: readable without scripts, and coloured and searched with them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from qmri_bids.group.distributions import Distribution, Point
from qmri_bids.group.drawing.axis import Axis, number_text, robust_axis

FEWEST_FOR_A_BOX = 5
"""With fewer points no quartiles are drawn."""

MOST_LABELS = 3
"""Points of a panel that are named; all of them stand in the table."""

MOST_LANES = 3
"""Protocols that have a lane of their own; the rarer ones share the last."""

WIDTH = 260.0
_SIDE, _LANE, _FOOT = 8.0, 42.0, 17.0
_WIDEST, _LETTER = 120.0, 4.2
"""Most room for the names of values beyond the axis, and that of a letter."""

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture of one number over all runs.

    Parameters
    ----------
    title, of, unit
        What it is, of what, and in which unit.
    count
        How many values there are, and how many of them are drawn, in words.
    svg
        The picture.
    """

    title: str
    of: str
    unit: str
    count: str
    svg: str


def strip_panel(distribution: Distribution, *, drawn: Collection[int]) -> Panel:
    """Return a panel: a point a run, the quartiles, and names at the points that lie apart.

    Runs of one participant lie at one height and are joined by a line.

    Parameters
    ----------
    distribution
        The number over all runs.
    drawn
        Places of the runs that are drawn; quartiles are those of all.
    """
    shown = [number for number, place in enumerate(distribution.places) if int(place) in drawn]
    numbers = sorted({int(each) for each in distribution.protocols})
    lanes = [[each] for each in numbers[: MOST_LANES - 1]] + [numbers[MOST_LANES - 1 :]] * (len(numbers) >= MOST_LANES)
    height = len(lanes) * _LANE + _FOOT
    axis = robust_axis(distribution.values, start=_SIDE, end=WIDTH - _SIDE)
    far = [len(_words(distribution.point(each), axis)) for each in _farthest(distribution, shown, axis)]
    gutter = min(_WIDEST, 14.0 + _LETTER * max(far, default=0))
    axis = robust_axis(distribution.values, start=_SIDE, end=WIDTH - _SIDE, gutter=gutter)
    parts: list[str] = []
    for place, lane in enumerate(lanes):
        members = np.flatnonzero(np.isin(distribution.protocols, lane))
        parts += _lane(distribution, members, set(shown), axis=axis, top=place * _LANE)
        if len(lanes) > 1:
            words = f"protocol {lane[0]}" if len(lane) == 1 else f"protocols {lane[0]} to {lane[-1]}"
            parts.append(f'<text class="s" x="{_SIDE:g}" y="{place * _LANE + 7:g}">{words}, n = {len(members)}</text>')
    parts += _foot(axis, len(lanes) * _LANE)
    number = len(distribution.values)
    count = f"n = {number}" + (f", {len(shown)} drawn" if len(shown) < number else "")
    return Panel(
        title=distribution.name,
        of=distribution.of,
        unit=distribution.unit,
        count=count,
        svg=svg_of(parts, height=height, label=description(distribution)),
    )


def _lane(
    distribution: Distribution, members: Sequence[int] | np.ndarray, shown: set[int], *, axis: Axis, top: float
) -> Iterator[str]:
    """Yield what is drawn of the runs of one protocol, or of the rarer ones."""
    values = distribution.values[members]
    if len(values) >= FEWEST_FOR_A_BOX:
        lower, middle, upper = (axis.at(float(each)) for each in np.percentile(values, (25, 50, 75)))
        yield f'<rect class="q" x="{lower:.1f}" y="{top + 9:g}" width="{max(upper - lower, 0.5):.1f}" height="{_LANE - 12:g}"/>'
        yield f'<path class="m" d="M{middle:.1f} {top + 9:g}v{_LANE - 12:g}"/>'
    # The golden ratio spreads points evenly whatever their number, and every time alike.
    own = [int(each) for each in members if int(each) in shown]
    named = _farthest(distribution, own, axis)
    people: dict[str, list[int]] = {}
    for each in own:
        people.setdefault(distribution.runs[each].participant, []).append(each)
    heights = {
        each: 13.0 + (_LANE - 20.0) * ((rank + 1) * _GOLDEN % 1.0)
        for rank, runs in enumerate(people.values())
        for each in runs
    }
    heights |= {each: 12.0 + 11.0 * rank for rank, each in enumerate(named)}  # names do not overlap
    radius = 2.4 if len(own) <= 100 else 1.7 if len(own) <= 250 else 1.3
    for runs in people.values():
        if len(runs) > 1:
            along = sorted(runs, key=lambda each: float(distribution.values[each]))
            places = (f"{axis.at(float(distribution.values[each])):.1f} {top + heights[each]:.1f}" for each in along)
            yield f'<path class="j" d="M{"L".join(places)}"/>'
    # Those that lie apart are drawn last, over the others.
    for apart in (False, True):
        marks = [each for each in own if bool(distribution.outlying[each]) is apart]
        if not marks:
            continue
        yield (
            f'<g class="{"p a" if apart else "p"}" data-r="{",".join(str(int(distribution.places[each])) for each in marks)}" '
            f'data-v="{",".join(f"{distribution.values[each]:.4g}" for each in marks)}">'
        )
        for each in marks:
            value = float(distribution.values[each])
            yield mark(axis.at(value), top + heights[each], side=axis.side(value), apart=apart, radius=radius)
        yield "</g>"
    for each in named:
        yield _name(distribution.point(each), axis=axis, height=top + heights[each])


def mark(across: float, down: float, *, side: int, apart: bool, radius: float) -> str:
    """Return a point: a circle, a diamond where it lies apart, an arrow where it lies beyond the axis."""
    if side:
        return f'<path d="M{across - 4 * side:.1f} {down - 4:.1f}l{7 * side} 4l{-7 * side} 4z"/>'
    if apart:
        return f'<path d="M{across:.1f} {down - 3.6:.1f}l3.6 3.6l-3.6 3.6l-3.6-3.6z"/>'
    return f'<circle cx="{across:.1f}" cy="{down:.1f}" r="{radius:g}"/>'


def _name(point: Point, *, axis: Axis, height: float) -> str:
    """Return the name beside a point, with its value where it lies beyond the axis."""
    right = axis.at(point.value) > WIDTH / 2.0
    text = _words(point, axis)
    across = axis.at(point.value) + (-7.0 if right else 7.0)
    style = f"o{'' if point.apart else ' u'}{' e' if right else ''}"
    return f'<text class="{style}" x="{across:.1f}" y="{height + 2.8:.1f}">{escape(text)}</text>'


def _words(point: Point, axis: Axis) -> str:
    """Return the name of a point, with its value where it lies beyond the axis."""
    return point.run.name + (f": {number_text(point.value)}" if axis.side(point.value) else "")


def _farthest(distribution: Distribution, members: Sequence[int], axis: Axis) -> list[int]:
    """Return the points that are named: those that lie apart, and those beyond the axis, the farthest of them."""
    middle = distribution.median
    chosen = [each for each in members if distribution.outlying[each] or axis.side(float(distribution.values[each]))]
    chosen.sort(key=lambda each: -abs(float(distribution.values[each]) - middle))
    return sorted(chosen[:MOST_LABELS], key=lambda each: float(distribution.values[each]))


def _foot(axis: Axis, top: float) -> Iterator[str]:
    """Yield the axis below the lanes."""
    yield f'<path class="x" d="M{axis.start:g} {top:g}H{axis.end:g}'
    yield "".join(f"M{axis.at(tick):.1f} {top:g}v3" for tick in axis.ticks) + '"/>'
    for tick in axis.ticks:
        across = min(max(axis.at(tick), 10.0), WIDTH - 10.0)
        yield f'<text class="t" x="{across:.1f}" y="{top + 13:g}">{tick_text(tick, axis)}</text>'


def tick_text(tick: float, axis: Axis) -> str:
    """Return the label of a tick, with as many digits as tell it from the next."""
    step = axis.ticks[1] - axis.ticks[0] if len(axis.ticks) > 1 else abs(tick) or 1.0
    if step < 1e-4 or abs(tick) >= 1e6:
        return f"{tick:.3g}".replace("-", "\N{MINUS SIGN}")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += not math.isclose(round(step, digits), step, rel_tol=1e-6)  # a step of 2.5
    return f"{tick + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def svg_of(parts: Sequence[str], *, height: float, label: str, width: float = WIDTH) -> str:
    """Return a picture that scales with the page."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label, quote=True)}">'
        + "".join(parts)
        + "</svg>"
    )


def description(distribution: Distribution) -> str:
    """Return what a panel shows, for readers who do not see it."""
    unit = f" {distribution.unit}" if distribution.unit else ""
    lower, upper = distribution.quartiles
    number = len(distribution.values)
    apart = "; ".join(f"{each.run.name} {number_text(each.value)}" for each in distribution.apart[:MOST_LABELS])
    return (
        f"{distribution.title}: {number} values, median {number_text(distribution.median)}{unit}, "
        f"quartiles {number_text(lower)} to {number_text(upper)}" + (f"; apart: {apart}" if apart else "")
    )
