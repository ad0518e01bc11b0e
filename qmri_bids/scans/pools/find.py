"""From fingerprints to runs from which pool fractions and exchange rates are estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qmri_bids.bids.names import derivative_entities
from qmri_bids.bids.refusal import Refusal, RefusedError, refusal_of, refuse
from qmri_bids.physics.excitation.transfer import Relaxometry, line_on_resonance
from qmri_bids.physics.fingerprint import KNOWN, ExchangeScan
from qmri_bids.pipeline.run import Run
from qmri_bids.pipeline.sources import Take
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.bssfp.run import PcBssfpRun
from qmri_bids.scans.fieldmap.find import SessionFieldmaps
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings, check_unique
from qmri_bids.scans.pools.fitted_water import FIT_OPTION, with_fitted_water
from qmri_bids.scans.pools.offers import (
    Offer,
    Request,
    Way,
    assumed,
    from_b1_scan,
    from_dataset,
    from_derivatives,
    from_fieldmap,
    from_number,
    from_relaxometry,
    from_wasabi,
    from_wassr,
)
from qmri_bids.scans.pools.pools import (
    OPTION,
    PUBLISHED_AMIDE,
    PoolChoice,
    check_pools,
    check_protons,
    choose_pools,
    concentration_sentences,
    pool_sentences,
)
from qmri_bids.scans.pools.run import ExchangeRun
from qmri_bids.scans.pools.stages import (
    AMIDE_WITHIN,
    FEWEST_IMAGES,
    MT_NEAREST,
    SOLUTE_WITHIN,
    Fingerprint,
    beside_amide,
    distance_sentences,
    exchange_names,
    group_stages,
)
from qmri_bids.scans.saturation.run import CestRun
from qmri_bids.scans.session_plan import SessionPlan

RELAXATION = ("t1", "t2")

WAYS: Mapping[str, tuple[Way, ...]] = {
    "t1": (from_relaxometry, from_dataset, from_derivatives, from_number),
    "t2": (from_relaxometry, from_dataset, from_derivatives, from_number),
    "b1": (from_b1_scan, from_wasabi, from_derivatives, assumed),
}
"""Ways to each map, the best first."""

B0_WAYS: Mapping[str, tuple[Way, ...]] = {
    "wasabi": (from_wasabi,),
    "wassr": (from_wassr,),
    "pcbssfp": (from_relaxometry,),
    "fieldmap": (from_fieldmap, from_derivatives),
}
"""Ways to off-resonance by the name that `--cest-b0` takes, the best first. Both pc-bSSFP and a field map serve: pc-bSSFP comes
first, since its T1 and T2 are registered to the fingerprint in the same call."""

_FOUR_WAYS = (
    "Scan pc-bSSFP in the session, put T1map and T2map files into anat/, name a folder that holds them with --derivatives, or give "
    "one value for every voxel with --cest-t1 and --cest-t2 (seconds). Where the images tell them, --cest-fit-water T1 T2 has them "
    "fitted along with the pools."
)


@dataclass(frozen=True, kw_only=True)
class KnownMaps:
    """Sources that together give every known map once, sentences for the run, and the times of water that are fitted instead."""

    sources: tuple[Take, ...]
    warnings: tuple[str, ...]
    fitted: tuple[str, ...] = ()


def choose_known(request: Request) -> KnownMaps:
    """Choose where the known maps of a fingerprint come from.

    Parameters
    ----------
    request
        The fingerprint and its surroundings.

    Raises
    ------
    RefusedError
        If a map is missing, several could be meant, or one is unusable.
    """
    offers: dict[str, Offer] = {}
    closed: dict[str, list[str]] = {}
    for name in RELAXATION:
        offers[name], closed[name] = _first(name, WAYS[name], request)
    without = [name for name in RELAXATION if offers[name].source is None]
    fitted = tuple(name for name in without if name in (request.findings.options.cest_fit_water or ()))
    missing = [name for name in without if name not in fitted]
    if missing:
        raise _no_relaxation(missing, closed[missing[0]], request)
    offers["b1"], closed["b1"] = _first("b1", WAYS["b1"], request)
    if offers["b1"].source is None:
        raise _no_b1(closed["b1"], request)
    offers["off_resonance"] = _off_resonance(request)
    chosen = [offers[name] for name in KNOWN if name not in fitted]
    warnings = [sentence for offer in chosen for sentence in offer.warnings]
    return KnownMaps(
        sources=_joined(chosen),
        warnings=tuple(dict.fromkeys([*warnings, *_unused_numbers(offers, request), *_unused_wishes(offers, request)])),
        fitted=fitted,
    )


def _first(name: str, ways: Sequence[Way], request: Request) -> tuple[Offer, list[str]]:
    """Return the first way that is open, or a closed one, and why those before it are closed."""
    reasons: list[str] = []
    for way in ways:
        offer = way(name, request)
        if offer.source is not None:
            return offer, reasons
        reasons.append(offer.reason)
    return Offer(), reasons


def _off_resonance(request: Request) -> Offer:
    """Return the source of off-resonance.

    Raises
    ------
    RefusedError
        If there is none of the kind that was asked for.
    """
    name = "off_resonance"
    asked = request.findings.options.cest_b0
    ways = [way for key, own in B0_WAYS.items() if asked in ("auto", key) for way in own]
    offer, reasons = _first(name, (*ways, from_number), request)
    if offer.source is None:
        kinds = ", ".join(B0_WAYS)
        raise refuse(
            file=request.label,
            key="--cest-b0" if asked != "auto" else "B0",
            expected=f"off-resonance for this fingerprint ({kinds if asked == 'auto' or not ways else asked})",
            found=f"none: {'; '.join(reasons)}"
            if ways
            else f"{asked}: several powers at few offsets have no dip to read it from",
            advice="Add one, or give one value for every voxel with --cest-off-resonance (Hz)."
            if asked == "auto"
            else "Add one, or run with --cest-b0 auto.",
        )
    if asked != "auto" and offer.source.method != "fixed":
        return replace(offer, remarks=(f"off-resonance as asked (--cest-b0 {asked})", *offer.remarks))
    return offer


def _joined(offers: Sequence[Offer]) -> tuple[Take, ...]:
    """Return the sources, those of one scan as one, each with a whole sentence."""
    scans: dict[object, list[Offer]] = {}
    for place, offer in enumerate(offers):
        scans.setdefault(offer.scan or place, []).append(offer)
    return tuple(_one(same) for same in scans.values())


def _one(same: Sequence[Offer]) -> Take:
    sources = [offer.source for offer in same if offer.source is not None]
    names = tuple(name for source in sources for name in source.names)
    shown = [KNOWN_QUANTITIES[name].bare_phrase for name in names]
    listed = " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
    origins = " and ".join(dict.fromkeys(source.sentence for source in sources))
    first = sources[0]
    if first.method == "maps":
        origins += ", placed by scanner coordinates" if first.image is None else f", registered by {first.image.name}"
    remarks = "".join(f"; {remark}" for offer in same for remark in offer.remarks)
    return replace(
        first,
        names=names,
        key="",
        files={name: path for source in sources for name, path in source.files.items()},
        stdev_files={name: path for source in sources for name, path in source.stdev_files.items()},
        factors={name: factor for source in sources for name, factor in source.factors.items()},
        sentence=f"{listed[0].upper()}{listed[1:]} {'come' if len(shown) > 1 else 'comes'} from {origins}{remarks}.",
    )


def _unused_numbers(offers: Mapping[str, Offer], request: Request) -> list[str]:
    """Return a sentence for every number that was given and is not needed."""
    return [
        f"{quantity.taken.option} is not used: there is a map of {quantity.bare_phrase}."
        for name, quantity in KNOWN_QUANTITIES.items()
        if quantity.taken.option is not None
        and getattr(request.findings.options, f"cest_{name}") is not None
        and (source := offers[name].source) is not None
        and source.method != "fixed"
    ]


def _unused_wishes(offers: Mapping[str, Offer], request: Request) -> list[str]:
    """Return a sentence for every relaxation time that was to be fitted and is known."""
    return [
        f"{FIT_OPTION} {KNOWN_QUANTITIES[name].name} is not used: {KNOWN_QUANTITIES[name].bare_phrase} is known."
        for name in request.findings.options.cest_fit_water or ()
        if offers[name].source is not None
    ]


def _no_relaxation(missing: Sequence[str], reasons: Sequence[str], request: Request) -> RefusedError:
    shown = " and ".join(KNOWN_QUANTITIES[name].bare_phrase for name in missing)
    return refuse(
        file=request.label,
        key=f"{shown} map{'s' if len(missing) > 1 else ''}",
        expected=f"{shown} of the same subject and session",
        found=f"none: {'; '.join(reasons)}",
        advice=_FOUR_WAYS,
    )


def _no_b1(reasons: Sequence[str], request: Request) -> RefusedError:
    return refuse(
        file=request.label,
        key="B1 map",
        expected="a B1 scan of the session (TB1TFL or TB1map), a WASABI run, or a TB1map in a folder of --derivatives",
        found=f"none: {'; '.join(reasons)}",
        advice="Add one, or run with --no-b1 to assume B1 = 1: fractions and rates then carry the error of B1.",
    )


def with_exchange(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan whose fingerprints are exchange runs with the sources of their known maps.

    Parameters
    ----------
    plan
        Of a session, runs that are not processed left out: maps are taken of those that remain.
    options
        What the user asked for.
    """
    series = [run for run in plan.cest if run.use.together]
    if not series:
        return plan
    findings = Findings(root=plan.files.root, options=options)
    plan = replace(plan, cest=tuple(run for run in plan.cest if run not in series))
    try:
        pools = choose_pools(options.cest_pools)
        protons = check_protons(pools, options.cest_protons or {})
    except Exception as error:
        return replace(plan, refusals=(*plan.refusals, refusal_of(error, file=str(options.cest_pools))))
    groups, others = group_stages(series, choice=pools)
    unasked = [] if pools.from_file else [run for run in others if beside_amide(run)]
    findings.refusals += [_not_amide(run).refusal for run in unasked]
    findings.notes += [_left_alone(run, pools) for run in others if run not in unasked]
    b1 = SessionB1(plan.files.b1, findings=findings, cest=plan.cest)
    fieldmaps = SessionFieldmaps(plan.files.fieldmaps, findings=findings)
    runs: list[ExchangeRun] = []
    alone = [group.stages[0] for group in groups if len(group.stages) == 1]
    for group in groups:
        try:
            run = _named(group, pools, protons, taken=[*plan.runs, *alone], others=[*plan.runs, *runs])
            request = Request(
                label=run.label, stages=group.stages, plan=plan, findings=findings, b1=b1, fieldmaps=fieldmaps
            )
            known = choose_known(request)
            refused = _refused_stages([*plan.refusals, *findings.refusals]) if len(group.stages) == 1 else ()
            run = replace(run, known=known.sources, warnings=(*run.warnings, *refused, *known.warnings))
            run = with_fitted_water(run, known.fitted)
            runs.append(_with_relaxometry(run, plan.pcbssfp))
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=group.stages[0].label))
    return replace(
        plan,
        exchange=tuple(runs),
        b1=(*plan.b1, *(each for each in b1.runs if each not in plan.b1)),
        # Scans were read before: what is wrong with them has been said.
        refusals=tuple(dict.fromkeys([*plan.refusals, *findings.refusals])),
        notes=tuple(dict.fromkeys([*plan.notes, *findings.notes])),
    )


