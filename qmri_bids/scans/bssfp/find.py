"""Finding pc-bSSFP runs: which scans are phase-cycled, and which files make a run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qmri_bids.bids.files.nifti import HeaderError, read_header
from qmri_bids.bids.images import ImageInfo, central_slice, check_image, check_same_grid
from qmri_bids.bids.metadata.file_name import parse_name
from qmri_bids.bids.metadata.missing import Needed, refuse_missing
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS, is_balanced, names_phase_cycles, why_not_excitation
from qmri_bids.bids.metadata.sidecar import Sidecar, applicable_files
from qmri_bids.bids.refusal import RefusedError, refusal_of, refuse, relative_name
from qmri_bids.scans.b1.find import b1_refusal
from qmri_bids.scans.b1.session import SessionB1
from qmri_bids.scans.bssfp.increments import (
    MINIMUM_CYCLES,
    SCALAR_KEY,
    read_series_increments,
    read_split_increments,
    states_increments,
)
from qmri_bids.scans.bssfp.protocol import read_protocol
from qmri_bids.scans.bssfp.pulse import read_pulse
from qmri_bids.scans.bssfp.run import CycleFiles, LayoutKind, PcBssfpRun
from qmri_bids.scans.findings import Findings, check_unique

Parts = Mapping[str, tuple[Path, ...]]
"""Files by the label of `part`, `""` where the name has none; more than one file of a part is a fault."""

NEEDS_COMPLEX = (
    "Relaxation times are estimated from complex data: export the phase (or real and imaginary parts) too. "
    "Magnitude alone is not supported (yet). Where the other part is there, its name must be this one but for the label of "
    "part-."
)


@dataclass(frozen=True, kw_only=True)
class CycleImages:
    """Images of a run that fit together.

    Parameters
    ----------
    layout_kind, files
        As in `PcBssfpRun`; `files.volumes` is left empty.
    grid
        Shape of one volume.
    number_of_cycles
        Volumes of a series, or files of a split run.
    warnings
        Decisions and doubts, as sentences.
    volume_time
        Time that the header of a series states from volume to volume [s]; None where there is none.
    """

    layout_kind: LayoutKind
    files: CycleFiles
    grid: tuple[int, int, int]
    number_of_cycles: int
    warnings: tuple[str, ...]
    volume_time: float | None = None


def check_parts(cycles: Sequence[Parts], *, findings: Findings, split: bool, label: str) -> CycleImages:
    """Check all images of a run.

    Parameters
    ----------
    cycles
        Files by part: one entry for a 4D series, one per cycle for 3D files.
    findings
        Of the session, for its metadata.
    split
        Whether the run has one 3D file a cycle.
    label
        Name of the run for messages.

    Raises
    ------
    RefusedError
        If a file is unreadable, a part is missing, grids differ, or the phase has no units.
    """
    root = findings.root
    warnings: list[str] = []
    kinds = [_kind(parts, root=root, label=label, warnings=warnings) for parts in cycles]
    kind = kinds[0]
    for parts, other in zip(cycles, kinds, strict=True):
        if other != kind:
            raise refuse(
                file=relative_name(next(iter(parts.values()))[0], root),
                key="part",
                expected=f"the parts of the other cycles ({kind})",
                found=other,
                advice="Export all cycles alike.",
            )
    chosen = [_choose(parts, kind) for parts in cycles]
    infos = [[check_image(path, root=root) for path in paths] for paths in chosen]
    first = infos[0][0]
    axes = 3 if split else 4
    for cycle in infos:
        for info in cycle:
            if len(info.shape) != axes:
                raise refuse(
                    file=info.name,
                    key="shape",
                    expected="three axes, as the label names one cycle"
                    if split
                    else "four axes, the last one the cycles",
                    found=str(info.shape),
                    advice="Convert the run to one 4D file, or to 3D files labelled acq-…PC<increment>.",
                )
            check_same_grid(first, info)
            if info.is_complex != (kind == "complex"):
                raise refuse(
                    file=info.name,
                    key="datatype",
                    expected="complex values" if kind == "complex" else "real values, as the name states a part",
                    found="complex values" if info.is_complex else "real values",
                    advice="Convert the image again, or remove part- from the name of a complex image.",
                )
            if kind == "mag-phase" and info is cycle[0]:
                _check_magnitude(info)
    warnings += first.doubts
    units = _phase_units([cycle[1] for cycle in infos], findings=findings) if kind == "mag-phase" else None
    if units is not None and not any("Units" in findings.sidecar(cycle[1].path).values for cycle in infos):
        warnings.append(
            f"{infos[0][1].name}: Units of the phase is missing, though BIDS asks for it; "
            "its unit is told by the range of its values."
        )
    columns = list(zip(*chosen, strict=True))
    layout_kind: LayoutKind = f"split-{kind}" if split else kind  # type: ignore[assignment]
    return CycleImages(
        layout_kind=layout_kind,
        files=_cycle_files(kind, columns, units),
        grid=(first.shape[0], first.shape[1], first.shape[2]),
        number_of_cycles=len(cycles) if split else first.shape[3],
        warnings=tuple(warnings),
        volume_time=first.volume_time,
    )


def _kind(parts: Parts, *, root: Path, label: str, warnings: list[str]) -> Literal["mag-phase", "real-imag", "complex"]:
    """Return how the complex values of one group of files are stored."""
    for paths in parts.values():
        if len(paths) > 1:
            raise refuse(
                file=relative_name(paths[0], root),
                key="file",
                expected="one file of this name",
                found=", ".join(path.name for path in paths),
                advice="Keep one of them.",
            )
    there = set(parts)
    if {"real", "imag"} <= there:
        if there & {"mag", "phase"}:
            warnings.append(f"{label}: all four parts are there; real and imaginary parts are used.")
        return "real-imag"
    if {"mag", "phase"} <= there:
        return "mag-phase"
    if there == {"", "phase"}:
        warnings.append(
            f"{relative_name(parts[''][0], root)}: no part- in the name; taken as magnitude, as there is a "
            f"part-phase beside it."
        )
        return "mag-phase"
    shown = relative_name(next(iter(parts.values()))[0], root)
    if there == {""}:
        info = check_image(parts[""][0], root=root)
        if info.is_complex:
            return "complex"
        _refuse_parts_as_volumes(info)
    missing = {"mag": "part-phase", "phase": "part-mag", "real": "part-imag", "imag": "part-real"}
    absent = ", ".join(sorted(missing[part] for part in there if part in missing)) or "part-phase"
    raise refuse(
        file=shown,
        key="part",
        expected="part-mag and part-phase, part-real and part-imag, or one complex image",
        found=", ".join(f"part-{part}" if part else "real values without part-" for part in sorted(there))
        + f" ({absent} is missing)",
        advice=NEEDS_COMPLEX
        if absent != "part-mag"
        else "Relaxation times are estimated from complex data: add the magnitude too.",
    )


def _refuse_parts_as_volumes(info: ImageInfo) -> None:
    """Refuse real values of both signs in one file: real and imaginary parts as volumes, or on an axis of their own."""
    if len(info.shape) < 5 and float(central_slice(info).min(initial=0.0)) >= 0.0:
        return
    axis = "on a fifth axis" if len(info.shape) > 4 else "as volumes of one file"
    raise refuse(
        file=info.name,
        key="part",
        expected="part-real and part-imag in files of their own, or one file of complex numbers",
        found=f"values of both signs, or five axes: real and imaginary parts {axis}?",
        advice="Write the real parts as part-real and the imaginary parts as part-imag, each with one volume a cycle, or both as "
        "one complex image (numpy: real + 1j * imaginary, saved as complex64).",
    )


def _choose(parts: Parts, kind: str) -> tuple[Path, ...]:
    """Return the files in use, magnitude or real part first."""
    if kind == "complex":
        return (parts[""][0],)
    if kind == "real-imag":
        return parts["real"][0], parts["imag"][0]
    return parts.get("mag", parts.get("", ()))[0], parts["phase"][0]


def _cycle_files(
    kind: str, columns: Sequence[tuple[Path, ...]], units: Literal["rad", "arbitrary"] | None
) -> CycleFiles:
    if kind == "complex":
        return CycleFiles(complex_=columns[0])
    if kind == "real-imag":
        return CycleFiles(real=columns[0], imaginary=columns[1])
    return CycleFiles(magnitude=columns[0], phase=columns[1], phase_units=units)


def _check_magnitude(info: ImageInfo) -> None:
    """Refuse a magnitude image with negative values, as far as its central slice tells."""
    lowest = float(central_slice(info).min(initial=0.0))
    if lowest < 0.0:
        raise refuse(
            file=info.name,
            key="values",
            expected="magnitudes",
            found=f"negative values down to {lowest:g}: are magnitude and phase exchanged?",
            advice="Name the files by what they hold: part-mag and part-phase.",
        )


def _turns(values: NDArray[np.floating]) -> float | None:
    """Return the largest value of a phase in turns (0.5 or 1) or half turns (1 or 2), None where it is none of these.

    Phase of the noise in air fills its range evenly and ends sharply at its bounds.
    """
    size = np.abs(values[values != 0.0])
    if size.size < FEWEST_PHASES:
        return None
    for bound in (0.5, 1.0, 2.0):
        even = 0.3 <= np.mean(size > 0.5 * bound) <= 0.7 and np.mean(size > 0.95 * bound) >= 0.02
        if even and size.max() <= 1.0005 * bound:
            return bound
    return None


def _phase_units(images: Sequence[ImageInfo], *, findings: Findings) -> Literal["rad", "arbitrary"]:
    """Return the unit of the phase images, checked against their values unless a scale of the vendor is stated.

    Without a statement their range tells, for which `phase_to_radians` knows scales of vendors and radians.
    """
    expected = "'rad' or 'arbitrary', which BIDS requires of phase images"
    advice = "Add Units to the sidecar: 'rad' for -π to π, 'arbitrary' for a scale of the vendor (e.g. 0 to 4095)."
    units: set[str] = set()
    for info in images:
        sidecar = findings.sidecar(info.path)
        value = sidecar.values.get("Units", "arbitrary")
        if value not in ("rad", "arbitrary"):
            raise refuse(
                file=sidecar.origin("Units"),
                key="Units",
                expected=expected,
                found=repr(value),
                advice=advice,
            )
        units.add(value)
        if value == "rad" or "Units" not in sidecar.values:
            values = central_slice(info)
            bound = _turns(values)
            if bound is not None:
                raise refuse(
                    file=info.name,
                    key="values",
                    expected="a phase in radians, which fills -π to π in air, or on the scale of a vendor",
                    found=f"one that fills ±{bound:g} and ends there: is it in turns or half turns?",
                    advice="Convert the phase to radians: half turns by a factor of π, turns by 2π.",
                )
            largest = float(np.abs(values).max(initial=0.0))
            if value == "rad" and largest > 2.0 * math.pi + 0.01:
                raise refuse(
                    file=sidecar.origin("Units"),
                    key="Units",
                    expected=f"'arbitrary' for {Path(info.name).name}, whose values reach {largest:.4g}",
                    found="'rad'",
                    advice="Set Units to 'arbitrary', or convert the phase to radians.",
                )
    if len(units) > 1:
        raise refuse(
            file=images[0].name,
            key="Units",
            expected="the same units for the phase of all cycles",
            found="'rad' and 'arbitrary'",
            advice="Convert all cycles alike.",
        )
    return "rad" if units == {"rad"} else "arbitrary"


FEWEST_PHASES = 200
"""Values of a slice from which its phase tells its unit."""

SUFFIXES = ("VFA", "T2w", "bSSFP", "SSFP")
"""Suffixes under which pc-bSSFP is found; whether a file is one is decided by its metadata."""

CYCLE_LABEL = re.compile(r"PC\d+$")
NO_B1 = (
    "NO B1 MAP IS USED: B1 = 1 is assumed everywhere. T1 is wrong by about twice the relative error of the "
    "flip angle, "
    "which reaches 30 % in a head at 3 T."
)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Files that differ in `part` only; a run of 3D files has one group for every cycle."""

    entities: Mapping[str, str]
    suffix: str
    parts: Parts
    sidecars: tuple[Sidecar, ...]

    @property
    def label(self) -> str:
        return "_".join([*(f"{key}-{value}" for key, value in self.entities.items()), self.suffix])

    @property
    def is_named(self) -> bool:
        """Whether the name says that this is meant for us."""
        return names_phase_cycles(self.entities.get("acq", ""))


