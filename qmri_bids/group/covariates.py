"""What is known of participants and sessions beside their scans: the columns of `participants.tsv` and `sessions.tsv`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, read_rows
from qmri_bids.group.collect import Group, GroupRun

MOST_LEVELS = 7
"""Categories that have a colour of their own; the rarer ones share one."""

FEWEST_NUMBERS = 6
"""Different numbers from which a column is continuous; one of fewer is one of categories."""

MOST_COLUMNS = 40

_ABSENT = ("", "n/a", "N/A", "NA", "nan", "NaN", "None")
_NAMES = ("participant_id", "session_id")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column by which points may be coloured.

    Parameters
    ----------
    name
        Its name; those of `sessions.tsv` that `participants.tsv` has, too, end in ` (sessions.tsv)`.
    continuous
        Whether its values are numbers.
    values
        One for every run of the group: a number, a text, or None where it is missing.
    levels
        Of categories, those with a colour of their own, the most frequent first and numbers in their order.
    """

    name: str
    continuous: bool
    values: tuple[str | float | None, ...]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Covariates:
    """The columns of a dataset, and sentences on what could not be read or used."""

    columns: tuple[Column, ...]
    sentences: tuple[str, ...] = ()


def collect_covariates(bids_dir: Path | None, group: Group) -> Covariates:
    """Return the columns by which the runs of a group may be told apart.

    Parameters
    ----------
    bids_dir
        Root of the raw dataset; None where there is none, which leaves what the records say.
    group
        What became of every participant.
    """
    sentences: list[str] = []
    cells: dict[str, list[str]] = {"session": [run.session for run in group.runs]}
    if bids_dir is not None:
        own = _rows(bids_dir / "participants.tsv", "participant_id", prefix="sub-", sentences=sentences)
        cells |= _by_run(own, [run.participant for run in group.runs])
        cells |= _of_sessions(bids_dir, group.runs, taken=set(cells), sentences=sentences)
    columns = [column for name, values in cells.items() if (column := _column(name, values)) is not None]
    for name, values in cells.items():
        if _is_text(values):
            sentences.append(
                f"Points are not coloured by {name}: it is a text of its own for nearly every participant."
            )
    if len(columns) > MOST_COLUMNS:
        left = ", ".join(column.name for column in columns[MOST_COLUMNS:][:10])
        sentences.append(f"Points can be coloured by the first {MOST_COLUMNS} columns; left out: {left}.")
    return Covariates(columns=tuple(columns[:MOST_COLUMNS]), sentences=tuple(sentences))


def _rows(path: Path, key: str, *, prefix: str, sentences: list[str]) -> dict[str, Mapping[str, str]]:
    """Return the rows of a table by their label; what cannot be read is said."""
    if not path.is_file():
        return {}
    try:
        columns, rows = read_rows(path)
    except UnreadableError as error:
        sentences.append(f"{path.name} was not used: {error}.")
        return {}
    if key not in columns:
        sentences.append(f"{path.name} was not used: expected the column {key}, found {', '.join(columns) or 'none'}.")
        return {}
    return {row[key].removeprefix(prefix): row for row in rows}


def _by_run(rows: Mapping[str, Mapping[str, str]], labels: Sequence[str]) -> dict[str, list[str]]:
    """Return the cells of every column, one for each label."""
    names = dict.fromkeys(name for row in rows.values() for name in row if name and name not in _NAMES)
    return {name: [rows.get(label, {}).get(name, "") for label in labels] for name in names}


def _of_sessions(
    bids_dir: Path, runs: Sequence[GroupRun], *, taken: set[str], sentences: list[str]
) -> dict[str, list[str]]:
    """Return the cells of the columns of `sub-<label>_sessions.tsv`."""
    labels = dict.fromkeys(run.participant for run in runs if run.session)
    rows: dict[str, Mapping[str, str]] = {}
    for label in labels:
        path = bids_dir / f"sub-{label}" / f"sub-{label}_sessions.tsv"
        for session, row in _rows(path, "session_id", prefix="ses-", sentences=sentences).items():
            rows[f"{label}/{session}"] = row
    found = _by_run(rows, [f"{run.participant}/{run.session}" for run in runs])
    return {f"{name} (sessions.tsv)" if name in taken else name: values for name, values in found.items()}


def _column(name: str, cells: Sequence[str]) -> Column | None:
    """Return a column; None where it tells no runs apart, or nearly all of them."""
    distinct = Counter(cell for cell in cells if cell not in _ABSENT)
    if len(distinct) < 2 or _is_text(cells):
        return None
    numbers = {cell: _number(cell) for cell in distinct}
    numeric = all(math.isfinite(number) for number in numbers.values())
    if numeric and len(distinct) >= FEWEST_NUMBERS:
        values = tuple(None if cell in _ABSENT else numbers[cell] for cell in cells)
        return Column(name=name, continuous=True, values=values)
    levels = [level for level, _ in distinct.most_common(MOST_LEVELS)]
    levels.sort(key=(lambda level: (numbers[level], level)) if numeric else lambda level: (-distinct[level], level))
    return Column(
        name=name,
        continuous=False,
        values=tuple(None if cell in _ABSENT else cell for cell in cells),
        levels=tuple(levels),
    )


def _is_text(cells: Sequence[str]) -> bool:
    """Whether nearly every run has a text of its own."""
    distinct = {cell for cell in cells if cell not in _ABSENT}
    return len(distinct) > max(50, len(cells) // 2) and not all(math.isfinite(_number(cell)) for cell in distinct)


def _number(cell: str) -> float:
    """Return a number, NaN for anything else."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
