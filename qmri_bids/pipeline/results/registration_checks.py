"""Traffic lights of the registrations of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qmri_bids.preprocessing.registration.quality import MIRROR_DOUBT
from qmri_bids.reports.content import Check, Level
from qmri_bids.reports.measures import Measure

RULE = (
    "Mutual information before and after: it should rise, or stay where the head did not move. Mirror: that of the mirror image "
    f"over that of the scan, below {MIRROR_DOUBT:g}, or below 1 all over the head, where left and right are right and the scans "
    "lie on each other. Look at the contours below."
)

UNCHANGED = 0.98
"""Share of the mutual information that must be left: of scans that lay well before, interpolation takes a little."""


def registration_check(name: str, registration: Mapping[str, Any], *, of: str = "", about: str = "") -> Check:
    """Return the light of a registration.

    Parameters
    ----------
    name
        What was registered, for readers of the report.
    of, about
        What it is in every run and participant, by which its measures are compared, and the file that was registered, where the
        name holds it; by default the name.
    registration
        Arrays `similarity` (before, after), `overlap` (before, after), `mirrored` and `sides_in_doubt`, as
        `ScanRegistration.stored`.
    """
    before, after = (float(each) for each in registration["similarity"])
    mirrored = float(registration.get("mirrored", np.nan))
    if not np.isfinite(after):
        return Check(
            name=name,
            value="by the coordinates of the scanner alone",
            level=Level.CHECK,
            explanation="Nothing shows whether the head moved between the scans.",
        )
    overlap = [float(each) for each in registration.get("overlap", (np.nan, np.nan))]
    value = f"mutual information {before:.2f} → {after:.2f}"
    if np.isfinite(overlap[1]):
        value += f", overlap of the heads {overlap[0]:.2f} → {overlap[1]:.2f}"
    if np.isfinite(mirrored):
        value += f", mirror {mirrored:.2f}"
    good = after >= UNCHANGED * before and not bool(registration.get("sides_in_doubt", mirrored > MIRROR_DOUBT))
    found = {
        "mutual_information_before": before,
        "mutual_information_after": after,
        "head_overlap": overlap[1],
        "mirror_ratio": mirrored,
    }
    return Check(
        name=name,
        value=value,
        level=Level.GOOD if good else Level.CHECK,
        explanation=RULE,
        measures=tuple(
            Measure(key=key, value=each, of=of or name, about=about) for key, each in found.items() if np.isfinite(each)
        ),
    )


def registration_checks(registrations: Mapping[str, Mapping[str, Any]], *, names: Mapping[str, str]) -> Iterator[Check]:
    """Return the light of every registration of a run; `names` says what was registered, by key."""
    for key, registration in registrations.items():
        if "similarity" in registration:
            yield registration_check(f"Registration of {names[key]}", registration)
