"""Sidecars of imported images: what the converter wrote, less what names a person, plus what was decided."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS, translated, why_not_excitation
from qmri_bids.importing.images import SourceImage
from qmri_bids.preprocessing.complex_data import name_of_scale
from qmri_bids.scans.bssfp.increments import SCALAR_KEY

_IDENTIFYING = re.compile(
    r"(Other)?Patient(?!Position|Orient).*|IssuerOfPatientID.*|AdditionalPatientHistory|(Subject|Person|Operators?|ContentCreators?)Name|"
    r"AccessionNumber|MedicalRecord.*|.*Physician.*|StudyID|.*UID|.*BirthDate.*|DateOfBirth|EthnicGroup|ImageComments|"
    r"StudyDescription|AcquisitionDateTime|(Acquisition|Study|Series|Content|InstanceCreation)Date|.*(Start|Study)Date.*|"
    r"RequestedProcedureID|[0-9A-F]{8}",
    re.IGNORECASE,
)
"""Keys that name a person or lead to one; converters write them where they are not told to leave them out."""

SHARED = ("FlipAngle", "RepetitionTime", "RepetitionTimeExcitation", "EchoTime", "MagneticFieldStrength")
"""Numbers in which the volumes of one series must agree."""

PER_VOLUME = "VolumeMetadata"
"""Key under which keys that differ from volume to volume are kept, one object a volume."""


def without_identity(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a sidecar without what identifies a person, at any depth, and the keys that were left out.

    Examples
    --------
    >>> without_identity({"PatientName": "Doe", "PatientPosition": "HFS"})
    ({'PatientPosition': 'HFS'}, ('PatientName',))
    """
    removed: list[str] = []

    def cleaned(value: Any) -> Any:
        if isinstance(value, Mapping):
            removed.extend(str(key) for key in value if _IDENTIFYING.fullmatch(str(key)))
            return {key: cleaned(item) for key, item in value.items() if not _IDENTIFYING.fullmatch(str(key))}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    return cleaned(values), tuple(dict.fromkeys(removed))


def merged(sidecars: Sequence[Mapping[str, Any]], *, names: Sequence[str]) -> dict[str, Any]:
    """Return the sidecar of a series that was put together of volumes.

    Parameters
    ----------
    sidecars
        Of the volumes, in their order.
    names
        Of the files, for messages.

    Raises
    ------
    ValueError
        If the volumes were acquired with different angles or times.
    """
    first = sidecars[0]
    for key in SHARED:
        for name, sidecar in zip(names, sidecars, strict=True):
            one, other = first.get(key), sidecar.get(key)
            if is_number(one) and is_number(other) and abs(one - other) > 1e-3 * abs(one) + 1e-12:
                raise ValueError(
                    f"{name}: {key}: expected {one:g} as in {names[0]}, since the volumes of one series share it, found {other:g}. "
                    "Give the files of another scan another label in the column scan, and import again with --table"
                )
    every = dict.fromkeys(key for sidecar in sidecars for key in sidecar)
    increments = (*INCREMENT_KEYS, SCALAR_KEY)
    absent = object()
    same = [
        key
        for key in every
        if key not in increments
        and (
            (key in SHARED and key in first)
            or all(sidecar.get(key, absent) == first.get(key, absent) for sidecar in sidecars)
        )
    ]
    kept = {key: first[key] for key in same}
    apart = [key for key in every if key not in same and key not in increments]
    if apart:
        kept[PER_VOLUME] = [{key: sidecar[key] for key in apart if key in sidecar} for sidecar in sidecars]
    return kept


RADIANS = (2.8, 2.0 * math.pi + 0.01)
"""Largest phase of an image in radians: with noise in it, phases come close to π or, from 0, to 2π."""

NEEDED: Mapping[str, Mapping[str, str]] = {
    "VFA": {"FlipAngle": "degrees", "RepetitionTimeExcitation": "s", "EchoTime": "s; half of the repetition time is taken without"},
    "MTS": {"FlipAngle": "degrees", "RepetitionTimeExcitation": "s"},
    "TB1TFL": {"FlipAngle": "degrees, of the preparation pulse"},
    "TB1RFM": {"FlipAngle": "degrees, of the preparation pulse"},
    "TB1DAM": {"FlipAngle": "degrees", "RepetitionTimeExcitation": "s"},
    "TB1AFI": {"FlipAngle": "degrees"},
    "cest": {"SaturationB1RMS": "µT", "SaturationDuration": "s", "MagneticFieldStrength": "T"},
    "wassr": {"SaturationB1RMS": "µT", "SaturationDuration": "s", "MagneticFieldStrength": "T"},
}  # fmt: skip
"""Keys that the processing asks for, by suffix, with their units."""


def phase_units(images: Sequence[SourceImage]) -> str:
    """Return `rad` or `arbitrary` where the range of all phases is one that the processing knows, else nothing."""
    import nibabel as nib

    lowest = largest = 0.0
    for image in images:
        data: Any = nib.load(image.info.path).dataobj  # type: ignore[attr-defined]
        # Of the stored values, which take a quarter of the memory.
        stored = np.asanyarray(data.get_unscaled())
        finite = stored[np.isfinite(stored)] if np.issubdtype(stored.dtype, np.inexact) else stored
        ends = () if finite.size == 0 else (float(finite.min()), float(finite.max()))
        meant = [end * float(data.slope) + float(data.inter) for end in ends]
        lowest, largest = min([lowest, *meant]), max([largest, *meant])
    if max(-lowest, largest) <= RADIANS[1]:
        return "rad" if max(-lowest, largest) >= RADIANS[0] else ""
    return "arbitrary" if name_of_scale(lowest, largest) else ""


def with_sequence(values: dict[str, Any], *, suffix: str) -> list[str]:
    """Add the keys that BIDS asks for and that others of a sidecar state, and return what was decided."""
    said = []
    for found in translated(values, suffix=suffix):
        values.setdefault(found.key, found.value)
        said.append(f"{found.key} {found.value} from {found.source}")
    return said


def what_lacks(values: Mapping[str, Any], *, suffix: str) -> str:
    """Return what the processing will miss in a sidecar, as a sentence; empty if nothing."""
    needed = {} if suffix in ("cest", "wassr") and "PulseqFile" in values else NEEDED.get(suffix, {})
    # The double angle takes the time between its excitations from either key.
    either = {"RepetitionTimeExcitation"} if suffix == "TB1DAM" and "RepetitionTime" in values else set()
    lacking = [f"{key} ({unit})" for key, unit in needed.items() if key not in values and key not in either]
    if not lacking:
        return ""
    hint = why_not_excitation(values) if any(text.startswith("RepetitionTimeExcitation") for text in lacking) else ""
    return f"STILL MISSING in the sidecar: {', '.join(lacking)}; add them there, or by --metadata of qmri_bids.{hint}".rstrip(
        "."
    )
