"""What a user states of a whole dataset in one file, where the sidecars lack it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from qmri_bids.bids.files.plain import UnreadableError, read_json
from qmri_bids.bids.metadata.file_name import FileName, parse_name
from qmri_bids.bids.metadata.sequences import INCREMENT_KEYS, SEQUENCE_KEYS, is_balanced, names_phase_cycles

OPTION = "--metadata"

KINDS: Mapping[str, tuple[str, ...]] = {
    "pcbssfp": ("VFA", "T2w", "bSSFP", "SSFP"),
    "b1": ("TB1TFL", "TB1RFM", "TB1DAM", "TB1AFI", "TB1map"),
    "cest": ("cest", "wassr"),
    "mt": ("MTR", "MTS"),
    "fieldmap": ("fieldmap", "magnitude", "phasediff", "phase1", "phase2", "magnitude1", "magnitude2"),
}
"""Suffixes of each kind of scan, by the names that a filter file has for them; those of `pcbssfp` are used by other scans, too."""

KNOWN_KEYS = (
    *INCREMENT_KEYS,
    *SEQUENCE_KEYS,
    *("PulseSequenceType", "ScanningSequence", "SequenceVariant", "MRAcquisitionType"),
    *("RepetitionTime", "RepetitionTimeExcitation", "RepetitionTimePreparation", "EchoTime", "EchoTime1", "EchoTime2"),
    *("FlipAngle", "MagneticFieldStrength", "ImagingFrequency", "Units", "MTState"),
    *("RFPhaseIncrementReference", "SpoilingRFPhaseIncrement", "IntendedFor", "B0FieldIdentifier", "B0FieldSource"),
    *("SaturationOffset", "SaturationFrequencyOffset", "SaturationB1RMS", "SaturationDuration", "SaturationDutyCycle"),
    *("SaturationInterpulseDelay", "MTNumberOfPulses", "MTPulseDuration", "MTPulseShape", "SpinLock"),
    *("RecoveryTime", "RecoveryTimeM0", "NumberOfReadoutPulses", "PulseqFile", "PulseqFileHash"),
    *("RFPulseDuration", "RFPulseDurationStandardDeviation", "RFPulseShape", "RFPulseTimeBandwidthProduct"),
    "RFPulseSamples",
)
"""Keys of sidecars that are read."""


@dataclass(frozen=True, kw_only=True)
class AddedMetadata:
    """Keys and values by the scans that they are for.

    Parameters
    ----------
    name
        Name of the file, for messages.
    content
        Objects of keys and values by a kind of scan, a suffix, or a pattern of file names.
    used
        Those that were for a file, filled as files are read.
    """

    name: str
    content: Mapping[str, Mapping[str, Any]]
    used: set[str] = field(default_factory=set, compare=False)

    def of(self, path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stated of an image, patterns of names after suffixes after kinds.

        Parameters
        ----------
        path
            The image.
        values
            What its sidecars state: the suffixes of phase-cycled bSSFP are used by other scans, too.
        """
        name, stem = parse_name(path), path.name.partition(".")[0]
        found: dict[str, Any] = {}
        for matches in (
            lambda key: key in KINDS and _is_of_kind(key, name, values),
            lambda key: key == name.suffix,
            lambda key: "*" in key and fnmatchcase(stem, key),
        ):
            for key, stated in self.content.items():
                if matches(key):
                    self.used.add(key)
                    found |= stated
        return found

    @property
    def unused(self) -> tuple[str, ...]:
        """Those that were for no file that was read."""
        return tuple(key for key in self.content if key not in self.used)

    def doubts(self) -> tuple[str, ...]:
        """Return sentences on what is of no use, once all files were read."""
        said = [
            f"{self.name}: {key!r} fits no file that was read; is it the right kind of scan, suffix or pattern of file names?"
            for key in self.unused
        ]
        stated = dict.fromkeys(key for content in self.content.values() for key in content)
        for key in stated:
            if key not in KNOWN_KEYS:
                near = get_close_matches(key, KNOWN_KEYS, n=1, cutoff=0.75)
                said.append(f"{self.name}: nothing reads {key!r}" + (f"; is {near[0]} meant?" if near else ""))
        return tuple(said)


def _is_of_kind(kind: str, name: FileName, values: Mapping[str, Any]) -> bool:
    if name.suffix not in KINDS[kind]:
        return False
    if kind != "pcbssfp" or names_phase_cycles(name.entities.get("acq", "")):
        return True
    names = [values.get(key) for key in ("PulseSequenceType", *SEQUENCE_KEYS)]
    return any(key in values for key in INCREMENT_KEYS) or any(
        isinstance(each, str) and is_balanced(each) for each in names
    )


def load_added_metadata(path: Path) -> AddedMetadata:
    """Read a file of metadata: `{"pcbssfp": {"RFPhaseIncrement": [0, 90, 180, 270]}, "*_part-phase_VFA": {"Units": "rad"}}`.

    Raises
    ------
    ValueError
        If the file is no JSON object of objects, or names a kind of scan that is not known.
    """
    expected = (
        f"an object whose keys are kinds of scans ({', '.join(KINDS)}), suffixes (VFA, cest …) or patterns of file names "
        "(*_acq-fast_*), and whose values are objects of keys and values as in a sidecar"
    )
    try:
        content = read_json(path)
    except UnreadableError as error:
        raise ValueError(f"{path}: expected {expected}, found: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise ValueError(f"{path}: expected {expected}, found {json.dumps(content)[:200]}")
    suffixes = {suffix for group in KINDS.values() for suffix in group}
    unknown = [key for key in content if key not in KINDS and key not in suffixes and "*" not in key]
    if unknown:
        raise ValueError(f"{path}: expected {expected}, found {', '.join(map(repr, unknown))}")
    return AddedMetadata(name=path.name, content=content)
