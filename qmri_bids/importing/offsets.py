"""Offsets of a CEST series that lie beside it: a list in ppm or Hz, a table of the dataset's own kind, or a pulseq file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, read_bytes, read_text
from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.importing.images import SourceImage
from qmri_bids.scans.cest.context import COLUMNS, NOT_STATED
from qmri_bids.scans.cest.kind import NEAR_WATER

ENDINGS = (".tsv", ".csv", ".txt", ".seq")
KNOWN_COLUMNS = ("volume_type", "valid", *COLUMNS)
OFFSET_KEYS = ("SaturationOffset", "SaturationFrequencyOffset", "PulseqFile")
_AFTER = ("", "_offsets", "_offset", "_ppm", "_hz", "_cestcontext")
_NAMED = re.compile(r"offset|cestcontext|ppm|freq", re.IGNORECASE)
_COLUMN = re.compile(r"offset|freq|ppm|hz|hertz|delta|dw|(?<![a-z])rad(?![a-z])", re.IGNORECASE)
_COUNT = re.compile(r"index|(?<![a-z])(?:idx|i|n|no|nr|number|volume|dynamic)(?![a-z])", re.IGNORECASE)
_UNITS = (
    ("kHz", re.compile(r"k(?:hz|ilohertz)", re.IGNORECASE)),
    ("rad", re.compile(r"(?<![a-z])rad(?:ians?|s)?(?![a-z])", re.IGNORECASE)),
    ("ppm", re.compile(r"ppm", re.IGNORECASE)),
    ("hz", re.compile(r"(?<![a-z])hz|hertz", re.IGNORECASE)),
)
_WITHOUT = (*NOT_STATED, "inf", "-inf", "m0")


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """Where the offsets of a series come from.

    Parameters
    ----------
    table
        Columns of `_cestcontext.tsv` with their cells; empty where the sidecar or a pulseq file has them.
    pulseq
        The pulseq file, None without one.
    note
        What was decided.
    """

    table: dict[str, list[str]]
    pulseq: Path | None = None
    note: str = ""


def find_offsets(image: SourceImage, *, folder: Path, alone: bool) -> Offsets:
    """Return the offsets of a series.

    Parameters
    ----------
    image
        4D.
    folder
        The folder that is imported.
    alone
        Whether it is the only series of its kind: then a list of another name is taken if there is but one.

    Raises
    ------
    ValueError
        If there are none, or they do not fit the volumes.
    """
    place = (folder / image.name).parent
    beside = [place / f"{image.stem}{after}{end}" for after in _AFTER for end in ENDINGS]
    beside.append(place / f"{image.stem.removesuffix('_cest')}_cestcontext.tsv")
    own = [path for path in dict.fromkeys(beside) if path.is_file()]
    stated = next((key for key in OFFSET_KEYS[:2] if isinstance(image.values.get(key), list)), None)
    wanted = image.text("PulseqFile")
    if not own and wanted:
        own = [place / Path(wanted).name]
        if not own[0].is_file():
            raise ValueError(
                f"{image.stem}.json: PulseqFile: expected {own[0].name} beside {image.name}, found none. Copy it there."
            )
    if not own and stated is None and alone:
        own = _lists_in(place)
    if len(own) > 1:
        raise ValueError(
            f"{image.name}: offsets: expected one list beside it, found {', '.join(path.name for path in own)}. Keep one, named "
            f"{image.stem}_offsets.tsv."
        )
    if own:
        listed = _read(own[0], image)
        return replace(listed, note=f"{listed.note}{_against_sidecar(listed, own[0], image)}")
    if stated is not None:
        number = len(image.values[stated])
        if number != image.volumes:
            raise ValueError(
                f"{image.stem}.json: {stated}: expected {image.volumes} values, one for each volume, found {number}. Correct it."
            )
        return Offsets(table={}, note=f"offsets: {stated} of the sidecar")
    passed = [] if alone else [path.name for path in _lists_in(place)]
    found = (
        f"{', '.join(passed)}, of which nothing says that it is for this one of several series" if passed else "none"
    )
    raise ValueError(
        f"{image.name}: offsets: expected SaturationOffset (ppm) in the sidecar, or a list beside it "
        f"({image.stem}_offsets.tsv with "
        f"a column offset_ppm or offset_hz and {image.volumes} rows; or {image.stem}.seq), found {found}. "
        + ("Give it that name." if passed else "Add one.")
    )


def _lists_in(folder: Path) -> list[Path]:
    """Return the files of a folder that may be lists of offsets."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix == ".seq" or (path.suffix in ENDINGS and _NAMED.search(path.stem))
    ]


