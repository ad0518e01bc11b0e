"""Which T1 the AREX of Z-spectra is divided by: that of pc-bSSFP, of a file, or one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qmri_bids.bids.images import ImageInfo
from qmri_bids.bids.refusal import Refusal, RefusedError
from qmri_bids.pipeline.sources import Take
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import SessionFieldmaps
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.pools.map_files import FREE, MTCORRECTED, description, placed
from qmri_bids.scans.pools.offers import (
    CHECKS,
    T1_SECONDS,
    Check,
    Request,
    Way,
    from_dataset,
    from_derivatives,
    is_apparent,
)
from qmri_bids.scans.saturation.run import T1_KINDS, CestRun, T1Kind, t1_of_run
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.scans.transfer.run import RELAXOMETRY

OPTION = "--arex-t1"

FILES: Mapping[str, Way] = {"dataset": from_dataset, "derivatives": from_derivatives}
"""Places of files by the name that the option takes, the best first."""

ORDER = (
    "pc-bSSFP freed of magnetization transfer, T1map files of the dataset, those of --derivatives, apparent T1 of pc-bSSFP, "
    "--cest-t1"
)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A T1 that AREX could take.

    Parameters
    ----------
    way
        Name of its place as the option takes it.
    shown
        What it is, for a list in a sentence.
    kind
        What T1 it is.
    take
        Where it comes from; None where it cannot be used.
    refusal
        Why it cannot.
    warnings
        Sentences for the run.
    """

    way: str
    shown: str
    kind: T1Kind = "stated"
    take: Take | None = None
    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()


def with_t1(plan: SessionPlan, *, options: FindOptions) -> SessionPlan:
    """Return a plan whose Z-spectra have a T1 for AREX where there is any.

    The best of `ORDER` is taken, or what `--arex-t1` names. Apparent T1 of pc-bSSFP in a file of this program comes after that of a
    run of the call. A T1 that comes first and is refused takes AREX along: a lesser one in its place would look like it.

    Parameters
    ----------
    plan
        Of a session, pc-bSSFP runs that are freed of transfer found.
    options
        Folders of derivatives, the number of `--cest-t1` and what `--arex-t1` names.
    """
    freed = {take.run: run.label for run in plan.transfer for take in run.takes if take.key == RELAXOMETRY}
    linked: list[CestRun] = []
    refusals: list[Refusal] = []
    for run in plan.cest:
        if "t1" in run.use.takes and options.arex_t1 != "none":
            run, refused = _chosen(run, _candidates(run, plan, freed=freed, options=options), asked=options.arex_t1)
            refusals += refused
        linked.append(run)
    return replace(plan, cest=tuple(linked), refusals=tuple(dict.fromkeys([*plan.refusals, *refusals])))


def _candidates(
    run: CestRun, plan: SessionPlan, *, freed: Mapping[str | None, str], options: FindOptions
) -> list[Candidate]:
    """Return every T1 that a run could take, the best first."""
    of_runs: list[Candidate] = []
    apparent = [each for each in plan.pcbssfp if each.entities.get("ses") == run.entities.get("ses")]
    if apparent:
        first = apparent[0].label
        giver = freed.get(first, first)
        kind: T1Kind = "mtcorrected" if first in freed else "apparent"
        warnings: tuple[str, ...] = ()
        if len(apparent) > 1:
            warnings = (f"T1 for AREX is that of {first}, the first of {len(apparent)} pc-bSSFP runs.",)
        take = t1_of_run(giver, kind=kind)
        of_runs.append(Candidate(way="pcbssfp", shown=giver, kind=kind, take=take, warnings=warnings))
    findings = Findings(root=plan.files.root, options=options)
    request = Request(
        label=run.label,
        stages=(run,),
        plan=plan,
        findings=findings,
        b1=SessionB1((), findings=findings),
        fieldmaps=SessionFieldmaps((), findings=findings),
        better=(MTCORRECTED,),
        checks=_CHECKS,
    )
    of_files = [found for way in FILES if (found := _of_files(way, request, places=options.derivatives)) is not None]
    of_number: list[Candidate] = []
    if options.cest_t1 is not None:
        shown = f"{options.cest_t1:g} s"
        take = Take(
            key="t1",
            names=("t1",),
            method="fixed",
            values={"t1": options.cest_t1},
            sentence=f"T1 for AREX is {shown} in every voxel, as asked (--cest-t1).",
        )
        of_number.append(Candidate(way="number", shown=f"--cest-t1 {shown}", kind="number", take=take))
    return [*sorted([*of_runs, *of_files], key=_rank), *of_number]


