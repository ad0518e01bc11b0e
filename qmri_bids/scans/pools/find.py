"""From fingerprints to runs from which pool fractions and exchange rates are estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qmri_bids.bids.names import derivative_entities
from qmri_bids.bids.refusal import RefusedError
from qmri_bids.physics.fingerprint import ExchangeScan
from qmri_bids.pipeline.run import Run
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import SessionFieldmaps
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings, check_unique
from qmri_bids.scans.pools.known_maps import choose_known
from qmri_bids.scans.pools.offers import Request
from qmri_bids.scans.pools.pools import PoolChoice, check_pools, choose_pools, pool_sentences
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.pools.stages import (
    AMIDE_WITHIN,
    FEWEST_IMAGES,
    MT_NEAREST,
    Fingerprint,
    exchange_names,
    group_stages,
)
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.session_plan import SessionPlan


def with_exchange(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan whose fingerprints are exchange runs with the sources of their known maps.

    Parameters
    ----------
    plan
        Of a session, runs that are not processed left out: maps are taken of those that remain.
    options
        What the user asked for.
    """
    series = [run for run in plan.cest if run.kind == "fingerprint"]
    if not series:
        return plan
    findings = Findings(root=plan.files.root, options=options)
    plan = replace(plan, cest=tuple(run for run in plan.cest if run not in series))
    try:
        pools = choose_pools(options.cest_pools)
    except RefusedError as error:
        return replace(plan, refusals=(*plan.refusals, error.refusal))
    groups, others = group_stages(series, amide_shift=pools.amide_shift)
    findings.notes += [_left_alone(run, pools) for run in others]
    b1 = SessionB1(plan.files.b1, findings=findings, cest=plan.cest)
    fieldmaps = SessionFieldmaps(plan.files.fieldmaps, findings=findings)
    runs: list[ExchangeRun] = []
    alone = [group.stages[0] for group in groups if len(group.stages) == 1]
    for group in groups:
        try:
            run = _named(group, pools, taken=[*plan.runs, *alone], others=[*plan.runs, *runs])
            request = Request(
                label=run.label, fingerprint=group, plan=plan, findings=findings, b1=b1, fieldmaps=fieldmaps
            )
            known = choose_known(request)
            refused = _refused_stages(plan) if len(group.stages) == 1 else ()
            runs.append(replace(run, known=known.sources, warnings=(*run.warnings, *refused, *known.warnings)))
        except RefusedError as error:
            findings.refusals.append(error.refusal)
    return replace(
        plan,
        exchange=tuple(runs),
        b1=(*plan.b1, *(each for each in b1.runs if each not in plan.b1)),
        # Scans were read before: what is wrong with them has been said.
        refusals=tuple(dict.fromkeys([*plan.refusals, *findings.refusals])),
        notes=tuple(dict.fromkeys([*plan.notes, *findings.notes])),
    )


def _named(group: Fingerprint, pools: PoolChoice, *, taken: Sequence[Run], others: Sequence[Run]) -> ExchangeRun:
    """Return the run of a fingerprint, its known maps not yet chosen.

    Parameters
    ----------
    group, pools
        The fingerprint and its model.
    taken
        Runs whose `acq` a pair of stages does not take.
    others
        Runs whose maps must have other names.

    Raises
    ------
    RefusedError
        If the model lacks a pool, or the names of its maps are those of another run.
    """
    check_pools(pools, group.pools, label=group.stages[0].label)
    session = group.stages[0].entities.get("ses")
    labels = [run.entities.get("acq", "") for run in taken if run.entities.get("ses") == session]
    names = exchange_names(group.stages, taken=labels)
    used = [derivative_entities(run.entities) for run in others]
    run = ExchangeRun(
        entities=next((each for each in names if derivative_entities(each) not in used), names[-1]),
        stages=group.stages,
        scan=ExchangeScan(
            protocols=tuple(stage.protocol for stage in group.stages), model=pools.model, pools=group.pools
        ),
        known=(),
        sources=(*(source for stage in group.stages for source in stage.sources), *pools.sources),
        warnings=(
            *(sentence for stage in group.stages for sentence in stage.warnings),
            *group.warnings,
            *pools.warnings,
        ),
        decisions=pool_sentences(pools, group.pools),
    )
    check_unique(run, others)
    return run


def _refused_stages(plan: SessionPlan) -> tuple[str, ...]:
    """Say of a stage that is alone which series of the session were refused: one of them may be its other half."""
    files = sorted({refusal.file for refusal in plan.refusals if "_cest" in refusal.file})
    if not files:
        return ()
    return (
        f"THIS STAGE IS ESTIMATED ALONE, while {', '.join(files)} was refused: if that is the other stage, mend it first, since "
        "both together tell more.",
    )


def _left_alone(run: CestRun, pools: PoolChoice) -> str:
    return (
        f"{run.label}: several saturation powers at few offsets, a fingerprint, but no pool that it can tell: that takes "
        f"{FEWEST_IMAGES} images of two powers at {MT_NEAREST:g} ppm from water or further (semisolid pool), or within "
        f"{AMIDE_WITHIN:g} ppm of {pools.amide_shift:+g} ppm (amide). Left alone."
    )
