"""One page on all participants: what became of them, how their numbers are distributed, which lie apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.write import write_text
from qmri_bids.group.collect import Group, GroupRun
from qmri_bids.group.distributions import (
    FEWEST_PARTICIPANTS,
    RULE,
    Distribution,
    Point,
    quality_distributions,
    tissue_distributions,
)
from qmri_bids.reports.content import Figure, Section
from qmri_bids.reports.drawing.encode import encode_png
from qmri_bids.reports.drawing.planes import new_canvas
from qmri_bids.reports.drawing.styles import TISSUE_COLORS
from qmri_bids.reports.render import page_environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes


COLUMNS = 4
"""Panels in a row, where the tissues do not give their number."""

FEWEST_FOR_A_BOX = 5
"""With fewer points no quartiles are drawn."""

MOST_LABELS = 3
"""Points of a panel that are named; all of them stand in the table."""

_HEIGHT, _HEAD, _FOOT = 1.12, 0.1, 0.32
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_BOX, _APART = "#dfe4e8", "#b3261e"


def strip_figure(
    distributions: Sequence[Distribution], *, key: str, title: str, caption: str, by_tissue: bool
) -> Figure:
    """Return a panel for every number: a point a run, the quartiles, and names at the points that lie apart.

    Parameters
    ----------
    distributions
        At least one.
    key, title, caption
        Name, heading and explanation of the figure.
    by_tissue
        A row a map and a column a tissue, where there are several; otherwise panels fill the rows.
    """
    tissues = list(dict.fromkeys(each.of for each in distributions)) if by_tissue else []
    panels: list[Distribution | None] = list(distributions)
    columns = COLUMNS
    if len(tissues) > 1:
        columns = len(tissues)
        found = {(each.name, each.unit, each.of): each for each in distributions}
        names = list(dict.fromkeys((each.name, each.unit) for each in distributions))
        panels = [found.get((*name, tissue)) for name in names for tissue in tissues]
    rows = math.ceil(len(panels) / columns)
    height = _HEAD + rows * _HEIGHT + _FOOT - 0.2
    canvas = new_canvas(height=height)
    grid = canvas.subplots(rows, columns, squeeze=False)
    canvas.subplots_adjust(
        left=0.015, right=0.985, bottom=_FOOT / height, top=1.0 - (_HEAD + 0.2) / height, wspace=0.09, hspace=1.05
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for number, (axes, distribution) in enumerate(zip(grid.flat, panels, strict=False)):
        if distribution is None:
            axes.set_axis_off()
            continue
        column = number % columns if len(tissues) > 1 else 0
        _panel(axes, distribution, color=TISSUE_COLORS[column % len(TISSUE_COLORS)])
    return Figure(
        key=key,
        title=title,
        caption=caption,
        image=encode_png(canvas),
        section=Section.HISTOGRAMS,
        alternative=f"{title}: " + ", ".join(each.title for each in distributions),
    )


def _panel(axes: Axes, distribution: Distribution, *, color: str) -> None:
    """Draw one number."""
    values = distribution.values
    # The golden ratio spreads points evenly whatever their number, and every time alike.
    heights = 0.22 + 0.56 * (np.arange(1, len(values) + 1) * _GOLDEN % 1.0)
    apart = np.array([point.apart for point in distribution.points])
    for place, number in enumerate(_farthest(distribution)):
        heights[number] = 0.82 - 0.32 * place  # names do not overlap
    if len(values) >= FEWEST_FOR_A_BOX:
        lower, upper = distribution.quartiles
        axes.axvspan(lower, upper, ymin=0.12, ymax=0.88, color=_BOX, linewidth=0, zorder=0)
        axes.plot([distribution.median] * 2, [0.12, 0.88], color="#586673", linewidth=1.4, zorder=1)
    size, alpha = (16, 0.75) if len(values) <= 100 else (6, 0.3)
    axes.scatter(values[~apart], heights[~apart], s=size, color=color, alpha=alpha, linewidths=0, zorder=2)
    axes.scatter(values[apart], heights[apart], s=size + 6, color=_APART, marker="D", linewidths=0, zorder=3)
    low, high = float(values.min()), float(values.max())
    pad = 0.08 * (high - low) or 0.02 * abs(high) or 0.5
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(0.0, 1.0)
    _name_points(axes, distribution, heights)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=4)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(labelsize=7, length=2, pad=2)
    unit = f" [{'a.u.' if distribution.unit == 'arbitrary' else distribution.unit}]" if distribution.unit else ""
    axes.set_title(f"{distribution.name}{unit}", fontsize=8, loc="left", pad=10 if distribution.of else 3)
    if distribution.of:
        axes.text(0.0, 1.03, distribution.of, transform=axes.transAxes, fontsize=7, color="#586673", va="bottom")
    axes.text(
        1.0, 1.03, f"n = {len(values)}", transform=axes.transAxes, fontsize=7, color="#586673", ha="right", va="bottom"
    )
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def _farthest(distribution: Distribution) -> list[int]:
    """Return the places of the points that are named, from left to right."""
    apart = [number for number, point in enumerate(distribution.points) if point.apart]
    chosen = sorted(apart, key=lambda number: -abs(distribution.points[number].score))[:MOST_LABELS]
    return sorted(chosen, key=lambda number: distribution.points[number].value)


def _name_points(axes: Axes, distribution: Distribution, heights: NDArray[np.floating]) -> None:
    """Write names beside points, readable over those of others."""
    from matplotlib.patheffects import withStroke

    middle = sum(axes.get_xlim()) / 2.0
    for number in _farthest(distribution):
        point = distribution.points[number]
        right = point.value > middle
        axes.annotate(
            point.name,
            (point.value, heights[number]),
            xytext=(-5 if right else 5, 0),
            textcoords="offset points",
            fontsize=7,
            color=_APART,
            ha="right" if right else "left",
            va="center",
            zorder=4,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )


PAGE = "group.html"

_CAPTION = (
    "One point a run; grey: from the lower to the upper quartile of the runs, line: median (from five runs on). "
    "Red diamonds lie apart by the rule above; the farthest are named."
)


@dataclass(frozen=True, kw_only=True)
class Series:
    """What is compared: runs of one kind whose scan has one name.

    Parameters
    ----------
    kind, name
        What was done, and the entities that name the scan.
    tissues, quality
        Medians of the maps in the tissues, and quality measures.
    figures
        Pictures of both.
    """

    kind: str
    name: str
    tissues: tuple[Distribution, ...]
    quality: tuple[Distribution, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A value that lies apart, and from what."""

    point: Point
    distribution: Distribution


