"""The main job on a simulated head: what it writes, that it is valid, and that it is right."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from written_files import written_files

from qmri_bids.estimation.base import Status, has_value

pytestmark = pytest.mark.slow

EXPECTED = Path(__file__).with_name("expected_outputs.txt")
GREY, WHITE = 1, 2
RunApp = Callable[..., subprocess.CompletedProcess]


def load(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def validate(folder: Path) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([program, "--ignoreWarnings", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def output(processed: Any, datatype: str, suffix: str) -> np.ndarray:
    return load(processed.out / "sub-01" / datatype / f"sub-01_acq-pcbssfp_{suffix}.nii.gz")


def truth(processed: Any, datatype: str, suffix: str) -> np.ndarray:
    folder = processed.bids / "derivatives" / "truth" / "sub-01" / datatype
    return load(folder / f"sub-01_acq-pcbssfp_{suffix}.nii.gz")


def test_the_outputs_are_those_expected(processed: Any) -> None:
    assert written_files(processed.out) == EXPECTED.read_text().split()


def test_raw_data_and_derivatives_are_valid_bids(processed: Any) -> None:
    validate(processed.bids)
    validate(processed.out)


@pytest.mark.parametrize("name", ["T1", "T2"])
def test_tissue_medians_are_right(processed: Any, name: str) -> None:
    found, true = output(processed, "anat", f"{name}map"), truth(processed, "anat", f"{name}map")
    labels = truth(processed, "anat", "dseg")
    for code in (WHITE, GREY):
        here = labels == code
        assert abs(np.nanmedian(found[here]) / np.median(true[here]) - 1) < 0.03
    # By the point spread function a voxel beside fluid holds fluid too: no single T1 is true there.
    inner = distance_transform_edt(truth(processed, "anat", "label-CSF_probseg") == 0.0) >= 2.0
    here = inner & np.isin(labels, (GREY, WHITE))
    assert here.sum() > 50_000
    error = np.nan_to_num(np.abs(found[here] / true[here] - 1), nan=1.0)
    assert error.mean() < {"T1": 0.088, "T2": 0.093}[name]


def test_the_stated_uncertainty_is_that_of_the_error(processed: Any) -> None:
    """Not a coverage test of the estimator: interpolation, B1 and mixed voxels add to the noise in the middle of a head."""
    labels = truth(processed, "anat", "dseg")
    pure = (labels == WHITE) & (truth(processed, "anat", "label-WM_probseg") > 0.99)
    error = output(processed, "anat", "T1map")[pure] - truth(processed, "anat", "T1map")[pure]
    ratio = np.abs(error) / output(processed, "anat", "desc-std_T1map")[pure]
    assert 0.4 < np.nanmedian(ratio) < 1.3  # 0.67 for noise alone


def test_fields_are_those_of_the_head(processed: Any) -> None:
    brain = truth(processed, "anat", "desc-brain_mask") > 0
    b1 = output(processed, "fmap", "TB1map")[brain] - truth(processed, "fmap", "TB1map")[brain]
    assert np.median(np.abs(b1)) < 2.0
    turn = 2 * np.pi * 4.8e-3
    difference = output(processed, "fmap", "fieldmap")[brain] - truth(processed, "fmap", "fieldmap")[brain]
    wrapped = np.angle(np.exp(1j * turn * difference[np.isfinite(difference)])) / turn
    assert np.median(np.abs(wrapped)) < 2.0


def test_every_voxel_has_a_value_or_a_reason(processed: Any) -> None:
    status = output(processed, "anat", "desc-quality_mask").astype(int)
    brain = output(processed, "anat", "desc-brain_mask") > 0
    assert set(np.unique(status)) <= {int(code) for code in Status}
    assert ((status != Status.OUTSIDE) == brain).all()
    for name in ("T1map", "T2map", "M0map", "desc-std_T1map", "desc-std_T2map"):
        values = output(processed, "anat", name)
        assert (np.isfinite(values) == has_value(status)).all()
        assert (values[has_value(status)] > 0).all()
    sidecar = json.loads((processed.out / "sub-01" / "anat" / "sub-01_acq-pcbssfp_desc-quality_mask.json").read_text())
    assert {int(code) for code in sidecar["Levels"]} == {int(code) for code in Status}


def test_sidecars_say_where_a_map_comes_from(processed: Any) -> None:
    content = json.loads((processed.out / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T1map.json").read_text())
    assert content["Units"] == "s"
    assert content["SkullStripped"] is True
    assert "bids:raw:sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-mag_VFA.nii.gz" in content["Sources"]
    assert "bids:raw:sub-01/fmap/sub-01_acq-famp_TB1TFL.nii.gz" in content["Sources"]
    assert content["EstimationAlgorithm"].startswith("pinn")
    assert len(content["EstimationModel"]["sha256"]) == 64
    for name in ("T1map", "T2map"):
        header = nib.load(processed.out / "sub-01" / "anat" / f"sub-01_acq-pcbssfp_{name}.nii.gz").header
        assert header.get_data_dtype() == np.float32
        assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)


def test_images_are_computed_of_what_is_done(processed: Any, run_app: RunApp, tmp_path: Path) -> None:
    """Other images change no map, have no bands, and go when they are asked for no more."""
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(processed.work, work)
    arguments = (processed.bids, out, "participant", "--work-dir", work, "--nprocs", 2)
    asked = ("--synthetic", "T1w", "late=T2w:te=150", "--banding-free", "model", "rss")
    done = run_app(*arguments, *asked)
    assert done.returncode == 0, done.stderr
    folder = out / "sub-01" / "anat"

    def image(name: str) -> np.ndarray:
        return load(folder / f"sub-01_acq-pcbssfp_{name}.nii.gz")

    np.testing.assert_array_equal(image("T1map"), output(processed, "anat", "T1map"))
    labels = truth(processed, "anat", "dseg")
    known = np.isfinite(image("T1map"))
    for name, brighter, darker in (("synthetic_T1w", WHITE, GREY), ("syntheticlate_T2w", GREY, WHITE)):
        values, stdev = image(f"desc-{name}"), image(f"desc-{name.replace('_', 'std_')}")
        with_value = np.isfinite(values)  # but where its standard deviation exceeds twice the median
        assert not (with_value & ~known).any()
        assert np.count_nonzero(with_value) > 0.999 * np.count_nonzero(known)
        assert (stdev[with_value] > 0).all()
        assert np.nanmedian(values[labels == brighter]) > 1.1 * np.nanmedian(values[labels == darker])
    assert (np.isfinite(image("desc-bandfree_bSSFP")) == known).all()
    assert np.isfinite(image("desc-bandfreerss_bSSFP")).all()
    content = json.loads((folder / "sub-01_acq-pcbssfp_desc-syntheticlate_T2w.json").read_text())
    assert (content["EchoTime"], content["RepetitionTime"], content["FlipAngle"]) == (0.15, 5.0, 90.0)
    validate(out)
    page = (out / "sub-01.html").read_text()
    assert "Synthetic T2w (late)" in page
    assert "T1w (TR 2.3 s" in page
    assert run_app(*arguments, "--reports-only").returncode == 0
    assert "Synthetic T2w (late)" in (out / "sub-01.html").read_text()
    done = run_app(*arguments)
    assert done.returncode == 0, done.stderr
    assert not [path for path in folder.iterdir() if "synthetic" in path.name or "bSSFP" in path.name]


def test_the_report_opens_in_a_browser_with_every_figure(
    processed: Any, probe_page: Callable[[Path], dict[str, Any]]
) -> None:
    page = processed.out / "sub-01.html"
    found = probe_page(page)
    assert len(found["widths"]) >= 15
    assert all(width > 1000 for width in found["widths"])
    assert found["broken"] == []
    text = page.read_text()
    for expected in (
        "RepetitionTimeExcitation",
        "Siemens −4096..4095",
        "Sense of precession",
        "No errors to report",
    ):
        assert expected in text


def test_the_same_command_again_computes_nothing_and_changes_nothing(processed: Any, run_app: RunApp) -> None:
    path = processed.out / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T1map.nii.gz"
    before = path.read_bytes(), path.stat().st_mtime_ns
    done = run_app(
        processed.bids,
        processed.out,
        "participant",
        "--participant-label",
        "sub-01",
        "--work-dir",
        processed.work,
        "--nprocs",
        2,
    )
    assert done.returncode == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_outputs_that_were_deleted_are_written_again(processed: Any, run_app: RunApp, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(processed.work, work)
    arguments = (processed.bids, out, "participant", "--work-dir", work, "--nprocs", 2)
    assert run_app(*arguments).returncode == 0
    path = out / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T2map.nii.gz"
    before = path.read_bytes()
    path.unlink()
    assert run_app(*arguments).returncode == 0
    assert path.read_bytes() == before


def test_another_estimator_takes_up_what_is_done(processed: Any, run_app: RunApp, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(processed.work, work)
    arguments = ("participant", "--work-dir", work, "--nprocs", 2, "--bssfp-estimator", "miracle")
    done = run_app(processed.bids, tmp_path / "out", *arguments)
    assert done.returncode == 0, done.stderr
    found = load(tmp_path / "out" / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T1map.nii.gz")
    default = output(processed, "anat", "T1map")
    both = np.isfinite(found) & np.isfinite(default)
    assert not np.array_equal(found[both], default[both])
    assert np.median(np.abs(found[both] / default[both] - 1)) < 0.03


def test_posterior_maps_stand_beside_those_of_the_estimator_and_name_their_prior(
    processed: Any, run_app: RunApp, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(processed.work, work)
    arguments = ("participant", "--work-dir", work, "--nprocs", 2, "--posterior", "in-vivo")
    done = run_app(processed.bids, tmp_path / "out", *arguments)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "out" / "sub-01" / "anat"
    for name in ("T1map", "T2map"):
        default = load(folder / f"sub-01_acq-pcbssfp_{name}.nii.gz")
        np.testing.assert_array_equal(default, output(processed, "anat", name))
        mean = load(folder / f"sub-01_acq-pcbssfp_desc-posteriorInVivo_{name}.nii.gz")
        stdev = load(folder / f"sub-01_acq-pcbssfp_desc-posteriorInVivoStd_{name}.nii.gz")
        both = np.isfinite(mean) & np.isfinite(default)
        assert both.sum() > 0.9 * np.isfinite(default).sum()
        assert 0.001 < np.median(np.abs(mean[both] / default[both] - 1)) < 0.10
        assert (stdev[np.isfinite(mean)] > 0).all()
        content = json.loads((folder / f"sub-01_acq-pcbssfp_desc-posteriorInVivo_{name}.json").read_text())
        assert content["Prior"]["Name"] == "in-vivo"
        assert content["Prior"]["Source"]
        assert "EstimationModel" not in content
    text = (tmp_path / "out" / "sub-01.html").read_text()
    assert "Posterior under a prior" in text
    assert "Prior: in-vivo" in text
    validate(tmp_path / "out")
    # Without a posterior asked for, none of an earlier call may stay beside the maps.
    done = run_app(processed.bids, tmp_path / "out", *arguments[:-2])
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "out").rglob("*posterior*"))
