"""Changes of what a dataset means, each marked with what holds evidence of it: the list, frozen before anything was mended by it.

`evidence` names where something contradicts the mistake: `header`, `sidecar`, `data`, or nothing. It was decided by thought, before
the program had processed any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import files_meanings_bssfp as bssfp
import files_meanings_more as more
from files_changes import Change

BSSFP, SPECTRUM, SHIFT, RATIO, SATURATION, FINGERPRINT = "bssfp", "zspectrum", "wasabi", "mtr", "mts", "mrf"
"""Datasets, each with the scans of one kind and what they need."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """A change of what a dataset means.

    Parameters
    ----------
    name
        For tables.
    scan
        The dataset that it changes.
    change
        What makes it, given the root.
    evidence
        `header`, `sidecar`, `data`, or empty where nothing speaks against it.
    reason
        Which evidence, or why there is none.
    """

    name: str
    scan: str
    change: Change
    evidence: str
    reason: str


_TABLES = {
    BSSFP: (*bssfp.MISTAKES, *more.B1),
    SPECTRUM: more.ZSPECTRA,
    SHIFT: more.WASABIS,
    RATIO: more.MTRS,
    SATURATION: more.MTSATS,
    FINGERPRINT: more.FINGERPRINTS,
}
MEANINGS = tuple(
    Meaning(name=name, scan=scan, change=change, evidence=evidence, reason=reason)
    for scan, table in _TABLES.items()
    for name, change, evidence, reason in table
)
