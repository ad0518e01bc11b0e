"""One page on all participants: what became of them, how their numbers are distributed, which lie apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmri_bids.bids.write import write_text
from qmri_bids.group.collect import Group, GroupRun
from qmri_bids.group.covariates import Column
from qmri_bids.group.distributions import EQUAL, FEWEST_PARTICIPANTS, RULE, Distribution, Point
from qmri_bids.group.drawing.agreement import agreement_panel
from qmri_bids.group.drawing.regions import region_panel
from qmri_bids.group.drawing.strips import Panel, strip_panel
from qmri_bids.group.findings import Findings
from qmri_bids.group.gallery import Wall, gallery_of
from qmri_bids.group.protocols import Protocol
from qmri_bids.group.retest import METHOD, Repeatability
from qmri_bids.group.sample import Sample, sample_of
from qmri_bids.reports.record import DONE
from qmri_bids.reports.render import LEVEL_WORDS, page_environment

PAGE = "group.html"

MOST_ROWS = 500
"""Rows of a table of the page; the tables beside it hold all."""

MOST_VALUES = 6
"""Values of a participant that the table of outliers names, the farthest."""

MOST_AGREEMENTS = 16
"""Pictures of agreement of a scan, of sessions and of runs each; the table holds all."""


@dataclass(frozen=True, kw_only=True)
class Regions:
    """The regions of an atlas in one map: name, unit, picture and distributions."""

    atlas: str
    map: str
    unit: str
    svg: str
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, kw_only=True)
class Series:
    """What is compared: runs of one kind whose scan has one name.

    Parameters
    ----------
    kind, name
        What was done, and the entities that name the scan.
    protocols
        How the runs were acquired, the most frequent first.
    tissues, quality
        Medians of the maps in the tissues, and quality measures.
    tissue_panels, quality_panels
        Pictures of both, one a measure.
    regions
        Regions of atlases.
    repeated
        How well the medians of tissues repeat themselves.
    repeated_regions
        The same of regions of atlases.
    agreement
        Pictures of that, with what was repeated.
    agreements
        How many there would be, by what was repeated.
    single_tissues, single_quality
        Medians and measures that one run alone has: values without a picture.
    walls
        Small pictures of the maps.
    """

    kind: str
    name: str
    protocols: tuple[Protocol, ...]
    tissues: tuple[Distribution, ...]
    quality: tuple[Distribution, ...]
    tissue_panels: tuple[Panel, ...]
    quality_panels: tuple[Panel, ...]
    regions: tuple[Regions, ...]
    repeated: tuple[Repeatability, ...]
    repeated_regions: tuple[Repeatability, ...]
    agreement: tuple[tuple[str, Panel], ...]
    agreements: Mapping[str, int]
    single_tissues: tuple[Distribution, ...]
    single_quality: tuple[Distribution, ...]
    walls: tuple[Wall, ...]


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A value that lies apart, and from what."""

    point: Point
    distribution: Distribution


def write_page(findings: Findings, *, output_dir: Path, version: str, command: str) -> Path:
    """Write `group.html`, whole or not at all; the same records give the same page.

    Parameters
    ----------
    findings
        What was found of all participants.
    output_dir
        Root of the derivatives.
    version, command
        Of this call.
    """
    return write_text(output_dir / PAGE, page_html(findings, version=version, command=command))


def page_html(findings: Findings, *, version: str, command: str) -> str:
    """Return the page as one HTML document with its pictures inside; parameters as of `write_page`."""
    group = findings.group
    sample = sample_of(group, findings.distributions)
    outlying = [Apart(point=point, distribution=each) for each in findings.distributions for point in each.apart]
    by_participant = _by_participant(outlying)
    places = list(dict.fromkeys(each.point.place for each in sorted(outlying, key=lambda each: -abs(each.point.score))))
    gallery = gallery_of(group, sample=sample, first=places, output_dir=findings.output_dir)
    series = tuple(_series(findings, sample, gallery.walls))
    rows = _cells(group, sample)
    return (
        page_environment()
        .get_template("group.html.j2")
        .render(
            group=group,
            series=series,
            apart=_first_rows(by_participant),
            apart_count=len(by_participant),
            unjudged=_why_unjudged(findings.distributions),
            amiss=group.amiss[:MOST_ROWS],
            sentences=(*findings.sentences, *_unjudged(findings.distributions)),
            sample=sample,
            gallery=gallery,
            counts=Counter(run.state for run in group.runs),
            lights=Counter(LEVEL_WORDS[run.level] for run in group.runs if run.state == DONE and run.level is not None),
            columns=_columns(group),
            cells=rows,
            joined=any(each.participants < len(each.values) for each in findings.distributions),
            latest=max((run.created for run in group.runs), default=""),
            rule=RULE,
            retest_method=METHOD,
            most_rows=MOST_ROWS,
            most_values=MOST_VALUES,
            data=_data(findings, sample),
            colored=bool(findings.covariates.columns),
            version=version,
            command=command,
        )
    )


