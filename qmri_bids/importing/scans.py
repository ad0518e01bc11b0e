"""What becomes of each scan: names in the dataset, sidecars, and why a scan is refused."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmri_bids.bids.images import median_of_nonzero
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS
from qmri_bids.bids.names import ENTITY_ORDER
from qmri_bids.bids.refusal import RefusedError, refusal_of
from qmri_bids.importing.companions import COMPLETE_PARTS, Member
from qmri_bids.importing.images import SourceImage
from qmri_bids.importing.increments import increments_of, residue
from qmri_bids.importing.names import label_of
from qmri_bids.importing.offsets import find_offsets
from qmri_bids.importing.sidecars import merged, phase_units, what_lacks, with_sequence, without_identity
from qmri_bids.importing.stack import check_one_grid, stack_note
from qmri_bids.importing.table import Given
from qmri_bids.scans.b1.methods.angles import TFL
from qmri_bids.scans.b1.methods.values import is_plausible
from qmri_bids.scans.bssfp.increments import SCALAR_KEY

AGAIN = "import again with --table"
WORDS = {True: "on", False: "off", None: "unknown"}


@dataclass(frozen=True, kw_only=True)
class PlannedImage:
    """An image of the dataset.

    Parameters
    ----------
    target
        File in the dataset, relative to its root.
    sources
        One image that is copied, or several that become its volumes, in their order.
    sidecar
        Content of its JSON file.
    """

    target: Path
    sources: tuple[SourceImage, ...]
    sidecar: Mapping[str, Any]


@dataclass(kw_only=True)
class PlannedScan:
    """A scan as it will be written.

    Parameters
    ----------
    images
        Its images.
    tables
        Text of tables, by their place in the dataset.
    copies
        Files that are copied as they are, by their place in the dataset.
    increments
        By file of the folder [deg].
    parts
        Which image of the scan a file is, where the other images of the scan tell.
    notes
        Sentences by file of the folder.
    refusal
        Why nothing of it is written, empty if it is.
    """

    images: list[PlannedImage] = field(default_factory=list)
    tables: dict[Path, str] = field(default_factory=dict)
    copies: dict[Path, Path] = field(default_factory=dict)
    increments: dict[str, tuple[float, ...]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the images of a scan go.

    Parameters
    ----------
    subject, session
        Labels; the session empty without one.
    run
        Number of the scan among those of its kind; 0 if it is the only one.
    folder
        The folder that is imported.
    """

    subject: str
    session: str
    run: int
    folder: Path

    def path(self, datatype: str, suffix: str, **entities: str) -> Path:
        """Return where an image goes, without extension."""
        labels = {"sub": self.subject, "ses": self.session, "run": str(self.run or ""), **entities}
        name = "_".join([*(f"{key}-{labels[key]}" for key in ENTITY_ORDER if labels.get(key)), suffix])
        session = [f"ses-{self.session}"] if self.session else []
        return Path(f"sub-{self.subject}", *session, datatype, name)


