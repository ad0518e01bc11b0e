"""The worked examples of docs/extending.md: a toy estimator, map and kind of scan, added from outside of the package."""

import json
import math
import re
import sys
import types
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nipype.pipeline import engine as pe

from qmri_bids.bids import names
from qmri_bids.bids.description import write_dataset_description
from qmri_bids.estimation.estimators import ESTIMATORS
from qmri_bids.physics.bssfp import signal
from qmri_bids.physics.protocol import BssfpProtocol
from qmri_bids.pipeline.options import ProcessingOptions
from qmri_bids.pipeline.results.run_results import RunFiles, RunResults
from qmri_bids.pipeline.results.run_writer import RunWriter
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.quantities import QUANTITIES
from qmri_bids.reports.content import Level
from qmri_bids.scans.bssfp.workflow import EstimateRelaxation
from qmri_bids.workflows.methods import method_sentences
from qmri_bids.workflows.run_kinds import RUN_KINDS, init_qmri_wf
from qmri_bids.workflows.run_reports import load_run_report

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
SHAPE, AFFINE = (20, 22, 18), np.diag([4.0, 4.0, 4.0, 1.0])
TABLES = (ESTIMATORS, QUANTITIES, RUN_KINDS)


@pytest.fixture
def example(monkeypatch):
    """Return the module that the examples of the page make, with their rows in the tables for the time of a test."""
    before = [dict(table) for table in TABLES]
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    names.outputs.cache_clear()
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
    yield module
    for table, rows in zip(TABLES, before, strict=True):
        table.clear()
        table.update(rows)
    names.outputs.cache_clear()


def places():
    return np.stack(np.meshgrid(*[np.arange(n) - 0.5 * (n - 1) for n in SHAPE], indexing="ij"), axis=-1)


def ball():
    return np.linalg.norm(places(), axis=-1) < 7.0


def marked_ball():
    """Return a ball with brighter parts, by which left is told from right."""
    marks = np.linalg.norm(places() - (3.0, 2.0, 1.0), axis=-1) < 2.5
    marks |= np.linalg.norm(places() - (-2.0, -4.0, 3.0), axis=-1) < 1.8
    return ball() * (1.0 + 0.6 * marks)


def test_an_estimator_and_its_map_from_outside(example, tmp_path):
    protocol = BssfpProtocol.evenly_spaced(
        number_of_cycles=8, repetition_time=4.8e-3, echo_time=2.4e-3, flip_angle=math.radians(15.0)
    )
    inside, rng = ball(), np.random.default_rng(3)
    clean = signal(
        np.float64(1.0), np.float64(0.08), b1=np.float64(1.0), off_resonance=np.float64(20.0), protocol=protocol
    )
    noise = rng.normal(size=(*SHAPE, 8, 2)).view(complex)[..., 0]
    cycles = (inside[..., None] * clean + 1e-3 * noise).astype(np.complex64)
    done = EstimateRelaxation(
        cycles=save_volume(tmp_path / "cycles.nii", cycles, AFFINE),
        mask=save_volume(tmp_path / "mask.nii", inside, AFFINE),
        protocol=protocol,
        estimator="linear-rates",
    ).run(cwd=str(tmp_path))
    results = RunResults(
        RunFiles(
            mask=tmp_path / "mask.nii",
            magnitude=Path(save_volume(tmp_path / "mean.nii", np.abs(cycles).mean(axis=3), AFFINE)),
            estimate=Path(done.outputs.estimate),
            series=[tmp_path / "cycles.nii"],
        )
    )
    rate, sd = results.estimate.values["R2"][inside], results.estimate.stdev["R2"][inside]
    assert np.median(rate) == pytest.approx(1.0 / 0.08, rel=0.01)
    assert np.mean(np.abs(rate - 12.5) < sd) == pytest.approx(0.68, abs=0.06)

    run = example.GradientEchoRun(entities={"sub": "01", "acq": "toy"}, image=tmp_path, echo_times=(1.0,), grid=SHAPE)
    writer = RunWriter(results, run=run, output_dir=tmp_path / "out", sources=["bids:raw:sub-01/anat/toy.nii.gz"])
    writer.add_estimate(lambda quantity: {"algorithm": "toy"})
    written = {path.name for path in writer.written}
    assert {"sub-01_acq-toy_R2map.nii.gz", "sub-01_acq-toy_desc-std_R2map.nii.gz"} <= written
    content = json.loads((tmp_path / "out/sub-01/anat/sub-01_acq-toy_R2map.json").read_text())
    assert content["Units"] == "1/s"
    assert content["EstimationAlgorithm"] == "toy"


def test_a_kind_of_scan_from_outside(example, tmp_path):
    """From a raw file to maps and the report of the run, with motion, mask and files by what all runs share."""
    bids, out, work = (tmp_path / name for name in ("bids", "out", "work"))
    image = bids / "sub-01" / "anat" / "sub-01_part-mag_MEGRE.nii.gz"
    image.parent.mkdir(parents=True)
    (bids / "dataset_description.json").write_text('{"Name": "toy", "BIDSVersion": "1.10.0"}')
    times, rng = (4e-3, 12e-3, 20e-3, 28e-3), np.random.default_rng(5)
    echoes = marked_ball()[..., None] * 1000.0 * np.exp(-25.0 * np.array(times))
    echoes = np.abs(echoes + 5.0 * rng.normal(size=(*echoes.shape, 2)).view(complex)[..., 0])
    nib.save(nib.Nifti1Image(echoes.astype(np.float32), AFFINE), image)
    write_dataset_description(out, bids_dir=bids)

    run = example.GradientEchoRun(entities={"sub": "01", "acq": "MEGRE"}, image=image, echo_times=times, grid=SHAPE)
    workflow = init_qmri_wf(
        runs=[run],
        options=ProcessingOptions(estimator="pinn", mask_method="object"),
        bids_dir=bids,
        output_dir=out,
        work_dir=work,
    )
    assert isinstance(workflow, pe.Workflow)
    said = method_sentences([run], ProcessingOptions(estimator="pinn", mask_method="object"))
    (own,) = [sentence for sentence in said if sentence.text.startswith("R2*")]
    assert own.values == {"run": run.label}
    workflow.run()

    rate = nib.load(out / "sub-01/anat/sub-01_acq-MEGRE_R2starmap.nii.gz").get_fdata()
    sd = nib.load(out / "sub-01/anat/sub-01_acq-MEGRE_desc-std_R2starmap.nii.gz").get_fdata()
    deep = ball() & np.isfinite(rate)
    assert np.median(rate[deep]) == pytest.approx(25.0, rel=0.02)
    assert 0.5 < np.std(rate[deep]) / np.median(sd[deep]) < 2.0
    report = load_run_report(work / "reports" / f"{run.label}.pickle")
    assert report.title == "R2* of gradient echoes"
    assert {figure.key for figure in report.figures} >= {"r2star", "r2star-stdev", "motion", "brain-mask"}
    assert all(check.level in Level for check in report.checks)
    assert "sub-01/anat/sub-01_acq-MEGRE_desc-object_mask.nii.gz" in report.outputs
    rows = {(row.map, row.region) for row in report.statistics}
    assert any(name == "R2*" for name, _ in rows)
