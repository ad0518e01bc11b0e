"""The part of fingerprints: fitted voxel by voxel, by a network of the subject, of another, and of simulated signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.evaluation.own_scan.pool_ways import PoolRow, PoolWay
from qmri_bids.quantities import get_quantity
from qmri_bids.reports.comparison.content import (
    KeptMap,
    Part,
    ShownTable,
    Table,
    cell,
    summary_columns,
    summary_descriptions,
)
from qmri_bids.reports.comparison.drawing import DIFFERENCE, Row, Scale
from qmri_bids.reports.comparison.map_parts import KEYS, QUARTILES, main_tissues, picture

MOST_MAPS = 8
"""Maps that are drawn; all are written."""


def pools_part(
    rows: Sequence[PoolRow],
    *,
    ways: Sequence[PoolWay],
    reference: PoolWay,
    tissue: Mapping[str, NDArray[np.bool_]],
    affine: NDArray[np.floating],
    inside: NDArray[np.bool_],
    sentences: Sequence[str],
) -> Part:
    """Return the maps of several ways, their differences to one of them, and their time."""
    tissues = main_tissues(tissue)
    names = [name for name in reference.values if name.endswith(("_fraction", "_rate"))][:MOST_MAPS]
    figures, maps, shown = [], [], []
    voxels = int(np.count_nonzero(inside))
    for name in names:
        quantity = get_quantity(name)
        display = quantity.display
        low, high = display.window or (0.0, float(np.nanpercentile(display.convert(reference.values[name]), 98.0)))
        limit = quantity.spread.limit if quantity.spread is not None else None
        end = 0.3 * (high - low) if limit is None else float(limit)
        scales = (
            Scale(title=quantity.label, unit=display.unit, window=(low, high), colormap=display.colormap),
            Scale(title=f"minus {reference.name}", unit=display.unit, window=(-end, end), colormap=DIFFERENCE),
            Scale(title="stated sd", unit=display.unit, window=(0.0, end), colormap="plasma"),
        )
        lines = []
        for way in ways:
            value = np.asarray(display.convert(way.values[name]))
            spread = None if name not in way.stdev else np.asarray(display.convert(way.stdev[name]))
            difference = value - np.asarray(display.convert(reference.values[name]))
            lines.append(
                Row(
                    name=way.name,
                    volumes=(value, None if way is reference else difference, spread),
                    reason="the reference" if way is reference else "none is stated",
                )
            )
            maps.append(
                KeptMap(
                    desc=_label(way.name, name),
                    suffix=quantity.written.suffix,
                    values=np.asarray(quantity.written.convert(way.values[name])),
                    unit=quantity.written.unit or "arbitrary",
                    description=f"{quantity.label} by {way.name} ({way.estimator}), compared on one scan",
                )
            )
        figures.append(
            picture(
                lines,
                scales,
                key=f"pools-{name.replace('_', '-')}",
                title=f"{quantity.label[0].upper()}{quantity.label[1:]} found in {len(ways)} ways",
                caption=f"Left the map, in the middle the difference to the {reference.name}, right what is stated as standard "
                "deviation.",
                affine=affine,
                mask=inside,
            )
        )
        found = {(row.way, row.tissue): row for row in rows if row.parameter == name}
        convert: Any = display.convert
        factor = float(convert(1.0))
        shown.append(
            ShownTable(
                caption=f"{quantity.label} [{display.unit}]: {QUARTILES}; difference to the {reference.name} likewise",
                head=("Way", *(f"{what}, {each}" for each in tissues for what in ("Value", "Difference"))),
                rows=tuple(
                    (
                        way.name,
                        *(
                            cell(getattr(found[way.name, each], what), factor=factor, signed=what == "difference")
                            if what == "value" or way is not reference
                            else "–"
                            for each in tissues
                            for what in ("value", "difference")
                        ),
                    )
                    for way in ways
                ),
            )
        )
    shown.append(
        ShownTable(
            caption="Time of the whole estimation, measured once",
            head=("Way", "Estimator", "s", "ms a voxel"),
            rows=tuple(
                (
                    way.name,
                    way.estimator,
                    f"{way.seconds:.1f}",
                    f"{1e3 * way.seconds / voxels:.2f}",
                )
                for way in ways
            ),
        )
    )
    units = ("as stated in the column unit", None)
    columns: dict[str, Any] = {key: [getattr(row, key) for row in rows] for key in ("way", "parameter", "tissue")}
    columns["unit"] = [get_quantity(row.parameter).written.unit for row in rows]
    meanings = {
        "value": ("the map", units[1]),
        "stated": ("stated standard deviation", None),
        "difference": (f"the map minus that of the {reference.name}", None),
        "over_stated": (f"that difference over the stated standard deviation of the {reference.name}", None),
    }
    columns |= summary_columns({each: [getattr(row, each) for row in rows] for each in meanings})
    descriptions = {
        "way": {"Description": "How the map was found"},
        "parameter": {"Description": "The map"},
        "tissue": KEYS["tissue"],
        "unit": {"Description": "Unit of value, stated standard deviation and difference"},
        **summary_descriptions(meanings),
    }
    times = Table(
        name="time",
        columns={
            "way": [way.name for way in ways],
            "estimator": [way.estimator for way in ways],
            "seconds": [float(way.seconds) for way in ways],
        },
        descriptions={
            "way": {"Description": "How the maps were found"},
            "estimator": {"Description": "Estimator, a name of --cest-estimator"},
            "seconds": {"Description": "Time of the whole estimation, training included", "Units": "s"},
        },
    )
    return Part(
        key="pools",
        title="Pools found in several ways",
        after="Finkelstein et al. 2025",
        sentences=tuple(sentences),
        shown=tuple(shown),
        figures=tuple(figures),
        tables=(Table(name="pools", columns=columns, descriptions=descriptions), times),
        maps=tuple(maps),
    )


def _label(way: str, name: str) -> str:
    """Return the label of a file: letters and digits of the way and of the pool."""
    words = "".join(each if each.isalnum() else " " for each in f"{name.rsplit('_', 1)[0]} {way}").split()
    return words[0] + "".join(each[0].upper() + each[1:] for each in words[1:])
