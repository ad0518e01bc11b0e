"""The parts of a BIDS file name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FileName:
    """The parts of a BIDS file name.

    Parameters
    ----------
    entities
        Short names and labels in the order of the file name, e.g. `{"sub": "01", "acq": "pcbssfp"}`.
    suffix, extension
        `VFA`, `.nii.gz`.
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str


def parse_name(path: Path) -> FileName:
    """Return the parts of a BIDS file name; whatever is no `key-label` pair before the suffix is left out.

    Examples
    --------
    >>> parse_name(Path("sub-01_acq-pcbssfp_flip-1_VFA.nii.gz")).entities
    {'sub': '01', 'acq': 'pcbssfp', 'flip': '1'}
    """
    stem, _, extension = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = {}
    for pair in pairs:
        key, dash, label = pair.partition("-")
        if dash:
            entities[key] = label
    return FileName(entities=entities, suffix=suffix, extension=f".{extension}" if extension else "")