def find_pcbssfp(paths: Sequence[Path], *, findings: Findings, b1: SessionB1) -> tuple[PcBssfpRun, ...]:
    """Return all pc-bSSFP runs that pass the checks, with the B1 map of each.

    Parameters
    ----------
    paths
        Images with one of `SUFFIXES`.
    findings
        Takes refusals and notes.
    b1
        The B1 maps of the subject.
    """
    root = findings.root
    runs: list[PcBssfpRun] = []
    for family in _families(_group_files(paths, findings)):
        try:
            refuse_missing(
                [sidecar for group in family for sidecar in group.sidecars],
                _needed(family, root),
                kind="pcbssfp",
                hint=why_not_excitation(family[0].sidecars[0].values),
            )
            note = _why_not_ours(family, root)
            if note is not None:
                findings.notes.append(note)
                continue
            b1.read(family[0].entities.get("ses"))
            run = _with_b1(_check_run(family, findings), family, findings, b1)
            check_unique(run, runs)
            runs.append(run)
        except Exception as error:
            findings.refusals.append(refusal_of(error, file=family[0].sidecars[0].file))
    return tuple(runs)


def _group_files(paths: Sequence[Path], findings: Findings) -> list[_Group]:
    collected: dict[tuple[str, ...], dict[str, list[Path]]] = {}
    for path in paths:
        name = parse_name(path)
        key = (
            name.suffix,
            *(f"{entity}-{label}" for entity, label in name.entities.items() if entity != "part"),
        )
        collected.setdefault(key, {}).setdefault(name.entities.get("part", ""), []).append(path)
    groups = []
    for files in collected.values():
        first = next(iter(files.values()))[0]
        name = parse_name(first)
        try:
            sidecars = tuple(findings.sidecar(path) for same in files.values() for path in same)
        except Exception as error:
            refusal = refusal_of(error, file=relative_name(first, findings.root))
            if name.suffix == "T2w" and "pcbssfp" not in name.entities.get("acq", "").lower():
                findings.notes.append(str(refusal))  # most T2w images are none of our business
            else:
                findings.refusals.append(refusal)
            continue
        groups.append(
            _Group(
                entities={key: label for key, label in name.entities.items() if key != "part"},
                suffix=name.suffix,
                parts={part: tuple(same) for part, same in files.items()},
                sidecars=sidecars,
            )
        )
    return groups


