"""The table of an import: one row a file, what it was taken for and why, written to be corrected and read again."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, read_rows
from qmri_bids.importing.images import PARTS
from qmri_bids.importing.increments import UNKNOWN, parse_increments
from qmri_bids.importing.kinds import KINDS

NOTHING = "n/a"
COLUMNS = (
    "file",
    "taken_for",
    "part",
    "scan",
    "increment",
    "flip",
    "mt",
    "volume",
    "sure",
    "evidence",
    "status",
    "target",
    "scan_found",
    "note",
)
CORRECTED = ("taken_for", "part", "scan", "increment", "flip", "mt")
"""Columns that a user may correct."""
LARGEST_FLIP = 360.0
"""[deg]."""
STATES = {"on": True, "off": False}


@dataclass(kw_only=True)
class Row:
    """A row: all as text, empty where there is nothing to say.

    Parameters
    ----------
    file, taken_for, part, scan, increment, flip, mt
        What a user may correct: the kind, the part, the label that files of one scan share, increments and flip angle in degrees,
        and whether there was an MT pulse.
    volume
        Place in the series that several files become, counted from 1.
    sure, evidence
        `high`, `fair`, `low` or `given`, and what was seen where.
    status
        `written`, `there already`, `to be written` (in a dry run), `refused` or `left alone`.
    target
        The file of the dataset.
    scan_found
        The label under `scan` if the program gave it: a label that differs was written by the user.
    note
        What was decided, or why it was refused and what to do.
    """

    file: str
    taken_for: str = ""
    part: str = ""
    scan: str = ""
    increment: str = ""
    flip: str = ""
    mt: str = ""
    volume: str = ""
    sure: str = ""
    evidence: str = ""
    status: str = ""
    target: str = ""
    scan_found: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a user states of a file: empty or None where nothing.

    Parameters
    ----------
    kind, part, scan, scan_found
        As in `Row`; `scan_found` is None where the table has no such column.
    increments
        [deg].
    flip
        [deg].
    state
        Whether it has an MT pulse.
    """

    kind: str = ""
    part: str = ""
    scan: str = ""
    increments: tuple[float, ...] = ()
    flip: float | None = None
    state: bool | None = None
    scan_found: str | None = None


def written(rows: Sequence[Row]) -> str:
    """Return a table as tab-separated text."""

    def cell(column: str, text: str) -> str:
        # Names of files keep their blanks, by which they are found again.
        return (re.sub(r"[\t\r\n]", " ", text) if column == "file" else " ".join(text.split())) or NOTHING

    lines = ["\t".join(COLUMNS), *("\t".join(cell(name, getattr(row, name)) for name in COLUMNS) for row in rows)]
    return "\n".join(lines) + "\n"


def read_given(path: Path) -> dict[str, Given]:
    """Read a table that was written before, corrected or not.

    Raises
    ------
    ValueError
        If it cannot be read, lacks `file`, or a cell says what it must not.
    """
    try:
        columns, rows = read_rows(path)
    except UnreadableError as error:
        raise ValueError(
            f"{path}: file: expected a table of an import, found {error}. Give the one that was written."
        ) from error
    if not {"file", "taken_for"} <= set(columns):
        raise ValueError(
            f"{path}: columns: expected {', '.join(COLUMNS)} (file and taken_for at least), parted by tabs, found "
            f"{', '.join(columns) or 'none'}. Save the table as tab-separated text."
        )
    given: dict[str, Given] = {}
    for number, row in enumerate(rows, start=2):
        name = row["file"]
        if name in given:
            raise ValueError(
                f"{path}: line {number}: file: expected each file once, found {name} again. Keep one of them."
            )
        try:
            given[name] = _given({key: "" if cell.lower() == NOTHING else cell for key, cell in row.items()})
        except ValueError as error:
            raise ValueError(f"{path}: line {number} ({name}): {error}") from error
    return given


