"""Ways to the known maps of a fingerprint: another run, a B1 scan, a field map, a map in a file, or a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from qmri_bids.bids.images import AFFINE_TOLERANCE
from qmri_bids.bids.sidecar import read_sidecar
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import SessionFieldmaps
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.nearest import nearest_run
from qmri_bids.scans.pools.map_files import MapFile, find_map
from qmri_bids.scans.pools.run import KnownSource
from qmri_bids.scans.pools.stages import Fingerprint
from qmri_bids.scans.session_plan import SessionPlan

NO_B1 = (
    "NO B1 MAP IS USED: B1 = 1 is assumed everywhere. The power of saturation goes with the square of B1, so that fractions and "
    "rates carry its error, which reaches 30 % in a head at 3 T."
)


@dataclass(kw_only=True)
class Request:
    """A fingerprint that needs maps, and what it can choose from.

    Parameters
    ----------
    label
        Of the run.
    fingerprint
        Its stages.
    plan
        Runs of the subject that are processed.
    findings
        The dataset, and what the user asked for.
    b1, fieldmaps
        Of the subject.
    taken
        Map files that were taken already, by name.
    """

    label: str
    fingerprint: Fingerprint
    plan: SessionPlan
    findings: Findings
    b1: SessionB1
    fieldmaps: SessionFieldmaps
    taken: dict[str, MapFile] = field(default_factory=dict)

    @property
    def session(self) -> str | None:
        """Label of the session, None outside of sessions."""
        return self.fingerprint.stages[0].entities.get("ses")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A source of one map, or why a way is closed.

    Parameters
    ----------
    source
        Its sentence is the end of one: where the map comes from. None where the way is closed.
    reason
        Why it is closed.
    remarks
        What is added to the sentence of the source.
    warnings
        Sentences for the run.
    scan
        What sources have in common that are registered together.
    """

    source: KnownSource | None = None
    reason: str = ""
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    scan: object = None


Way = Callable[[str, Request], Offer]


def from_relaxometry(name: str, request: Request) -> Offer:
    """Offer a map of the pc-bSSFP run of the session."""
    runs = [run for run in request.plan.pcbssfp if run.entities.get("ses") == request.session]
    if not runs:
        return Offer(reason="the session has no pc-bSSFP run that is processed")
    run = runs[0]
    where = f"the pc-bSSFP run {run.label}"
    if len(runs) > 1:
        where += f", the first of {len(runs)}"
    remarks: tuple[str, ...] = ()
    if name == "off_resonance":
        period = 1.0 / run.protocol.repetition_time
        remarks = (f"off-resonance is known up to multiples of {period:.0f} Hz, the inverse of TR",)
    source = KnownSource(names=(name,), method="pcbssfp", run=run.label, sentence=where)
    return Offer(source=source, remarks=remarks, scan=("run", run.label))


def from_wasabi(name: str, request: Request) -> Offer:
    """Offer a map of the nearest WASABI run."""
    return _from_cest(name, request, "wasabi")


def from_wassr(name: str, request: Request) -> Offer:
    """Offer a map of the nearest WASSR run."""
    return _from_cest(name, request, "wassr")


def _from_cest(name: str, request: Request, kind: Literal["wasabi", "wassr"]) -> Offer:
    runs = [run for run in request.plan.cest if run.kind == kind and run.entities.get("ses") == request.session]
    run, phrase = nearest_run(request.fingerprint.stages[0], runs)
    if run is None:
        return Offer(reason=f"the session has no {kind.upper()} run")
    source = KnownSource(names=(name,), method=kind, run=run.label, sentence=f"the {kind.upper()} run {phrase}")
    return Offer(source=source, scan=("run", run.label))


def from_b1_scan(name: str, request: Request) -> Offer:
    """Offer the B1 scan of the session.

    Raises
    ------
    RefusedError
        If several could be meant.
    """
    if request.findings.options.no_b1:
        return Offer(reason="B1 scans are not used, as asked (--no-b1)")
    stages = request.fingerprint.stages
    images = [stage.image for stage in stages]
    sidecars = [read_sidecar(image, root=request.findings.root) for image in images]
    chosen, sentences = request.b1.choose_scan(request.session, images=images, sidecars=sidecars, label=request.label)
    if chosen is None:
        refused = request.b1.read(request.session)[1]
        found = "; ".join(f"{each.file}: {each.found}" for each in refused)
        return Offer(reason=f"the session has no B1 scan that can be used{f' ({found})' if found else ''}")
    source = KnownSource(names=(name,), method="b1", b1_run=chosen, sentence=f"the B1 scan {chosen.map.name}")
    return Offer(source=source, warnings=sentences, scan=("b1", chosen.map))