def _families(groups: Sequence[_Group]) -> list[list[_Group]]:
    """Return the groups of each run: one for a 4D series, one a cycle for 3D files labelled `…PC045`."""
    families: dict[tuple[str, ...], list[_Group]] = {}
    for group in groups:
        entities = _family_entities(group) if _is_single_cycle(group) else group.entities
        kind = "split" if _is_single_cycle(group) else "series"
        key = (kind, group.suffix, *(f"{entity}-{label}" for entity, label in entities.items()))
        families.setdefault(key, []).append(group)
    return list(families.values())


def _is_single_cycle(group: _Group) -> bool:
    """Whether a label names one cycle and no file has several volumes.

    `acq-pcbssfpPC12` may also mean twelve cycles in one file.
    """
    if not CYCLE_LABEL.search(group.entities.get("acq", "")):
        return False
    return not any(_number_of_volumes(path) > 1 for same in group.parts.values() for path in same)


def _number_of_volumes(path: Path) -> int:
    """Return the volumes of an image, 0 if it cannot be read: the checks that follow say why."""
    try:
        shape = read_header(path).shape
    except HeaderError:
        return 0
    return shape[3] if len(shape) > 3 else 1


def _family_entities(group: _Group) -> dict[str, str]:
    entities = dict(group.entities)
    entities["acq"] = CYCLE_LABEL.sub("", entities.get("acq", ""))
    return {key: label for key, label in entities.items() if label}


