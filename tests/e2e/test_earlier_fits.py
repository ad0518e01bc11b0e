"""What a call has left in derivatives is applied by another: maps are the same, and a corrected mask is obeyed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.phantom.dataset import simulate_dataset

pytestmark = pytest.mark.slow

RunApp = Callable[..., subprocess.CompletedProcess]
RUN = "sub-01_acq-pcbssfp"
MASK = f"sub-01/anat/{RUN}_desc-brain_mask.nii.gz"


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier") / "bids"
    simulate_dataset(folder, matrix=(32, 36, 32), voxel_size=6.0, phase_cycles=6, motion=1.5, snr=60.0, seed=2)
    return folder


@pytest.fixture(scope="module")
def call(bids: Path, run_app: RunApp) -> Callable[..., str]:
    """Process the head into a folder of its own, with a work folder of its own, and return the log."""

    def process(name: str, *more: object) -> str:
        found = run_app(
            *(bids, bids.parent / name, "participant", "--work-dir", bids.parent / f"work-{name}"),
            *("--skip-bids-validation", "--bssfp-estimator", "ml", *more),
        )
        assert found.returncode == 0, found.stderr + found.stdout
        return found.stderr + found.stdout

    return process


@pytest.fixture(scope="module")
def first(bids: Path, call: Callable[..., str]) -> Path:
    call("first")
    return bids.parent / "first"


def image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    loaded: Any = nib.load(path)
    return np.asarray(loaded.dataobj, dtype=np.float32), loaded.affine


def test_maps_are_those_of_the_call_that_has_fitted(bids: Path, call: Callable[..., str], first: Path) -> None:
    planned = call("dry", "--derivatives", f"mine={first}", "--dry-run")
    assert f"The brain mask is read from mine: {MASK}" in planned
    assert "The motion of the cycles is read from mine: " in planned
    said = call("again", "--derivatives", f"mine={first}")
    assert "apply_motion done" in said
    assert "read_mask done" in said
    assert not any(step in said for step in ("correct_motion", "mask_brain"))
    files = {path.relative_to(first) for path in first.rglob("*.nii.gz")}
    assert len(files) > 10
    assert {path.relative_to(bids.parent / "again") for path in (bids.parent / "again").rglob("*.nii.gz")} == files
    for name in files:
        found, expected = image(bids.parent / "again" / name)[0], image(first / name)[0]
        np.testing.assert_array_equal(found, expected, err_msg=str(name))
    report = (bids.parent / "again" / "sub-01.html").read_text()
    assert "The motion was read from mine: " in report
    assert "was not found in the image but read from derivatives of an earlier call" in report


def test_a_mask_corrected_by_hand_is_obeyed(bids: Path, call: Callable[..., str], first: Path) -> None:
    mask, affine = image(first / MASK)
    corrected = mask.copy()
    corrected[:, :, : int(np.median(np.nonzero(mask)[2]))] = 0
    nib.save(nib.Nifti1Image(corrected.astype(np.uint8), affine), bids.parent / "edited.nii.gz")
    original = (first / MASK).read_bytes()
    try:
        (first / MASK).write_bytes((bids.parent / "edited.nii.gz").read_bytes())
        call("corrected", "--derivatives", f"mine={first}", "--ignore", "motion", "calibration")
    finally:
        (first / MASK).write_bytes(original)
    out = bids.parent / "corrected"
    np.testing.assert_array_equal(image(out / MASK)[0], corrected)
    t1 = image(out / "sub-01" / "anat" / f"{RUN}_T1map.nii.gz")[0]
    assert np.isfinite(t1[corrected > 0]).mean() > 0.8  # voxels of 6 mm hold bone and air, too
    assert not np.isfinite(t1[corrected == 0]).any()
    assert "--ignore motion leaves motion alone" in (out / "sub-01.html").read_text()
