"""Statistics of a map in the regions of an atlas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class RegionStatistics:
    """Distribution of a map in one region, in the unit of the map; NaN where no voxel has a value.

    Parameters
    ----------
    label
        Label of the region.
    voxels
        Number of voxels with a value.
    mean, median, standard_deviation, lower_quartile, upper_quartile
        Mean, median, standard deviation and quartiles of the map over these voxels.
    size
        Number of voxels of the region.
    stated
        Mean of the stated standard deviation over the voxels with a value; NaN where the map has none.
    """

    label: int
    voxels: int
    mean: float
    median: float
    standard_deviation: float
    lower_quartile: float
    upper_quartile: float
    size: int = 0
    stated: float = math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of the mean if the voxels are independent; NaN for a single voxel."""
        return self.standard_deviation / math.sqrt(self.voxels) if self.voxels else math.nan


def region_statistics(
    values: NDArray[np.floating], *, labels: NDArray[np.integer], stdev: NDArray[np.floating] | None = None
) -> tuple[RegionStatistics, ...]:
    """Return the statistics of every region but 0, by label.

    Parameters
    ----------
    values
        A map, shape (X, Y, Z), NaN where there is no value.
    labels
        Regions on the same grid.
    stdev
        Stated standard deviation of the map, same shape.

    Examples
    --------
    >>> rows = region_statistics(np.array([1.0, 3.0, np.nan]), labels=np.array([2, 2, 2]))
    >>> rows[0].voxels, rows[0].mean
    (2, 2.0)
    """
    flat, regions = np.asarray(values, dtype=float).ravel(), np.asarray(labels).ravel()
    spread = np.full(len(flat), np.nan) if stdev is None else np.asarray(stdev, dtype=float).ravel()
    inside = regions > 0
    flat, spread, regions = flat[inside], spread[inside], regions[inside]
    order = np.argsort(regions, kind="stable")
    flat, spread, regions = flat[order], spread[order], regions[order]
    found, starts = np.unique(regions, return_index=True)
    rows = []
    # Of nothing, `split` makes one part.
    parts, spreads = (np.split(each, starts[1:]) if found.size else [] for each in (flat, spread))
    for label, part, of_part in zip(found, parts, spreads, strict=True):
        valid = part[np.isfinite(part)]
        told = of_part[np.isfinite(part) & np.isfinite(of_part)]
        if valid.size:
            low, middle, high = (float(each) for each in np.percentile(valid, (25, 50, 75)))
            deviation = float(valid.std(ddof=1)) if valid.size > 1 else float("nan")
            mean = float(valid.mean())
        else:
            low = middle = high = deviation = mean = float("nan")
        rows.append(
            RegionStatistics(
                label=int(label),
                voxels=int(valid.size),
                mean=mean,
                median=middle,
                standard_deviation=deviation,
                lower_quartile=low,
                upper_quartile=high,
                size=int(part.size),
                stated=float(told.mean()) if told.size else float("nan"),
            )
        )
    return tuple(rows)


def statistics_columns(rows: Sequence[RegionStatistics]) -> dict[str, list[object]]:
    """Return the label and the statistics of each region as columns of a table."""
    return {
        "index": [row.label for row in rows],
        "n": [row.voxels for row in rows],
        "median": [row.median for row in rows],
        "iqr": [row.upper_quartile - row.lower_quartile for row in rows],
        "mean": [row.mean for row in rows],
        "sd": [row.standard_deviation for row in rows],
    }


def as_columns(
    rows: Mapping[str, tuple[RegionStatistics, ...]], *, regions: Mapping[int, str]
) -> dict[str, list[object]]:
    """Return statistics of several maps as columns of one table, described by `COLUMNS`.

    Parameters
    ----------
    rows
        Statistics of the regions by name of the map.
    regions
        Names of the regions by label; the label itself where there is none.
    """
    flat = [(name, row) for name, each in rows.items() for row in each]
    columns = statistics_columns([row for _, row in flat]) | {
        "name": [regions.get(row.label, str(row.label)) for _, row in flat],
        "map": [name for name, _ in flat],
        "size": [row.size for _, row in flat],
        "stated_sd": [row.stated for _, row in flat],
        "sem": [row.standard_error for _, row in flat],
    }
    return {name: columns[name] for name in COLUMNS}


COLUMNS: Mapping[str, Mapping[str, str]] = {
    "index": {"Description": "Label of the region in the atlas"},
    "name": {"Description": "Its name"},
    "map": {"Description": "Map by the end of its file name; statistics are in the unit of that file"},
    "size": {"Description": "Voxels of the region inside the mask"},
    "n": {"Description": "Voxels of the region with a value: few of many mean that the others could not be told"},
    "median": {"Description": "Median"},
    "iqr": {"Description": "Upper minus lower quartile"},
    "mean": {"Description": "Mean"},
    "sd": {"Description": "Standard deviation over the voxels"},
    "stated_sd": {"Description": "Mean of the standard deviation that the voxels state"},
    "sem": {
        "Description": "Standard error of the mean, sd over the root of n: of independent voxels; interpolation makes it too small"
    },
}
"""What the columns are, in their order."""
