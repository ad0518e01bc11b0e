"""Estimates of a scan with a wrong B1 (Birk et al. 2025, Fig. S10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qmri_bids.estimation.base import Estimate, Estimator
from qmri_bids.evaluation.own_scan.differences import PARAMETERS
from qmri_bids.evaluation.own_scan.summary import Summary
from qmri_bids.evaluation.own_scan.voxels import OwnScan

FACTORS = (0.8, 0.9, 1.0, 1.1, 1.2)
"""What B1 is multiplied by."""


@dataclass(frozen=True, kw_only=True)
class B1Row:
    """One parameter of one estimator in one tissue where B1 is multiplied by a factor.

    Parameters
    ----------
    estimator, factor, parameter, tissue
        What is summarised.
    relative
        Estimate minus that with B1 as measured, as a fraction of the latter.
    """

    estimator: str
    factor: float
    parameter: str
    tissue: str
    relative: Summary


def wrong_b1(
    estimators: Mapping[str, Estimator],
    *,
    scan: OwnScan,
    right: Mapping[str, Estimate],
    factors: Sequence[float] = FACTORS,
) -> list[B1Row]:
    """Estimate with B1 multiplied by factors.

    Parameters
    ----------
    estimators
        By name.
    scan
        The voxels.
    right
        Estimates with B1 as measured, by the name of the estimator.
    factors
        What B1 is multiplied by.
    """
    rows = []
    for name, estimator in estimators.items():
        for factor in factors:
            known = replace(scan.known, b1=np.asarray(scan.b1 * factor, dtype=scan.b1.dtype))
            found = (
                right[name] if factor == 1.0 else estimator.estimate(scan.cycles, protocol=scan.protocol, known=known)
            )
            for parameter in PARAMETERS:
                values, true = (np.asarray(each.values[parameter], dtype=np.float64) for each in (found, right[name]))
                relative = values / true - 1.0
                rows += [
                    B1Row(
                        estimator=name,
                        factor=factor,
                        parameter=parameter,
                        tissue=tissue,
                        relative=Summary.of(relative[chosen]),
                    )
                    for tissue, chosen in scan.tissue.items()
                ]
    return rows