def write_page(group: Group, *, output_dir: Path, version: str, command: str) -> Path:
    """Write `group.html`, whole or not at all; the same records give the same page.

    Parameters
    ----------
    group
        What became of every participant.
    output_dir
        Root of the derivatives.
    version, command
        Of this call.
    """
    return write_text(output_dir / PAGE, page_html(group, version=version, command=command))


def page_html(group: Group, *, version: str, command: str) -> str:
    """Return the page as one HTML document with its pictures inside."""
    series = tuple(_series(group))
    return (
        page_environment()
        .get_template("group.html.j2")
        .render(
            group=group,
            series=series,
            apart=_by_participant(series),
            sentences=(*group.sentences, *_unjudged(series)),
            counts=Counter(run.state for run in group.runs),
            columns=_columns(group),
            cells=_cells(group),
            latest=max((run.created for run in group.runs), default=""),
            rule=RULE,
            version=version,
            command=command,
        )
    )


def _series(group: Group) -> Iterator[Series]:
    """Return what is compared, in the order of the runs."""
    tissues, quality = tissue_distributions(group), quality_distributions(group)
    for kind, name in dict.fromkeys((each.kind, each.series) for each in (*tissues, *quality)):
        own = tuple(each for each in tissues if (each.kind, each.series) == (kind, name))
        measures = tuple(each for each in quality if (each.kind, each.series) == (kind, name))
        key = f"{kind}-{name}"
        figures = []
        if own:
            caption = f"Medians of the maps in the tissues of each run. {_CAPTION}"
            figures.append(
                strip_figure(own, key=f"{key}-tissues", title="Maps by tissue", caption=caption, by_tissue=True)
            )
        if measures:
            figures.append(
                strip_figure(
                    measures, key=f"{key}-quality", title="Quality measures", caption=_CAPTION, by_tissue=False
                )
            )
        yield Series(kind=kind, name=name, tissues=own, quality=measures, figures=tuple(figures))


def _by_participant(series: tuple[Series, ...]) -> dict[str, list[Apart]]:
    """Return the values that lie apart by participant, those farthest away first."""
    found: dict[str, list[Apart]] = {}
    for distribution in (each for one in series for each in (*one.tissues, *one.quality)):
        for point in distribution.apart:
            found.setdefault(point.run.participant, []).append(Apart(point=point, distribution=distribution))
    return {
        participant: sorted(values, key=lambda each: -abs(each.point.score))
        for participant, values in sorted(found.items())
    }


def _unjudged(series: tuple[Series, ...]) -> Iterator[str]:
    """Say which runs have too few participants, and what cannot be judged for its values are equal."""
    for one in series:
        name = f"{one.kind} ({one.name})" if one.name else one.kind
        distributions = (*one.tissues, *one.quality)
        few = [each for each in distributions if each.participants < FEWEST_PARTICIPANTS]
        if len(few) == len(distributions):
            most = max(each.participants for each in few)
            yield f"{name}: no outliers are judged, since fewer than {FEWEST_PARTICIPANTS} participants have it ({most})."
            continue
        equal = [each.title for each in distributions if each.unjudged == "most values are equal"]
        if equal:
            yield f"{name}: not judged, since most of the values are equal: {'; '.join(equal)}."
        if few:
            titles = "; ".join(each.title for each in few)
            yield f"{name}: not judged, since fewer than {FEWEST_PARTICIPANTS} participants have it: {titles}."


def _columns(group: Group) -> list[tuple[str, str]]:
    """Return the kinds and names of scans, in the order of the runs; `("", "")` at the end where some runs have none."""
    columns = list(dict.fromkeys((run.kind, run.series) for run in group.runs if run.kind))
    return columns + [("", "")] * any(not run.kind for run in group.runs)


def _cells(group: Group) -> dict[tuple[str, str], dict[tuple[str, str], list[GroupRun]]]:
    """Return the runs by participant and session, and by kind and name of the scan; `("", "")` holds the others."""
    cells: dict[tuple[str, str], dict[tuple[str, str], list[GroupRun]]] = {}
    for run in sorted(group.runs, key=lambda each: (each.participant, each.session)):
        key = (run.kind, run.series) if run.kind else ("", "")
        cells.setdefault((run.participant, run.session), {}).setdefault(key, []).append(run)
    return cells
