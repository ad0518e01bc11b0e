"""Estimates of one scan against those of a reference estimator (Birk et al. 2025, Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qmri_bids.estimation.base import Estimate, Estimator
from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.evaluation.own_scan.voxels import OwnScan

PARAMETERS = ("T1", "T2")
"""What is compared [s]."""


@dataclass(frozen=True, kw_only=True)
class DifferenceRow:
    """One parameter of one estimator in one tissue.

    Parameters
    ----------
    estimator, parameter, tissue
        What is summarised.
    value
        The estimate [s].
    stated
        Its stated standard deviation by noise [s].
    difference
        Estimate minus that of the reference [s], over the voxels in which both have a value.
    relative
        The same as a fraction of the reference.
    """

    estimator: str
    parameter: str
    tissue: str
    value: Summary
    stated: Summary
    difference: Summary
    relative: Summary


def estimates_of(estimators: Mapping[str, Estimator], scan: OwnScan) -> dict[str, Estimate]:
    """Return the estimate of each estimator on all voxels of a scan."""
    return {
        name: estimator.estimate(scan.cycles, protocol=scan.protocol, known=scan.known)
        for name, estimator in estimators.items()
    }


def difference_rows(estimates: Mapping[str, Estimate], *, reference: str, scan: OwnScan) -> list[DifferenceRow]:
    """Return the differences of estimates to that of a reference, by parameter and tissue.

    Parameters
    ----------
    estimates
        From `estimates_of`.
    reference
        Name of one of them; it has rows of its own, with differences of zero.
    scan
        The voxels.
    """
    rows = []
    for name, found in estimates.items():
        for parameter in PARAMETERS:
            values = np.asarray(found.values[parameter], dtype=np.float64)
            standard = np.asarray(estimates[reference].values[parameter], dtype=np.float64)
            difference = values - standard
            stated = found.stdev.get(parameter)
            for tissue, chosen in scan.tissue.items():
                rows.append(
                    DifferenceRow(
                        estimator=name,
                        parameter=parameter,
                        tissue=tissue,
                        value=Summary.of(values[chosen]),
                        stated=Summary.of(np.empty(0) if stated is None else stated[chosen]),
                        difference=Summary.of(difference[chosen]),
                        relative=Summary.of(difference[chosen] / standard[chosen]),
                    )
                )
    return rows


def names_of(rows: Sequence[DifferenceRow]) -> list[str]:
    """Return the estimators of rows in their order."""
    return list(dict.fromkeys(row.estimator for row in rows))
