"""Reading quantitative maps in the units of BIDS into those of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmri_bids.grids import is_same_grid
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.preprocessing.loading.files import read_image
from qmri_bids.units import percent_to_fraction

LARGEST_RATIO = 5.0
"""A B1 map with a median above this is in percent."""


POSITIVE = ("T1", "T2", "b1", "MT_fraction", "MT_rate")
"""Maps in which values of 0 and less stand for no value, and their standard deviations of 0 and less for none."""

LEAST_SPREAD = 0.5
"""Share of the voxels of a map that must have a standard deviation above 0, where a file gives it."""


@dataclass(frozen=True, kw_only=True)
class LoadedMaps:
    """Maps of one grid.

    Parameters
    ----------
    maps
        By name, with `<name>_stdev` where there is one; SI units and B1 as a ratio, float32, NaN where there is no value.
    affine
        Voxel to RAS millimetres, shape (4, 4).
    decisions
        What was decided, as sentences.
    """

    maps: Mapping[str, NDArray[np.float32]]
    affine: NDArray[np.float64]
    decisions: tuple[str, ...]


def load_maps(
    files: Mapping[str, Path],
    *,
    stdev_files: Mapping[str, Path] | None = None,
    factors: Mapping[str, float] | None = None,
) -> LoadedMaps:
    """Read maps and their standard deviations.

    Parameters
    ----------
    files, stdev_files
        Paths by name: `T1` and `T2` [s], `b1` [percent or ratio], `off_resonance` [Hz], others as stored; all on one grid.
    factors
        What values of a name and its standard deviation are multiplied by to be in these units; 1 where none is named.

    Raises
    ------
    ContentError
        If the grids differ, a map is not 3D or has no value, or most of its voxels have no standard deviation above 0.
    """
    maps: dict[str, NDArray[np.float32]] = {}
    decisions: list[str] = []
    affine: NDArray[np.float64] | None = None
    for name, path in files.items():
        values, own = _read(path)
        affine = own if affine is None else affine
        _check_grid(path, values, own, maps=maps, affine=affine)
        scale = _clean(name, values, path=path)
        factor = (factors or {}).get(name, 1.0)
        if name == "b1":
            decisions.append(f"{path.name} was read as B1 {'in percent' if scale != 1.0 else 'as a ratio'}.")
        maps[name] = np.float32(scale * factor) * values
        if stdev_files is not None and name in stdev_files:
            spread, own = _read(stdev_files[name])
            _check_grid(stdev_files[name], spread, own, maps=maps, affine=affine)
            if name in POSITIVE:
                _clean_spread(spread, values, path=stdev_files[name])
            maps[f"{name}_stdev"] = np.float32(scale * factor) * spread
    if affine is None:
        raise ValueError("expected at least one map, found none")
    return LoadedMaps(maps=maps, affine=affine, decisions=tuple(decisions))


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    values, affine = read_image(path)
    if values.ndim != 3:
        raise ContentError(f"{path}: expected a map of three dimensions, found shape {values.shape}")
    return values, affine


def _check_grid(
    path: Path,
    values: NDArray[np.float32],
    own: NDArray[np.float64],
    *,
    maps: Mapping[str, NDArray[np.float32]],
    affine: NDArray[np.float64],
) -> None:
    shapes = {each.shape for each in maps.values()} or {values.shape}
    if values.shape not in shapes or not is_same_grid(affine, own, shape=values.shape):
        raise ContentError(
            f"{path}: expected the grid of the other maps of its source, found another; resample it to theirs"
        )


def _clean(name: str, values: NDArray[np.float32], *, path: Path) -> float:
    """Set what is no value to NaN, in place, and return the factor to the unit of the package."""
    values[~np.isfinite(values)] = np.nan
    if name in POSITIVE:
        values[values <= 0.0] = np.nan
    if not np.isfinite(values).any():
        raise ContentError(f"{path}: expected a map, found no value in it")
    return percent_to_fraction(1.0) if name == "b1" and np.nanmedian(values) > LARGEST_RATIO else 1.0


def _clean_spread(spread: NDArray[np.float32], values: NDArray[np.float32], *, path: Path) -> None:
    """Set what is no standard deviation to NaN, in place."""
    spread[~(np.isfinite(spread) & (spread > 0.0))] = np.nan
    share = float(np.mean(np.isfinite(spread[np.isfinite(values)])))
    if share < LEAST_SPREAD:
        raise ContentError(
            f"{path}: expected standard deviations above 0, found them in {100.0 * share:.0f} % of the voxels of its map; write "
            "the file again, or leave it out"
        )