def _series(findings: Findings, sample: Sample, walls: Sequence[Wall]) -> Iterator[Series]:
    """Return what is compared, in the order of the runs."""
    drawn = sample.places
    for kind, name in dict.fromkeys((each.kind, each.series) for each in findings.distributions):

        def own(found: Sequence[Distribution], of: tuple[str, str] = (kind, name)) -> tuple[Distribution, ...]:
            return tuple(each for each in found if (each.kind, each.series) == of)

        tissues, quality, regions = own(findings.tissues), own(findings.quality), own(findings.regions)
        repeated = [
            each for each in findings.repeated if (each.distribution.kind, each.distribution.series) == (kind, name)
        ]
        of_tissues = tuple(each for each in repeated if not each.distribution.atlas)
        yield Series(
            kind=kind,
            name=name,
            protocols=findings.protocols.of(kind, name),
            tissues=tissues,
            quality=quality,
            tissue_panels=tuple(strip_panel(each, drawn=drawn) for each in tissues if len(each.values) > 1),
            quality_panels=tuple(strip_panel(each, drawn=drawn) for each in quality if len(each.values) > 1),
            single_tissues=tuple(each for each in tissues if len(each.values) == 1),
            single_quality=tuple(each for each in quality if len(each.values) == 1),
            regions=tuple(_regions(regions, sample)),
            repeated=of_tissues,
            repeated_regions=tuple(each for each in repeated if each.distribution.atlas),
            agreement=tuple(_agreement(of_tissues, sample)),
            agreements=Counter(each.by for each in of_tissues if math.isfinite(each.lower.value)),
            walls=tuple(wall for wall in walls if (wall.kind, wall.series) == (kind, name)),
        )


def _regions(distributions: Sequence[Distribution], sample: Sample) -> Iterator[Regions]:
    """Return one picture for every atlas and map."""
    for atlas, name, unit in dict.fromkeys((each.atlas, each.name, each.unit) for each in distributions):
        own = tuple(each for each in distributions if (each.atlas, each.name, each.unit) == (atlas, name, unit))
        svg = region_panel(own, title=f"{name} in the regions of {atlas}", drawn=sample.places)
        yield Regions(atlas=atlas, map=name, unit=unit, svg=svg, distributions=own)


def _agreement(repeated: Sequence[Repeatability], sample: Sample) -> Iterator[tuple[str, Panel]]:
    """Return pictures of those that have limits of agreement, the first of sessions and of runs."""
    drawn: Counter[str] = Counter()
    for each in repeated:
        if math.isfinite(each.lower.value) and drawn[each.by] < MOST_AGREEMENTS:
            drawn[each.by] += 1
            yield each.by, agreement_panel(each, drawn=sample.places)


def _by_participant(outlying: Sequence[Apart]) -> dict[str, list[Apart]]:
    """Return the values that lie apart by participant, those farthest away first."""
    found: dict[str, list[Apart]] = {}
    for each in outlying:
        found.setdefault(each.point.run.participant, []).append(each)
    return {
        participant: sorted(values, key=lambda each: -abs(each.point.score))
        for participant, values in sorted(found.items())
    }


