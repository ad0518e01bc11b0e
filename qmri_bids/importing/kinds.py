"""What kind of scan one image is of: what its sidecar states first, then what people called it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qmri_bids.bids.images import median_of_nonzero
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS, SEQUENCE_KEYS, is_balanced, names_phase_cycles
from qmri_bids.importing.images import SourceImage
from qmri_bids.importing.names import increment_of_name, part_of_image_type, part_of_name, state_of_name
from qmri_bids.scans.b1.methods.ready import PERCENT_RANGE, RATIO_RANGE
from qmri_bids.scans.cest.kind import WASABI_LONGEST, WASABI_WEAKEST
from qmri_bids.scans.mt.find import LABELS, STATE_KEY
from qmri_bids.units import microtesla_to_tesla

LEFT_ALONE = "left alone"

KINDS: Mapping[str, str] = {
    "pcbssfp": "phase-cycled bSSFP",
    "TB1TFL": "B1 by turbo-FLASH with preparation pulse (parts anat, famp)",
    "TB1RFM": "B1 by RF field mapping (parts anat, famp)",
    "TB1DAM": "B1 by double angle (two flip angles)",
    "TB1AFI": "B1 by actual flip angle imaging (parts tr1, tr2)",
    "TB1map": "ready B1 map, ratio or percent",
    "MTS": "MT saturation (three spoiled gradient echoes)",
    "MTR": "MT ratio (with and without MT pulse)",
    "cest": "CEST: Z-spectrum or fingerprint",
    "wassr": "WASSR",
    "wasabi": "WASABI",
    "fieldmap": "field map in Hz or rad/s",
    "phasediff": "field map as difference of phases",
    "phase1": "phase of the first echo of a field map",
    "phase2": "phase of the second echo of a field map",
    "magnitude": "magnitude of a field map in Hz",
    "magnitude1": "magnitude of the first echo of a field map",
    "magnitude2": "magnitude of the second echo of a field map",
    "T1w": "anatomical image",
    LEFT_ALONE: "not imported",
}
"""What `taken_for` may say, and what it means."""

BALANCED = "balanced"
"""A single balanced image: only its companions tell whether it is a phase cycle."""

MT = "mt"
"""An image of an MT scan: how many there are tells whether it is MTS or MTR."""

FIELD = "field"
"""An image of a field map: how many there are tells which."""

SHORTEST_INVERSION = 0.3
"""Inversion time of a T1-weighted image [s]."""

NAMES: tuple[tuple[str, str], ...] = (
    ("pcbssfp", r"pc-?b?ssfp|phase[ _-]?cycl"),
    ("TB1TFL", r"tb1tfl|tfl[ _-]*b1|b1[ _-]*(map)?[ _-]*tfl"),
    ("TB1RFM", r"tb1rfm|rf[ _-]?map|rfm(?![a-z])"),
    ("TB1AFI", r"tb1afi|(?<![a-z])afi(?![a-z])|actual[ _-]?flip"),
    ("TB1DAM", r"tb1dam|(?<![a-z])dam(?![a-z])|double[ _-]?(flip[ _-]?)?angle"),
    ("wasabi", r"wasabi"),
    ("wassr", r"wassr"),
    ("cest", r"cest|(?<![a-z])apt[ _-]?w?(?![a-z])|z-?spec|mrf[ _-]?(mt|amide)"),
    (MT, r"mt[ _-]?sat|(?<![a-z])mts(?![a-z])|(?<![a-z])mtr(?![a-z])|(?<![a-z])mt[ _-]?(on|off|[01])(?![a-z0-9])|(?<![a-z])mtw|"
         r"no[ _-]?mt(?![a-z])|(?<![a-z])mpm(?![a-z])|magneti[sz]ation[ _-]?transfer"),
    ("TB1map", r"tb1map|b1[ _+-]*map|b1plus|rel(ative)?[ _-]?b1"),
    (FIELD, r"field[ _-]?map|phasediff|gre[ _-]?field|b0[ _-]?map|(?<![a-z])phase[12](?![0-9a-z])|"
         r"(?<![a-z])magnitude[12]?(?![0-9a-z])"),
    ("T1w", r"mp-?rage|t1[ _-]?w(?![a-z])|bravo|t1[ _-]?(tfe|mpr|spc)|3d[ _-]?t1"),
)  # fmt: skip
"""Words of names by the kind that they hint at; the first that matches is taken."""

SEQUENCES: tuple[tuple[str, str], ...] = (
    ("TB1TFL", r"tfl_?(b1|rf)"),
    ("TB1RFM", r"rf_?map"),
    ("TB1AFI", r"(?<![a-z])afi(?![a-z])|actual flip"),
    ("wasabi", r"wasabi"),
    ("cest", r"cest"),
    (FIELD, r"(?<![a-z])fm2d|field_?map"),
)
"""What vendors and research sequences are called, by kind."""

_FAMP = re.compile(r"fl?i?p?[ _-]?a(ngle)?[ _-]?map|famp|flip[ _-]?angle|(?<![a-z])fa(?![a-z0-9])", re.IGNORECASE)
_SAYS_FAMP = re.compile(r"(?<![a-z])famp(?![a-z])", re.IGNORECASE)
_ANAT = re.compile(r"(?<![a-z])anat", re.IGNORECASE)
_TR = re.compile(r"(?<![a-z])tr[ _-]?([12])(?![0-9])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What an image was taken for.

    Parameters
    ----------
    kind
        A key of `KINDS`, or `BALANCED`, `MT` or `FIELD` as long as its companions were not asked.
    part
        `mag`, `phase`, `real`, `imag`, `complex`; `anat`, `famp` or `both` of TB1TFL and TB1RFM; `tr1`, `tr2` or `both` of TB1AFI.
    evidence
        What was seen where.
    sure
        `high` (metadata), `fair` (one name) or `low`.
    note
        What was decided, as sentences.
    """

    kind: str
    part: str
    evidence: str
    sure: str
    note: str = ""


