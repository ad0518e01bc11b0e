"""Statistics of maps in labelled regions: tissues, or any label image with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.preprocessing.tissues.region_statistics import RegionStatistics, region_statistics, statistics_columns


@dataclass(frozen=True, kw_only=True)
class MapOfRegions:
    """A map of which statistics are made.

    Parameters
    ----------
    values
        Values of the map, shape (X, Y, Z), NaN where there is no value.
    unit
        Unit of the values, as written.
    stdev
        Its stated standard deviation, where it has one.
    """

    values: NDArray[np.floating]
    unit: str
    stdev: NDArray[np.floating] | None = None


@dataclass(frozen=True, kw_only=True)
class TissueRow:
    """Distribution of one map in one region; `stated` is the median of its stated standard deviation, NaN without one."""

    map: str
    unit: str
    name: str
    region: RegionStatistics
    stated: float


def tissue_statistics(
    maps: Mapping[str, MapOfRegions], *, labels: NDArray[np.integer], names: Mapping[int, str]
) -> tuple[TissueRow, ...]:
    """Return one row a map and region, over the whole region; only voxels with a value count.

    Parameters
    ----------
    maps
        Maps by name.
    labels
        Regions on the grid of the maps, 0 for none, shape (X, Y, Z).
    names
        Names of the labels; a label without one is named by its number.

    Raises
    ------
    ValueError
        If a map has not the shape of the labels.

    Examples
    --------
    >>> t1 = MapOfRegions(values=np.array([[[1.0, 3.0, np.nan]]]), unit="s")
    >>> row = tissue_statistics({"T1map": t1}, labels=np.full((1, 1, 3), 2), names={2: "WM"})[0]
    >>> row.name, row.region.voxels, row.region.mean
    ('WM', 2, 2.0)
    """
    rows = []
    for name, each in maps.items():
        if each.values.shape != labels.shape:
            raise ValueError(f"{name}: expected the shape of the labels {labels.shape}, found {each.values.shape}")
        valid = np.isfinite(each.values)
        for region in region_statistics(each.values, labels=labels):
            stated = float("nan")
            if each.stdev is not None:
                own = each.stdev[valid & (labels == region.label) & np.isfinite(each.stdev)]
                stated = float(np.median(own)) if own.size else stated
            rows.append(
                TissueRow(
                    map=name,
                    unit=each.unit,
                    name=names.get(region.label, str(region.label)),
                    region=region,
                    stated=stated,
                )
            )
    return tuple(rows)


def as_columns(rows: Sequence[TissueRow]) -> dict[str, list[object]]:
    """Return the rows as columns of a table, described by `COLUMNS`."""
    columns = statistics_columns([row.region for row in rows]) | {
        "map": [row.map for row in rows],
        "unit": [row.unit for row in rows],
        "tissue": [row.name for row in rows],
        "stated_sd": [row.stated for row in rows],
    }
    return {name: columns[name] for name in COLUMNS}


COLUMNS: Mapping[str, Mapping[str, str]] = {
    "map": {"Description": "Map by the end of its file name"},
    "unit": {"Description": "Unit of median, iqr, stated_sd, mean and sd: that of the file of the map"},
    "index": {"Description": "Label of the tissue in the dseg file; n/a for the whole brain mask"},
    "tissue": {
        "Description": "Its abbreviation: GM, WM and CSF are whole tissues, whose voxels at a border hold some of their "
        "neighbours; GM_pure and WM_pure those of their voxels that lie away from fluid, from the other tissue and from the edge "
        "of the mask; brain is the whole brain mask"
    },
    "n": {"Description": "Voxels with a value (status 1 of the quality mask)"},
    "median": {"Description": "Median over these voxels"},
    "iqr": {"Description": "Upper minus lower quartile over these voxels"},
    "stated_sd": {
        "Description": "Median over these voxels of the standard deviation that the map itself states; n/a without"
    },
    "mean": {"Description": "Mean over these voxels; single voxels without signal may rule it"},
    "sd": {
        "Description": "Standard deviation over these voxels: of the tissue and of the noise; single voxels may rule it"
    },
}
"""What the columns are, in their order."""
