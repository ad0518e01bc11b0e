"""Ways to the known maps of a fingerprint: another run, a B1 scan, a field map, a map in a file, or a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from qmri_bids.bids.images import AFFINE_TOLERANCE, ImageInfo, check_image, check_same_grid, median_of_nonzero
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.sidecar import read_sidecar
from qmri_bids.bids.refusal import RefusedError, refuse, relative_name
from qmri_bids.pipeline.sources import Offer, Take
from qmri_bids.quantities import KNOWN_QUANTITIES
from qmri_bids.scans.b1.find import read_b1
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.fieldmap.find import MAGNITUDES as FIELDMAP_MAGNITUDES
from qmri_bids.scans.fieldmap.find import SessionFieldmaps, read_fieldmap
from qmri_bids.scans.find_options import FindOptions
from qmri_bids.scans.findings import Findings
from qmri_bids.scans.nearest import nearest_run
from qmri_bids.scans.pools.stages import Fingerprint
from qmri_bids.scans.saturation.run import of_kind
from qmri_bids.scans.session_plan import SessionPlan

EXTENSIONS = (".nii.gz", ".nii")
SECONDS = ("s", "sec", "second", "seconds")

STDEV = ("std", "Std")
"""How the label of `desc` of a standard deviation ends."""

POSTERIOR = "posterior"
"""How the label of `desc` of a posterior map begins; its prior pulls values towards itself."""

KNOWN = "known"
"""Begin of `desc` of maps that another scan gave: what a run used, not what it measured."""

UNWRAPPED = "unwrapped"
"""`desc` of a field of pc-bSSFP that was made continuous."""

PREPROC = "preproc"

SEVERAL_OF_ONE_SCAN = ("part", "echo", "flip", "inv", "mt", "desc")
"""Entities in which an image may differ from the map that was made of it."""


def find_map(name: str, *, place: Path, subject: str, session: str | None, like: Sequence[Path] = ()) -> Offer | None:
    """Return the map of a subject and session in a folder as an offer that names its file, None if there is none.

    Maps without `desc` come before others; of several the one that has the entities of a file of `like` is taken.

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

    Raises
    ------
    RefusedError
        If several maps could be meant, or the one that is meant is unreadable or holds values of another kind.
    """
    own = KNOWN_QUANTITIES[name].written
    folder = place / f"sub-{subject}" / (f"ses-{session}" if session else "") / own.folder
    found = sorted(path for end in EXTENSIONS for path in folder.glob(f"*_{own.suffix}{end}"))
    chosen = _choose(found, like=like, place=place)
    if chosen is None:
        return None
    info = check_image(chosen, root=place)
    if info.shape[3:] not in ((), (1,)) or info.is_complex:
        raise refuse(
            file=info.name,
            key="shape",
            expected="a map of real numbers with three axes",
            found="complex values" if info.is_complex else str(info.shape),
            advice="Write the map again, or leave it out.",
        )
    warnings = CHECKS[name](info, place)
    info = replace(info, shape=info.shape[:3])
    stdev, doubts = _first_on_grid(_stdevs(chosen), info, place)
    image, more = _first_on_grid(_images(chosen), info, place)
    source = Take(
        names=(name,),
        method="maps",
        files={name: chosen},
        stdev_files={} if stdev is None else {name: stdev},
        image=image,
        sentence=chosen.name,
    )
    return Offer(source=source, warnings=(*warnings, *doubts, *more), scan=("maps", image, *_grid(info)))


def _choose(paths: Sequence[Path], *, like: Sequence[Path], place: Path) -> Path | None:
    usable = [path for path in paths if not _is_left_out(path)]
    plain = [path for path in usable if _description(path) in ("", UNWRAPPED)]
    # A field that was made continuous stands in for the one of its scan that was not: across a wrap nothing can be interpolated.
    whole = [path for path in plain if _description(path) == UNWRAPPED]
    plain = [path for path in plain if path in whole or not any(_of_one_scan(path, other) for other in whole)]
    for group in (plain, [path for path in usable if _description(path) not in ("", UNWRAPPED)]):
        same = [[path for path in group if _of_one_scan(path, other)] for other in like]
        meant = next((own for own in same if len(own) == 1), group)
        if len(meant) > 1:
            raise refuse(
                file=relative_name(meant[0], place),
                key="file",
                expected="one map of this kind for the subject and session",
                found=", ".join(path.name for path in meant),
                advice="Keep one of them, name one after the series that takes it (acq-, run-), or name another folder with "
                "--derivatives.",
            )
        if meant:
            return meant[0]
    return None


def _description(path: Path) -> str:
    return parse_name(path).entities.get("desc", "")


def _is_left_out(path: Path) -> bool:
    entities = parse_name(path).entities
    description = entities.get("desc", "")
    return "space" in entities or description.endswith(STDEV) or description.startswith((POSTERIOR, KNOWN))


def _of_one_scan(path: Path, other: Path) -> bool:
    """Whether two files are named after one scan."""
    first, second = (
        {key: label for key, label in parse_name(each).entities.items() if key not in SEVERAL_OF_ONE_SCAN}
        for each in (path, other)
    )
    return first == second


def _stdevs(path: Path) -> list[Path]:
    """Return the files that may hold the standard deviation of a map."""
    name = parse_name(path)
    description = name.entities.get("desc", "")
    stem = path.name.removesuffix(f"_{name.suffix}{name.extension}").removesuffix(f"_desc-{description}")
    description = "" if description == UNWRAPPED else description
    named = [f"{stem}_desc-{description}{stdev}_{name.suffix}{end}" for stdev in STDEV for end in EXTENSIONS]
    return [candidate for each in named if (candidate := path.with_name(each)).is_file()]


def _images(path: Path) -> list[Path]:
    """Return the images of the scan that a map was made of, the best for registration first."""
    session = path.parent.parent
    candidates = [
        candidate
        for folder in ("fmap", "anat")
        for end in EXTENSIONS
        for candidate in sorted((session / folder).glob(f"*{end}"))
        if _shows_anatomy(candidate) and _of_one_scan(candidate, path)
    ]
    return sorted(candidates, key=lambda candidate: parse_name(candidate).suffix not in FIELDMAP_MAGNITUDES)


def _first_on_grid(candidates: Sequence[Path], info: ImageInfo, place: Path) -> tuple[Path | None, tuple[str, ...]]:
    """Return the first image on the grid of a map; if none is, why."""
    doubts = []
    for candidate in candidates:
        try:
            own = check_image(candidate, root=place)
            check_same_grid(info, replace(own, shape=own.shape[:3]))
            return candidate, ()
        except RefusedError as error:
            doubts.append(f"{error} It is not used.")
    return None, tuple(doubts)


def _shows_anatomy(path: Path) -> bool:
    name = parse_name(path)
    if name.suffix in FIELDMAP_MAGNITUDES:
        return True
    return name.entities.get("desc") == PREPROC and name.entities.get("part", "mag") == "mag"


def _seconds(name: str, plausible: tuple[float, float]) -> Callable[[ImageInfo, Path], tuple[str, ...]]:
    """Return the check of a map of a relaxation time whose median lies within a range [s]."""
    low, high = plausible

    def check(info: ImageInfo, place: Path) -> tuple[str, ...]:
        sidecar = read_sidecar(info.path, root=place)
        stated = sidecar.values.get("Units")
        if stated is not None and str(stated).strip().lower() not in SECONDS:
            raise refuse(
                file=sidecar.origin("Units"),
                key="Units",
                expected="s",
                found=repr(stated),
                advice="Write the map in seconds, as BIDS has it.",
            )
        median = median_of_nonzero(info, volume=None)
        if not low <= median <= high:
            found = f"a median of {median:.4g}" if math.isfinite(median) else "no value above zero"
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


CHECKS: Mapping[str, Callable[[ImageInfo, Path], tuple[str, ...]]] = {
    "t1": _seconds("T1", (0.2, 6.0)),
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
    taken: dict[str, Path] = field(default_factory=dict)

    @property
    def session(self) -> str | None:
        """Label of the session, None outside of sessions."""
        return self.fingerprint.stages[0].entities.get("ses")


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
    run, phrase = nearest_run(request.fingerprint.stages[0], runs)
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
    stages = request.fingerprint.stages
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
    for stage in request.fingerprint.stages:
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
    like = [*request.taken.values(), *(each.image for each in request.fingerprint.stages)]
    for shown, place in places.items():
        found = find_map(name, place=place, subject=request.plan.subject, session=request.session, like=like)
        if found is not None and found.source is not None:
            request.taken[name] = found.source.files[name]
            return replace(found, source=replace(found.source, sentence=f"{found.source.sentence} of {shown}"))
    return None


def _grid(info: ImageInfo) -> tuple[object, ...]:
    """Return what maps on one grid have in common."""
    affine = (info.affine / AFFINE_TOLERANCE).round().astype(int)
    return info.shape, tuple(affine.ravel().tolist())


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
