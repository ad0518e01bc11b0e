"""Which runs are processed: what was found, less what the estimator cannot serve."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qmri_bids.bids.plan import SessionPlan
from qmri_bids.bids.refusal import Refusal
from qmri_bids.bids.saturation_plan import CestRun
from qmri_bids.estimation.base import EstimatorOptions, ProtocolNotSupported
from qmri_bids.estimation.table import ESTIMATORS
from qmri_bids.physics.protocol import BssfpProtocol

logger = logging.getLogger("qmri_bids")


def refuse_unsupported(
    plans: Sequence[SessionPlan], *, estimator: str, options: EstimatorOptions
) -> tuple[SessionPlan, ...]:
    """Move runs whose protocol the estimator does not cover to the refusals.

    Parameters
    ----------
    plans
        What was found.
    estimator
        Key of the table of estimators.
    options
        How the estimator is made.
    """
    if not any(plan.pcbssfp for plan in plans):
        return tuple(plans)
    made = ESTIMATORS[estimator].create(options)
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


def link_runs(plans: Sequence[SessionPlan]) -> tuple[SessionPlan, ...]:
    """Give Z-spectra the T1 of the pc-bSSFP run of their session, and leave alone what has no workflow yet.

    Parameters
    ----------
    plans
        What was found, runs that the estimator does not cover left out.
    """
    linked = []
    for plan in plans:
        kept: list[CestRun] = []
        notes = list(plan.notes)
        for run in plan.cest:
            if run.kind == "fingerprint":
                notes.append(
                    f"{run.label}: several saturation powers at few offsets, a fingerprint: its quantification is not part of "
                    "this version, and a Z-spectrum it is none. Left alone."
                )
                continue
            relaxation = [each for each in plan.pcbssfp if each.entities.get("ses") == run.entities.get("ses")]
            if run.kind == "z-spectrum" and relaxation:
                run = replace(run, t1_run=relaxation[0].label)
                if len(relaxation) > 1:
                    sentence = (
                        f"T1 for AREX is that of {relaxation[0].label}, the first of {len(relaxation)} pc-bSSFP runs."
                    )
                    run = replace(run, warnings=(*run.warnings, sentence))
            kept.append(run)
        linked.append(replace(plan, cest=tuple(kept), notes=tuple(notes)))
    return tuple(linked)


def missing_trainings(
    plans: Sequence[SessionPlan], *, estimator: str, options: EstimatorOptions
) -> tuple[BssfpProtocol, ...]:
    """Return the protocols for which a network would have to be trained, each once.

    Parameters
    ----------
    plans, estimator, options
        As in `refuse_unsupported`.
    """
    made = ESTIMATORS[estimator].create(options)
    missing = []
    for run in (run for plan in plans for run in plan.pcbssfp):
        try:
            made.check(run.protocol)
        except ProtocolNotSupported:
            if run.protocol.is_evenly_spaced and run.protocol not in missing:
                missing.append(run.protocol)
    return tuple(missing)


def train_missing(protocols: Sequence[BssfpProtocol], *, estimator: str, cache: Path, processes: int) -> None:
    """Train the networks that are missing and keep them in a folder.

    Parameters
    ----------
    protocols
        From `missing_trainings`.
    estimator
        A trainable key of the table of estimators.
    cache
        Folder of weights.
    processes
        Threads of the training.
    """
    import torch

    from qmri_bids.training.missing import ensure_weights, spec_for

    torch.set_num_threads(processes)
    for protocol in protocols:
        ensure_weights(spec_for(protocol, estimator), cache=cache, progress=logger.info)
