"""Which runs are processed: what was found, less what the estimator cannot serve."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qmri_bids.bids.exchange_plan import ExchangeRun
from qmri_bids.bids.find_exchange import with_exchange
from qmri_bids.bids.plan import FindOptions, SessionPlan
from qmri_bids.bids.refusal import Refusal
from qmri_bids.bids.saturation_plan import CestRun
from qmri_bids.estimation.base import EstimatorOptions, ProtocolNotSupported
from qmri_bids.estimation.exchange import ExchangeOptions
from qmri_bids.estimation.exchange_table import EXCHANGE_ESTIMATORS
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
                refused.append(_refusal(run.label, "--bssfp-estimator", error))
        checked.append(replace(plan, pcbssfp=tuple(kept), refusals=(*plan.refusals, *refused)))
    return tuple(checked)


def link_runs(plans: Sequence[SessionPlan], *, options: FindOptions | None = None) -> tuple[SessionPlan, ...]:
    """Give Z-spectra the T1 of the pc-bSSFP run of their session, and fingerprints the maps that they need.

    Parameters
    ----------
    plans
        What was found, runs that the estimator does not cover left out.
    options
        What the user asked for.
    """
    return tuple(with_exchange(_with_t1(plan), options=options or FindOptions()) for plan in plans)


def _with_t1(plan: SessionPlan) -> SessionPlan:
    linked: list[CestRun] = []
    for run in plan.cest:
        relaxation = [each for each in plan.pcbssfp if each.entities.get("ses") == run.entities.get("ses")]
        if run.kind == "z-spectrum" and relaxation:
            run = replace(run, t1_run=relaxation[0].label)
            if len(relaxation) > 1:
                sentence = (
                    f"T1 for AREX is that of {relaxation[0].label}, the first of {len(relaxation)} pc-bSSFP runs."
                )
                run = replace(run, warnings=(*run.warnings, sentence))
        linked.append(run)
    return replace(plan, cest=tuple(linked))


def refuse_unsupported_exchange(
    plans: Sequence[SessionPlan], *, estimator: str, options: ExchangeOptions
) -> tuple[SessionPlan, ...]:
    """Move fingerprints whose protocols or pools the estimator does not cover to the refusals.

    Parameters
    ----------
    plans
        From `link_runs`.
    estimator
        Key of the table of estimators of pools.
    options
        How the estimator is made.
    """
    if not any(plan.exchange for plan in plans):
        return tuple(plans)
    made = EXCHANGE_ESTIMATORS[estimator].create(options)
    checked = []
    for plan in plans:
        kept, refused = [], []
        for run in plan.exchange:
            try:
                made.check(run.scan)
                kept.append(run)
            except ProtocolNotSupported as error:
                refused.append(_refusal(run.label, "--cest-estimator", error))
        checked.append(replace(plan, exchange=tuple(kept), refusals=(*plan.refusals, *refused)))
    return tuple(checked)


def _refusal(label: str, key: str, error: ProtocolNotSupported) -> Refusal:
    return Refusal(file=label, key=key, expected=error.expected, found=error.found, advice=error.advice)


def missing_exchange_trainings(
    plans: Sequence[SessionPlan], *, estimator: str, options: ExchangeOptions
) -> tuple[ExchangeRun, ...]:
    """Return the fingerprints for which a network would have to be trained, of equal ones the first.

    Parameters
    ----------
    plans, estimator, options
        As in `refuse_unsupported_exchange`.
    """
    runs = [run for plan in plans for run in plan.exchange]
    if not runs:
        return ()
    made = EXCHANGE_ESTIMATORS[estimator].create(options)
    missing: list[ExchangeRun] = []
    for run in runs:
        try:
            made.check(run.scan)
        except ProtocolNotSupported:
            if all(run.scan != each.scan for each in missing):
                missing.append(run)
    return tuple(missing)


def train_missing_exchange(runs: Sequence[ExchangeRun], *, cache: Path, processes: int) -> None:
    """Train the networks of pools that are missing and keep them in a folder.

    Parameters
    ----------
    runs
        From `missing_exchange_trainings`.
    cache
        Folder of weights.
    processes
        Threads of the training.
    """
    if not runs:
        return
    from qmri_bids.training.exchange_missing import ensure_exchange_weights

    for run in runs:
        ensure_exchange_weights(run.scan, cache=cache, threads=processes, progress=logger.info)


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