def _with_relaxometry(run: ExchangeRun, scans: Sequence[PcBssfpRun]) -> ExchangeRun:
    """Return a run that knows which bSSFP scan has seen its T1, and says so: T1 and pools are solved together then."""
    label = next((source.run for source in run.known if "t1" in source.names and source.method == "pcbssfp"), None)
    scan = next((each for each in scans if each.label == label), None)
    pool = run.scan.model.mt
    if scan is None or scan.hard_pulses:
        return run
    if scan.pulse is None or pool is None or pool.name not in run.scan.pools:
        why = "its excitation pulse is not known" if scan.pulse is None else "no semisolid pool is estimated here"
        sentence = (
            f"T1 of {scan.label} IS APPARENT, lowered by magnetization transfer, and cannot be freed of it: {why}. "
            "Fractions and rates come out 5 to 40 % too high, amide's too."
        )
        return replace(run, warnings=(*run.warnings, sentence))
    sentence = (
        f"T1 of {scan.label} is apparent, lowered by magnetization transfer under its pulse ({scan.pulse.name}): "
        "T1 of free water and "
        f"the pools are solved in one model, in which the semisolid pool has G(0) = {1e6 * line_on_resonance(pool):.3g} µs and "
        f"{'R1 of free water' if pool.t1 is None else f'T1 of {pool.t1:g} s'}."
    )
    return replace(
        run,
        relaxometry=Relaxometry(pulse=scan.pulse, protocol=scan.protocol),
        decisions=(*run.decisions, sentence),
    )


