"""Where the images of real heads lie: Debian's `mricron-data`, or the folder that `QMRI_BIDS_TEST_HEAD` names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "QMRI_BIDS_TEST_HEAD"
DEBIAN = Path("/usr/share/mricron/templates")
FILES = ("ch2.nii.gz", "ch2bet.nii.gz", "inia19-t1-brain.nii.gz")
MISSING = f"the real heads are not there: install Debian's mricron-data, or let {VARIABLE} name a folder with {', '.join(FILES)}"


@dataclass(frozen=True)
class RealHeads:
    """Colin27, a T1-weighted whole head with its brain, and the brain of a macaque."""

    whole_head: Path
    brain: Path
    macaque: Path


def real_heads() -> RealHeads | None:
    """Return the files, or None where one of them is missing."""
    folder = Path(os.environ.get(VARIABLE, DEBIAN))
    found = [folder / name for name in FILES]
    return RealHeads(*found) if all(path.is_file() for path in found) else None
