"""One page on all participants: what became of them, how their numbers are distributed, which lie apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
from qmri_bids.group.figures import strip_figure
from qmri_bids.reports.content import Figure
from qmri_bids.reports.render import page_environment

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
