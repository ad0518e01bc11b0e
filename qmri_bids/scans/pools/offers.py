"""Ways to the known maps of a fingerprint: another run, a B1 scan, a field map, a map in a file, or a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from qmri_bids.bids.images import ImageInfo, median_of_nonzero
from qmri_bids.bids.metadata.sidecar import read_sidecar
from qmri_bids.bids.refusal import RefusedError, refuse
from qmri_bids.pipeline.sources import Offer, Take
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.b1.find import read_b1
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import SessionFieldmaps, read_fieldmap
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.nearest import nearest_run
from qmri_bids.scans.pools.map_files import (
    BETTER,
    FREED,
    choose,
    description,
    files_of,
    first_on_grid,
    grid_of,
    images,
    read_map_header,
    stdevs,
)
from qmri_bids.scans.saturation.run import CestRun, of_kind
from qmri_bids.scans.session_plan import SessionPlan
from qmri_bids.units import milliseconds_to_seconds

SECONDS = ("s", "sec", "second", "seconds")

MILLISECONDS = ("ms", "msec", "millisecond", "milliseconds")

Check = Callable[[ImageInfo, Path], tuple[str, ...]]
"""Raises `RefusedError` if the values of a file are none of a map, and returns doubts as sentences."""


def find_map(
    name: str,
    *,
    place: Path,
    subject: str,
    session: str | None,
    like: Sequence[Path] = (),
    better: Sequence[str] = BETTER,
    check: Check | None = None,
) -> Offer | None:
    """Return the map of a subject and session in a folder as an offer that names its file, None if there is none.

    Of several `map_files.choose` takes one.

    Parameters
    ----------
    name
        Key of `CHECKS`.
    place
        Root of a raw or derived dataset.
    subject, session
        Bare labels; session None for files outside of sessions.
    like
        Maps of other kinds that were taken already, and the images that the map is for; the first that decides counts.
    better
        Labels of `desc` that stand in for the map of their scan without one.
    check
        Of the values; that of `CHECKS` by default.

    Raises
    ------
    RefusedError
        If several maps could be meant, or the one that is meant is unreadable or holds values of another kind.
    """
    own = KNOWN_QUANTITIES[name].written
    found = files_of(place, subject=subject, session=session, folder=own.folder, suffix=own.suffix)
    chosen = choose(found, like=like, place=place, better=better)
    if chosen is None:
        return None
    info = read_map_header(chosen, place=place)
    warnings = (check or CHECKS[name])(info, place)
    info = replace(info, shape=info.shape[:3])
    stdev, doubts = first_on_grid(stdevs(chosen), info, place)
    image, more = first_on_grid(images(chosen), info, place)
    factor = 1.0
    if own.unit == "s":
        factor = _factor(chosen, place)
        if stdev is not None and _factor(stdev, place, unstated=factor) != factor:
            doubts = (*doubts, f"{stdev.name} is in another unit than its map. It is not used.")
            stdev = None
    source = Take(
        names=(name,),
        method="maps",
        files={name: chosen},
        stdev_files={} if stdev is None else {name: stdev},
        factors={} if factor == 1.0 else {name: factor},
        image=image,
        sentence=chosen.name
        if factor == 1.0
        else f"{chosen.name} (in milliseconds by its sidecar, converted to seconds)",
    )
    return Offer(source=source, warnings=(*warnings, *doubts, *more), scan=("maps", image, *grid_of(info)))


def _seconds(name: str, plausible: tuple[float, float]) -> Callable[[ImageInfo, Path], tuple[str, ...]]:
    """Return the check of a map of a relaxation time whose median lies within a range [s]."""
    low, high = plausible

    def check(info: ImageInfo, place: Path) -> tuple[str, ...]:
        factor = _factor(info.path, place)
        median = factor * median_of_nonzero(info, volume=None)
        if not low <= median <= high:
            found = f"a median of {median:.4g}" if math.isfinite(median) else "no value above zero"
            if factor != 1.0 and math.isfinite(median):
                found += " s, read in milliseconds as its sidecar says"
            looks = 1e3 * low <= median <= 1e3 * high
            raise refuse(
                file=info.name,
                key="values",
                expected=f"{name} in seconds, a median of {low:g} to {high:g}",
                found=f"{found}, which looks like milliseconds" if looks else found,
                advice="Write the map in seconds, as BIDS has it."
                if looks
                else "Write the map again, or leave it out.",
            )
        return ()

    return check


def _factor(path: Path, place: Path, *, unstated: float = 1.0) -> float:
    """Return what the values of a map of a relaxation time are multiplied by to be in seconds: the sidecar decides.

    Raises
    ------
    RefusedError
        If it states another unit.
    """
    sidecar = read_sidecar(path, root=place)
    stated = sidecar.values.get("Units")
    if stated is None:
        return unstated
    unit = str(stated).strip().lower()
    if unit in MILLISECONDS:
        return milliseconds_to_seconds(1.0)
    if unit not in SECONDS:
        raise refuse(
            file=sidecar.origin("Units"),
            key="Units",
            expected="s",
            found=repr(stated),
            advice="Write the map in seconds, as BIDS has it.",
        )
    return 1.0


T1_SECONDS = _seconds("T1", (0.2, 6.0))


def _t1(info: ImageInfo, place: Path) -> tuple[str, ...]:
    """Check a map of T1, and say of one of pc-bSSFP that nothing has freed it of magnetization transfer."""
    said = T1_SECONDS(info, place)
    if not is_apparent(info.path, place=place):
        return said
    return (
        *said,
        f"T1 of {info.path.name} IS APPARENT, as pc-bSSFP sees it: magnetization transfer lowers it, and this call does not know "
        "under which pulses. Fractions and rates come out 5 to 20 % too high, amide's too. Process that scan together with this "
        "fingerprint, or give its desc-free_T1map.",
    )


def is_apparent(path: Path, *, place: Path) -> bool:
    """Whether a map of T1 is that of phase-cycled bSSFP of this program, by its sidecar, and not freed of transfer."""
    stated = read_sidecar(path, root=place).values
    if description(path) in FREED:
        return False
    return "EstimationAlgorithm" in stated and stated.get("PulseSequenceType") == "bSSFP"


def _relative(info: ImageInfo, place: Path) -> tuple[str, ...]:
    """Check that a map holds relative B1 or percent."""
    try:
        read_b1([info.path], root=place, options=FindOptions())
    except RefusedError as error:
        advice = "Write the map as a ratio or in percent, or leave it out."
        raise RefusedError(replace(error.refusal, advice=advice)) from error
    return ()


def _hertz(info: ImageInfo, place: Path) -> tuple[str, ...]:
    """Check that a map is one in Hz."""
    if read_fieldmap(info.path, root=place).hertz != 1.0:
        raise refuse(
            file=info.name,
            key="Units",
            expected="Hz",
            found="rad/s",
            advice="Write the map in Hz, or leave it out.",
        )
    return ()


CHECKS: Mapping[str, Check] = {
    "t1": _t1,
    "t2": _seconds("T2", (0.005, 3.0)),
    "b1": _relative,
    "off_resonance": _hertz,
}
"""What raises `RefusedError` if the values are none of the map, and returns doubts as sentences; by the names of
`physics.fingerprint.KNOWN`."""


NO_B1 = (
    "NO B1 MAP IS USED: B1 = 1 is assumed everywhere. The power of saturation goes with the square of B1, so that fractions and "
    "rates carry its error, which reaches 30 % in a head at 3 T."
)


@dataclass(kw_only=True)
class Request:
    """A run of CEST series that needs maps, and what it can choose from.

    Parameters
    ----------
    label
        Of the run.
    stages
        Its series, that on whose grid it is computed first.
    plan
        Runs of the subject that are processed.
    findings
        The dataset, and what the user asked for.
    b1, fieldmaps
        Of the subject.
    taken
        Map files that were taken already, by name.
    better
        Labels of `desc` of maps in files that stand in for the one of their scan without `desc`.
    checks
        What says that the values of a file are none of the map; see `CHECKS`.
    """

    label: str
    stages: tuple[CestRun, ...]
    plan: SessionPlan
    findings: Findings
    b1: SessionB1
    fieldmaps: SessionFieldmaps
    taken: dict[str, Path] = field(default_factory=dict)
    better: tuple[str, ...] = BETTER
    checks: Mapping[str, Check] = field(default_factory=lambda: CHECKS)

    @property
    def session(self) -> str | None:
        """Label of the session, None outside of sessions."""
        return self.stages[0].entities.get("ses")


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
    source = Take(names=(name,), method="pcbssfp", run=run.label, sentence=where)
    return Offer(source=source, remarks=remarks, scan=("run", run.label))


def from_wasabi(name: str, request: Request) -> Offer:
    """Offer a map of the nearest WASABI run."""
    return _from_cest(name, request, "wasabi")


def from_wassr(name: str, request: Request) -> Offer:
    """Offer a map of the nearest WASSR run."""
    return _from_cest(name, request, "wassr")


def _from_cest(name: str, request: Request, kind: Literal["wasabi", "wassr"]) -> Offer:
    runs = [run for run in of_kind(request.plan.cest, kind) if run.entities.get("ses") == request.session]
    run, phrase = nearest_run(request.stages[0], runs)
    if run is None:
        return Offer(reason=f"the session has no {kind.upper()} run")
    source = Take(names=(name,), method=kind, run=run.label, sentence=f"the {kind.upper()} run {phrase}")
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
    stages = request.stages
    images = [stage.image for stage in stages]
    sidecars = [request.findings.sidecar(image) for image in images]
    chosen, sentences = request.b1.choose_scan(request.session, images=images, sidecars=sidecars, label=request.label)
    if chosen is None:
        refused = request.b1.read(request.session)[1]
        found = "; ".join(f"{each.file}: {each.found}" for each in refused)
        return Offer(reason=f"the session has no B1 scan that can be used{f' ({found})' if found else ''}")
    source = Take(names=(name,), method="b1", b1_run=chosen, sentence=f"the B1 scan {chosen.map.name}")
    return Offer(source=source, warnings=sentences, scan=("b1", chosen.map))


def from_fieldmap(name: str, request: Request) -> Offer:
    """Offer the field map of the session that belongs to a stage."""
    reason = ""
    for stage in request.stages:
        sidecar = request.findings.sidecar(stage.image)
        fieldmap, why = request.fieldmaps.choose(request.session, image=stage.image, sidecar=sidecar)
        if fieldmap is not None:
            source = Take(
                names=(name,),
                method="fieldmap",
                files={name: fieldmap.path},
                image=fieldmap.magnitude,
                fieldmap=fieldmap,
                sentence=f"the field map {fieldmap.path.name}: {why}",
            )
            return Offer(source=source, warnings=fieldmap.warnings, scan=("fieldmap", fieldmap.path))
        reason = reason or why
    return Offer(reason=reason)


def from_dataset(name: str, request: Request) -> Offer:
    """Offer a map in a file of the dataset itself.

    Raises
    ------
    RefusedError
        As `find_map`.
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
        As `find_map`.
    """
    folders = request.findings.options.derivatives
    shown = {f"the derivatives {each}": folder for each, folder in folders.items()}
    reason = f"no folder of --derivatives holds a {KNOWN_QUANTITIES[name].written.suffix} of this subject and session"
    return _from_folder(name, request, shown) or Offer(reason=reason if folders else "no --derivatives are named")


def _from_folder(name: str, request: Request, places: Mapping[str, Path]) -> Offer | None:
    like = [*request.taken.values(), *(each.image for each in request.stages)]
    for shown, place in places.items():
        found = find_map(
            name,
            place=place,
            subject=request.plan.subject,
            session=request.session,
            like=like,
            better=request.better,
            check=request.checks[name],
        )
        if found is not None and found.source is not None:
            request.taken[name] = found.source.files[name]
            return replace(found, source=replace(found.source, sentence=f"{found.source.sentence} of {shown}"))
    return None


def from_number(name: str, request: Request) -> Offer:
    """Offer one number for every voxel, where the user gave one."""
    quantity = KNOWN_QUANTITIES[name]
    option, unit = quantity.taken.option, quantity.taken.unit
    value = getattr(request.findings.options, f"cest_{name}")
    if value is None:
        return Offer(reason=f"{option} is not given")
    shown = f"{value:g} {unit}"
    source = Take(names=(name,), method="fixed", values={name: value}, sentence=f"{option}: {shown} for every voxel")
    warning = (
        f"{quantity.bare_phrase} = {shown} is taken for every voxel ({option}): "
        "fractions and rates are off where tissue differs."
    )
    return Offer(source=source, warnings=(warning,))


def assumed(name: str, request: Request) -> Offer:
    """Offer B1 = 1 where the user asked to work without a map."""
    if not request.findings.options.no_b1:
        return Offer(reason="--no-b1 is not given")
    source = Take(names=(name,), method="fixed", values={name: 1.0}, sentence="--no-b1: 1 for every voxel")
    return Offer(source=source, warnings=(NO_B1,))
