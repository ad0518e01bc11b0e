"""Pictures of agreement: the difference of two values of a participant against their mean (Bland and Altman)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from qmri_bids.group.drawing.axis import Axis, number_text, robust_axis
from qmri_bids.group.drawing.strips import Panel, mark, svg_of, tick_text
from qmri_bids.group.retest import Interval, Repeatability

WIDTH, _HEIGHT = 260.0, 150.0
_LEFT, _RIGHT, _TOP, _FOOT = 38.0, 8.0, 6.0, 17.0


def agreement_panel(found: Repeatability, *, drawn: Collection[int]) -> Panel:
    """Return the differences second minus first against the means, with their mean and the limits of agreement.

    Bands are the 95 % confidence intervals of the three lines; of the points, those of the runs at the places `drawn` are shown.
    """
    differences, means = found.second - found.first, (found.first + found.second) / 2.0
    bottom = _HEIGHT - _FOOT
    across = robust_axis(means, start=_LEFT, end=WIDTH - _RIGHT, gutter=12.0)
    lines = [each for each in (found.lower, found.bias, found.upper) if math.isfinite(each.value)]
    own = robust_axis(differences, start=bottom, end=_TOP)
    # The lines and their intervals belong to the picture, however near the differences lie together.
    edges = [edge for each in lines for edge in (each.low, each.value, each.high) if math.isfinite(edge)]
    down = Axis(low=min(own.low, *edges), high=max(own.high, *edges), start=bottom, end=_TOP, before=bottom, after=_TOP)
    parts = [part for each in lines for part in _line(each, down)]
    parts.append(f'<path class="x" d="M{_LEFT:g} {bottom:g}H{WIDTH - _RIGHT:g}M{_LEFT:g} {_TOP:g}V{bottom:g}"/>')
    parts += [
        f'<text class="t" x="{across.at(tick):.1f}" y="{bottom + 13:g}">{tick_text(tick, across)}</text>'
        for tick in across.ticks
    ]
    parts += [
        f'<text class="k" x="{_LEFT - 4:g}" y="{down.at(tick) + 2.8:.1f}">{tick_text(tick, down)}</text>'
        for tick in down.ticks
    ]
    shown = [number for number, place in enumerate(found.places) if int(place) in drawn]
    parts.append(
        f'<g class="p" data-r="{",".join(str(int(found.places[each])) for each in shown)}" '
        f'data-v="{",".join(f"{differences[each]:.4g}" for each in shown)}">'
    )
    for number in shown:
        mean, difference = float(means[number]), float(differences[number])
        # A difference beyond the axis is a diamond at its end, a mean beyond it an arrow.
        beyond = down.side(difference) != 0
        parts.append(mark(across.at(mean), down.at(difference), side=across.side(mean), apart=beyond, radius=2.2))
    parts.append("</g>")
    unit = f" {found.distribution.unit}" if found.distribution.unit else ""
    label = (
        f"{found.distribution.title}, second minus first {found.by}: mean difference {number_text(found.bias.value)}{unit}, "
        f"limits of agreement {number_text(found.lower.value)} to {number_text(found.upper.value)}{unit}, {found.units} pairs"
    )
    return Panel(
        title=found.distribution.name,
        of=found.distribution.of,
        unit=found.distribution.unit,
        count=f"n = {found.units}",
        svg=svg_of(parts, height=_HEIGHT, label=label),
    )


def _line(interval: Interval, down: Axis) -> Iterator[str]:
    """Yield a line over its confidence interval."""
    wide = WIDTH - _RIGHT - _LEFT
    if math.isfinite(interval.low):
        top, bottom = down.at(interval.high), down.at(interval.low)
        yield f'<rect class="q" x="{_LEFT:g}" y="{top:.1f}" width="{wide:g}" height="{max(bottom - top, 0.5):.1f}"/>'
    yield f'<path class="m" d="M{_LEFT:g} {down.at(interval.value):.1f}h{wide:g}"/>'
