"""Fingerprints from aligned series to files and a report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from exchange_runs import RELAXATION, SHAPE, fingerprint, known_sources
from numpy.typing import NDArray

from qmri_bids.bids.description import write_bidsignore, write_dataset_description
from qmri_bids.estimation.base import Status
from qmri_bids.estimation.pool_estimators import EXCHANGE_ESTIMATORS, ExchangeEntry
from qmri_bids.estimation.pools.estimate import ExchangeEstimate
from qmri_bids.physics.fingerprint import ExchangeScan, KnownVoxels
from qmri_bids.pipeline.motion.series_nodes import ClassifyTissue
from qmri_bids.pipeline.results.nodes import describe_run
from qmri_bids.pipeline.results.run_results import RunFiles, RunResults
from qmri_bids.pipeline.volumes import load_volume, save_volume
from qmri_bids.pipeline.voxels import network_sentences
from qmri_bids.reports.content import Level
from qmri_bids.scans.pools.estimates import EstimateExchange, told
from qmri_bids.scans.pools.outputs import write_exchange
from qmri_bids.scans.pools.workflow import EXCHANGE

AFFINE = np.diag([8.0, 8.0, 8.0, 1.0])
TRUE = {"MT.fraction": 0.1, "MT.rate": 30.0, "amide.fraction": 2e-3, "amide.rate": 200.0}


class Stub:
    """Gives the same pools everywhere, none of amide in the first voxels."""

    name = "stub"
    model: Mapping[str, str] = {"name": "stub", "sha256": 64 * "0"}

    def remarks(self, scan: ExchangeScan) -> tuple[str, ...]:
        return ("It always says the same.",)

    def estimate(self, signal: NDArray[Any], *, scan: ExchangeScan, known: KnownVoxels) -> ExchangeEstimate:
        number = len(signal)
        assert np.isfinite(known.t1).all()
        vague = np.arange(number) < 10
        status = {pool: np.full(number, Status.CONVERGED, dtype=np.uint8) for pool in scan.pools}
        status["amide"][vague] = Status.NOT_IDENTIFIABLE
        values = {name: np.full(number, TRUE[name]) for name in scan.parameters}
        for name in ("amide.fraction", "amide.rate"):
            values[name][vague] = np.nan
        return ExchangeEstimate(
            values=values,
            stdev={name: 0.1 * each for name, each in values.items()},
            correlation={pool: np.full(number, -0.9) for pool in scan.pools},
            status=status,
            amplitude=np.ones((number, len(scan.protocols))),
            fitted=np.asarray(signal, dtype=float),
            residual=np.full(number, 0.01),
            noise=np.full(number, 0.01),
        )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ExchangeEntry(
        summary="the same everywhere", references=("finkelstein2025",), methods=(), create=lambda options: Stub()
    )
    monkeypatch.setitem(EXCHANGE_ESTIMATORS, "stub", entry)


@dataclass(frozen=True)
class Aligned:
    """What the nodes before the estimation leave behind."""

    folder: Path
    mask: NDArray[np.bool_]
    inputs: dict[str, Any]


@pytest.fixture
def aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aligned:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:-2, 2:-2, 2:-2] = True
    t1 = np.where(mask, 1.0, np.nan)
    t1[:7] = np.where(mask[:7], 1.5, np.nan)
    t1[5, 5, 5] = np.nan
    off_resonance = np.full(SHAPE, 10.0)
    np.savez(tmp_path / "known.npz", T1=t1, T1_stdev=0.05 * t1, T2=np.full(SHAPE, 0.07), off_resonance=off_resonance)
    coverage = np.ones(SHAPE, dtype=bool)
    coverage[2, 2, 2] = False
    motion: dict[str, Any] = {
        "transforms": np.tile(np.eye(4), (6, 1, 1)),
        "parameters": np.zeros((6, 6)),
        "framewise_displacement": np.zeros(6),
        "reference": 1,
        "trusted": np.ones(6, dtype=bool),
        "coverage": coverage,
    }
    np.savez(tmp_path / "motion.npz", **motion)
    np.savez(tmp_path / "moved.npz", transforms=motion["transforms"], coverage=np.ones(SHAPE, dtype=bool))
    series = [1.0 + 0.1 * rng.random((*SHAPE, 6)) for _ in range(2)]
    return Aligned(
        folder=tmp_path,
        mask=mask,
        inputs={
            "series": [save_volume(tmp_path / f"series{n}.nii", each, AFFINE) for n, each in enumerate(series)],
            "mask": save_volume(tmp_path / "mask.nii", mask, AFFINE),
            "motions": [str(tmp_path / "motion.npz"), str(tmp_path / "moved.npz")],
            "known": [str(tmp_path / "known.npz")],
            "b1": save_volume(tmp_path / "b1.nii", np.full(SHAPE, 0.9, dtype=np.float32), AFFINE),
        },
    )


@pytest.mark.usefixtures("stub")
def test_voxels_without_data_or_known_map_are_left_out_with_a_reason(aligned: Aligned) -> None:
    run = fingerprint()
    done = EstimateExchange(scan=run.scan, estimator="stub", **aligned.inputs).run(cwd=str(aligned.folder))
    with np.load(done.outputs.estimate) as stored:
        status = stored["MT_status"]
        assert status[2, 2, 2] == Status.INVALID_INPUT
        assert status[5, 5, 5] == Status.INVALID_INPUT
        assert np.isnan(stored["MT_fraction"][5, 5, 5])
        assert (status == Status.OUTSIDE).sum() == (~aligned.mask).sum()
        assert stored["MT_fraction"][6, 6, 6] == pytest.approx(0.1)
        assert stored["MT_rate_stdev"][6, 6, 6] == pytest.approx(3.0)
        assert stored["b1"][6, 6, 6] == pytest.approx(0.9)
        assert stored["T1_stdev"][6, 6, 6] == pytest.approx(0.075)
        assert stored["signal"].shape == (int(stored["inside"].sum()), 12)
    said = " ".join(done.outputs.decisions)
    assert "Voxels of the brain mask that left the field of view in some volume were not estimated: 1." in said
    assert "Voxels of the brain mask that have no value of T1" in said
    assert "10 (1.0 %) whose fraction and rate cannot be told apart have none" in said
    assert "Network stub (sha256 000000000000)." in said
    assert done.outputs.warnings == ["It always says the same."]


@pytest.mark.usefixtures("stub")
def test_a_map_that_comes_from_nowhere_is_an_error(aligned: Aligned) -> None:
    node = EstimateExchange(scan=fingerprint().scan, estimator="stub", **aligned.inputs | {"known": []})
    with pytest.raises(ValueError, match=r"found none of .*T1.*T2.*off-resonance"):
        node.run(cwd=str(aligned.folder))
    node.inputs.fixed = {"t1": 1.0, "t2": 0.07, "off_resonance": 0.0}
    assert Path(node.run(cwd=str(aligned.folder)).outputs.estimate).is_file()


def test_a_pool_without_any_voxel_is_a_warning() -> None:
    decisions, warnings = told({"amide": np.full(4, Status.AT_BOUND, dtype=np.uint8)})
    assert decisions == ["amide: 0 of 4 voxels have a value; 4 (100.0 %) at the edge of what was allowed have none."]
    assert "No voxel has a value of the pool amide" in warnings[0]


@pytest.mark.usefixtures("stub")
def test_files_and_report_of_a_run(aligned: Aligned, monkeypatch: pytest.MonkeyPatch) -> None:
    """The posterior stands in for one that is computed; the rest are the files that a scan yields."""
    bids, out = aligned.folder / "bids", aligned.folder / "out"
    run = fingerprint(*known_sources(bids), folder=bids)
    inputs = aligned.inputs
    done = EstimateExchange(scan=run.scan, estimator="stub", **inputs).run(cwd=str(aligned.folder)).outputs
    with np.load(done.estimate) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays |= {
        f"posterior_{name}": arrays[name] for name in list(arrays) if name.startswith(("MT_fraction", "MT_rate"))
    }
    np.savez(done.estimate, **arrays)
    registration = {"transform": np.eye(4), "anatomical": np.ones(SHAPE)}
    np.savez(aligned.folder / "registration.npz", **registration)
    tissue = np.where(aligned.mask, 2, 0).astype(np.uint8)
    results = RunResults(
        RunFiles(
            series=[Path(path) for path in inputs["series"]],
            motions={number: Path(path) for number, path in enumerate(inputs["motions"])},
            registrations=dict.fromkeys(
                ("sub-01_acq-MRFamide_cest", "t1_t2_off_resonance", "b1"), aligned.folder / "registration.npz"
            ),
            mask=Path(inputs["mask"]),
            magnitude=Path(
                save_volume(aligned.folder / "mean.nii", load_volume(inputs["series"][0])[0][..., 0], AFFINE)
            ),
            estimate=Path(done.estimate),
            tissue=Path(save_volume(aligned.folder / "tissue.nii", tissue, AFFINE)),
        ),
    )
    bids.mkdir()
    write_dataset_description(out, bids_dir=bids)
    write_bidsignore(out)
    left = out / "sub-01" / "anat" / "sub-01_acq-MRFamide_desc-old_cest.nii.gz"
    left.parent.mkdir(parents=True)
    left.touch()
    settings = {"estimator": "stub", "posterior": "uniform"}
    written = write_exchange(results, run=run, settings=settings, model=done.model, bids_dir=bids, output_dir=out)
    assert not left.exists(), "what an earlier call wrote for a stage is gone"
    names = {path.name.removeprefix("sub-01_") for path in written}
    assert {
        "acq-MRF_desc-MT_fractionmap.nii.gz",
        "acq-MRF_desc-amidestd_exchangemap.nii.gz",
        "acq-MRF_desc-MTposteriorUniform_fractionmap.nii.gz",
        "acq-MRF_desc-MTposteriorUniformStd_exchangemap.nii.gz",
        "acq-MRF_desc-amide_correlationmap.nii.gz",
        "acq-MRF_desc-amidequality_mask.nii.gz",
        "acq-MRF_desc-known_TB1map.nii.gz",
        "acq-MRF_from-T1_to-scan_mode-image_xfm.txt",
        "acq-MRFMT_desc-preproc_cest.nii.gz",
        "acq-MRFMT_desc-confounds_timeseries.tsv",
        "acq-MRFamide_from-orig_to-scan_mode-image_desc-hmc_xfm.txt",
    } <= names
    assert "acq-MRFamide_desc-confounds_timeseries.tsv" not in names, "its motion was not corrected"
    found = nib.load(next(path for path in written if path.name.endswith("desc-known_TB1map.nii.gz")))
    assert np.nanmedian(found.get_fdata()) == pytest.approx(90.0)
    content = json.loads((out / "sub-01/anat/sub-01_acq-MRF_desc-amide_exchangemap.json").read_text())
    assert content["EstimationAlgorithm"] == "stub: the same everywhere"
    assert "10.1038/s42005-025-02063-8" in content["EstimationReference"]
    assert content["EstimationModel"]["sha256"] == 64 * "0"
    assert [each["Name"] for each in content["Pools"]] == ["amide", "MT"]
    assert content["KnownMaps"] == {
        "T1": RELAXATION,
        "T2": RELAXATION,
        "off-resonance": RELAXATION,
        "B1": "sub-01_TB1map.nii.gz",
    }
    assert "bids::sub-01/anat/sub-01_acq-pcbssfp_T1map.nii.gz" in content["Sources"]
    assert "bids:raw:sub-01/fmap/sub-01_TB1map.nii.gz" in content["Sources"]
    posterior = json.loads((out / "sub-01/anat/sub-01_acq-MRF_desc-MTposteriorUniform_fractionmap.json").read_text())
    assert posterior["Prior"]["Name"] == "uniform"
    assert "EstimationModel" not in posterior
    program = Path(sys.executable).with_name("bids-validator-deno")
    valid = subprocess.run([program, "--ignoreWarnings", out], capture_output=True, text=True, check=False)
    assert valid.returncode == 0, valid.stdout

    report = describe_run(
        results,
        kind=EXCHANGE,
        run=run,
        settings=settings,
        decisions=["Said."],
        warnings=[],
        outputs=written,
        output_dir=out,
    )
    assert report.decisions[:2] == (f"From {RELAXATION}.", "B1 comes from the B1 scan.")
    keys = [figure.key for figure in report.figures]
    assert len(keys) == len(set(keys))
    assert {"trajectories", "saturation-2", "series-2", "motion-1", "registration-b1", "quality-amide"} <= set(keys)
    assert {"posterior-mt-fraction", "mt-correlation", "amide-rate-stdev", "known-off-resonance"} <= set(keys)
    assert "motion-2" not in keys
    checks = {check.name: check for check in report.checks}
    assert checks["MT: voxels with a value"].level is Level.GOOD
    assert checks["Motion of acq-MRFamide"].value == "not corrected, as asked"
    assert {row.name for row in report.quality} >= {"MT: converged", "amide: not identifiable"}
    medians = {(row.map, row.region): row.median for row in report.statistics}
    assert medians["MT fraction", "white matter"] == pytest.approx(10.0, rel=1e-3)
    assert medians["amide exchange rate", "brain mask"] == pytest.approx(200.0, rel=1e-3)


def test_a_number_that_stands_for_t1_tells_no_tissues(aligned: Aligned) -> None:
    np.savez(aligned.folder / "maps.npz", T1=np.where(aligned.mask, 1.2, np.nan))
    done = ClassifyTissue(maps=str(aligned.folder / "maps.npz"), mask=aligned.inputs["mask"]).run(
        cwd=str(aligned.folder)
    )
    assert done.outputs.tissue is None
    assert "Tissues were not told apart" in done.outputs.decisions[0]


def test_a_network_is_named_with_what_is_known_of_it(tmp_path: Path) -> None:
    said = network_sentences(SimpleNamespace(model={"name": "own"}), tmp_path)
    assert said == ["Network own."], "trained in this call"
    shipped = SimpleNamespace(model={"name": "net", "sha256": 64 * "a"}, weights_path=Path("package/net.safetensors"))
    (sentence,) = network_sentences(shipped, tmp_path)
    assert sentence.startswith("Network net (sha256 aaaaaaaaaaaa) from the package.")
    assert f"{tmp_path} holds no weights" in sentence
    assert network_sentences(SimpleNamespace(model={}), None) == []
