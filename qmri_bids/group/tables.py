"""The tables of the group level: one row a number, each with a file that explains its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.write import write_table
from qmri_bids.group.collect import STATES, GroupRun
from qmri_bids.group.distributions import Distribution, measures_of
from qmri_bids.group.findings import Findings
from qmri_bids.group.regions import region_rows
from qmri_bids.group.retest import RUN, SESSION, Interval
from qmri_bids.reports.content import Level
from qmri_bids.reports.measures import MEASURES

CODE = "quality_mask"
"""Name of the measure that holds the share of one code of the quality mask."""

_NAMES: Mapping[str, Mapping[str, Any]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session; n/a where the dataset has none"},
    "run": {"Description": "The other entities that name the run, as in its files; n/a for a participant without runs"},
    "kind": {"Description": "What was done with the run; n/a for one that was refused"},
}

_LEVELS: Mapping[str, str] = {
    Level.GOOD.value: "As expected",
    Level.CHECK.value: "Usable, but somebody should look",
    Level.BAD.value: "Not usable without a person's decision",
    Level.INFO.value: "A fact without a judgement",
}

_DISTRIBUTION = "of the voxels of the tissue that have a value, in the unit of the column unit"

TISSUES: Mapping[str, Mapping[str, Any]] = {
    **_NAMES,
    "map": {"Description": "Quantitative map"},
    "tissue": {
        "Description": "Part of the brain mask, or all of it; pure tissue lies away from fluid and from the other tissue, "
        "whole tissues hold some of both at their borders"
    },
    "unit": {
        "Description": "Unit of the values of this row: that of the reports, which is not always that of the files"
    },
    "median": {"Description": f"Median {_DISTRIBUTION}"},
    "lower_quartile": {"Description": f"25th percentile {_DISTRIBUTION}"},
    "upper_quartile": {"Description": f"75th percentile {_DISTRIBUTION}"},
    "mean": {"Description": f"Mean {_DISTRIBUTION}"},
    "sd": {"Description": f"Standard deviation over the voxels {_DISTRIBUTION}"},
    "voxels": {"Description": "Number of voxels of the tissue that have a value"},
}
"""Columns of `group_tissues.tsv`."""

QUALITY: Mapping[str, Mapping[str, Any]] = {
    **_NAMES,
    "measure": {
        "Description": "What was measured",
        "Levels": {key: f"{kind.description} [{kind.unit or 'no unit'}]" for key, kind in MEASURES.items()}
        | {
            CODE: "Share of the voxels of the brain mask that carry the code of the quality mask named in the column of [%]"
        },
    },
    "of": {
        "Description": "What it is of, where a run has several: a map, a pool, a series, a scan that was registered, a code; "
        "n/a where it is of the run"
    },
    "about": {"Description": "File that it was measured on, where that has to be said; n/a elsewhere"},
    "value": {"Description": "The number, in the unit of the column unit; n/a where it could not be told"},
    "unit": {"Description": "Unit of the value of this row; n/a for a bare number"},
    "level": {
        "Description": "Light of the check that judges it, often together with other measures; n/a where none does",
        "Levels": dict(_LEVELS),
    },
}
"""Columns of `group_quality.tsv`."""

RUNS: Mapping[str, Mapping[str, Any]] = {
    **_NAMES,
    "state": {"Description": "What became of the run", "Levels": dict(STATES)},
    "level": {
        "Description": "The worst light of its report; n/a for a participant without runs",
        "Levels": dict(_LEVELS),
    },
    "message": {"Description": "Why it failed, was refused or needs a look; n/a where there is nothing to say"},
    "protocol": {
        "Description": "Number of its acquisition among those of the same kind and name, the most frequent first: values are "
        "judged among runs of one number; n/a for a participant without runs"
    },
    "report": {"Description": "Report of the participant, relative to this file; n/a where there is none"},
    "version": {"Description": "Version of qmri_bids that processed it"},
    "created": {"Description": "When its record was written (ISO 8601)"},
}
"""Columns of `group_runs.tsv`."""

REGIONS: Mapping[str, Mapping[str, Any]] = {
    **_NAMES,
    "atlas": {"Description": "Name of the atlas"},
    "region": {"Description": "Region of the atlas"},
    "index": {"Description": "Value of the voxels of the region in the atlas: it tells regions of one name apart"},
    "map": {"Description": "Quantitative map"},
    "unit": {"Description": "Unit of the values of this row: that of the reports; n/a for one that they do not show"},
    "median": {"Description": "Median over the voxels of the region that have a value, in the unit of the column unit"},
    "iqr": {"Description": "Distance of the quartiles over those voxels, in the same unit"},
    "mean": {"Description": "Mean over those voxels, in the same unit"},
    "sd": {"Description": "Standard deviation over those voxels, in the same unit"},
    "voxels": {"Description": "Number of voxels of the region that have a value"},
}
"""Columns of `group_regions.tsv`."""

_INTERVAL = "of its 95 % confidence interval"

_COMPARED: Mapping[str, Mapping[str, Any]] = {
    "kind": _NAMES["kind"],
    "series": {"Description": "Entities that name the scan, without its repetition"},
    "measure": {"Description": "Map or quality measure, as the reports name it"},
    "of": {"Description": "Tissue, region, or what a quality measure is of; n/a where it is of the run"},
    "atlas": {"Description": "Atlas of the region; n/a for tissues and quality measures"},
    "unit": {"Description": "Unit of the values of this row; n/a for a bare number"},
}

OUTLIERS: Mapping[str, Mapping[str, Any]] = {
    "participant_id": _NAMES["participant_id"],
    "session_id": _NAMES["session_id"],
    "run": _NAMES["run"],
    **_COMPARED,
    "value": {"Description": "The value that lies apart; of maps the median of the tissue or region"},
    "median": {"Description": "Median of the comparable runs"},
    "score": {
        "Description": "Distance from that median in robust standard deviations (1.4826 times the median absolute deviation)"
    },
}
"""Columns of `group_outliers.tsv`."""

RETEST: Mapping[str, Mapping[str, Any]] = {
    **_COMPARED,
    "by": {
        "Description": "What was repeated",
        "Levels": {SESSION: "Sessions of a participant, the first run of each", RUN: "Runs of one session"},
    },
    "units": {"Description": "Participants, of runs sessions of participants, that have repeated values"},
    "values": {"Description": "Repeated values of all of them"},
    "wsd": {"Description": "Within-subject standard deviation, in the unit of the column unit"},
    "wsd_low": {"Description": f"Lower end {_INTERVAL}"},
    "wsd_high": {"Description": f"Upper end {_INTERVAL}"},
    "wcv": {
        "Description": "Within-subject coefficient of variation: root mean square of standard deviation over mean; n/a where a "
        "value is not above 0",
        "Units": "percent",
    },
    "wcv_low": {"Description": f"Lower end {_INTERVAL}", "Units": "percent"},
    "wcv_high": {"Description": f"Upper end {_INTERVAL}", "Units": "percent"},
    "repeatability": {"Description": "Repeatability coefficient, 2.77 within-subject standard deviations"},
    "bias": {"Description": "Mean of the differences second minus first value"},
    "bias_low": {"Description": f"Lower end {_INTERVAL}"},
    "bias_high": {"Description": f"Upper end {_INTERVAL}"},
    "lower_limit": {"Description": "Lower limit of agreement; n/a with fewer than three pairs"},
    "lower_limit_low": {"Description": f"Lower end {_INTERVAL}"},
    "lower_limit_high": {"Description": f"Upper end {_INTERVAL}"},
    "upper_limit": {"Description": "Upper limit of agreement; n/a with fewer than three pairs"},
    "upper_limit_low": {"Description": f"Lower end {_INTERVAL}"},
    "upper_limit_high": {"Description": f"Upper end {_INTERVAL}"},
}
"""Columns of `group_retest.tsv`."""


def write_tables(findings: Findings, *, output_dir: Path) -> tuple[Path, ...]:
    """Write the tables `group_<name>.tsv` of `TABLES`, each with its JSON file.

    Parameters
    ----------
    findings
        What was found of all participants.
    output_dir
        Root of the derivatives.

    Returns
    -------
    tuple of Path
        The tables.
    """
    paths = []
    for name, (columns, rows) in TABLES.items():
        content: dict[str, list[Any]] = {column: [] for column in columns}
        for row in rows(findings):
            for column, value in zip(content.values(), row, strict=True):
                column.append(_cell(value))
        paths.append(write_table(output_dir / f"group_{name}.tsv", content, descriptions=columns))
    return tuple(paths)


def _tissues(findings: Findings) -> Iterator[Sequence[Any]]:
    for run in findings.group.done:
        for row in run.record.statistics if run.record else ():
            yield (
                *_named(run),
                row.map,
                row.region,
                row.unit,
                row.median,
                row.lower_quartile,
                row.upper_quartile,
                row.mean,
                row.standard_deviation,
                row.voxels,
            )


def _quality(findings: Findings) -> Iterator[Sequence[Any]]:
    for run in findings.group.done:
        for measure, level in measures_of(run):
            about, light = measure.about, level and level.value
            yield (*_named(run), measure.key, measure.of, about, measure.value, measure.unit, light)
        for row in run.record.quality if run.record else ():
            if row.percent is not None:
                yield (*_named(run), CODE, row.name, "", row.percent, "%", None)


def _runs(findings: Findings) -> Iterator[Sequence[Any]]:
    for place, run in enumerate(findings.group.runs):
        level, protocol = run.level, findings.protocols.number_of.get(place)
        light = level and level.value
        yield (*_named(run), run.state, light, run.message, protocol, run.report, run.version, run.created)


def _regions(findings: Findings) -> Iterator[Sequence[Any]]:
    for row in region_rows(findings.group, output_dir=findings.output_dir, sentences=[]):
        named = (*_named(findings.group.runs[row.place]), row.atlas, row.region, row.index, row.map, row.unit)
        yield (*named, row.median, row.iqr, row.mean, row.sd, int(row.voxels))


def _outliers(findings: Findings) -> Iterator[Sequence[Any]]:
    for each in findings.distributions:
        for point in each.apart:
            yield (*_named(point.run)[:3], *_compared(each), point.value, point.median, point.score)


def _retest(findings: Findings) -> Iterator[Sequence[Any]]:
    for each in findings.repeated:
        found = [*_ends(each.stdev), *(100.0 * end for end in _ends(each.variation)), each.coefficient.value]
        found += [end for interval in (each.bias, each.lower, each.upper) for end in _ends(interval)]
        yield (*_compared(each.distribution), each.by, each.units, each.values, *found)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _compared(distribution: Distribution) -> tuple[str, ...]:
    each = distribution
    return each.kind, each.series, each.name, each.of, each.atlas, each.unit


def _named(run: GroupRun) -> tuple[str, ...]:
    return f"sub-{run.participant}", f"ses-{run.session}" if run.session else "", run.run, run.kind


def _cell(value: Any) -> Any:
    """Return a value of a table: texts on one line, None where there is none."""
    return " ".join(value.split()) or None if isinstance(value, str) else value


TABLES: Mapping[str, tuple[Mapping[str, Mapping[str, Any]], Callable[[Findings], Iterator[Sequence[Any]]]]] = {
    "tissues": (TISSUES, _tissues),
    "regions": (REGIONS, _regions),
    "quality": (QUALITY, _quality),
    "outliers": (OUTLIERS, _outliers),
    "retest": (RETEST, _retest),
    "runs": (RUNS, _runs),
}
"""Columns and rows of every table by its name."""