def state_of(image: SourceImage) -> tuple[bool | None, str]:
    """Return whether an image has an MT pulse, None where nothing says so, and what says so."""
    stated = image.values.get(STATE_KEY)
    state = LABELS.get(stated.strip().lower()) if isinstance(stated, str) else stated
    if isinstance(state, bool):
        return state, f"{STATE_KEY} {stated!r}"
    for key, code in (("ScanOptions", "MT"), ("SequenceVariant", "MTC")):
        if code in _codes(image.values.get(key)):
            return True, f"{key} has {code}"
    for name in image.names:
        found = state_of_name(name)
        if found is not None:
            return found, f"name {name!r}"
    return None, ""


def _codes(value: Any) -> set[str]:
    items = value if isinstance(value, list) else [value]
    return {code for item in items if isinstance(item, str) for code in re.split(r"[\\_ ,/]+", item.upper()) if code}


def part_of(image: SourceImage) -> tuple[str, str, str]:
    """Return which part of complex values an image is, what says so, and a sentence on what contradicts it."""
    if image.part:
        return image.part, "Part of the description", ""
    if image.info.is_complex:
        return "complex", "complex values", ""
    stated, key = part_of_image_type(image.values)
    named = part_of_name(image.stem)
    if stated:
        doubt = f"{key} says {stated}, the name {named}: {key} was taken" if named and named != stated else ""
        return stated, key, doubt
    if named:
        return named, "end of the name", ""
    return "mag", "", "nothing says which part it is: magnitude"


def recognise(image: SourceImage) -> Taken:
    """Return what one image is by itself."""
    part, source, doubt = part_of(image)
    if image.taken_for:
        kind = next((key for key in KINDS if key.lower() == image.taken_for.lower()), "")
        if kind:
            return Taken(kind=kind, part=_role(image, kind, part), evidence="Kind of the description", sure="high")
        return Taken(
            kind=LEFT_ALONE,
            part="",
            evidence="Kind of the description",
            sure="low",
            note=f"Kind: expected one of {', '.join(KINDS)}, found {image.taken_for!r}",
        )
    stated, seen = _by_metadata(image)
    named, name = _by_name(image)
    if stated:
        note = (
            f"its name ({name!r}) hints at {KINDS.get(named, named)}: the metadata decide"
            if _differ(stated, named)
            else ""
        )
        kind, evidence, sure = stated, f"metadata: {seen}", "high"
    elif named:
        kind, evidence, sure, note = named, f"name {name!r}", "fair", ""
    else:
        return Taken(
            kind=LEFT_ALONE, part="", evidence="", sure="high" if image.has_sidecar else "low",
            note="neither its metadata nor its names say that it is a scan this program uses",
        )  # fmt: skip
    said = [sentence for sentence in (note, doubt if kind in ("pcbssfp", BALANCED) else "") if sentence]
    role = _role(image, kind, part)
    if role and source and role == part and kind in ("pcbssfp", BALANCED, FIELD):
        evidence += f"; part: {source}"
    return _sift(image, Taken(kind=kind, part=role, evidence=evidence, sure=sure, note="; ".join(said)))