def _rank(candidate: Candidate) -> tuple[bool, bool]:
    """Return what comes first: not the apparent T1 of pc-bSSFP, and of the others that of a run of the call."""
    return candidate.kind == "apparent", candidate.way != "pcbssfp"


def _t1(info: ImageInfo, place: Path) -> tuple[str, ...]:
    """Check a map of T1; what it does to AREX is said of its kind."""
    return T1_SECONDS(info, place)


_CHECKS: Mapping[str, Check] = {**CHECKS, "t1": _t1}


def _of_files(way: str, request: Request, *, places: Mapping[str, Path]) -> Candidate | None:
    """Return the T1map of the dataset or of derivatives, None if there is none."""
    try:
        offer = FILES[way]("t1", request)
    except RefusedError as error:
        return Candidate(way=way, shown=f"{error.refusal.file} ({error.refusal.found})", refusal=error.refusal)
    finally:
        request.taken.clear()
    if offer.source is None:
        return None
    path = offer.source.files["t1"]
    root = request.findings.root if way == "dataset" else next(each for each in places.values() if each in path.parents)
    kind: T1Kind = "stated"
    if is_apparent(path, place=root):
        kind = "apparent"
    elif description(path) == FREE:
        kind = "free"
    elif description(path) == MTCORRECTED:
        kind = "mtcorrected"
    sentence = f"T1 for AREX is that of {offer.source.sentence}, {placed(offer.source.image)}: {T1_KINDS[kind]}."
    take = replace(offer.source, key="t1", sentence=sentence)
    return Candidate(way=way, shown=offer.source.sentence, kind=kind, take=take, warnings=offer.warnings)


def _chosen(run: CestRun, found: Sequence[Candidate], *, asked: str) -> tuple[CestRun, list[Refusal]]:
    """Return a run with the first T1, or the one that was asked for, and what is refused."""
    wanted = [each for each in found if asked in ("auto", each.way)]
    if not wanted:
        if asked == "auto":
            return run, []
        there = ", ".join(each.shown for each in found) or "no T1"
        return _without(
            run,
            Refusal(
                file=run.label,
                key=OPTION,
                expected=f"T1 for AREX from {asked}",
                found=f"none there ({there} elsewhere)",
                advice=f"State T1 in seconds with --cest-t1, or leave {OPTION} out."
                if asked == "number"
                else f"Add it, or leave {OPTION} out.",
            ),
        )
    best = wanted[0]
    if best.take is None:
        assert best.refusal is not None
        return _without(run, best.refusal)
    others = [each for each in found if each is not best]
    sentence = best.take.sentence
    if others:
        why = f"as asked ({OPTION} {asked})" if asked != "auto" else f"the first of this order: {ORDER}"
        passed = "; ".join(f"{each.shown} ({T1_KINDS[each.kind]})" for each in others)
        sentence += f" It was taken {why}; not taken: {passed}. {OPTION} chooses."
    take = replace(best.take, sentence=sentence)
    return replace(run, t1=take, t1_kind=best.kind, warnings=(*run.warnings, *best.warnings)), []


def _without(run: CestRun, refusal: Refusal) -> tuple[CestRun, list[Refusal]]:
    """Return a run without T1 that says why."""
    return replace(run, warnings=(*run.warnings, f"AREX IS LEFT OUT, its T1 is refused: {refusal}")), [refusal]
