"""The table `_cestcontext.tsv`: one row a volume of a CEST series."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from qmri_bids.bids.files.tables import read_table
from qmri_bids.bids.metadata.sidecar import applicable_files
from qmri_bids.bids.metadata.values import describe
from qmri_bids.bids.refusal import refuse, relative_name

SUFFIX = "cestcontext"

Value = TypeVar("Value")

RowRole = Literal["m0", "cest", "wassr", "dummy"]
VOLUME_TYPES: Mapping[str, RowRole] = {
    "m0scan": "m0",
    "m0": "m0",
    "cest": "cest",
    "wassr": "wassr",
    "dummy": "dummy",
}
"""What `volume_type` may say, in lower case."""

COLUMNS = ("offset_ppm", "offset_hz", "b1_rms", "saturation_duration", "recovery_time")
"""Columns of numbers, all optional."""

NOT_STATED = ("n/a", "nan", "")
"""Cells without a value, in lower case."""


@dataclass(frozen=True, kw_only=True)
class CestTable:
    """A table that fits its image.

    Parameters
    ----------
    name
        The file, relative to the dataset.
    numbers
        Values by column, as in the file; None where a cell states none.
    roles
        What each volume is for; None without a column `volume_type`.
    valid
        Whether each volume is to be used.
    """

    name: str
    numbers: Mapping[str, tuple[float | None, ...]]
    roles: tuple[RowRole, ...] | None
    valid: tuple[bool, ...]


def read_cest_table(image: Path, *, root: Path, number_of_volumes: int) -> CestTable | None:
    """Read the table that applies to an image, None if there is none.

    Parameters
    ----------
    image
        The series: the table is found beside or above it.
    root
        The dataset.
    number_of_volumes
        Length of the last axis of the image.

    Raises
    ------
    RefusedError
        If the table is not readable, has another number of rows, no column that is known, a column twice, or a cell of the
        wrong kind.
    """
    tables = applicable_files(image, root=root, suffix=SUFFIX, extension=".tsv")
    if not tables:
        return None
    path = tables[-1]
    name = relative_name(path, root)
    columns, rows = read_table(path, root=root)
    twice = [column for place, column in enumerate(columns) if column in columns[:place]]
    if twice:
        raise refuse(
            file=name,
            key=twice[0],
            expected="each column once",
            found=f"{columns.count(twice[0])} of them",
            advice="Remove the columns that do not hold.",
        )
    if not {"volume_type", *COLUMNS} & set(columns):
        raise refuse(
            file=name,
            key="columns",
            expected="volume_type, offset_ppm or offset_hz, tab-separated, one row per volume",
            found=f"the columns {columns}",
            advice="Add the columns.",
        )
    if len(rows) != number_of_volumes:
        raise refuse(
            file=name,
            key="rows",
            expected=f"{number_of_volumes} rows, one per volume of {relative_name(image, root)}",
            found=str(len(rows)),
            advice="State every volume in the order of the image, dummies and M0 scans too; the order is never guessed.",
        )
    numbers = {column: _column(rows, column, name, _number) for column in COLUMNS if column in columns}
    roles = _column(rows, "volume_type", name, _role) if "volume_type" in columns else None
    valid = _column(rows, "valid", name, _valid) if "valid" in columns else (True,) * len(rows)
    return CestTable(name=name, numbers=numbers, roles=roles, valid=valid)


def _column(rows: list[dict[str, str]], column: str, name: str, read: Callable[[str], Value]) -> tuple[Value, ...]:
    values = []
    for number, row in enumerate(rows, start=1):
        try:
            values.append(read(row[column].strip()))
        except ValueError as error:
            raise refuse(
                file=name,
                key=f"{column}, row {number}",
                expected=str(error),
                found=describe(row[column]),
                advice="Correct the table.",
            ) from error
    return tuple(values)


def _number(cell: str) -> float | None:
    if cell.lower() in NOT_STATED:
        return None
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("a number or n/a")
    return number


def _role(cell: str) -> RowRole:
    if cell.lower() not in VOLUME_TYPES:
        raise ValueError("m0scan, cest, wassr or dummy")
    return VOLUME_TYPES[cell.lower()]


def _valid(cell: str) -> bool:
    words = {"1": True, "0": False, "true": True, "false": False}
    if cell.lower() not in words:
        raise ValueError("0 or 1")
    return words[cell.lower()]
