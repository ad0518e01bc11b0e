"""Pools of one scan found in several ways, against one of them (Finkelstein et al. 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qmri_bids.evaluation.own_scan.summary import Summary


@dataclass(frozen=True, kw_only=True)
class PoolWay:
    """What one way has found.

    Parameters
    ----------
    name
        In words: `voxelwise fit`.
    estimator
        Key of `EXCHANGE_ESTIMATORS`.
    values, stdev
        Maps and their stated standard deviations by name (`MT_fraction` …), SI units, shape (X, Y, Z).
    seconds
        Time of the whole estimation [s].
    judged
        Voxels in which it is compared, shape (X, Y, Z): those on which a network was not trained, where that is asked.
    """

    name: str
    estimator: str
    values: Mapping[str, NDArray[np.floating]]
    stdev: Mapping[str, NDArray[np.floating]]
    seconds: float
    judged: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PoolRow:
    """One map of one way in one tissue.

    Parameters
    ----------
    way, parameter, tissue
        What is summarised.
    value, stated
        The map and its stated standard deviation, SI units.
    difference
        The map minus that of the reference.
    over_stated
        The difference over the stated standard deviation of the reference.
    """

    way: str
    parameter: str
    tissue: str
    value: Summary
    stated: Summary
    difference: Summary
    over_stated: Summary


def pool_rows(ways: Sequence[PoolWay], *, reference: PoolWay, tissue: Mapping[str, NDArray[np.bool_]]) -> list[PoolRow]:
    """Return the maps of several ways against those of one.

    Parameters
    ----------
    ways
        All ways.
    reference
        One of them.
    tissue
        Which voxels are of each tissue, shape (X, Y, Z).
    """
    rows = []
    for way in ways:
        for name, values in way.values.items():
            if name not in reference.values:
                continue
            difference = values - reference.values[name]
            nothing = np.full(values.shape, np.nan)
            with np.errstate(divide="ignore", invalid="ignore"):
                over = difference / reference.stdev.get(name, nothing)
            for label, region in tissue.items():
                chosen = region & way.judged
                rows.append(
                    PoolRow(
                        way=way.name,
                        parameter=name,
                        tissue=label,
                        value=Summary.of(values[chosen]),
                        stated=Summary.of(way.stdev.get(name, nothing)[chosen]),
                        difference=Summary.of(difference[chosen]),
                        over_stated=Summary.of(over[chosen]),
                    )
                )
    return rows
