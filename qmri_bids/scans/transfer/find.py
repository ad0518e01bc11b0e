"""Which pc-bSSFP runs can be freed of magnetisation transfer, and by which pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qmri_bids.bids.names import derivative_entities
from qmri_bids.physics.excitation.transfer import Relaxometry, line_on_resonance
from qmri_bids.physics.pools import MtPool
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.transfer.run import LABEL, POOLS, RELAXOMETRY, TransferRun


def with_transfer(plan: SessionPlan) -> SessionPlan:
    """Return a plan in which T1 and M0 of pc-bSSFP runs are freed of magnetisation transfer where the session tells the pools.

    Parameters
    ----------
    plan
        Of a session, fingerprints and the sources of their known maps found.
    """
    runs = tuple(found for run in plan.pcbssfp if (found := _transfer(run, plan.exchange)) is not None)
    return replace(plan, transfer=runs)


def _transfer(run: PcBssfpRun, fingerprints: Sequence[ExchangeRun]) -> TransferRun | None:
    giver = _giver(run, fingerprints)
    if run.pulse is None or giver is None or giver.scan.model.mt is None:
        return None
    pool = giver.scan.model.mt
    entities = derivative_entities(run.entities)
    # Where no scan names it, `acq` has a name of its own.
    own = {key: f"{label}{LABEL}" if key == "acq" else label for key, label in entities.items()}
    warnings = () if run.b1 is not None else ("B1 = 1 IS ASSUMED: what the pulses saturate goes with its square.",)
    return TransferRun(
        entities=own,
        relaxometry=Relaxometry(pulse=run.pulse, protocol=run.protocol),
        scan=Take(names=("t1", "t2"), key=RELAXOMETRY, method="pcbssfp", run=run.label),
        pools=Take(
            names=(),
            key=POOLS,
            run=giver.label,
            sentence=f"T1 and M0 of {run.label} are freed of magnetization transfer by the semisolid pool of {giver.label}.",
        ),
        line=line_on_resonance(pool),
        line_name=line_in_words(pool),
        r1=None if pool.t1 is None else 1.0 / pool.t1,
        images=run.paths,
        b1=run.b1,
        grid=run.grid,
        sources=run.sources,
        warnings=warnings,
    )


def _giver(run: PcBssfpRun, fingerprints: Sequence[ExchangeRun]) -> ExchangeRun | None:
    """Return the fingerprint that is solved together with this run, else the first of the session that tells the pool."""
    told = [
        each
        for each in fingerprints
        if each.scan.model.mt is not None
        and each.scan.model.mt.name in each.scan.pools
        and each.relaxometry is not None
        and each.entities.get("ses") == run.entities.get("ses")
    ]
    of_run = [each for each in told if any(take.run == run.label for take in each.known)]
    return next(iter([*of_run, *told]), None)


def line_in_words(pool: MtPool) -> str:
    """Return the line of a semisolid pool in words."""
    return "Lorentzian" if pool.lineshape is None else pool.lineshape.value
