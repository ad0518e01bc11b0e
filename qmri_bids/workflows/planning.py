"""Which runs are processed: what was found, less what the estimator cannot serve."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from qmri_bids.bids.refusal import Refusal
from qmri_bids.estimation.base import EstimatorOptions, ProtocolNotSupported
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.estimation.pool_estimators import (
    EXCHANGE_ESTIMATORS,
    NETWORK_POOLS,
    POSTERIOR_ESTIMATOR,
    Loss,
    estimator_for,
)
from qmri_bids.estimation.pools.estimate import ExchangeEstimator, ExchangeOptions
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.scans.fields.find import find_fields
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.pools.find import with_exchange
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.spectra.powers import with_powers
from qmri_bids.scans.spectra.t1 import with_t1
from qmri_bids.scans.transfer.find import with_transfer

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


def link_runs(
    plans: Sequence[SessionPlan], *, options: FindOptions | None = None, ignore: Collection[str] = ()
) -> tuple[SessionPlan, ...]:
    """Give fingerprints the maps that they need and Z-spectra T1, free pc-bSSFP of magnetisation transfer, find fields left over.

    Parameters
    ----------
    plans
        What was found, runs that the estimator does not cover left out.
    options
        What the user asked for.
    ignore
        Steps that are left out, of `IGNORABLE_STEPS`.
    """
    wanted = options or FindOptions()
    linked = []
    for plan in plans:
        plan = with_exchange(plan, options=wanted)
        if "transfer" not in ignore:
            plan = with_transfer(plan, options=wanted)
        linked.append(_with_fields(with_powers(with_t1(plan, options=wanted), options=wanted), options=wanted))
    return tuple(linked)


def _with_fields(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan with the B1 scans and field maps that none of its runs takes, as runs of their own."""
    found = find_fields(plan.files, subject=plan.subject, runs=plan.runs, refusals=plan.refusals, options=options)
    return replace(
        plan,
        field_b1=found.b1,
        field_b0=found.b0,
        b1=(*plan.b1, *(run.scan for run in found.b1 if run.scan not in plan.b1)),
        refusals=tuple(dict.fromkeys([*plan.refusals, *found.refusals])),
        notes=tuple(dict.fromkeys([*plan.notes, *found.notes])),
    )


def refuse_unsupported_exchange(
    plans: Sequence[SessionPlan], *, estimator: str, options: ExchangeOptions, posterior: str | None = None
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
    posterior
        Prior of the posterior maps that were asked for, which need a network too; None for none.
    """
    if not any(plan.exchange for plan in plans):
        return tuple(plans)
    made: dict[str, ExchangeEstimator] = {}
    checked = []
    for plan in plans:
        refused: dict[str, Refusal] = {}
        more: list[Refusal] = []
        for run in plan.exchange:
            asked = {"--cest-estimator": estimator_for(estimator, pools=run.scan.pools, fitted=run.scan.fitted)[0]}
            if posterior is not None:
                asked["--cest-posterior"] = POSTERIOR_ESTIMATOR
            for each in asked.values():
                if each not in made:
                    made[each] = EXCHANGE_ESTIMATORS[each].create(options)
            found = [
                refusal for key, each in asked.items() if (refusal := _refused_by(made[each], run, key)) is not None
            ]
            if found:
                refused[run.label] = found[0]
                more += found[1:]
        left = plan.without(refused) if refused else plan
        checked.append(replace(left, refusals=(*left.refusals, *more)))
    return tuple(checked)


def _refused_by(estimator: ExchangeEstimator, run: ExchangeRun, key: str) -> Refusal | None:
    try:
        estimator.check(run.scan)
    except ProtocolNotSupported as error:
        return _refusal(run.label, key, error)
    return None


def _refusal(label: str, key: str, error: ProtocolNotSupported) -> Refusal:
    return Refusal(file=label, key=key, expected=error.expected, found=error.found, advice=error.advice)


MissingExchange = tuple[ExchangeRun, Loss]
"""A fingerprint and the loss by which a network for it has to be trained."""


def missing_exchange_trainings(
    plans: Sequence[SessionPlan], *, losses: Sequence[Loss], options: ExchangeOptions
) -> tuple[MissingExchange, ...]:
    """Return the fingerprints of MT and amide for which networks would have to be trained, of equal ones the first.

    Parameters
    ----------
    plans
        From `link_runs`.
    losses
        Of the networks that are needed.
    options
        Where weights are looked for.
    """
    runs = [run for plan in plans for run in plan.exchange if NETWORK_POOLS.issuperset(run.scan.pools)]
    if not runs:
        return ()
    from qmri_bids.estimation.pools.network import find_exchange_weights

    missing: list[MissingExchange] = []
    for run in runs:
        for loss in losses:
            known = any(run.scan == other.scan and loss == kind for other, kind in missing)
            if not known and find_exchange_weights(run.scan, loss=loss, folder=options.weights_folder) is None:
                missing.append((run, loss))
    return tuple(missing)


def train_missing_exchange(
    missing: Sequence[MissingExchange], *, cache: Path, processes: int, device: str = "cpu", seed: int = 0
) -> None:
    """Train the networks of pools that are missing and keep them in a folder.

    Parameters
    ----------
    missing
        From `missing_exchange_trainings`.
    cache
        Folder of weights.
    processes
        Threads of the forward model; the weights do not depend on it.
    device
        Of the training; see `networks.devices`.
    seed
        Of all draws.
    """
    if not missing:
        return
    import torch

    from qmri_bids.training.pools.missing import ensure_exchange_weights

    torch.set_num_threads(1)  # several would add in another order

    for run, loss in missing:
        ensure_exchange_weights(
            run.scan, cache=cache, threads=processes, device=device, seed=seed, loss=loss, progress=logger.info
        )


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


def train_missing(
    protocols: Sequence[BssfpProtocol], *, estimator: str, cache: Path, device: str = "cpu", seed: int = 0
) -> None:
    """Train the networks that are missing and keep them in a folder.

    Parameters
    ----------
    protocols
        From `missing_trainings`.
    estimator
        A trainable key of the table of estimators.
    cache
        Folder of weights.
    device
        Of the training; see `networks.devices`.
    seed
        Of all draws.
    """
    import torch

    from qmri_bids.training.missing import ensure_weights, spec_for

    torch.set_num_threads(1)  # several would add in another order
    for protocol in protocols:
        spec = replace(spec_for(protocol, estimator), seed=seed)
        ensure_weights(spec, cache=cache, device=device, progress=logger.info)
