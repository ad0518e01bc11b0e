"""The regions of an atlas over the participants as one picture a map: a row a region."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from html import escape

import numpy as np

from qmri_bids.group.distributions import Distribution
from qmri_bids.group.drawing.axis import Axis, number_text, robust_axis
from qmri_bids.group.drawing.strips import FEWEST_FOR_A_BOX, mark, svg_of, tick_text

MOST_REGIONS = 60
"""Regions that are drawn; the table `group_regions.tsv` holds all."""

WIDTH = 520.0
_NAMES, _COUNT, _ROW, _FOOT = 150.0, 44.0, 13.0, 18.0
_GUTTER = 12.0
_LONGEST = 28


def region_panel(distributions: Sequence[Distribution], *, title: str, drawn: Collection[int]) -> str:
    """Return a picture of the regions of an atlas in one map.

    Each row has the quartiles and the median of the runs, a point a run where there are few, and the values that lie apart.

    Parameters
    ----------
    distributions
        One a region.
    title
        What is shown, for readers who do not see it.
    drawn
        Places of the runs that are drawn; quartiles are those of all.
    """
    rows = distributions[:MOST_REGIONS]
    values = np.concatenate([each.values for each in rows])
    axis = robust_axis(values, start=_NAMES, end=WIDTH - _COUNT, gutter=_GUTTER)
    height = len(rows) * _ROW
    parts = [
        f'<path class="g" d="{"".join(f"M{axis.at(tick):.1f} 0v{height:g}" for tick in axis.ticks)}"/>',
        *(part for number, each in enumerate(rows) for part in _row(each, axis, number * _ROW, drawn)),
        f'<path class="x" d="M{axis.start:g} {height:g}H{axis.end:g}"/>',
        *(
            f'<text class="t" x="{axis.at(tick):.1f}" y="{height + 13:g}">{tick_text(tick, axis)}</text>'
            for tick in axis.ticks
        ),
    ]
    shown = "; ".join(f"{each.of} median {number_text(each.median)}" for each in rows[:12])
    return svg_of(parts, height=height + _FOOT, width=WIDTH, label=f"{title}: {shown}")


def _row(distribution: Distribution, axis: Axis, top: float, drawn: Collection[int]) -> Iterator[str]:
    """Yield what is drawn of one region."""
    middle = top + _ROW / 2.0
    name = distribution.of if len(distribution.of) <= _LONGEST else f"{distribution.of[: _LONGEST - 1]}…"
    yield f'<text class="r" x="{_NAMES - 6:g}" y="{middle + 3:g}"><title>{escape(distribution.of)}</title>{escape(name)}</text>'
    yield f'<text class="k" x="{WIDTH:g}" y="{middle + 3:g}">n = {len(distribution.values)}</text>'
    if len(distribution.values) >= FEWEST_FOR_A_BOX:
        lower, median, upper = (axis.at(float(each)) for each in np.percentile(distribution.values, (25, 50, 75)))
        yield f'<rect class="q" x="{lower:.1f}" y="{top + 2:g}" width="{max(upper - lower, 0.5):.1f}" height="{_ROW - 4:g}"/>'
        yield f'<path class="m" d="M{median:.1f} {top + 2:g}v{_ROW - 4:g}"/>'
    shown = [number for number, place in enumerate(distribution.places) if int(place) in drawn]
    for apart in (False, True):
        own = [number for number in shown if bool(distribution.outlying[number]) is apart]
        if not own:
            continue
        yield (
            f'<g class="{"p a" if apart else "p"}" data-r="{",".join(str(int(distribution.places[each])) for each in own)}" '
            f'data-v="{",".join(f"{distribution.values[each]:.4g}" for each in own)}">'
        )
        for number in own:
            value = float(distribution.values[number])
            yield mark(axis.at(value), middle, side=axis.side(value), apart=apart, radius=1.5)
        yield "</g>"
