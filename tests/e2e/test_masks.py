"""A mask never ends a run: it is found first, given, corrected in place or that of an object; and what was done stays."""

from __future__ import annotations

import json
import shutil
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
ANAT = Path("sub-01", "anat")
MASK = ANAT / f"{RUN}_desc-brain_mask.nii.gz"
OBJECT = ANAT / f"{RUN}_desc-object_mask.nii.gz"


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks") / "bids"
    simulate_dataset(folder, matrix=(32, 36, 32), voxel_size=6.0, phase_cycles=6, motion=0.5, snr=60.0, seed=4)
    return folder


@pytest.fixture(scope="module")
def call(bids: Path, run_app: RunApp) -> Callable[..., subprocess.CompletedProcess]:
    """Process the head; all calls share a work folder, as those of a user do."""

    def process(name: str, *more: object) -> subprocess.CompletedProcess:
        return run_app(
            *(bids, bids.parent / name, "participant", "--work-dir", bids.parent / "work"),
            *("--skip-bids-validation", "--bssfp-estimator", "ml", *more),
        )

    return process


@pytest.fixture(scope="module")
def done(bids: Path, call: Callable[..., subprocess.CompletedProcess]) -> Path:
    found = call("out")
    assert found.returncode == 0, found.stderr
    steps = [line for line in found.stderr.splitlines() if line.endswith("…")]
    order = [line.split()[-2] for line in steps]
    assert order.index("find_brain") < order.index("remove_gibbs")
    assert order.index("find_brain") < order.index("correct_motion")
    return bids.parent / "out"


@pytest.fixture
def out(done: Path, bids: Path) -> Path:
    """The outputs of a call, in a folder of this test."""
    copy = bids.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    return shutil.copytree(done, copy)


def voxels(path: Path) -> np.ndarray:
    loaded: Any = nib.load(path)
    return np.asarray(loaded.dataobj) > 0.5


def save(mask: np.ndarray, path: Path, *, like: Path) -> None:
    loaded: Any = nib.load(like)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), loaded.affine), path)


def half(mask: np.ndarray) -> np.ndarray:
    corrected = mask.copy()
    corrected[:, :, : int(np.median(np.nonzero(mask)[2]))] = False
    return corrected


def test_a_mask_corrected_in_the_output_folder_is_used_and_kept(
    out: Path, call: Callable[..., subprocess.CompletedProcess]
) -> None:
    corrected = half(voxels(out / MASK))
    save(corrected, out / MASK, like=out / MASK)
    for _ in range(2):  # the second call finds the record of the first, and still does not take the mask for its own
        found = call(out.name)
        assert found.returncode == 0, found.stderr
        assert "was made or corrected by a person: it is used" in found.stderr
        np.testing.assert_array_equal(voxels(out / MASK), corrected)
        assert json.loads((out / MASK).with_name(f"{RUN}_desc-brain_mask.json").read_text())["Manual"] is True
    t1: Any = nib.load(out / ANAT / f"{RUN}_T1map.nii.gz")
    assert not np.isfinite(np.asarray(t1.dataobj)[~corrected]).any()


def test_a_mask_saved_again_without_a_change_stays_the_programs_own(
    out: Path, call: Callable[..., subprocess.CompletedProcess]
) -> None:
    save(voxels(out / MASK), out / MASK, like=out / MASK)
    found = call(out.name, "--dry-run")
    assert found.returncode == 0
    assert "by a person" not in found.stderr


def test_a_corrected_mask_that_does_not_fit_costs_its_run_and_stays(
    out: Path, call: Callable[..., subprocess.CompletedProcess]
) -> None:
    (out / MASK).with_name(f"{RUN}_desc-brain_mask.json").unlink()
    save(np.ones((4, 4, 4), dtype=bool), out / MASK, like=out / MASK)
    before = (out / MASK).read_bytes()
    found = call(out.name)
    assert found.returncode == 1
    text = "".join((found.stdout + found.stderr).split())  # a table breaks lines where it likes
    assert "expectedthegridofsub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz" in text
    assert "orremovethefiletohavethemaskfoundanew" in text
    assert (out / MASK).read_bytes() == before


def test_a_mask_of_the_command_line_is_used(
    done: Path, bids: Path, call: Callable[..., subprocess.CompletedProcess]
) -> None:
    given = bids.parent / "my mask.nii.gz"
    save(half(voxels(done / MASK)), given, like=done / MASK)
    found = call("given", "--mask-file", given)
    assert found.returncode == 0, found.stderr
    np.testing.assert_array_equal(voxels(bids.parent / "given" / MASK), voxels(given))
    assert "my mask.nii.gz" in (bids.parent / "given" / "sub-01.html").read_text()
    save(np.ones((4, 4, 4), dtype=bool), given, like=done / MASK)
    refused = call("given2", "--mask-file", given)
    kept = (bids.parent / "given" / MASK).read_bytes()
    save(np.ones_like(voxels(done / MASK)), bids.parent / "other.nii.gz", like=done / MASK)
    over = call("given", "--mask-file", bids.parent / "other.nii.gz")
    assert over.returncode == 2
    assert "would be written over" in over.stderr
    assert (bids.parent / "given" / MASK).read_bytes() == kept
    assert refused.returncode == 2
    assert "expected the grid of" in refused.stderr
    assert not (bids.parent / "given2" / "sub-01").exists()


def test_an_object_has_no_tissues_and_the_report_calls_it_so(
    bids: Path, call: Callable[..., subprocess.CompletedProcess], done: Path
) -> None:
    found = call("object", "--mask-method", "object", "--output-spaces", "MNI152NLin2009aSym")
    assert found.returncode == 0, found.stderr
    out = bids.parent / "object"
    assert not (out / MASK).exists()
    assert voxels(out / OBJECT).sum() > 1.3 * voxels(done / MASK).sum()  # with scalp and muscle
    assert json.loads((out / OBJECT).with_name(f"{RUN}_desc-object_mask.json").read_text())["Type"] == "ROI"
    assert not list(out.rglob("*dseg*"))
    assert json.loads((out / ANAT / f"{RUN}_T1map.json").read_text())["SkullStripped"] is False
    page = (out / "sub-01.html").read_text()
    assert "Mask of the object" in page
    assert "Tissues were not told apart: the mask is that of the whole object, not of a brain." in page
    assert "which has no place in MNI152NLin2009aSym" in page
    assert "of the brain mask" not in page


def test_what_was_done_before_a_failure_stays_and_is_shown(
    bids: Path, call: Callable[..., subprocess.CompletedProcess], probe_page: Callable[[Path], dict[str, Any]]
) -> None:
    found = call("failed", "--fd-threshold", "0.001")
    assert found.returncode == 1
    out = bids.parent / "failed"
    assert voxels(out / MASK).any()
    assert (out / ANAT / f"{RUN}_from-orig_to-pcbssfp_mode-image_desc-hmc_xfm.txt").is_file()
    assert not list(out.rglob("*T1map*"))
    page = (out / "sub-01.html").read_text()
    assert "left 1 of 6 cycles" in page
    assert "--mask-file" in page
    shown = probe_page(out / "sub-01.html")
    assert len(shown["widths"]) == 2  # the scan with its mask, and the motion
    assert min(shown["widths"]) > 100
    again = call("failed")  # nothing is in the way of the next call
    assert again.returncode == 0, again.stderr
    assert (out / ANAT / f"{RUN}_T1map.nii.gz").is_file()