def _why_not_ours(family: Sequence[_Group], root: Path) -> str | None:
    """Return why a scan is left alone, None if it is phase-cycled bSSFP.

    Raises
    ------
    RefusedError
        If the name or a key says pc-bSSFP and the sequence says something else, or nothing.
    """
    sidecars = [sidecar for group in family for sidecar in group.sidecars]
    sequence = next(
        (sidecar.values["PulseSequenceType"] for sidecar in sidecars if "PulseSequenceType" in sidecar.values),
        None,
    )
    first = sidecars[0]
    named = any(group.is_named for group in family)
    stated = any(states_increments(sidecar) for sidecar in sidecars) or _has_table(family, root)
    if sequence is None and stated:
        return None
    if isinstance(sequence, str) and is_balanced(sequence):
        if named or stated or (len(family) >= MINIMUM_CYCLES and _has_scalar(sidecars)):
            return None
        volumes = max(_number_of_volumes(path) for group in family for same in group.parts.values() for path in same)
        if volumes >= MINIMUM_CYCLES:
            return None
        return f"{first.file}: {sequence} without phase cycles (no {INCREMENT_KEYS[0]}): left alone."
    if named or stated:
        raise refuse(
            file=first.origin("PulseSequenceType"),
            key="PulseSequenceType",
            expected="balanced SSFP (bSSFP, TrueFISP, FIESTA, bFFE, CISS), as the "
            + ("file name says" if named else "phase increments say"),
            found="nothing" if sequence is None else repr(sequence),
            advice="Correct PulseSequenceType, or rename the scan if it is none.",
        )
    shown = "no PulseSequenceType" if sequence is None else f"PulseSequenceType {sequence!r}"
    return f"{first.file}: not a pc-bSSFP scan ({shown} and no {INCREMENT_KEYS[0]}): left alone."


