"""Which of several CEST runs belongs to another: by the index of `run` and the letters of `acq` that they share."""

from __future__ import annotations

from collections.abc import Sequence

from qmri_bids.scans.saturation.run import CestRun


def distance(run: CestRun, other: CestRun) -> tuple[int, int]:
    """Return how far apart the run indices are, and how few letters of acq the two share."""
    return abs(run_index(run) - run_index(other)), -len(shared_letters(run.entities["acq"], other.entities["acq"]))


def nearest_run(run: CestRun, others: Sequence[CestRun]) -> tuple[CestRun | None, str]:
    """Return the nearest of other runs, None if there is none, and its name with those that were passed over."""
    candidates = sorted(others, key=lambda other: (*distance(run, other), other.label))
    if not candidates:
        return None, ""
    phrase = candidates[0].label
    if len(candidates) > 1:
        passed = ", ".join(each.label for each in candidates[1:])
        phrase += f", the nearest by run and acq (the others: {passed})"
    return candidates[0], phrase


def run_index(run: CestRun) -> int:
    """Return the index of a run, 1 where the name has none."""
    label = run.entities.get("run", "1")
    return int(label) if label.isdigit() else 1


def shared_letters(first: str, second: str) -> str:
    """Return what two labels begin with alike.

    Examples
    --------
    >>> shared_letters("MRFMT", "MRFamide")
    'MRF'
    """
    shared = 0
    while shared < min(len(first), len(second)) and first[shared] == second[shared]:
        shared += 1
    return first[:shared]