def _read(path: Path, image: SourceImage) -> Offsets:
    if path.suffix == ".seq":
        from qmri_bids.pulseq.file import LARGEST

        try:
            read_bytes(path, largest=LARGEST)
        except UnreadableError as error:
            raise ValueError(f"{path.name}: file: expected a pulseq file, found {error}. Restore it.") from error
        return Offsets(table={}, pulseq=path, note=f"saturation: {path.name}")
    try:
        text = read_text(path)
    except UnreadableError as error:
        raise ValueError(f"{path.name}: file: expected a list of offsets, found {error}. Repair it.") from error
    lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
    rows = [_cells(line) for line in lines if line.strip()]
    # Blanks of a name part no columns where no other row has more than one.
    if (
        rows
        and len(rows[0]) > 1
        and not any(_is_cell(cell) for cell in rows[0])
        and {len(row) for row in rows[1:]} == {1}
    ):
        rows[0] = [" ".join(rows[0])]
    header = rows.pop(0) if rows and not any(_is_cell(cell) for cell in rows[0]) else []
    # A list in one line is a list all the same.
    if len(rows) == 1 and not header and image.volumes > 1:
        rows = [[cell] for cell in rows[0]]
    if len(rows) != image.volumes:
        raise ValueError(
            f"{path.name}: rows: expected {image.volumes}, one for each volume of {image.name}, found {len(rows)}. State every "
            "volume in the order of the image, M0 too."
        )
    odd = next((place for place, row in enumerate(rows) if len(row) != len(header or rows[0])), None)
    if odd is not None:
        raise ValueError(
            f"{path.name}: columns: expected {len(header or rows[0])} in every row, as in the first, found {len(rows[odd])} in row "
            f"{odd + 1 + bool(header)} ({' | '.join(rows[odd])}). Part columns by tabs, and write numbers with a decimal point."
        )
    known = {name.lower(): place for place, name in enumerate(header) if name.lower() in KNOWN_COLUMNS}
    if not known:
        return _of_numbers(path, header, rows)
    table = {name: [row[place] or "n/a" for row in rows] for name, place in known.items()}
    said = f"offsets: {path.name}, columns {', '.join(known)}"
    for name in (column for column in COLUMNS if column in table):
        table[name] = _shown(_numbers(path, name, table[name]))
    if not {"offset_ppm", "offset_hz"} & set(table):
        others = [name for name in header if _may_be_offsets(name)]
        stated = any(image.values.get(key) is not None for key in OFFSET_KEYS)
        if not others and not stated:
            raise ValueError(
                f"{path.name}: columns: expected offset_ppm or offset_hz beside {', '.join(known)}, found {', '.join(header)}. "
                "Add the offsets."
            )
        if others:
            found = _of_numbers(path, header, rows)
            return replace(found, table={**found.table, **table}, note=f"{found.note}; columns {', '.join(known)}")
    return Offsets(table=table, note=said)


def _against_sidecar(found: Offsets, path: Path, image: SourceImage) -> str:
    """Return what is to be said of a list where the sidecar states offsets, too.

    Raises
    ------
    ValueError
        If both state other numbers in one unit.
    """
    said = ""
    for key, column in (("SaturationOffset", "offset_ppm"), ("SaturationFrequencyOffset", "offset_hz")):
        stated = image.values.get(key)
        if not isinstance(stated, list):
            continue
        if column not in found.table:
            if found.pulseq is not None or found.table.keys() & {"offset_ppm", "offset_hz"}:
                said += f"; {key} of the sidecar was not compared with it"
            continue
        cells = [math.nan if cell == "n/a" else float(cell) for cell in found.table[column]]
        same = len(cells) == len(stated) and all(
            not math.isfinite(cell) or not is_number(value) or math.isclose(cell, value, rel_tol=1e-3, abs_tol=1e-3)
            for cell, value in zip(cells, stated, strict=True)
        )
        if not same:
            raise ValueError(
                f"{path.name}: {column}: expected the offsets of {image.stem}.json ({key}), found others. Remove the list, or "
                f"{key} "
                "from the sidecar, whichever is wrong."
            )
    return said