def _has_table(family: Sequence[_Group], root: Path) -> bool:
    path = next(iter(family[0].parts.values()))[0]
    return bool(applicable_files(path, root=root, suffix="ssfpcontext", extension=".tsv"))


def _has_scalar(sidecars: Sequence[Sidecar]) -> bool:
    return any(SCALAR_KEY in sidecar.values for sidecar in sidecars)


def _needed(family: Sequence[_Group], root: Path) -> list[Needed]:
    """Return what a scan that is meant to be phase-cycled bSSFP must state; nothing for any other."""
    sidecars = [sidecar for group in family for sidecar in group.sidecars]
    stated = any(states_increments(sidecar) for sidecar in sidecars) or _has_table(family, root)
    if not stated and not any(group.is_named for group in family):
        return []
    split = _is_single_cycle(family[0])
    first = next(iter(family[0].parts.values()))[0]
    number = len(family) if split else _number_of_volumes(first)
    needed = []
    if not stated:
        needed.append(
            Needed(key="PulseSequenceType", meaning="the kind of sequence (PulseSequenceType)", template="bSSFP")
        )
    needed += [
        Needed(
            key="RepetitionTimeExcitation", meaning="the time between two excitations in seconds", template="<seconds>"
        ),
        Needed(key="FlipAngle", meaning="the flip angle in degrees", template="<degrees>"),
    ]
    if _has_table(family, root):
        return needed
    return [
        *needed,
        Needed(
            key=INCREMENT_KEYS[0],
            meaning="the increment of the RF phase in degrees" + (" of this file" if split else ", one per volume"),
            template="<degrees>" if split else f"<array of {number} numbers in degrees, in the order of the volumes>",
            others=(*INCREMENT_KEYS[1:], SCALAR_KEY),
        ),
    ]


def _check_run(family: Sequence[_Group], findings: Findings) -> PcBssfpRun:
    """Check images and metadata of a run; its B1 map comes later.

    Raises
    ------
    RefusedError
        At the first fault.
    """
    root = findings.root
    group = family[0]
    split = _is_single_cycle(group)
    images = check_parts([member.parts for member in family], findings=findings, split=split, label=group.label)
    sidecars = [sidecar for member in family for sidecar in member.sidecars]
    if split:
        increments = read_split_increments(
            [_stating_sidecar(member.sidecars) for member in family], all_sidecars=sidecars
        )
    else:
        increments = read_series_increments(
            sidecars, path=images.files.paths[0], root=root, number_of_volumes=images.number_of_cycles
        )
    reading = read_protocol(sidecars, increments=increments, volume_time=images.volume_time)
    pulse = read_pulse(sidecars, root=root, protocol=reading.protocol, stated=findings.options.excitation_pulse)
    return PcBssfpRun(
        entities=_family_entities(group) if split else group.entities,
        suffix=group.suffix,
        layout_kind=images.layout_kind,
        files=replace(images.files, volumes=increments.volumes),
        grid=images.grid,
        protocol=reading.protocol,
        b1=None,
        sources=reading.sources + pulse.sources,
        warnings=images.warnings + reading.warnings + pulse.warnings,
        in_slices=any(sidecar.values.get("MRAcquisitionType") == "2D" for sidecar in sidecars),
        pulse=pulse.pulse,
        hard_pulses=pulse.takes_no_time,
    )


def _stating_sidecar(sidecars: Sequence[Sidecar]) -> Sidecar:
    """Return the sidecar of a cycle that states its increment, the first if none does."""
    for sidecar in sidecars:
        if states_increments(sidecar) or SCALAR_KEY in sidecar.values:
            return sidecar
    return sidecars[0]


def _with_b1(run: PcBssfpRun, family: Sequence[_Group], findings: Findings, b1: SessionB1) -> PcBssfpRun:
    """Return the run with its B1 map.

    Raises
    ------
    RefusedError
        If there is none, or several could be meant.
    """
    if findings.options.no_b1:
        said = f"{run.label}: {NO_B1}{b1.left_alone(run.entities.get('ses'))}"
        return replace(run, warnings=(*run.warnings, said))
    sidecars = [sidecar for member in family for sidecar in member.sidecars]
    session, label = run.entities.get("ses"), f"{run.label}_{run.suffix}"
    chosen, sentences = b1.choose(session, images=run.files.paths, sidecars=sidecars, label=label)
    if chosen is None:
        raise RefusedError(b1_refusal(label=label, notes=b1.read(session)[1], filtered=findings.options.filters_b1))
    return replace(run, b1=chosen, warnings=run.warnings + sentences)
