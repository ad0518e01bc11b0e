"""The file in which a node leaves what it has estimated: maps with their uncertainty, and why voxels have none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmri_bids.estimation.base import IN_STATISTICS, Joint, Status
from qmri_bids.pipeline.voxels import Voxels
from qmri_bids.quantity import POSTERIOR, STDEV
from qmri_bids.system.file_errors import naming

Maps = Mapping[str, tuple[NDArray[Any], NDArray[Any] | None]]
"""Values and standard deviations of voxels by the name of the map; None where a map has no standard deviation."""

STATUS, CORRELATION = "status", "_correlation"
"""What is added to the name of a group and of a pool."""

ESTIMATED, GROUPS = "estimated", "groups"
"""Arrays that list the maps of the estimate itself and the groups of maps that share a status."""


CONSTANT = "constant_"
"""What stands before numbers that hold for all voxels."""

ONE_POOL = "one_pool_"
"""What stands before maps of a fit of tissue alone, where those of the estimate account for fluid."""

JOINT = "joint_"
"""What stands before what images of other contrast need beside the maps (`estimation.base.Joint`)."""


def save_estimate(
    path: Path,
    voxels: Voxels,
    *,
    maps: Maps,
    residual: NDArray[Any],
    status: Mapping[str, NDArray[Any]],
    known: Maps | None = None,
    posterior: Maps | None = None,
    correlation: Mapping[str, NDArray[Any]] | None = None,
    volumes: Mapping[str, NDArray[Any]] | None = None,
    **extra: Any,
) -> str:
    """Write an estimate as volumes and return the path.

    Parameters
    ----------
    path
        File (npz): `T1`, `T1_stdev`, `posterior_T1`, `status`, `MT_status` …
    voxels
        Voxels in which was estimated.
    maps
        What was estimated, shape (V,) each, SI units.
    residual
        Residual of the fit, relative to the signal, shape (V,).
    status
        Codes of `Status`, shape (V,) each, by the group of maps that they belong to: `""` where all share one.
    known
        Maps that were known and not estimated, as they were used.
    posterior
        Posterior maps.
    correlation
        Correlation of fraction and rate by pool.
    volumes
        Other numbers of the voxels by name, shape (V,) each.
    extra
        Arrays as they are.
    """
    arrays: dict[str, Any] = {
        ESTIMATED: np.array(list(maps), dtype=str),
        GROUPS: np.array(list(status), dtype=str),
        "residual": voxels.volume(residual, np.nan),
        "inside": voxels.inside,
    }
    for prefix, part in (("", known), ("", maps), (POSTERIOR, posterior)):
        for name, (values, _) in (part or {}).items():
            arrays[f"{prefix}{name}"] = voxels.volume(values, np.nan)
        for name, (_, stdev) in (part or {}).items():
            if stdev is not None:
                arrays[f"{prefix}{name}{STDEV}"] = voxels.volume(stdev, np.nan)
    for pool, values in (correlation or {}).items():
        arrays[f"{pool}{CORRELATION}"] = voxels.volume(values, np.nan)
    for name, values in (volumes or {}).items():
        arrays[name] = voxels.volume(values, np.nan)
    for group, codes in status.items():
        volume = voxels.volume(codes, Status.OUTSIDE)
        volume[voxels.mask & ~voxels.inside] = Status.INVALID_INPUT
        arrays[_status_of(group)] = volume
    with naming(path):
        np.savez(path, **arrays, **extra)
    return str(path)


def _status_of(group: str) -> str:
    return f"{group}_{STATUS}" if group else STATUS


class StoredEstimate:
    """Lazy access to a file of `save_estimate`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All arrays by name."""
        return arrays_of(self.path)

    @cached_property
    def values(self) -> Mapping[str, NDArray[np.float32]]:
        """Maps that were estimated by name, SI units; NaN where the status of their group is not CONVERGED."""
        return {str(name): self.arrays[str(name)] for name in self.arrays[ESTIMATED]}

    @cached_property
    def told(self) -> Mapping[str, NDArray[np.float32]]:
        """Maps for statistics: NaN where the code of their group is none of `IN_STATISTICS`, be there a value or not."""
        return {name: self._in_statistics(name, values) for name, values in self.values.items()}

    def _in_statistics(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        own = next((codes for group, codes in self.status.items() if group and name.startswith(f"{group}_")), None)
        codes = self.status.get("") if own is None else own
        return values if codes is None else np.where(np.isin(codes, IN_STATISTICS), values, np.float32(np.nan))

    @cached_property
    def stdev(self) -> Mapping[str, NDArray[np.float32]]:
        """Standard deviations of the maps that have one, by the name of the map."""
        return {name: self.arrays[f"{name}{STDEV}"] for name in self.values if f"{name}{STDEV}" in self.arrays}

    @cached_property
    def correlation(self) -> Mapping[str, NDArray[np.float32]]:
        """Correlation of fraction and rate by name, `MT_correlation` …; empty where nothing is correlated."""
        return {name: each for name, each in self.arrays.items() if name.endswith(CORRELATION)}

    @cached_property
    def status(self) -> Mapping[str, NDArray[np.uint8]]:
        """Codes of `Status` by group: `""` where all maps share one."""
        return {str(group): self.arrays[_status_of(str(group))] for group in self.arrays[GROUPS]}

    @cached_property
    def joint(self) -> Joint | None:
        """How errors of the maps go together, and fluid beside them; None where the estimate does not tell it."""
        found = {name.removeprefix(JOINT): values for name, values in self.arrays.items() if name.startswith(JOINT)}
        return Joint.of(found) if found else None

    @cached_property
    def constants(self) -> Mapping[str, float]:
        """Numbers that hold for all voxels by name."""
        return {
            name.removeprefix(CONSTANT): float(value)
            for name, value in self.arrays.items()
            if name.startswith(CONSTANT)
        }

    @property
    def residual(self) -> NDArray[np.float32]:
        """Residual relative to the signal; NaN everywhere where there are as many unknowns as images."""
        return self.arrays["residual"]

    @cached_property
    def posterior(self) -> Mapping[str, NDArray[np.float32]]:
        """Posterior maps and their standard deviations by name (`T1`, `T1_stdev` …), empty where none were asked for."""
        return {name.removeprefix(POSTERIOR): each for name, each in self.arrays.items() if name.startswith(POSTERIOR)}


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file (npz) by name."""
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}
