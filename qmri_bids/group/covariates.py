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

OF_THE_PAGE = ("session", "protocol", "light of the report")
"""Columns that a page has by itself."""

_MOST_NAMED = 10
"""Participants or cells that a sentence names."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column by which points may be coloured.

    Parameters
    ----------
    name
        Its name; those of `sessions.tsv` that `participants.tsv` has, too, end in ` (sessions.tsv)`, and those of a table that the
        page has by itself in the name of the table.
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
        found = _by_run(own, [run.participant for run in group.runs])
        cells |= _apart(found, taken=OF_THE_PAGE, file="participants.tsv")
        found = _of_sessions(bids_dir, group.runs, sentences=sentences)
        cells |= _apart(found, taken=(*OF_THE_PAGE, *cells), file="sessions.tsv")
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
    """Return the rows of a table by their label; what cannot be read, or contradicts itself, is said and not taken."""
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
    counts = Counter(columns)
    doubled = [name for name, count in counts.items() if count > 1]
    if key in doubled:
        sentences.append(f"{path.name} was not used: expected one column {key}, found {counts[key]}.")
        return {}
    if doubled:
        sentences.append(f"Columns of {path.name} that stand there more than once were not used: {_listed(doubled)}.")
    by_label: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        kept = {name: cell for name, cell in row.items() if name not in doubled}
        by_label.setdefault(row[key].removeprefix(prefix), []).append(kept)
    return _merged(by_label, path=path, prefix=prefix, sentences=sentences)


def _merged(
    by_label: Mapping[str, Sequence[Mapping[str, str]]], *, path: Path, prefix: str, sentences: list[str]
) -> dict[str, Mapping[str, str]]:
    """Return one row a label: of several, the cells in which those that state something agree."""
    merged: dict[str, Mapping[str, str]] = {}
    several, differing = [], []
    for label, rows in by_label.items():
        if len(rows) == 1:
            merged[label] = rows[0]
            continue
        several.append(f"{prefix}{label}")
        row = {}
        for name in rows[0]:
            stated = {each[name] for each in rows if each[name] not in _ABSENT}
            row[name] = "".join(stated) if len(stated) == 1 else ""
            if len(stated) > 1 and name not in _NAMES:
                differing.append(f"{name} of {prefix}{label}")
        merged[label] = row
    if several:
        differ = f"nothing is taken where these differ: {_listed(differing)}" if differing else "these do not differ"
        have = "have several rows each" if len(several) > 1 else "has several rows"
        sentences.append(f"{path.name}: {_listed(several)} {have}; {differ}.")
    return merged


def _listed(names: Sequence[str]) -> str:
    """Return names in a row, the first ten of many."""
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


def _apart(found: Mapping[str, list[str]], *, taken: Sequence[str], file: str) -> dict[str, list[str]]:
    """Return columns under names that are not taken, those that were with the name of their file."""
    return {f"{name} ({file})" if name in taken else name: values for name, values in found.items()}


def _by_run(rows: Mapping[str, Mapping[str, str]], labels: Sequence[str]) -> dict[str, list[str]]:
    """Return the cells of every column, one for each label."""
    names = dict.fromkeys(name for row in rows.values() for name in row if name and name not in _NAMES)
    return {name: [rows.get(label, {}).get(name, "") for label in labels] for name in names}


def _of_sessions(bids_dir: Path, runs: Sequence[GroupRun], *, sentences: list[str]) -> dict[str, list[str]]:
    """Return the cells of the columns of `sub-<label>_sessions.tsv`."""
    labels = dict.fromkeys(run.participant for run in runs if run.session)
    rows: dict[str, Mapping[str, str]] = {}
    for label in labels:
        path = bids_dir / f"sub-{label}" / f"sub-{label}_sessions.tsv"
        for session, row in _rows(path, "session_id", prefix="ses-", sentences=sentences).items():
            rows[f"{label}/{session}"] = row
    return _by_run(rows, [f"{run.participant}/{run.session}" for run in runs])


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
