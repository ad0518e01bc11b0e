"""Levels, folders by options, the graph of steps, what they take, and a template on disk, through the command line."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

from qmri_bids.phantom.dataset import simulate_dataset

pytestmark = pytest.mark.slow

RunApp = Callable[..., subprocess.CompletedProcess]
RUN = "sub-01_acq-pcbssfp"
TEMPLATE = "MNICoarse"
LEAST = (
    f"anat/{RUN}_desc-brain_mask.nii.gz",
    f"anat/{RUN}_from-orig_to-pcbssfp_mode-image_desc-hmc_xfm.txt",
    f"anat/{RUN}_desc-confounds_timeseries.tsv",
)


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "bids"
    simulate_dataset(
        folder, matrix=(32, 36, 32), voxel_size=6.0, phase_cycles=4, motion=1.5, snr=60.0, seed=2, t1w=True
    )
    home = folder.parent / "templateflow" / f"tpl-{TEMPLATE}"
    home.mkdir(parents=True)
    for res, size in (("01", 4), ("02", 8)):
        for image, what in ((load_mni152_template, "T1w"), (load_mni152_brain_mask, "desc-brain_mask")):
            made: Any = image(resolution=size)
            values = np.asarray(made.dataobj, dtype=np.float32)
            nib.save(nib.Nifti1Image(values, made.affine), home / f"tpl-{TEMPLATE}_res-{res}_{what}.nii.gz")
    (home / "template_description.json").write_text(json.dumps({"Name": "the shipped one, coarse"}))
    return folder


@pytest.fixture(scope="module")
def call(bids: Path, run_app: RunApp) -> Callable[..., subprocess.CompletedProcess]:
    """Process the head with the work folder that all calls share, each method in a folder of its own."""

    def process(*more: object) -> subprocess.CompletedProcess:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEMPLATEFLOW_HOME", str(bids.parent / "templateflow"))
            return run_app(
                *(bids, bids.parent / "out", "participant", "--work-dir", bids.parent / "work"),
                *("--output-layout", "multiverse", "--bssfp-estimator", "ml", "--ignore", "gibbs", "calibration"),
                *("--skip-bids-validation", *more),
            )

    return process


def folder(bids: Path) -> Path:
    (found,) = (bids.parent / "out").glob("qmri_bids-*")
    return found


def images(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*.nii.gz")}


@pytest.fixture(scope="module")
def minimal(bids: Path, call: Callable[..., subprocess.CompletedProcess]) -> tuple[Path, str]:
    """A copy of what the level `minimal` leaves, and what was said."""
    spaces = ("--output-spaces", "T1w", TEMPLATE, f"{TEMPLATE}:res-2")
    done = call("--level", "minimal", "--write-graph", "--resource-monitor", "--nprocs", 1, *spaces)
    assert done.returncode == 0, done.stderr + done.stdout
    return shutil.copytree(folder(bids), bids.parent / "minimal"), done.stderr + done.stdout


@pytest.fixture(scope="module")
def resampling(bids: Path, minimal: Any, call: Callable[..., subprocess.CompletedProcess]) -> tuple[Path, str]:
    """A copy of what the level `resampling` leaves, and what was said."""
    done = call("--level", "resampling", "--output-spaces", "T1w", TEMPLATE, f"{TEMPLATE}:res-2")
    assert done.returncode == 0, done.stderr + done.stdout
    return shutil.copytree(folder(bids), bids.parent / "resampling"), done.stderr + done.stdout


@pytest.fixture(scope="module")
def full(bids: Path, resampling: Any, call: Callable[..., subprocess.CompletedProcess]) -> tuple[Path, str]:
    done = call("--resource-monitor", "--nprocs", 2, "--output-spaces", "T1w", TEMPLATE, f"{TEMPLATE}:res-2")
    assert done.returncode == 0, done.stderr + done.stdout
    return folder(bids), done.stderr + done.stdout


def test_minimal_leaves_mask_and_motion_and_says_so(minimal: tuple[Path, str]) -> None:
    root, said = minimal
    assert images(root) == {f"sub-01/{LEAST[0]}"}
    assert all((root / "sub-01" / name).is_file() for name in LEAST)
    assert "estimate_relaxation" not in said
    page = (root / "sub-01.html").read_text()
    assert "No maps were estimated (--level)" in page
    assert ": masks and motion alone" in page
    assert "This level estimates no maps." in page
    assert "Usable" not in page
    assert "no maps were estimated" in (root / "logs" / "CITATION.md").read_text()


def test_resampling_adds_the_transforms(resampling: tuple[Path, str]) -> None:
    root, said = resampling
    assert "find_brain is done already" in said
    assert "correct_motion is done already" in said
    mask = f"{RUN}_space-{{}}desc-brain_mask.nii.gz"
    spaces = ("T1w_", f"{TEMPLATE}_", f"{TEMPLATE}_res-2_")
    assert images(root) == {f"sub-01/{LEAST[0]}", *(f"sub-01/anat/{mask.format(space)}" for space in spaces)}
    anat = root / "sub-01" / "anat"
    assert (anat / f"{RUN}_from-scan_to-T1w_mode-image_xfm.txt").is_file()
    for ends in (f"from-T1w_to-{TEMPLATE}", f"from-{TEMPLATE}_to-T1w"):
        assert (anat / f"sub-01_{ends}_mode-image_xfm.h5").is_file()


def test_full_goes_on_from_there(full: tuple[Path, str], minimal: tuple[Path, str]) -> None:
    root, said = full
    assert "correct_motion is done already" in said
    for name in LEAST:
        assert (root / "sub-01" / name).is_file()
    mask = np.asarray(nib.load(root / "sub-01" / LEAST[0]).dataobj)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(mask, nib.load(minimal[0] / "sub-01" / LEAST[0]).dataobj)  # type: ignore[attr-defined]
    assert f"sub-01/anat/{RUN}_T1map.nii.gz" in images(root)


def test_maps_lie_in_the_template_on_disk(full: tuple[Path, str]) -> None:
    anat = full[0] / "sub-01" / "anat"
    values = {}
    for grid, size in ((TEMPLATE, 4), (f"{TEMPLATE}_res-2", 8)):
        image: Any = nib.load(anat / f"{RUN}_space-{grid}_T1map.nii.gz")
        expected = load_mni152_brain_mask(resolution=size)
        assert image.shape == expected.shape
        np.testing.assert_allclose(image.affine, expected.affine, atol=1e-4)
        values[size] = np.asarray(image.dataobj)
        inside, brain = np.isfinite(values[size]), np.asarray(expected.dataobj) > 0
        assert 2.0 * (inside & brain).sum() / (inside.sum() + brain.sum()) > 0.85
        sidecar = json.loads((anat / f"{RUN}_space-{grid}_T1map.json").read_text())
        said = f"Grid 2 of {TEMPLATE}, voxels of 8 × 8 × 8 mm" if size == 8 else None
        assert sidecar.get("Resolution") == said  # BIDS wants it where the name holds res
        assert sidecar["SpatialReference"].endswith(f"tpl-{TEMPLATE}_res-0{size // 4}_T1w.nii.gz")
    page = (full[0] / "sub-01.html").read_text()
    assert f"It is tpl-{TEMPLATE}_res-01_T1w.nii.gz of TemplateFlow." in page
    assert f"registered to {TEMPLATE} (the shipped one, coarse) of TemplateFlow" in page


def test_the_graph_holds_the_steps(minimal: tuple[Path, str]) -> None:
    graph = (minimal[0] / "sub-01" / "log" / "sub-01_graph.dot").read_text()
    assert graph.startswith("digraph")
    assert "correct_motion" in graph
    assert "keep_mask" in graph
    assert "the graph of the steps: " in minimal[1]


@pytest.mark.parametrize("level", ["minimal", "full"])
def test_what_steps_took_is_a_table(level: str, minimal: tuple[Path, str], full: tuple[Path, str]) -> None:
    root, said = minimal if level == "minimal" else full
    tables = sorted((root / "logs").glob("resources_*.tsv"))
    rows = list(csv.DictReader(tables[-1].read_text().splitlines(), delimiter="\t"))
    assert str(tables[-1].name) in said
    steps = [row["step"] for row in rows]
    assert len(set(steps)) == len(steps)
    assert not any(step.startswith("collect_") for step in steps)
    assert ("correct_motion" in steps) == (level == "minimal")  # kept from the first call, it took nothing in the other
    assert ("estimate_relaxation" in steps) == (level == "full")
    assert {row["participant_id"] for row in rows} == {"sub-01"}
    for row in rows:
        assert 0.03 < float(row["peak_memory"]) < 20.0
        assert 0.0 <= float(row["processor_time"]) < 20.0 * float(row["duration"]) + 1.0
    described = json.loads(tables[-1].with_suffix(".json").read_text())
    assert list(described) == list(rows[0])


def test_a_template_that_is_not_there_is_refused_before_anything(call: Callable[..., Any], bids: Path) -> None:
    before = sorted(bids.parent.rglob("*"))
    done = call("--output-spaces", "MNI152NLin2009cAsym:res-2")
    assert done.returncode == 2
    assert f"templates there: {TEMPLATE}." in done.stderr
    assert "Nothing is downloaded here" in done.stderr
    assert "get('MNI152NLin2009cAsym', resolution=2, desc=None, suffix='T1w')" in done.stderr
    assert [path for path in sorted(bids.parent.rglob("*")) if "caches" not in path.parts and path not in before] == []
