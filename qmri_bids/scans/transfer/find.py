"""Which pc-bSSFP runs can be freed of magnetisation transfer, and by which pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qmri_bids.bids.names import derivative_entities
from qmri_bids.bids.refusal import Refusal, refusal_of
from qmri_bids.estimation.one_model.bias import R1
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import Relaxometry, line_on_resonance
from qmri_bids.physics.pools import MtPool
from qmri_bids.physics.published_pools import PUBLISHED_POOLS
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.pools.map_files import FREED_LABEL
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.transfer.pairs import in_words, other_run
from qmri_bids.scans.transfer.pool_files import find_pool_files, fraction_file
from qmri_bids.scans.transfer.run import POOLS, RELAXOMETRY, TransferRun


def with_transfer(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan in which T1 and M0 of pc-bSSFP runs are freed of magnetisation transfer where something tells the pools.

    A fingerprint of the session goes before maps in files of the dataset, these before those of derivatives, and all of them before
    another pc-bSSFP run of the session whose pulses saturate the pool differently.

    Parameters
    ----------
    plan
        Of a session, fingerprints and the sources of their known maps found.
    options
        Folders of derivatives.
    """
    runs: list[TransferRun] = []
    refusals: list[Refusal] = []
    notes: list[str] = []
    for run in plan.pcbssfp:
        try:
            giver = _giver(run, plan.exchange)
            if giver is not None:
                found = _by_fingerprint(run, giver)
            elif run.pulse is not None:
                found = _by_files(run, plan, options=options)
                if found is None:
                    found, reasons = _by_other_run(run, plan.pcbssfp)
                    notes += reasons
            else:
                found = None
                notes += _without_pulse(run, plan, options=options)
            taken = [each for each in (*plan.runs, *runs) if each not in plan.transfer]
            runs += [] if found is None else [_with_own_name(found, taken)]
        except Exception as error:
            refusal = refusal_of(error, file=f"{run.label}, to be freed of magnetization transfer")
            advice = f"{refusal.advice} T1 of {run.label} is left apparent until then."
            refusals.append(replace(refusal, advice=advice))
    return replace(
        plan,
        transfer=tuple(runs),
        refusals=tuple(dict.fromkeys([*plan.refusals, *refusals])),
        notes=tuple(dict.fromkeys([*plan.notes, *notes])),
    )


def _by_fingerprint(run: PcBssfpRun, giver: ExchangeRun) -> TransferRun | None:
    pool = giver.scan.model.mt
    if run.pulse is None or pool is None:
        return None
    sentence = f"T1 and M0 of {run.label} are freed of magnetization transfer by the semisolid pool of {giver.label}."
    return _freed(run, pulse=run.pulse, pools=Take(names=(), key=POOLS, run=giver.label, sentence=sentence), pool=pool)


def _by_files(run: PcBssfpRun, plan: SessionPlan, *, options: FindOptions) -> TransferRun | None:
    found = find_pool_files(
        _places(plan, options), subject=plan.subject, session=run.entities.get("ses"), like=run.paths
    )
    pool = PUBLISHED_POOLS.mt
    if found is None or run.pulse is None or pool is None:
        return None
    sentence = (
        f"T1 and M0 of {run.label} are freed of magnetization transfer by the semisolid pool of {found.take.sentence}."
    )
    made = _freed(run, pulse=run.pulse, pools=replace(found.take, sentence=sentence), pool=pool)
    return replace(made, stored=found.stored, warnings=(*made.warnings, *found.warnings))


def _by_other_run(run: PcBssfpRun, runs: Sequence[PcBssfpRun]) -> tuple[TransferRun | None, list[str]]:
    """Return a run that is freed by itself and another one; where none serves, why not."""
    pool = PUBLISHED_POOLS.mt
    if run.pulse is None or pool is None:
        return None, []
    pair, reasons = other_run(run, runs, line=line_on_resonance(pool))
    if pair is None:
        return None, reasons
    first, second = in_words(run, pair.rates[0]), in_words(pair.run, pair.rates[1])
    sentence = (
        f"T1 and M0 of {run.label} are freed of magnetization transfer by the semisolid pool that {first} and {second} tell "
        "together, whose pulses saturate it differently: its fraction is that of regions, its exchange rate, R1 and line are "
        "those of the literature."
    )
    pools = Take(names=("t1", "t2"), key=POOLS, method="pcbssfp", run=pair.run.label, sentence=sentence)
    made = _freed(run, pulse=run.pulse, pools=pools, pool=pool)
    return replace(made, other=pair.relaxometry, r1=R1), []


def _without_pulse(run: PcBssfpRun, plan: SessionPlan, *, options: FindOptions) -> list[str]:
    """Say of a map of the semisolid pool why it frees nothing."""
    for place in _places(plan, options).values():
        found = fraction_file(place, subject=plan.subject, session=run.entities.get("ses"), like=run.paths)
        if found is not None:
            return [
                f"{run.label}: {found[0].name} tells the semisolid pool, but T1 cannot be freed of magnetization transfer by it: "
                "the excitation pulse of this run is not known (RFPulseDuration and RFPulseShape of the sidecar, or "
                "--excitation-pulse)."
            ]
    return []


def _places(plan: SessionPlan, options: FindOptions) -> dict[str, Path]:
    """Return where maps in files are looked for, by what sentences call it."""
    shown = {f"the derivatives {name}": folder for name, folder in options.derivatives.items()}
    return {"the dataset": plan.files.root, **shown}


def _freed(run: PcBssfpRun, *, pulse: ExcitationPulse, pools: Take, pool: MtPool) -> TransferRun:
    """Return a run that is freed by a pool of this line and relaxation."""
    entities = derivative_entities(run.entities)
    # Where no scan names it, `acq` has a name of its own.
    own = {key: f"{label}{FREED_LABEL}" if key == "acq" else label for key, label in entities.items()}
    warnings = () if run.b1 is not None else ("B1 = 1 IS ASSUMED: what the pulses saturate goes with its square.",)
    return TransferRun(
        entities=own,
        relaxometry=Relaxometry(pulse=pulse, protocol=run.protocol),
        scan=Take(names=("t1", "t2"), key=RELAXOMETRY, method="pcbssfp", run=run.label),
        pools=pools,
        line=line_on_resonance(pool),
        line_name=line_in_words(pool),
        r1=None if pool.t1 is None else 1.0 / pool.t1,
        images=run.paths,
        b1=run.b1,
        grid=run.grid,
        sources=run.sources,
        warnings=warnings,
    )


def _with_own_name(run: TransferRun, others: Sequence[Run]) -> TransferRun:
    """Return a run whose files have names that no other run has, whatever scans are called."""
    taken = [derivative_entities(each.entities) for each in others]
    before = run.entities["acq"]
    for more in ("", "freed", *(f"freed{number}" for number in range(2, len(taken) + 3))):
        entities = {**run.entities, "acq": f"{before}{more}"}
        if derivative_entities(entities) not in taken:
            return replace(run, entities=entities)
    raise ValueError(f"{run.label}: no name is left for what is freed")  # there are more of them than runs


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