def _named(
    group: Fingerprint,
    pools: PoolChoice,
    protons: Mapping[str, float],
    *,
    taken: Sequence[Run],
    others: Sequence[Run],
) -> ExchangeRun:
    """Return the run of a fingerprint, its known maps not yet chosen.

    Parameters
    ----------
    group, pools, protons
        The fingerprint, its model, and the protons of molecules by the name of the pool.
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
            *(_without_m0(stage) for stage in group.stages if "m0" not in stage.roles),
            *distance_sentences(group.stages, [pool for pool in pools.model.cest if pool.name in group.pools]),
            *pools.warnings,
        ),
        decisions=(*pool_sentences(pools, group.pools), *concentration_sentences(protons, pools=group.pools)),
        protons={name: number for name, number in protons.items() if name in group.pools},
    )
    check_unique(run, others)
    return run


def _refused_stages(refusals: Sequence[Refusal]) -> tuple[str, ...]:
    """Say of a stage that is alone which series of the session were refused: one of them may be its other half."""
    files = sorted({refusal.file for refusal in refusals if "_cest" in refusal.file})
    if not files:
        return ()
    return (
        f"THIS STAGE IS ESTIMATED ALONE, while {', '.join(files)} was refused: if that is the other stage, mend it first, since "
        "both together tell more.",
    )


def _left_alone(run: CestRun, pools: PoolChoice) -> str:
    near = (
        f"within {SOLUTE_WITHIN:g} ppm of the shift of a pool of {pools.origin}"
        if pools.from_file
        else f"within {AMIDE_WITHIN:g} ppm of {PUBLISHED_AMIDE.shift:+g} ppm (amide)"
    )
    return (
        f"{run.label}: several saturation powers at few offsets, a fingerprint, but no pool that it can tell: that takes "
        f"{FEWEST_IMAGES} images of two powers at {MT_NEAREST:g} ppm from water or further (semisolid pool), or {near}. Other "
        f"pools are estimated by {OPTION} FILE, which names their shifts. Left alone."
    )


def _without_m0(stage: CestRun) -> str:
    return (
        f"{stage.label} has no M0: its scale is one of the unknowns of the fit, and its error goes into fractions and rates, as "
        "their standard deviations say."
    )


def _not_amide(run: CestRun) -> RefusedError:
    """Return why a series near amide is not taken for one of amide."""
    offsets = beside_amide(run)
    return refuse(
        file=run.label,
        key="offsets",
        expected=f"offsets within {AMIDE_WITHIN:g} ppm of {PUBLISHED_AMIDE.shift:+g} ppm, where amide resonates",
        found=", ".join(f"{offset:g}" for offset in offsets) + " ppm, where other pools do",
        advice=f"Name the pool with its shift in a file of pulseq-CEST ({OPTION} FILE); amide too, if it is meant.",
    )
