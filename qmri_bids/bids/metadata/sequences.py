"""What converters write about a sequence, and what BIDS asks for: the one read from the other where it says so plainly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qmri_bids.bids.metadata.numbers import is_number
from qmri_bids.units import seconds_to_milliseconds

BALANCED = re.compile(
    r"b-?ssfp|balanced|true?[\s_-]*fisp|trufi|(?<![a-z])tfi[23]d|fiesta|b-?ffe|(?<![a-z])b-?tfe|ciss"
    r"|(?<!spoiled )(?<!spoiled)ssfp",
    re.IGNORECASE,
)
NOT_BALANCED = re.compile(
    r"spoil|spgr|flash|psif|dess|ssfp[\s_-]?(fid|echo)|(fid|echo)[\s_-]?ssfp|t1-?ffe|gre\b|(un|im|non[\s_-]?)balanced"
    r"|(?<![a-z])(nb|dw)[\s_-]?ssfp",
    re.IGNORECASE,
)

SEQUENCE_KEYS = ("PulseSequenceDetails", "PulseSequenceName", "InternalPulseSequenceName", "SequenceName")
"""Where converters write what a vendor calls a sequence; the name of the protocol is a name that a person gave."""

INCREMENT_KEYS = ("RFPhaseIncrement", "RfPhaseIncrement", "PhaseInc", "PhaseIncrements", "PhaseCycles")
"""Keys of the increment of the RF phase in every volume; the first is the one we document."""

LONGEST_EXCITATION = 0.1
"""Repetition time of a 3D gradient echo up to which it can be that of excitations [s]: that of a train of echoes is longer."""

EXCITATION_SUFFIXES = ("VFA", "bSSFP", "SSFP", "T2w", "MTS", "MTR")
"""Scans of excitations at one distance from beginning to end: others have pauses, of which `RepetitionTime` may tell."""


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A key that BIDS asks for, read from another.

    Parameters
    ----------
    key, value
        What BIDS asks for.
    source
        The key that states it.
    sentence
        What was decided, without the file.
    """

    key: str
    value: Any
    source: str
    sentence: str


def is_balanced(sequence_type: str) -> bool:
    """Whether a name of a sequence is that of balanced SSFP.

    Examples
    --------
    >>> is_balanced("bSSFP"), is_balanced("*tfi3d1"), is_balanced("SPGR"), is_balanced("spoiled SSFP")
    (True, True, False, False)
    """
    return bool(BALANCED.search(sequence_type)) and not NOT_BALANCED.search(sequence_type)


def names_phase_cycles(acquisition: str) -> bool:
    """Whether a label of `acq` says that a scan is phase-cycled."""
    label = acquisition.lower()
    return "pcbssfp" in label or "phasecycl" in label


def translated(values: Mapping[str, Any], *, suffix: str) -> Iterator[Translated]:
    """Yield the keys that a sidecar lacks and that others of its keys state.

    Parameters
    ----------
    values
        Content of the sidecar.
    suffix
        Suffix of the image.
    """
    if suffix not in EXCITATION_SUFFIXES:
        return
    name = next((key for key in SEQUENCE_KEYS if _is_balanced(values.get(key))), None)
    if name is not None and "PulseSequenceType" not in values:
        yield Translated(
            key="PulseSequenceType",
            value="bSSFP",
            source=name,
            sentence=f"the sequence is balanced SSFP by {name} {values[name]!r}; PulseSequenceType is not there.",
        )
    time = values.get("RepetitionTime")
    if "RepetitionTimeExcitation" in values or not is_number(time) or not 0.0 < time <= LONGEST_EXCITATION:
        return
    balanced = name is not None or _is_balanced(values.get("PulseSequenceType"))
    if values.get("MRAcquisitionType") == "3D" and _is_one_train(values) and (balanced or _says_gradient_echo(values)):
        yield Translated(
            key="RepetitionTimeExcitation",
            value=time,
            source="RepetitionTime",
            sentence=f"RepetitionTime ({seconds_to_milliseconds(time):g} ms) is taken as the time between two excitations, as "
            "converters write it for 3D gradient echoes; RepetitionTimeExcitation is not there.",
        )


def why_not_excitation(values: Mapping[str, Any]) -> str:
    """Return why the repetition time of a sidecar was not taken as that of excitations, as a sentence; empty without one."""
    if "RepetitionTime" not in values:
        return ""
    shown = f" RepetitionTime = {values['RepetitionTime']} is there, and was not taken since "
    kind = values.get("MRAcquisitionType")
    if kind == "2D":
        return f"{shown}the scan is 2D, where it is the time of all slices (MRAcquisitionType)."
    if kind != "3D":
        return f"{shown}MRAcquisitionType does not say 3D: copy it only if it is the time between two excitations."
    time = values["RepetitionTime"]
    if is_number(time) and time > LONGEST_EXCITATION:
        return f"{shown}it is that of a train of pulses, or in another unit than seconds."
    return (
        f"{shown}the sidecar does not state a plain gradient echo (ScanningSequence GR, no inversion, no echo train): "
        "copy it only if it is the time between two excitations."
    )


def _is_balanced(name: Any) -> bool:
    return isinstance(name, str) and is_balanced(name)


def _words(value: Any) -> set[str]:
    """Return the codes of a DICOM text of several values: an array, or one text parted by backslashes or underscores."""
    items = value if isinstance(value, list) else [value]
    return {code for item in items if isinstance(item, str) for code in re.split(r"[\\_ ,/]+", item.upper()) if code}


def _says_gradient_echo(values: Mapping[str, Any]) -> bool:
    """Whether the kind of sequence is stated as a gradient echo, and nothing else."""
    return _words(values.get("ScanningSequence")) == {"GR"}


def _is_one_train(values: Mapping[str, Any]) -> bool:
    """Whether nothing speaks of an inversion or other preparation, of spin echoes, or of several echoes after an excitation."""
    inversion, echoes = values.get("InversionTime"), values.get("EchoTrainLength")
    return not (
        _words(values.get("ScanningSequence")) & {"IR", "EP", "SE"}
        or "MP" in _words(values.get("SequenceVariant"))
        or (is_number(inversion) and inversion > 0.0)
        or (is_number(echoes) and echoes > 1.0)
    )
