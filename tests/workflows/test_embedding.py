"""The workflows inside a pipeline that knows nothing of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from exchange_runs import fingerprint, fixed
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

import qmri_bids.workflows as public
from qmri_bids.bids.anatomy.given import GivenAnatomy, given_anatomy
from qmri_bids.bids.anatomy.spaces import SpaceOptions
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.refusal import RefusedError
from qmri_bids.phantom.dataset import simulate_dataset
from qmri_bids.pipeline.anatomy.workflow import TakeAnatomy
from qmri_bids.pipeline.maps.select import select_map
from qmri_bids.pipeline.options import ProcessingOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed_in_fmriprep_style.py"


def image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    loaded: Any = nib.load(path)
    return np.asarray(loaded.dataobj), loaded.affine


def save(path: Path, values: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return path


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded") / "bids"
    simulate_dataset(
        folder, matrix=(32, 36, 32), voxel_size=6.0, phase_cycles=6, motion=0.0, snr=60.0, seed=3, t1w=True, mt=("mtr",)
    )
    return folder


@pytest.fixture(scope="module")
def embedded(bids: Path) -> Path:
    """Run the example as its reader does, each node in a process of its own."""
    out = bids.parent / "out"
    done = subprocess.run(
        [sys.executable, EXAMPLE, out, "--bids-dir", bids, "--nprocs", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow
def test_mask_and_tissues_are_those_of_the_pipeline_before(embedded: Path) -> None:
    (given,) = (embedded / "work").rglob("stripped_mask.nii.gz")
    mask, affine = image(given)
    anat = embedded / "derivatives" / "sub-01" / "anat"
    for run in ("sub-01_acq-pcbssfp", "sub-01_acq-MT"):
        found, own = image(anat / f"{run}_desc-brain_mask.nii.gz")
        volumes = [np.count_nonzero(a) * abs(np.linalg.det(b[:3, :3])) for a, b in ((mask, affine), (found, own))]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.03)
        for what, source in (("desc-brain_mask", "stripped_mask"), ("dseg", "stripped_dseg")):
            sidecar = json.loads((anat / f"{run}_{what}.json").read_text())
            assert "my pipeline 1.0" in sidecar["Description"]
            assert any(source in each for each in sidecar["Sources"])
    page = (embedded / "derivatives" / "sub-01.html").read_text()
    assert "Anatomy was handed over by my pipeline 1.0: stripped_preproc.nii.gz with mask, dseg." in page


@pytest.mark.slow
def test_maps_reach_the_pipeline_after(embedded: Path) -> None:
    anat = embedded / "derivatives" / "sub-01" / "anat"
    t1, _ = image(anat / "sub-01_acq-pcbssfp_T1map.nii.gz")
    brain = image(anat / "sub-01_acq-pcbssfp_desc-brain_mask.nii.gz")[0] > 0
    (table,) = (embedded / "work").rglob("table.tsv")
    median, voxels, files = table.read_text().splitlines()[1].split("\t")
    assert float(median) == pytest.approx(float(np.nanmedian(t1[brain])), abs=1e-4)
    assert 0.7 < float(median) < 1.6
    assert int(voxels) == np.count_nonzero(brain)
    written = [path for path in (embedded / "derivatives" / "sub-01").rglob("*") if path.name.startswith("sub-01_")]
    assert int(files) == len([path for path in written if path.suffix != ".json" and "figures" not in path.parts])
    assert {"sub-01_acq-MT_MTRmap.nii.gz", "sub-01_acq-MT_space-T1w_MTRmap.nii.gz"} <= {path.name for path in written}


@pytest.mark.slow
def test_what_the_pipeline_leaves_is_valid_bids(embedded: Path) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    command = [program, "--ignoreWarnings", embedded / "derivatives"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_every_public_factory_takes_keywords_and_has_a_description(bids: Path, tmp_path: Path) -> None:
    options = ProcessingOptions(estimator="linear", spaces=SpaceOptions(given=GivenAnatomy(pipeline="mine")))
    plan = public.plan_participant(bids_dir=bids, subject="sub-01", options=options)
    places = {"bids_dir": bids, "output_dir": tmp_path / "out"}
    whole = public.init_qmri_wf(runs=plan.runs, options=options, work_dir=tmp_path, **places)
    parts = [
        whole,
        public.init_b1_wf(),
        public.init_pcbssfp_wf(run=plan.pcbssfp[0], options=options, report_file=tmp_path / "report", **places),
        public.init_mt_wf(run=plan.mtr[0], options=options, report_file=tmp_path / "report", **places),
    ]
    for workflow in parts:
        assert workflow.__desc__
        assert workflow.get_node("inputnode") is not None
        assert workflow.get_node("outputnode") is not None
    assert set(whole.inputs.inputnode.copyable_trait_names()) == {"t1w_preproc", "t1w_mask", "t1w_dseg"}


def test_a_fingerprint_takes_the_anatomy_too(tmp_path: Path) -> None:
    options = ProcessingOptions(estimator="linear", spaces=SpaceOptions(given=GivenAnatomy(pipeline="mine")))
    workflow = public.init_exchange_wf(
        run=fingerprint(fixed(t1=1.0, t2=0.1, b1=1.0, off_resonance=0.0)),
        options=options,
        bids_dir=tmp_path,
        output_dir=tmp_path,
        report_file=tmp_path / "report",
    )
    edges = workflow._graph.out_edges(workflow.get_node("take_anatomy"), data=True)
    connected = {target.name: sorted(into for _, into in data["connect"]) for _, target, data in edges}
    assert connected == {name: ["anatomy", "anatomy_files"] for name in ("mask_brain", "put_in_spaces")}
    assert set(workflow.outputs.outputnode.copyable_trait_names()) >= {"files", "maps", "report"}


def test_a_field_that_was_not_named_cannot_be_connected(bids: Path, tmp_path: Path) -> None:
    options = ProcessingOptions(estimator="linear")
    plan = public.plan_participant(bids_dir=bids, subject="01", options=options)
    qmri_wf = public.init_qmri_wf(
        runs=plan.runs, options=options, bids_dir=bids, output_dir=tmp_path, work_dir=tmp_path
    )
    before = pe.Node(IdentityInterface(fields=["t1w_mask"]), name="before")
    around = pe.Workflow(name="around")
    with pytest.raises(Exception, match="inputnode"):
        around.connect(before, "t1w_mask", qmri_wf, "inputnode.t1w_mask")


def test_no_run_is_said_at_once(tmp_path: Path) -> None:
    options = ProcessingOptions(estimator="linear")
    with pytest.raises(ValueError, match="expected at least one run, found none"):
        public.init_qmri_wf(runs=(), options=options, bids_dir=tmp_path, output_dir=tmp_path, work_dir=tmp_path)


def test_importing_the_package_imports_no_engine() -> None:
    code = "import sys, qmri_bids.workflows; sys.exit('nipype' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(public.__all__) == {name for name in public.__all__ if getattr(public, name).__doc__}
    with pytest.raises(AttributeError, match="init_nothing_wf"):
        _ = public.init_nothing_wf


def test_transforms_to_templates_are_taken_over(tmp_path: Path) -> None:
    ramp = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
    t1w, grid = save(tmp_path / "t1w.nii.gz", ramp), save(tmp_path / "grid.nii.gz", ramp)
    transform = tmp_path / "xfm.h5"
    transform.write_bytes(b"\x89HDF" + bytes(4000))
    given = {
        "pipeline": "mine",
        "t1w_preproc": str(t1w),
        "template": "MNI152NLin6Asym",
        "anat2std_xfm": str(transform),
        "std_reference": str(grid),
    }
    taken = TakeAnatomy(spaces=["T1w", "MNI152NLin6Asym"], **given).run().outputs
    assert taken.anatomy.templates == ("MNI152NLin6Asym",)
    assert taken.anatomy.t1w == t1w
    assert set(taken.files) == {str(t1w), str(transform)}
    with pytest.raises(BidsInputError, match="MNIInfant: mine has native, T1w"):
        TakeAnatomy(spaces=["MNIInfant"], **given).run()


def test_what_is_handed_over_is_checked(tmp_path: Path) -> None:
    t1w = save(tmp_path / "t1w.nii.gz", np.arange(512, dtype=np.float32).reshape(8, 8, 8))
    with pytest.raises(BidsInputError, match=r"t1w_tpms: expected 3 files \(GM, WM, CSF\), found 1"):
        given_anatomy(pipeline="mine", t1w_preproc=t1w, t1w_tpms=[t1w])
    mask = save(tmp_path / "mask.nii.gz", np.ones((4, 4, 4), dtype=np.uint8))
    with pytest.raises(RefusedError, match="mask"):
        given_anatomy(pipeline="mine", t1w_preproc=t1w, t1w_mask=mask)
    with pytest.raises(ValueError, match="expected template, anat2std_xfm, std_reference together"):
        GivenAnatomy(pipeline="mine", fields=("t1w_preproc", "template"))
    with pytest.raises(ValueError, match="found t1w_brain"):
        GivenAnatomy(pipeline="mine", fields=("t1w_preproc", "t1w_brain"))


def test_maps_are_selected_by_name() -> None:
    runs = [{"T1map": "T1", "desc-std_T1map": "sd"}, {"MTRmap": "MTR"}]
    assert select_map(runs, "T1map") == ["T1"]
    assert select_map(runs[1], "MTRmap") == "MTR"
    with pytest.raises(KeyError, match="expected a map T2map, found MTRmap, T1map, desc-std_T1map"):
        select_map(runs, "T2map")


def test_the_code_of_the_documentation_runs(bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (EXAMPLE.parents[1] / "docs" / "embedding.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    (tmp_path / "bids").symlink_to(bids)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert names["workflow"].list_node_names()
    assert names["options"].spaces.given.has_tissues
    assert names["source"][0][1] is select_map