def _first_rows(by_participant: dict[str, list[Apart]]) -> dict[str, list[Apart]]:
    """Return as many participants as fit the table: those farthest apart, in the order of their labels."""
    farthest = sorted(by_participant, key=lambda label: -abs(by_participant[label][0].point.score))
    kept = set(farthest[: MOST_ROWS // MOST_VALUES])
    return {label: values for label, values in by_participant.items() if label in kept}


def _why_unjudged(distributions: Sequence[Distribution]) -> str:
    """Return why no value at all is judged; empty where any is."""
    if any(not each.unjudged for each in distributions):
        return ""
    reasons = Counter(each.unjudged for each in distributions if each.unjudged != "arbitrary units")
    if not reasons:
        return "no value"
    common = reasons.most_common(1)[0][0]
    return common


def _unjudged(distributions: Sequence[Distribution]) -> Iterator[str]:
    """Say which runs have too few participants, and what cannot be judged for its values are equal."""
    for kind, series in dict.fromkeys((each.kind, each.series) for each in distributions):
        own = [each for each in distributions if (each.kind, each.series) == (kind, series)]
        name = f"{kind} ({series})" if series else kind
        few = [each for each in own if each.unjudged.startswith("fewer")]
        if len(few) == len([each for each in own if each.unjudged != "arbitrary units"]):
            most = max(each.participants for each in own)
            one = " with one protocol" if any(len(set(each.protocols.tolist())) > 1 for each in own) else ""
            yield (
                f"{name}: no outliers are judged, since fewer than {FEWEST_PARTICIPANTS} participants have it{one} ({most})."
            )
            continue
        equal = [each.title for each in own if each.unjudged == EQUAL]
        if equal:
            yield f"{name}: not judged, since most of the values are equal: {'; '.join(equal)}."
        if few:
            titles = "; ".join(each.title for each in few)
            yield f"{name}: not judged, since fewer than {FEWEST_PARTICIPANTS} participants have it: {titles}."


def _columns(group: Group) -> list[tuple[str, str]]:
    """Return the kinds and names of scans, in the order of the runs; `("", "")` at the end where some runs have none."""
    columns = list(dict.fromkeys((run.kind, run.series) for run in group.runs if run.kind))
    return columns + [("", "")] * any(not run.kind for run in group.runs)


def _cells(group: Group, sample: Sample) -> dict[tuple[str, str], dict[tuple[str, str], list[GroupRun]]]:
    """Return the runs by participant and session, and by kind and name of the scan; `("", "")` holds the others."""
    shown = [group.runs[place] for place in sample.places]
    cells: dict[tuple[str, str], dict[tuple[str, str], list[GroupRun]]] = {}
    for run in sorted(shown, key=lambda each: (each.participant, each.session, each.run)):
        key = (run.kind, run.series) if run.kind else ("", "")
        cells.setdefault((run.participant, run.session), {}).setdefault(key, []).append(run)
    return cells


def _data(findings: Findings, sample: Sample) -> dict[str, Any]:
    """Return what the scripts of the page know of the runs that are shown, and how everybody is found."""
    group = findings.group
    places = sorted(sample.places)
    shown = set(sample.participants)
    lights = Column(
        name="light of the report",
        continuous=False,
        values=tuple(None if run.level is None else LEVEL_WORDS[run.level] for run in group.runs),
        levels=tuple(LEVEL_WORDS.values()),
    )
    several = any(each.number > 1 for each in findings.protocols.found)
    numbers = [findings.protocols.number_of.get(place) for place in range(len(group.runs))]
    protocols = Column(
        name="protocol",
        continuous=False,
        values=tuple(None if number is None else f"protocol {number}" for number in numbers),
        levels=tuple(f"protocol {number}" for number in range(1, 8)),
    )
    columns = (*findings.covariates.columns, lights, *([protocols] if several else []))
    names = [column.name for column in columns]
    return {
        # Where participants came several times, what differs between the sessions is what one wants to see.
        "first": names.index("session") if "session" in names else None,
        "runs": {
            place: [group.runs[place].name, group.runs[place].link, group.runs[place].participant] for place in places
        },
        "columns": [
            {
                "name": column.name,
                "continuous": column.continuous,
                "levels": [level for level in column.levels if level in set(column.values)],
                "values": [column.values[place] for place in places],
            }
            for column in columns
        ],
        "others": [label for label in group.participants if label not in shown],
    }