Planner = Callable[["_Draft"], None]


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A scan that is being planned."""

    members: Sequence[Member]
    given: Mapping[str, Given]
    place: Place
    alone: bool
    plan: PlannedScan

    @property
    def images(self) -> list[SourceImage]:
        return [member.image for member in self.members]

    def flip(self, image: SourceImage) -> float | None:
        """Return the flip angle of an image, that of the table first [deg]."""
        stated = self.given.get(image.name, Given()).flip
        return image.number("FlipAngle") if stated is None else stated

    def say(self, images: Sequence[SourceImage], *sentences: str) -> None:
        for image in images:
            notes = self.plan.notes.setdefault(image.name, [])
            notes += [sentence for sentence in sentences if sentence and sentence not in notes]

    def add(
        self, target: Path, sources: Sequence[SourceImage], added: Mapping[str, Any], *, without: Sequence[str] = ()
    ) -> None:
        """Plan an image: its sidecar is that of its sources, less identity, plus what was decided."""
        cleaned = [without_identity(self._stated(image)) for image in sources]
        removed = tuple(dict.fromkeys(key for _, keys in cleaned for key in keys))
        values = (
            cleaned[0][0]
            if len(sources) == 1
            else merged([each for each, _ in cleaned], names=[i.name for i in sources])
        )
        values = {key: value for key, value in values.items() if key not in without} | dict(added)
        suffix = target.name.rpartition("_")[2]
        self.say(sources, *with_sequence(values, suffix=suffix), what_lacks(values, suffix=suffix))
        self.say(sources, f"left out of the sidecar: {', '.join(removed)}" if removed else "")
        self.say(sources, *{sentence for image in sources if (sentence := _extension_note(image))})
        if len(sources) > 1:
            self.say(sources, stack_note(sources))
        self.plan.images.append(
            PlannedImage(target=target.with_name(f"{target.name}.nii.gz"), sources=tuple(sources), sidecar=values)
        )

    def _stated(self, image: SourceImage) -> dict[str, Any]:
        values = dict(image.values)
        angle = self.given.get(image.name, Given()).flip
        if angle is not None and angle != image.number("FlipAngle"):
            values["FlipAngle"] = angle
            self.say([image], f"FlipAngle {angle:g} from the table")
        return values


def _extension_note(image: SourceImage) -> str:
    import nibabel as nib

    header: Any = nib.load(image.info.path).header
    texts = [
        key
        for key in ("descrip", "intent_name", "db_name", "aux_file")
        if key in header and header[key].item().strip(b"\0 ")
    ]
    number = len(getattr(header, "extensions", ()))
    held = [*texts, *([f"{number} extension(s)"] if number else [])]
    return f"its NIfTI header holds {' and '.join(held)}, copied as they are: do they name a person?" if held else ""


def plan_scan(members: Sequence[Member], *, given: Mapping[str, Given], place: Place, alone: bool) -> PlannedScan:
    """Return what becomes of a scan; one that cannot be used says why.

    Parameters
    ----------
    members
        Its images, of one label.
    given
        What the table states of each file.
    place
        Where it goes.
    alone
        Whether it is the only scan of its kind.
    """
    kind = members[0].taken.kind
    plan = PlannedScan()
    draft = _Draft(members=members, given=given, place=place, alone=alone, plan=plan)
    try:
        if len({PLANNERS[member.taken.kind] for member in members}) > 1:
            kinds = ", ".join(dict.fromkeys(member.taken.kind for member in members))
            raise ValueError(
                f"scan: expected images of one kind under one label, found {kinds}: correct it and {AGAIN}"
            )
        check_one_grid(draft.images)
        PLANNERS[kind](draft)
    except Exception as error:
        words = (
            str(error)
            if isinstance(error, ValueError | RefusedError)
            else str(refusal_of(error, file=members[0].image.name))
        )
        return PlannedScan(refusal=" ".join(words.split()), notes=plan.notes)
    return plan


def _pcbssfp(draft: _Draft) -> None:
    parts = {member.image.name: member.taken.part for member in draft.members}
    there = dict.fromkeys(parts.values())
    if set(there) not in COMPLETE_PARTS:
        raise ValueError(
            f"{draft.images[0].name}: part: expected magnitude and phase, real and imaginary part, or one complex image, found "
            f"{', '.join(part or 'none' for part in there)} alone. Relaxation times are estimated from complex "
            "data: add the other part. If it "
            f"was taken for something else, correct taken_for, part or scan and {AGAIN}"
        )
    dimensions = {image.volumes > 1 for image in draft.images}
    of_part = {part: [m.image for m in draft.members if m.taken.part == part] for part in there}
    if len(dimensions) > 1 or (True in dimensions and any(len(same) > 1 for same in of_part.values())):
        raise ValueError(
            "scan: expected one 4D file a part, or one 3D file a cycle and part, found "
            f"{', '.join(image.name for image in draft.images)}: give files of different runs different labels in the "
            f"column scan and {AGAIN}"
        )
    stated = {name: g.increments for name, g in draft.given.items() if name in parts and g.increments}
    increments, source, said = increments_of(draft.images, parts=parts, given=stated)
    draft.plan.increments.update(increments)
    draft.say(draft.images, *([f"increments from {source}"] if increments else []), *said)
    degrees: list[float] = []
    for part, same in of_part.items():
        ordered = sorted(same, key=lambda image: [residue(value) for value in increments.get(image.name, ())])
        # All parts state the same numbers, though the table may call one cycle 360 here and 0 there.
        degrees = degrees or [value for image in ordered for value in increments.get(image.name, ())]
        added: dict[str, Any] = {"RFPhaseIncrement": [round(value, 6) for value in degrees]} if degrees else {}
        if not any(image.text("PulseSequenceType") for image in ordered):
            added["PulseSequenceType"] = "bSSFP"
        if part == "phase" and not all("Units" in image.values for image in ordered):
            unit = phase_units(ordered)
            draft.say(
                ordered,
                f"Units {unit!r} by the range of its values"
                if unit
                else "the range of its values is that of no known scale: the processing will refuse it, "
                "convert the phase to radians",
            )
            added |= {"Units": unit} if unit else {}
        entities = {"acq": "pcbssfp", "flip": "1"} | ({"part": part} if part != "complex" else {})
        scalars = (SCALAR_KEY,) if True not in dimensions else ()
        draft.add(draft.place.path("anat", "VFA", **entities), ordered, added, without=(*INCREMENT_KEYS, *scalars))
    if len(draft.images) > len(of_part):
        draft.say(
            draft.images,
            f"{len(draft.images) // len(of_part)} files a part become one series in the order of the increments",
        )


def _roles(draft: _Draft, known: tuple[str, str]) -> dict[str, SourceImage]:
    """Return the images of a scan by their role; the other of two is the other one."""
    parts = {member.image.name: member.taken.part for member in draft.members}
    unknown = [image for image in draft.images if parts[image.name] not in (*known, "both")]
    if len(unknown) == 1 and len(parts) == 2:
        (role,) = set(known) - set(parts.values()) or {""}
        if role:
            parts[unknown[0].name] = draft.plan.parts[unknown[0].name] = role
            draft.say(unknown, f"taken as {role}, since the other image is {next(iter(set(known) - {role}))}")
    found = {parts[image.name]: image for image in draft.images}
    listed = ", ".join(f"{name} ({part or 'unknown'})" for name, part in parts.items())
    if len(found) < len(parts) or not (set(found) <= set(known) or set(found) == {"both"}):
        raise ValueError(
            f"part: expected one image {known[0]} and one {known[1]}, or one file of both, found "
            f"{listed}: fill the columns part and scan and {AGAIN}"
        )
    return found


def _angles(draft: _Draft) -> None:
    suffix = draft.members[0].taken.kind
    found = _roles(draft, ("anat", "famp"))
    if "famp" not in found and "both" not in found:
        raise ValueError(
            f"part: expected the image of flip angles (famp), found {', '.join(found)} alone: add it, or fill part and {AGAIN}"
        )
    for role, image in found.items():
        draft.add(draft.place.path("fmap", suffix, acq="famp" if role == "both" else role), [image], {})
    if suffix == "TB1TFL" and "famp" in found:
        _say_angle_of_readout(draft, found["famp"])
    if "both" in found:
        draft.say(
            [found["both"]],
            "one file of both images: the first volume is read as anatomical image, the second as flip angles",
        )


def _say_angle_of_readout(draft: _Draft, image: SourceImage) -> None:
    """Say of a flip angle that cannot be that of the preparation: vendors state the one of the readout."""
    stated, median = draft.flip(image), TFL.degrees * median_of_nonzero(image.info, volume=None)
    if stated and math.isfinite(median) and not is_plausible(median / stated):
        draft.say(
            [image],
            f"FlipAngle {stated:g} is not that of the preparation pulse, since the flip angles have a median of "
            f"{median:.3g}: fill the "
            f"column flip and {AGAIN}, or process with --b1-nominal-fa",
        )


def _double_angle(draft: _Draft) -> None:
    if len(draft.images) == 1 and draft.images[0].volumes == 2:
        draft.add(draft.place.path("fmap", "TB1DAM", flip="1"), draft.images, {})
        draft.say(draft.images, "one file of both images: FlipAngle must be the array of both angles")
        return
    flips = {image.name: draft.flip(image) for image in draft.images}
    known = sorted(angle for angle in flips.values() if angle is not None)
    listed = ", ".join(f"{name} ({'unknown' if flip is None else format(flip, 'g')})" for name, flip in flips.items())
    if len(flips) != 2 or len(known) != 2 or not math.isclose(known[1], 2.0 * known[0], rel_tol=0.05):
        raise ValueError(
            f"FlipAngle: expected two images with angles α and 2α, found "
            f"{listed}: fill the columns flip and scan and {AGAIN}"
        )
    for number, image in enumerate(sorted(draft.images, key=lambda each: draft.flip(each) or 0.0), start=1):
        draft.add(draft.place.path("fmap", "TB1DAM", flip=str(number)), [image], {})


def _afi(draft: _Draft) -> None:
    keys = ("RepetitionTimeExcitation", "RepetitionTimePreparation", "RepetitionTime")
    times = {
        image.name: next((t for key in keys if (t := image.number(key)) is not None), None) for image in draft.images
    }
    different = len(times) == 2 and None not in times.values() and len(set(times.values())) == 2
    if different and any(member.taken.part not in ("tr1", "tr2") for member in draft.members):
        first, second = sorted(draft.images, key=lambda image: times[image.name] or 0.0)
        found = {"tr1": first, "tr2": second}
        draft.plan.parts.update({first.name: "tr1", second.name: "tr2"})
        draft.say(draft.images, "the shorter repetition time is tr1")
    else:
        found = _roles(draft, ("tr1", "tr2"))
    if len(found) == 1 and "both" not in found:
        raise ValueError(
            f"part: expected tr1 and tr2, found {', '.join(found)} alone: add the other image, or fill part and {AGAIN}"
        )
    for role, image in found.items():
        # BIDS asks for the key; one time for both images is that of neither.
        time = image.number("RepetitionTime") if different and "RepetitionTimeExcitation" not in image.values else None
        added = {} if time is None else {"RepetitionTimeExcitation": time}
        draft.add(draft.place.path("fmap", "TB1AFI", acq="tr1" if role == "both" else role), [image], added)
    if not different:
        draft.say(
            draft.images,
            "both images state one repetition time, or none: give them by --b1-afi-tr TR1 TR2 of qmri_bids, or as "
            "RepetitionTimeExcitation, which BIDS asks for",
        )


def _single(draft: _Draft) -> None:
    kind = draft.members[0].taken.kind
    if len(draft.images) > 1:
        raise ValueError(
            f"scan: expected one image of {kind} under one label, found {', '.join(image.name for image in draft.images)}: give "
            f"each its own label in the column scan and {AGAIN}"
        )
    draft.add(draft.place.path("anat" if kind == "T1w" else "fmap", kind), draft.images, {})


def _mt(draft: _Draft) -> None:
    suffix = draft.members[0].taken.kind
    on = [member.image for member in draft.members if member.state is True]
    off = [member.image for member in draft.members if member.state is False]
    shown = ", ".join(
        f"{m.image.name} (mt {'unknown' if m.state is None else 'on' if m.state else 'off'}, flip "
        f"{draft.flip(m.image) or 'unknown'})"
        for m in draft.members
    )
    wanted = 1 if suffix == "MTR" else 2
    if (len(on), len(off), len(draft.members)) != (1, wanted, wanted + 1):
        raise ValueError(
            f"mt: expected one image with and {wanted} without MT pulse for {suffix}, found {shown}: fill the columns mt, scan and "
            f"taken_for and {AGAIN}"
        )
    if suffix == "MTR":
        flips: dict[str, str] = {}
    else:
        angles = [draft.flip(image) for image in off]
        if None in angles or angles[0] == angles[1]:
            raise ValueError(
                f"FlipAngle: expected two different angles without MT pulse, found {shown}: fill the column flip and {AGAIN}"
            )
        off.sort(key=lambda image: draft.flip(image) or 0.0)
        low, high = (draft.flip(image) or 0.0 for image in off)
        angle = draft.flip(on[0]) or low
        flips = {off[0].name: "1", off[1].name: "2", on[0].name: "1" if abs(angle - low) <= abs(angle - high) else "2"}
        draft.say(draft.images, "flip-1 is the smaller flip angle")
    for state, images in (("off", off), ("on", on)):
        for image in images:
            entities = {"mt": state} | ({"flip": flips[image.name]} if flips else {})
            if suffix == "MTS" and image.number("EchoNumber") is not None:
                entities["echo"] = f"{int(image.number('EchoNumber') or 1)}"
            added = {} if isinstance(image.values.get("MTState"), bool) else {"MTState": state == "on"}
            draft.add(draft.place.path("anat", suffix, **entities), [image], added)


def _cest(draft: _Draft) -> None:
    (image,) = draft.images if len(draft.images) == 1 else (None,)
    if image is None:
        raise ValueError(
            f"scan: expected one 4D series, found {len(draft.images)} files: give each its own label in the column scan and {AGAIN}"
        )
    kind = draft.members[0].taken.kind
    offsets = find_offsets(image, folder=draft.place.folder, alone=draft.alone)
    suffix = "wassr" if kind == "wassr" else "cest"
    default = {"wasabi": "WASABI", "wassr": "WASSR"}.get(kind)
    label = default or label_of_series(image)
    target = draft.place.path("anat", suffix, acq=label)
    added: dict[str, Any] = {}
    if offsets.pulseq is not None:
        digest = hashlib.sha256(offsets.pulseq.read_bytes()).hexdigest()
        # Participants may have other files of the same name.
        place = Path("code", "pulseq", f"{offsets.pulseq.stem}_{digest[:8]}.seq")
        draft.plan.copies[place] = offsets.pulseq
        added = {"PulseqFile": f"bids::{place.as_posix()}", "PulseqFileHash": digest}
    if offsets.table:
        rows = ["\t".join(offsets.table), *("\t".join(row) for row in zip(*offsets.table.values(), strict=True))]
        context = target.with_name(f"{target.name.removesuffix(suffix)}cestcontext.tsv")
        draft.plan.tables[context] = "\n".join(rows) + "\n"
    draft.say([image], offsets.note)
    draft.add(target, [image], added)
    powers = {"b1_rms": "SaturationB1RMS", "saturation_duration": "SaturationDuration"}
    stated = [key for column, key in powers.items() if column in offsets.table]
    if stated:
        draft.plan.notes[image.name] = [
            note
            for note in draft.plan.notes[image.name]
            if not (note.startswith("STILL MISSING") and all(k in stated for k in _named(note)))
        ]


def label_of_series(image: SourceImage) -> str:
    """Return the label of `acq` of a CEST series: the name that a person gave it."""
    return label_of(image.names[0], default="CEST")


def _named(note: str) -> list[str]:
    return [key for key in ("SaturationB1RMS", "SaturationDuration", "MagneticFieldStrength") if key in note]


def _field(draft: _Draft) -> None:
    by_kind = {member.taken.kind: member.image for member in draft.members}
    if len(by_kind) < len(draft.members):
        raise ValueError(
            f"scan: expected one image of each kind of a field map, found "
            f"{', '.join(m.taken.kind for m in draft.members)}: correct "
            f"taken_for or scan and {AGAIN}"
        )
    needs = {"fieldmap": "magnitude", "phasediff": "magnitude1", "phase1": "phase2", "phase2": "phase1"}
    lacking = [needs[kind] for kind in by_kind if kind in needs and needs[kind] not in by_kind]
    if lacking or not set(by_kind) & set(needs):
        raise ValueError(
            f"scan: expected fieldmap with magnitude, phasediff with magnitude1, or phase1 and phase2 with magnitude1, found "
            f"{', '.join(by_kind)}: add the missing image, or correct taken_for and {AGAIN}"
        )
    for kind, image in by_kind.items():
        added: dict[str, Any] = {}
        if kind == "fieldmap" and "Units" not in image.values:
            added["Units"] = "Hz"
            draft.say([image], "Units 'Hz', as the name says")
        if kind in ("phasediff", "phase1", "phase2") and "Units" not in image.values:
            unit = phase_units([image])
            added |= {"Units": unit} if unit else {}
        if kind == "phasediff" and not {"EchoTime1", "EchoTime2"} <= set(image.values):
            times = [by_kind[name].number("EchoTime") for name in ("magnitude1", "magnitude2") if name in by_kind]
            if len(times) != 2 or None in times:
                raise ValueError(
                    f"{image.stem}.json: EchoTime1 and EchoTime2: expected both in seconds, or EchoTime of two magnitudes, found "
                    "neither. Add them to the sidecar"
                )
            added |= {"EchoTime1": times[0], "EchoTime2": times[1]}
            draft.say([image], "EchoTime1 and EchoTime2 from the magnitudes")
        draft.add(draft.place.path("fmap", kind), [image], added)


PLANNERS: Mapping[str, Planner] = {
    "pcbssfp": _pcbssfp,
    "TB1TFL": _angles,
    "TB1RFM": _angles,
    "TB1DAM": _double_angle,
    "TB1AFI": _afi,
    "TB1map": _single,
    "T1w": _single,
    "MTS": _mt,
    "MTR": _mt,
    "cest": _cest,
    "wassr": _cest,
    "wasabi": _cest,
    **dict.fromkeys(("fieldmap", "phasediff", "phase1", "phase2", "magnitude", "magnitude1", "magnitude2"), _field),
}
"""How a scan of each kind is planned."""
