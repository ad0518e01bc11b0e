"""Which runs are processed: what was found, less what the estimator cannot serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qmri_bids.bids.plan import SessionPlan
from qmri_bids.bids.refusal import Refusal
from qmri_bids.estimation.base import ProtocolNotSupported
from qmri_bids.estimation.table import ESTIMATORS


def refuse_unsupported(plans: Sequence[SessionPlan], *, estimator: str) -> tuple[SessionPlan, ...]:
    """Move runs whose protocol the estimator does not cover to the refusals.

    Parameters
    ----------
    plans
        What was found.
    estimator
        Key of the table of estimators.
    """
    if not any(plan.pcbssfp for plan in plans):
        return tuple(plans)
    made = ESTIMATORS[estimator].create()
    checked = []
    for plan in plans:
        kept, refused = [], []
        for run in plan.pcbssfp:
            try:
                made.check(run.protocol)
                kept.append(run)
            except ProtocolNotSupported as error:
                refused.append(
                    Refusal(
                        file=run.label,
                        key="--bssfp-estimator",
                        expected=error.expected,
                        found=error.found,
                        advice=error.advice,
                    )
                )
        checked.append(replace(plan, pcbssfp=tuple(kept), refusals=(*plan.refusals, *refused)))
    return tuple(checked)
