"""The tables of the group level: one row a number, each with a file that explains its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qmri_bids.bids.write import write_table
from qmri_bids.group.collect import STATES, Group, GroupRun
from qmri_bids.group.distributions import measures_of
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
    "report": {"Description": "Report of the participant, relative to this file; n/a where there is none"},
    "version": {"Description": "Version of qmri_bids that processed it"},
    "created": {"Description": "When its record was written (ISO 8601)"},
}
"""Columns of `group_runs.tsv`."""


def write_tables(group: Group, *, output_dir: Path) -> tuple[Path, ...]:
    """Write `group_tissues.tsv`, `group_quality.tsv` and `group_runs.tsv`, each with its JSON file.

    Parameters
    ----------
    group
        What became of every participant.
    output_dir
        Root of the derivatives.

    Returns
    -------
    tuple of Path
        The tables.
    """
    tables = {"tissues": (TISSUES, _tissues), "quality": (QUALITY, _quality), "runs": (RUNS, _runs)}
    paths = []
    for name, (columns, rows) in tables.items():
        content = [list(row) for row in rows(group)]
        paths.append(
            write_table(
                output_dir / f"group_{name}.tsv",
                {column: [_cell(row[number]) for row in content] for number, column in enumerate(columns)},
                descriptions=columns,
            )
        )
    return tuple(paths)


def _tissues(group: Group) -> Iterator[Sequence[Any]]:
    for run in group.done:
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


def _quality(group: Group) -> Iterator[Sequence[Any]]:
    for run in group.done:
        for measure, level in measures_of(run):
            yield (*_named(run), measure.key, measure.of, measure.value, measure.unit, level and level.value)
        for row in run.record.quality if run.record else ():
            if row.percent is not None:
                yield (*_named(run), CODE, row.name, row.percent, "%", None)


def _runs(group: Group) -> Iterator[Sequence[Any]]:
    for run in group.runs:
        level = run.level
        yield (*_named(run), run.state, level and level.value, run.message, run.report, run.version, run.created)


def _named(run: GroupRun) -> tuple[str, ...]:
    return f"sub-{run.participant}", f"ses-{run.session}" if run.session else "", run.run, run.kind


def _cell(value: Any) -> Any:
    """Return a value of a table: texts on one line, None where there is none."""
    return " ".join(value.split()) or None if isinstance(value, str) else value