def _differ(stated: str, named: str) -> bool:
    alike = {BALANCED: "pcbssfp", "wassr": "cest", "wasabi": "cest"}
    if stated.startswith("TB1") and named == "TB1map":
        return False
    return bool(named) and alike.get(stated, stated) != alike.get(named, named)


def _by_metadata(image: SourceImage) -> tuple[str, str]:
    """Return the kind that the keys of a sidecar state, and which do; empty where none does."""
    values = image.values
    texts = {key: image.text(key) for key in ("PulseSequenceType", *SEQUENCE_KEYS) if image.text(key)}
    for kind, pattern in SEQUENCES:
        key = next((key for key, text in texts.items() if re.search(pattern, text, re.IGNORECASE)), None)
        if key is not None:
            kind = "wasabi" if kind == "cest" and _turns_water(image) else kind
            return kind, f"{key} '{texts[key]}'"
    balanced = next((key for key, text in texts.items() if is_balanced(text)), None)
    increments = next((key for key in INCREMENT_KEYS if key in values), None)
    if balanced is not None:
        shown = f"{balanced} '{texts[balanced]}'"
        if increments is not None:
            return "pcbssfp", f"{shown}, {increments}"
        if image.volumes > 2:
            return "pcbssfp", f"{shown}, {image.volumes} volumes"
        if any(
            names_phase_cycles(re.sub(r"[ _-]", "", name)) or increment_of_name(name) is not None
            for name in image.names
        ):
            return "pcbssfp", f"{shown}, and the name"
        return BALANCED, shown
    if increments is not None:
        return "pcbssfp", increments
    offsets = next((k for k in ("SaturationOffset", "SaturationFrequencyOffset", "PulseqFile") if k in values), None)
    if offsets is not None and (isinstance(values[offsets], list) or offsets == "PulseqFile"):
        return ("wasabi" if _turns_water(image) else "cest"), offsets
    if "EchoTime1" in values and "EchoTime2" in values:
        return FIELD, "EchoTime1 and EchoTime2"
    units = image.text("Units").lower()
    if units in ("hz", "rad/s"):
        return FIELD, f"Units {units!r}"
    state, seen = state_of(image)
    if state is True and not seen.startswith("name"):
        return MT, seen
    inversion = image.number("InversionTime")
    codes = _codes(values.get("ScanningSequence"))
    if (
        inversion is not None
        and inversion >= SHORTEST_INVERSION
        and "GR" in codes
        and values.get("MRAcquisitionType") == "3D"
    ):
        return "T1w", "InversionTime of a 3D gradient echo"
    return "", ""


def _turns_water(image: SourceImage) -> bool:
    """Whether the saturation is the short, strong block of WASABI."""
    duration, power = image.number("SaturationDuration"), image.number("SaturationB1RMS")
    if duration is None or power is None:
        return any("wasabi" in name.lower() for name in image.names)
    return 0.0 < duration <= WASABI_LONGEST and microtesla_to_tesla(power) > WASABI_WEAKEST


def _by_name(image: SourceImage) -> tuple[str, str]:
    """Return the kind that names hint at and the name that does, empty where none does."""
    for kind, pattern in NAMES:
        for name in image.names:
            if re.search(pattern, name, re.IGNORECASE):
                return kind, name
    for name in image.names:
        if is_balanced(name):
            cycled = image.volumes > 2 or increment_of_name(name) is not None
            return ("pcbssfp" if cycled else BALANCED), name
    return "", ""


def hints_at_mt(image: SourceImage) -> bool:
    """Whether a name says that an image is of an MT scan: angiograms and others have MT pulses, too."""
    return _by_name(image)[0] == MT


