"""B1 maps that are whole and still not those of their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.pipeline.sources import B1Run
from qmri_bids.scans.b1.scan import load_scan

SHAPE = (30, 34, 26)


def run_of(folder: Path, change: Any = lambda values: values) -> B1Run:
    """An egg that lies on no axis of the image, its B1 masked to it and then changed."""
    x, y, z = np.meshgrid(*[np.linspace(-1.0, 1.0, size) for size in SHAPE], indexing="ij")
    head = ((x - 0.15) / 0.6) ** 2 + ((y + 0.2 * x) / 0.7) ** 2 + ((z + 0.12) / 0.65) ** 2 < 1.0
    rng = np.random.default_rng(0)
    image = 500.0 * head + np.abs(rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
    b1 = np.where(head, 1.15 - 0.3 * (x**2 + y**2 + z**2) + 0.02 * rng.standard_normal(SHAPE), 0.0)
    paths = {}
    for name, values in (("anat", image), ("famp", change(b1))):
        paths[name] = folder / f"sub-01_acq-{name}_TB1TFL.nii.gz"
        nib.save(nib.Nifti1Image(np.asarray(values, dtype=np.float32), np.diag([5.0, 5.0, 5.0, 1.0])), paths[name])
    return B1Run(entities={"sub": "01"}, method="TB1TFL", anatomical=paths["anat"], map=paths["famp"])


def test_a_map_on_its_image_says_nothing(tmp_path: Path) -> None:
    assert load_scan(run_of(tmp_path)).warnings == ()


@pytest.mark.parametrize("axis", [0, 2])
def test_a_map_that_was_turned_over_is_said(tmp_path: Path, axis: int) -> None:
    (said,) = load_scan(run_of(tmp_path, lambda values: np.flip(values, axis))).warnings
    assert "does not lie on its own image: the voxels that have a value overlap with the head by" in said
    assert f"turned over along axis {axis} by" in said


def test_a_map_that_was_cut_off_is_said(tmp_path: Path) -> None:
    (said,) = load_scan(run_of(tmp_path, lambda values: np.minimum(values, 1.0))).warnings
    assert "% of the bright voxels have the largest value, 1: it was cut off there" in said


def test_a_map_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"TB1TFL\.nii\.gz: the B1 scan has no value above 0 where its image has signal"
    ):
        load_scan(run_of(tmp_path, np.zeros_like))
