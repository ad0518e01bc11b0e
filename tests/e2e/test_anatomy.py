"""Derivatives of fMRIPrep, other spaces and an atlas, through the program on a small head."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from anatomy_derivatives import TEMPLATE, TO_TEMPLATE, t1w_pose, write_fmriprep

from qmri_bids.estimation.base import Status
from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.preprocessing.registration.resampling import resample

pytestmark = pytest.mark.slow

RunApp = Callable[..., subprocess.CompletedProcess]
RUN = "sub-01_acq-pcbssfp"


def image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    loaded: Any = nib.load(path)
    return np.asarray(loaded.dataobj, dtype=np.float32), loaded.affine


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2.0 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("anatomy") / "bids"
    simulate_dataset(
        folder, matrix=(40, 48, 40), voxel_size=5.0, phase_cycles=6, motion=1.0, snr=60.0, seed=3, t1w=True
    )
    return folder


@pytest.fixture(scope="module")
def done(bids: Path, run_app: RunApp) -> Path:
    root = bids.parent
    write_fmriprep(root / "fmriprep", bids=bids)
    # Left and right halves of the head in the template.
    template, affine = image(next((root / "fmriprep").rglob(f"*space-{TEMPLATE}*_T1w.nii.gz")))
    labels = np.zeros(template.shape, dtype=np.uint8)
    x = affine[0, 0] * np.arange(template.shape[0]) + affine[0, 3]
    labels[x < 0] = 1
    labels[x >= 0] = 2
    nib.save(nib.Nifti1Image(labels, affine), root / f"tpl-{TEMPLATE}_atlas-Halves_dseg.nii.gz")
    (root / f"tpl-{TEMPLATE}_atlas-Halves_dseg.tsv").write_text("index\tname\n1\tleft\n2\tright\n")
    found = run_app(
        bids,
        root / "out",
        "participant",
        "--work-dir",
        root / "work",
        "--nprocs",
        2,
        "--ignore",
        "motion",
        "--derivatives",
        f"fmriprep={root / 'fmriprep'}",
        "--output-spaces",
        "T1w",
        TEMPLATE,
        "--atlas",
        root / f"tpl-{TEMPLATE}_atlas-Halves_dseg.nii.gz",
    )
    assert found.returncode == 0, found.stderr + found.stdout
    return root / "out"


def test_outputs_are_valid_bids(bids: Path, done: Path) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    for folder in (bids, done):
        found = subprocess.run([program, "--ignoreWarnings", folder], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


def test_brain_mask_is_that_of_the_derivatives(bids: Path, done: Path) -> None:
    mask = image(done / "sub-01" / "anat" / f"{RUN}_desc-brain_mask.nii.gz")[0] > 0
    truth = image(bids / "derivatives" / "truth" / "sub-01" / "anat" / f"{RUN}_desc-brain_mask.nii.gz")[0] > 0
    assert dice(mask, truth) > 0.95
    assert "The brain mask is that of sub-01_desc-preproc_T1w.nii.gz" in (done / "sub-01.html").read_text()


def test_transform_is_that_of_the_head(bids: Path, done: Path) -> None:
    lines = (done / "sub-01" / "anat" / f"{RUN}_from-T1w_to-scan_mode-image_xfm.txt").read_text().splitlines()
    numbers = np.array([float(each) for each in lines[3].split()[1:]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = numbers[:9].reshape(3, 3), numbers[9:]
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    points = np.column_stack([np.random.default_rng(0).uniform(-50.0, 50.0, (200, 3)), np.ones(200)])
    error = points @ (flip @ matrix @ flip - t1w_pose(bids)).T
    # Voxels of 5 mm, and cycles that lie up to a millimetre apart: motion is left alone here.
    assert np.linalg.norm(error[:, :3], axis=1).mean() < 1.5


@pytest.mark.parametrize("space", ["T1w", TEMPLATE])
def test_maps_lie_where_the_truth_lies(bids: Path, done: Path, space: str) -> None:
    found, affine = image(done / "sub-01" / "anat" / f"{RUN}_space-{space}_T1map.nii.gz")
    truth, truth_affine = image(bids / "derivatives" / "truth" / "sub-01" / "anat" / f"{RUN}_label-WM_probseg.nii.gz")
    to_space = t1w_pose(bids) if space == "T1w" else TO_TEMPLATE @ t1w_pose(bids)
    white = resample(
        truth,
        affine=truth_affine,
        target_shape=found.shape,
        target_affine=affine,
        transform=np.linalg.inv(to_space),
        order=1,
    )
    both = np.isfinite(found)
    assert both.sum() * abs(np.linalg.det(affine[:3, :3])) > 1e6
    assert np.nanmedian(found[white > 0.9]) == pytest.approx(0.95, rel=0.1)
    assert np.corrcoef(found[both] < 1.1, white[both])[0, 1] > 0.5
    content = json.loads((done / "sub-01" / "anat" / f"{RUN}_space-{space}_T1map.json").read_text())
    assert content["Sources"] == [f"bids::sub-01/anat/{RUN}_T1map.nii.gz"]
    assert content["SpatialReference"].startswith("file://")


def test_codes_stay_codes(done: Path) -> None:
    codes = image(done / "sub-01" / "anat" / f"{RUN}_desc-quality_mask.nii.gz")[0]
    moved = image(done / "sub-01" / "anat" / f"{RUN}_space-T1w_desc-quality_mask.nii.gz")[0]
    assert set(np.unique(moved)) <= set(np.unique(codes))


def test_regions_of_the_atlas_come_to_the_run(bids: Path, done: Path) -> None:
    labels, affine = image(done / "sub-01" / "anat" / f"{RUN}_atlas-Halves_dseg.nii.gz")
    voxels = np.argwhere(labels > 0)
    points = np.column_stack([voxels, np.ones(len(voxels))]) @ (TO_TEMPLATE @ t1w_pose(bids) @ affine).T
    left = labels[labels > 0] == 1
    clear = np.abs(points[:, 0]) > 6.0
    assert (left[clear] == (points[clear, 0] < 0.0)).mean() > 0.99
    table = done / "sub-01" / "anat" / f"{RUN}_atlas-Halves_stats.tsv"
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t"))
    own = [row for row in rows if row["map"] == "T1map"]
    assert [row["name"] for row in own] == ["left", "right"]
    t1 = image(done / "sub-01" / "anat" / f"{RUN}_T1map.nii.gz")[0]
    codes = image(done / "sub-01" / "anat" / f"{RUN}_desc-quality_mask.nii.gz")[0]
    fits = (codes == Status.CONVERGED) | (codes == Status.MIXED)
    assert 0 < np.isfinite(t1[~fits]).sum() < np.isfinite(t1[fits]).sum()
    assert float(own[0]["median"]) == pytest.approx(np.nanmedian(t1[(labels == 1) & fits]), rel=1e-4)
    assert int(own[1]["n"]) == np.isfinite(t1[(labels == 2) & fits]).sum()


def test_spaces_that_cannot_be_had_are_refused_before_anything_is_computed(
    bids: Path, run_app: RunApp, tmp_path: Path
) -> None:
    arguments = ("participant", "--work-dir", tmp_path / "work", "--skip-bids-validation", "--output-spaces")
    found = run_app(bids, tmp_path / "out", *arguments, "MNI152NLin2009cAsym")
    assert found.returncode == 2
    assert (
        "--output-spaces MNI152NLin2009cAsym: without --derivatives there are native, T1w, MNI152NLin2009aSym"
        in found.stderr
    )
    assert not (tmp_path / "out" / "sub-01").exists()