def role_of(image: SourceImage, kind: str) -> str:
    """Return which image of a scan of a kind this is, as far as it tells by itself."""
    return _role(image, kind, part_of(image)[0])


def _role(image: SourceImage, kind: str, part: str) -> str:
    """Return which image of its scan this is."""
    if image.part and image.part not in ("mag", "magnitude"):
        return image.part
    if kind in ("TB1TFL", "TB1RFM"):
        if image.volumes == 2:
            return "both"
        types = _types(image)
        if _is_map_of_angles(types):
            return "famp"
        # A map of angles is no magnitude to the scanner; where the word of BIDS says that it is one, the other image tells.
        if "M" in types:
            return "" if any(_SAYS_FAMP.search(text) for text in image.names) else "anat"
        for text in (*types, *reversed(image.names)):
            if _FAMP.search(text):
                return "famp"
            if _ANAT.search(text):
                return "anat"
        return ""
    if kind == "TB1AFI":
        if image.volumes == 2:
            return "both"
        found = next((match for name in image.names if (match := _TR.search(name))), None)
        return f"tr{found.group(1)}" if found else ""
    if kind in ("pcbssfp", BALANCED, FIELD):
        return part
    return "both" if kind == "TB1DAM" and image.volumes == 2 else ""


def _types(image: SourceImage) -> list[str]:
    stated = image.values.get("ImageType", [])
    return [text for text in (stated if isinstance(stated, list) else [stated]) if isinstance(text, str)]


def _is_map_of_angles(types: Sequence[str]) -> bool:
    return any(re.search(r"flip[ _-]?angle", text, re.IGNORECASE) for text in types)


def _sift(image: SourceImage, taken: Taken) -> Taken:
    """Return what was taken, left alone where it cannot be what its name says."""
    axes = 3 + (image.volumes > 1)
    if taken.kind in ("cest", "wassr", "wasabi") and axes == 3:
        return _left(taken, "a single volume, of which no spectrum is made (a map that the scanner computed?)")
    if taken.kind in ("T1w", "TB1map") and axes == 4:
        return _left(taken, f"{image.volumes} volumes where one is expected")
    stated_part, _ = part_of_image_type(image.values)
    if taken.kind in ("T1w", MT, "cest", "wassr", "wasabi", "TB1DAM", "TB1AFI") and (
        stated_part not in ("", "mag") or image.info.is_complex
    ):
        return _left(taken, f"the {stated_part or 'complex'} image; the magnitude is used")
    if taken.kind in ("TB1TFL", "TB1RFM") and stated_part == "phase" and not _is_map_of_angles(_types(image)):
        return _left(taken, "the phase image; magnitude and flip angles are used")
    if taken.kind == "T1w" and any(re.search(r"mp2rage|mp2", name, re.IGNORECASE) for name in image.names):
        return _left(
            taken, "MP2RAGE, which is not read; state T1w for its uniform image if it may serve as anatomical image"
        )
    if taken.kind == "TB1map":
        median = median_of_nonzero(image.info, volume=None)
        if not any(low <= median <= high for low, high in (RATIO_RANGE, PERCENT_RANGE)):
            return _left(
                taken,
                f"named as a B1 map, but a median of {median:.4g} is neither a ratio (about 1) nor percent (about 100): state what "
                "it is (TB1TFL, TB1RFM …)",
            )
        return taken_with(taken, note="values read as " + ("a ratio" if median <= RATIO_RANGE[1] else "percent"))
    return taken


def _left(taken: Taken, reason: str) -> Taken:
    note = "; ".join(sentence for sentence in (reason, taken.note) if sentence)
    return Taken(kind=LEFT_ALONE, part="", evidence=taken.evidence, sure=taken.sure, note=note)


def taken_with(
    taken: Taken,
    *,
    kind: str | None = None,
    part: str | None = None,
    sure: str | None = None,
    note: str = "",
    evidence: str = "",
) -> Taken:
    """Return what was taken with another kind, part or certainty, and what is added to evidence and note."""
    return Taken(
        kind=taken.kind if kind is None else kind,
        part=taken.part if part is None else part,
        evidence="; ".join(text for text in (taken.evidence, "" if evidence in taken.evidence else evidence) if text),
        sure=taken.sure if sure is None else sure,
        note="; ".join(text for text in (taken.note, note) if text),
    )