def _numbers(path: Path, column: str, cells: Sequence[str]) -> list[float]:
    """Return the numbers of a column, NaN where there is none.

    Raises
    ------
    ValueError
        If a cell is neither a number nor `n/a`.
    """
    bad = next((cell for cell in cells if not _is_cell(cell)), None)
    if bad is not None:
        raise ValueError(f"{path.name}: {column}: expected a number or n/a, found {bad!r}. Correct the list.")
    return [math.nan if cell.lower() in _WITHOUT else float(cell) for cell in cells]


def _shown(numbers: Sequence[float]) -> list[str]:
    return ["n/a" if not math.isfinite(number) else f"{number:.10g}" for number in numbers]


def _unit_of(name: str) -> str:
    """Return the unit that a name states, empty without one.

    Examples
    --------
    >>> _unit_of("offset (Hz)"), _unit_of("offset_ppm"), _unit_of("offset_kHz"), _unit_of("gradient offset")
    ('hz', 'ppm', 'kHz', '')
    """
    return next((unit for unit, pattern in _UNITS if pattern.search(name.replace("_", " "))), "")


def _may_be_offsets(name: str) -> bool:
    """Whether a column of another name than those of a dataset may hold offsets: one that counts does not."""
    if name.lower() in KNOWN_COLUMNS or not _COLUMN.search(name):
        return False
    return bool(_unit_of(name)) or not _COUNT.search(name.replace("_", " "))


def _of_numbers(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Offsets:
    """Return the offsets of a list whose columns are not those of a dataset."""
    candidates = [p for p, name in enumerate(header) if _may_be_offsets(name)]
    # A column that states its unit comes before one that may count; ppm needs no field strength.
    order = {"ppm": 0, "hz": 1, "kHz": 2, "rad": 2}
    candidates.sort(key=lambda p: order.get(_unit_of(header[p]), 3))
    column = candidates[0] if candidates else None
    if column is None and len(rows[0]) > 1:
        raise ValueError(
            f"{path.name}: columns: expected offset_ppm or offset_hz, found {', '.join(header) or f'{len(rows[0])} without name'}. "
            "Write the name of each column into a first row: offset_ppm or offset_hz above the offsets."
        )
    column = column or 0
    numbers = _numbers(path, "offset", [row[column] for row in rows])
    finite = sorted(abs(number) for number in numbers if math.isfinite(number))
    if not finite:
        raise ValueError(f"{path.name}: offset: expected numbers, found none. Correct the list.")
    of_column = _unit_of(header[column]) if header else ""
    unit = of_column or _unit_of(path.stem)
    said = f"unit by the name of the {'column' if of_column else 'file'}"
    if unit in ("kHz", "rad"):
        raise ValueError(
            f"{path.name}: offset: expected ppm or Hz, found {unit} in the name of the {'column' if of_column else 'file'}. "
            "Convert "
            "the offsets, and name the column offset_ppm or offset_hz."
        )
    if not unit:
        median = finite[len(finite) // 2]
        unit = "ppm" if median <= NEAR_WATER else "hz"
        said = f"NO UNIT IS STATED: half of them lie within {median:g}, so taken as {'ppm' if unit == 'ppm' else 'Hz'}"
    return Offsets(
        table={f"offset_{unit}": _shown(numbers)},
        note=f"offsets: {path.name} in {'ppm' if unit == 'ppm' else 'Hz'} ({said})",
    )


def _cells(line: str) -> list[str]:
    line = line.replace("\N{MINUS SIGN}", "-")
    parts = line.split("\t") if "\t" in line else re.split(r"[,;]", line) if re.search(r"[,;]", line) else line.split()
    cells = [re.sub(r"(?<=\d)\s*(ppm|hz)$", "", part.strip().strip('"'), flags=re.IGNORECASE) for part in parts]
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def _is_cell(cell: str) -> bool:
    if cell.lower() in _WITHOUT:
        return True
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