def from_fieldmap(name: str, request: Request) -> Offer:
    """Offer the field map of the session that belongs to a stage."""
    reason = ""
    for stage in request.fingerprint.stages:
        sidecar = read_sidecar(stage.image, root=request.findings.root)
        choice = request.fieldmaps.choose(request.session, image=stage.image, sidecar=sidecar)
        if choice.fieldmap is not None:
            source = KnownSource(
                names=(name,),
                method="fieldmap",
                files={name: choice.fieldmap.path},
                image=choice.fieldmap.magnitude,
                fieldmap=choice.fieldmap,
                sentence=f"the field map {choice.fieldmap.path.name}: {choice.reason}",
            )
            return Offer(source=source, warnings=choice.fieldmap.warnings, scan=("fieldmap", choice.fieldmap.path))
        reason = reason or choice.reason
    return Offer(reason=reason)


def from_dataset(name: str, request: Request) -> Offer:
    """Offer a map in a file of the dataset itself.

    Raises
    ------
    RefusedError
        As `map_files.find_map`.
    """
    offer = _from_folder(name, request, {"the dataset": request.findings.root})
    return offer or Offer(
        reason=f"the dataset holds no {KNOWN_QUANTITIES[name].written.suffix} of this subject and session"
    )


def from_derivatives(name: str, request: Request) -> Offer:
    """Offer a map in a file of a folder that the user named.

    Raises
    ------
    RefusedError
        As `map_files.find_map`.
    """
    folders = request.findings.options.derivatives
    shown = {f"the derivatives {each}": folder for each, folder in folders.items()}
    reason = f"no folder of --derivatives holds a {KNOWN_QUANTITIES[name].written.suffix} of this subject and session"
    return _from_folder(name, request, shown) or Offer(reason=reason if folders else "no --derivatives are named")


def _from_folder(name: str, request: Request, places: Mapping[str, Path]) -> Offer | None:
    like = [*(taken.path for taken in request.taken.values()), *(each.image for each in request.fingerprint.stages)]
    for shown, place in places.items():
        found = find_map(name, place=place, subject=request.plan.subject, session=request.session, like=like)
        if found is None:
            continue
        request.taken[name] = found
        source = KnownSource(
            names=(name,),
            method="maps",
            files={name: found.path},
            stdev_files={} if found.stdev is None else {name: found.stdev},
            image=found.image,
            sentence=f"{found.path.name} of {shown}",
        )
        return Offer(source=source, warnings=found.warnings, scan=("maps", found.image, *_grid(found)))
    return None


def _grid(found: MapFile) -> tuple[object, ...]:
    """Return what maps on one grid have in common."""
    affine = (found.info.affine / AFFINE_TOLERANCE).round().astype(int)
    return found.info.shape, tuple(affine.ravel().tolist())


def from_number(name: str, request: Request) -> Offer:
    """Offer one number for every voxel, where the user gave one."""
    quantity = KNOWN_QUANTITIES[name]
    option, unit = quantity.taken.option, quantity.taken.unit
    value = getattr(request.findings.options, f"cest_{name}")
    if value is None:
        return Offer(reason=f"{option} is not given")
    shown = f"{value:g} {unit}"
    source = KnownSource(
        names=(name,), method="fixed", values={name: value}, sentence=f"{option}: {shown} for every voxel"
    )
    warning = (
        f"{quantity.bare_phrase} = {shown} is taken for every voxel ({option}): "
        "fractions and rates are off where tissue differs."
    )
    return Offer(source=source, warnings=(warning,))


def assumed(name: str, request: Request) -> Offer:
    """Offer B1 = 1 where the user asked to work without a map."""
    if not request.findings.options.no_b1:
        return Offer(reason="--no-b1 is not given")
    source = KnownSource(names=(name,), method="fixed", values={name: 1.0}, sentence="--no-b1: 1 for every voxel")
    return Offer(source=source, warnings=(NO_B1,))
