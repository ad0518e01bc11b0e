"""The nodes of scans of a field: what has no value says why, and a scan without an image goes nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qmri_bids.bids.anatomy.given import GivenAnatomy
from qmri_bids.bids.anatomy.spaces import SpaceOptions
from qmri_bids.estimation.base import Status
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.sources import B1Run, Fieldmap
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.preprocessing.b1 import implausible_warning, smooth_scan
from qmri_bids.preprocessing.content.images import ContentError
from qmri_bids.scans.fields.nodes import EstimateB0Scan, EstimateB1Scan, LoadField
from qmri_bids.scans.fields.run import B0ScanRun, B1ScanRun
from qmri_bids.workflows.run_kinds import RUN_KINDS

SHAPE = (20, 22, 18)
AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])
ENTITIES = {"sub": "01", "acq": "x"}
TIMES = (0.005, 0.0075)


def save(path: Path, values: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), path)
    return path


def ball(radius: float) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(size) - (size - 1) / 2 for size in SHAPE], indexing="ij")
    return sum(axis**2 for axis in axes) < radius**2


@pytest.fixture
def head() -> np.ndarray:
    return ball(7.0)


def estimated(node: Any, folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    found = node.run(cwd=str(folder)).outputs
    with np.load(found.estimate) as stored:
        return {name: stored[name] for name in stored.files}, found.decisions


def b0_run(folder: Path, field: np.ndarray, head: np.ndarray, **more: Any) -> B0ScanRun:
    rng = np.random.default_rng(0)
    image = np.where(head, 100.0, 0.0) + np.abs(rng.normal(size=SHAPE))
    scan = Fieldmap(path=save(folder / "map.nii", field), magnitude=save(folder / "magnitude.nii", image), **more)
    return B0ScanRun(entities=ENTITIES, suffix="fieldmap", grid=SHAPE, scan=scan)


def test_zeros_around_the_head_are_no_values_and_zeros_within_it_are(tmp_path: Path, head: np.ndarray) -> None:
    field = np.where(ball(6.0), 20.0, 0.0)
    field[10, 11, 9] = 0.0
    loaded = b0_run(tmp_path, field, head).load()
    assert loaded.maps["valid"][10, 11, 9]
    assert not loaded.maps["valid"][head & ~ball(6.0)].any()
    assert any("stand for no value" in sentence for sentence in loaded.decisions)
    everywhere = b0_run(tmp_path, field + 1.0, head).load()
    assert everywhere.maps["valid"].all()


def test_dark_voxels_of_phases_have_no_value(tmp_path: Path, head: np.ndarray) -> None:
    run = b0_run(tmp_path, np.zeros(SHAPE), head, phase_units="rad", echo_times=TIMES)
    maps = {
        "off_resonance": np.full(SHAPE, 30.0),
        "off_resonance_stdev": np.full(SHAPE, 4.0),
        "valid": head.copy(),
    }
    maps["off_resonance_stdev"][10, 11, 9] = 40.0
    np.savez(tmp_path / "maps.npz", **maps)
    mask = save_volume(tmp_path / "mask.nii", ball(8.0), AFFINE)
    node = EstimateB0Scan(run=run, series=mask, mask=mask, maps=str(tmp_path / "maps.npz"))
    found, said = estimated(node, tmp_path)
    assert found["status"][10, 11, 9] == Status.LOW_SIGNAL
    assert np.isnan(found["off_resonance"][10, 11, 9])
    assert (found["status"][ball(8.0) & ~head] == Status.INVALID_INPUT).all()
    assert (found["status"][~ball(8.0)] == Status.OUTSIDE).all()
    assert np.isnan(found["residual"]).all()
    assert any("1 voxels are darker than three times the noise" in sentence for sentence in said)


def b1_run(folder: Path, values: np.ndarray, *, image: np.ndarray | None, method: Any = "TB1TFL") -> B1ScanRun:
    scan = B1Run(
        entities=ENTITIES,
        method=method,
        anatomical=None if image is None else save(folder / "anat.nii", image),
        map=save(folder / "famp.nii", values),
    )
    return B1ScanRun(entities=ENTITIES, suffix=method, grid=SHAPE, scan=scan)


def varying(head: np.ndarray, *, noise: float = 0.02) -> np.ndarray:
    x = np.arange(SHAPE[0]).reshape(-1, 1, 1) / SHAPE[0]
    return np.where(head, 0.85 + 0.3 * x + noise * np.random.default_rng(1).normal(size=SHAPE), 0.0)


@pytest.mark.parametrize(("method", "known"), [("TB1TFL", True), ("TB1map", False)])
def test_b1_is_smooth_and_a_ready_made_map_has_no_stdev(
    tmp_path: Path, head: np.ndarray, method: str, known: bool
) -> None:
    values = varying(head)
    values[10, 11, 9] = 0.0
    run = b1_run(tmp_path, values, image=np.where(head, 100.0, 1.0) if known else None, method=method)
    loaded = LoadField(run=run).run(cwd=str(tmp_path)).outputs
    mask = save_volume(tmp_path / "mask.nii", head, AFFINE)
    node = EstimateB1Scan(run=run, series=loaded.series, mask=mask, maps=loaded.maps)
    found, said = estimated(node, tmp_path)
    true = varying(head, noise=0.0)
    assert np.nanmedian(np.abs(found["b1"] - true)[head]) < 0.005
    assert found["status"][10, 11, 9] == Status.INVALID_INPUT
    assert np.isnan(found["b1"][10, 11, 9])
    assert ("b1_stdev" in found) == known
    assert any(("came ready-made" in sentence) != known for sentence in said)
    assert 0.005 < np.nanmedian(found["residual"]) < 0.03


def test_nothing_measured_and_implausible_values_are_said() -> None:
    with pytest.raises(ContentError, match="no value above 0"):
        smooth_scan(np.zeros(SHAPE), valid=np.zeros(SHAPE, dtype=bool), affine=AFFINE)
    assert implausible_warning(np.array([0.9, np.nan, 1.1]), region="mask") == ()
    (sentence,) = implausible_warning(np.array([0.2, 0.9, 1.8, np.nan]), region="mask")
    assert "2 voxels of the mask (67 %): 0.20 to 1.80 times nominal" in sentence


def workflow_of(run: B1ScanRun, folder: Path, options: ProcessingOptions) -> Any:
    places = {"bids_dir": folder, "output_dir": folder / "out", "report_file": folder / "report.pickle"}
    return RUN_KINDS[run.kind].init(run=run, options=options, name="b1_wf", **places)


def test_a_scan_without_an_image_is_registered_to_nothing_and_says_so(tmp_path: Path, head: np.ndarray) -> None:
    run = b1_run(tmp_path, varying(head), image=None)
    options = ProcessingOptions(estimator="ml", spaces=SpaceOptions(spaces=("MNI152NLin2009aSym",)))
    workflow = workflow_of(run, tmp_path, options)
    assert workflow.get_node("find_brain").inputs.method == "object"
    assert workflow.get_node("put_in_spaces").inputs.spaces == []
    (sentence,) = workflow.get_node("describe_run").inputs.run.warnings
    assert "HAS NO IMAGE by which it could be registered" in sentence
    plain = workflow_of(run, tmp_path, replace(options, spaces=SpaceOptions(), mask_method="none"))
    assert plain.get_node("find_brain").inputs.method == "none"
    assert plain.get_node("describe_run").inputs.run.warnings == ()


def test_an_anatomy_that_is_handed_over_finds_its_inputs(tmp_path: Path, head: np.ndarray) -> None:
    given = GivenAnatomy(pipeline="mine", fields=("t1w_preproc",))
    options = ProcessingOptions(estimator="ml", spaces=SpaceOptions(given=given))
    for image in (None, np.where(head, 100.0, 1.0)):
        workflow = workflow_of(b1_run(tmp_path, varying(head), image=image), tmp_path, options)
        assert "t1w_preproc" in workflow.get_node("inputnode").outputs.copyable_trait_names()
        assert (workflow.get_node("take_anatomy") is None) == (image is None)
