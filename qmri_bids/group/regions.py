"""Statistics of the regions of atlases over the participants, from the tables that each run left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.files.plain import UnreadableError, read_text
from qmri_bids.group.collect import Group, GroupRun
from qmri_bids.group.distributions import Distribution, Gathered
from qmri_bids.group.protocols import Protocols
from qmri_bids.reports.drawing.thumbnail import display_factor, quantity_of_file

_TABLE = re.compile(r"_atlas-(?P<atlas>[0-9A-Za-z]+)_stats\.tsv$")

_TAKEN = ("n", "median", "iqr", "mean", "sd")
"""Columns of a table of regions that are taken; of these all but the number of voxels have the unit of the map."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionRow:
    """What one map holds in one region of one run.

    Parameters
    ----------
    place
        Place of the run in the group.
    atlas, region, index
        Name of the atlas, of its region, and what tells regions of one name apart: the value of their voxels in the atlas.
    map, unit
        The map, and the unit of the values: that of the reports.
    voxels
        Voxels with a value.
    median, iqr, mean, sd
        Over those voxels [`unit`].
    """

    place: int
    atlas: str
    region: str
    index: str
    map: str
    unit: str
    voxels: float
    median: float
    iqr: float
    mean: float
    sd: float


def region_rows(group: Group, *, output_dir: Path, sentences: list[str]) -> Iterator[RegionRow]:
    """Yield the rows of the tables of regions of all runs that were processed.

    Parameters
    ----------
    group
        What became of every participant.
    output_dir
        Root of the derivatives.
    sentences
        Takes what could not be read.
    """
    for place, run in enumerate(group.runs):
        for name in run.tables:
            found = _TABLE.search(name)
            if found is None:
                continue
            try:
                yield from _rows(output_dir / name, place=place, atlas=found["atlas"])
            except (UnreadableError, ValueError, KeyError) as error:
                sentences.append(f"{name} was not used: {error}.")


def region_distributions(
    group: Group, protocols: Protocols, *, output_dir: Path, sentences: list[str]
) -> tuple[Distribution, ...]:
    """Return the medians of every map in every region of an atlas over the participants; parameters as of `region_rows`.

    A region is called by its name, and by index and name where several of its atlas have that name.
    """
    gathered = Gathered()
    indices: dict[tuple[str, str], set[str]] = {}
    regions: dict[str, str] = {}
    for row in region_rows(group, output_dir=output_dir, sentences=sentences):
        run: GroupRun = group.runs[row.place]
        full = f"index {row.index}: {row.region}"
        regions[full] = row.region
        indices.setdefault((row.atlas, row.region), set()).add(row.index)
        gathered.add((run.kind, run.series, row.map, full, row.unit, row.atlas), place=row.place, value=row.median)
    return tuple(
        each if len(indices[each.atlas, regions[each.of]]) > 1 else replace(each, of=regions[each.of])
        for each in gathered.distributions(group, protocols)
    )


def _rows(path: Path, *, place: int, atlas: str) -> Iterator[RegionRow]:
    """Yield the rows of one table, in the units of the reports."""
    header, *lines = read_text(path).splitlines()
    columns = header.split("\t")
    at = {name: columns.index(name) for name in ("index", "name", "map", *_TAKEN) if name in columns}
    if missing := [name for name in ("index", "name", "map", *_TAKEN) if name not in at]:
        raise ValueError(f"expected the columns {', '.join(missing)}, found none")
    units: dict[str, tuple[str, str, float]] = {}
    for line in filter(str.strip, lines):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ValueError(f"expected {len(columns)} cells in each row, found {len(cells)}")
        written = cells[at["map"]]
        if written not in units:
            units[written] = _map(written)
        label, unit, factor = units[written]
        name, index = cells[at["name"]], cells[at["index"]]
        number, *values = (_number(cells[at[each]]) for each in _TAKEN)
        median, iqr, mean, sd = (factor * value for value in values)
        yield RegionRow(
            place=place,
            atlas=atlas,
            region=name if name != index else f"region {index}",
            index=index,
            map=label,
            unit=unit,
            voxels=number,
            median=median,
            iqr=iqr,
            mean=mean,
            sd=sd,
        )


def _map(written: str) -> tuple[str, str, float]:
    """Return name, unit on display and factor to it of a map, from how tables of regions call it: `desc-MT_fractionmap`."""
    desc, _, suffix = written.rpartition("_")
    quantity = quantity_of_file(desc.removeprefix("desc-"), suffix)
    if quantity is None:
        return written, "", 1.0
    return quantity.label, quantity.display.unit, display_factor(quantity)


def _number(cell: str) -> float:
    """Return a number of a table, NaN where there is none."""
    return float("nan") if cell in ("", "n/a") else float(cell)
