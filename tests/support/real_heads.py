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


def write_coarse(heads: RealHeads, folder: Path, *, factor: int = 2) -> RealHeads:
    """Write the whole head and its brain with voxels of so many millimetres, which become a digital head in a few seconds."""
    import nibabel
    import numpy as np

    written = []
    for path, is_mask in ((heads.whole_head, False), (heads.brain, True)):
        image = nibabel.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
        if is_mask:
            data = (data > 0).astype(np.float32)
        shape = [n // factor for n in data.shape]
        data = data[tuple(slice(0, n * factor) for n in shape)]
        blocks = data.reshape(shape[0], factor, shape[1], factor, shape[2], factor).mean(axis=(1, 3, 5))
        affine = image.affine @ np.diag([factor, factor, factor, 1.0])
        affine[:3, 3] += image.affine[:3, :3] @ np.full(3, 0.5 * (factor - 1))
        written.append(folder / path.name)
        nibabel.save(nibabel.Nifti1Image((blocks > 0.5).astype(np.uint8) if is_mask else blocks, affine), written[-1])
    return RealHeads(whole_head=written[0], brain=written[1], macaque=heads.macaque)