def _given(cells: Mapping[str, str]) -> Given:
    def choice(column: str, known: Sequence[str]) -> str:
        cell = cells.get(column, "")
        found = next((word for word in known if word.lower() == cell.lower()), "")
        if cell and not found:
            raise ValueError(f"{column}: expected one of {', '.join(known)}, found {cell!r}. Correct the table.")
        return found

    flip = cells.get("flip", "")
    try:
        angle = float(flip) if flip else None
    except ValueError:
        angle = -1.0
    if angle is not None and not 0.0 < angle <= LARGEST_FLIP:
        raise ValueError(f"flip: expected degrees above zero, found {flip!r}. Correct the table.")
    state = choice("mt", tuple(STATES))
    return Given(
        kind=choice("taken_for", tuple(KINDS)),
        part=choice("part", PARTS),
        scan=cells.get("scan", ""),
        increments=parse_increments(cells.get("increment", UNKNOWN)),
        flip=angle,
        state=STATES.get(state),
        scan_found=cells.get("scan_found"),
    )


def is_kept(path: Path, text: str) -> bool:
    """Return whether a text that is to replace a table still holds all that a user may have written there.

    Parameters
    ----------
    path
        A table that `read_given` can read.
    text
        The new one, of `written`.
    """
    columns, rows = read_rows(path)
    header, *lines = (line.split("\t") for line in text.splitlines())
    new = {cells["file"]: cells for line in lines if (cells := dict(zip(header, line, strict=True)))}

    def same(column: str, before: str, after: str) -> bool:
        if column == "increment":
            return parse_increments(before) == parse_increments(after)
        if column == "flip":
            return after not in ("", NOTHING) and math.isclose(float(before), float(after), rel_tol=1e-5)
        return before.lower() == after.lower()

    for row in rows:
        filled = {
            key: cell for key, cell in row.items() if key in CORRECTED and cell.lower() not in ("", NOTHING, UNKNOWN)
        }
        if row.get("scan", "") == row.get("scan_found", row.get("scan", "")):
            filled.pop("scan", None)  # of the program, which may count anew
        after = new.get(row["file"])
        if after is None and not set(filled) <= {"taken_for"}:
            return False
        if after is not None and not all(same(key, cell, after[key]) for key, cell in filled.items()):
            return False
    return set(columns) <= set(COLUMNS)


def stated_row(name: str, given: Given, *, note: str) -> Row:
    """Return a row that keeps what a table states of a file that cannot be used."""
    return Row(
        file=name,
        taken_for=given.kind,
        part=given.part,
        scan=given.scan,
        increment=" ".join(f"{value:.10g}" for value in given.increments),
        flip="" if given.flip is None else f"{given.flip:g}",
        mt="" if given.state is None else "on" if given.state else "off",
        status="refused",
        scan_found=given.scan_found or "",
        note=note,
    )


def shown(rows: Sequence[Row], *, width: int) -> str:
    """Return a table for a terminal: two lines a file.

    Parameters
    ----------
    rows
        Of the table.
    width
        Columns of the terminal.
    """
    import textwrap

    names = max((len(row.file) for row in rows), default=4)
    kinds = max((len(_what(row)) for row in rows), default=4)
    lines = []
    said: dict[tuple[str, str], str] = {}
    for row in rows:
        increment = f"{row.increment}°" if row.increment and row.increment != UNKNOWN else row.increment
        tail = "  ".join(
            text
            for text in (
                f"increment {increment}" if increment else "",
                f"mt {row.mt}" if row.mt else "",
                row.status.upper() if row.status == "refused" else row.status,
            )
            if text
        )
        lines.append(f"{row.file:<{names}}  {_what(row):<{kinds}}  {tail}".rstrip())
        below = [
            f"-> {row.target}" if row.target and row.status != "refused" else "",
            f"by {row.evidence} (sure: {row.sure})" if row.evidence else "",
            # What holds for a whole scan is said once.
            f"the same as for {said[row.scan, row.note]}"
            if row.scan and row.note and (row.scan, row.note) in said
            else row.note,
        ]
        said.setdefault((row.scan, row.note), row.file)
        for text in below:
            lines += textwrap.wrap(
                text,
                width=max(width, 40),
                initial_indent="    ",
                subsequent_indent="      ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def _what(row: Row) -> str:
    return f"{row.taken_for} {row.part}".strip() if row.taken_for != "left alone" else "-"
