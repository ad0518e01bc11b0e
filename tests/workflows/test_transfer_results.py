"""T1 and M0 freed of magnetisation transfer: from maps of two runs to codes, files and a report."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from exchange_runs import relaxation
from numpy.typing import NDArray

from qmri_bids.bids.description import write_bidsignore, write_dataset_description
from qmri_bids.estimation.base import Status
from qmri_bids.physics.excitation.pulse import ExcitationPulse
from qmri_bids.physics.excitation.transfer import (
    Relaxometry,
    apparent_rate,
    recovery_rate,
    saturation_rate,
    share_of_m0,
)
from qmri_bids.pipeline.results.nodes import describe_run
from qmri_bids.pipeline.results.run_results import RunFiles, RunResults
from qmri_bids.pipeline.sources import Take
from qmri_bids.pipeline.volumes import save_volume
from qmri_bids.reports.content import Level
from qmri_bids.scans.transfer.nodes import FreeOfTransfer, LoadApparent
from qmri_bids.scans.transfer.outputs import write_transfer
from qmri_bids.scans.transfer.run import TransferRun
from qmri_bids.scans.transfer.workflow import TRANSFER

SHAPE = (14, 16, 12)
AFFINE = np.diag([8.0, 8.0, 8.0, 1.0])
MASK = np.zeros(SHAPE, dtype=bool)
MASK[2:-2, 2:-2, 2:-2] = True
FREE_T1, FREE_M0, FRACTION, RATE, LINE = 1.0, 0.8, 0.11, 30.0, 40e-6 / math.pi
PULSE = ExcitationPulse.of("sinc", 1e-3)
PROTOCOL = relaxation().protocol


def transfer_run(folder: Path = Path("raw")) -> TransferRun:
    return TransferRun(
        entities={"sub": "01", "acq": "pcbssfpMT"},
        relaxometry=Relaxometry(pulse=PULSE, protocol=PROTOCOL),
        scan=Take(names=("t1", "t2"), key="pcbssfp", method="pcbssfp", run="sub-01_acq-pcbssfp"),
        pools=Take(names=(), key="pools", run="sub-01_acq-MRF_exchange", sentence="By the pools of MRF."),
        line=LINE,
        line_name="Lorentzian",
        r1=1.0,
        images=(folder / "sub-01" / "anat" / "sub-01_acq-pcbssfp_part-mag_VFA.nii.gz",),
        b1=None,
        grid=SHAPE,
    )


def whole(value: float) -> NDArray[np.float64]:
    return np.where(MASK, value, np.nan)


def apparent() -> dict[str, NDArray[Any]]:
    """Return what pc-bSSFP sees of one tissue, by names in its file."""
    one = np.ones(1)
    pool = {"fraction": FRACTION * one, "rate": RATE * one, "r1m": one}
    power = saturation_rate(PULSE, PROTOCOL, b1=0.95 * one, line=LINE)
    t1 = 1.0 / apparent_rate(one / FREE_T1, saturation=power, **pool)[0]
    m0 = FREE_M0 * share_of_m0(one / FREE_T1, saturation=power, **pool)[0]
    return {
        "T1": whole(t1),
        "T1_stdev": whole(0.03 * t1),
        "T2": whole(0.07),
        "M0": whole(m0),
        "M0_stdev": whole(0.01 * m0),
        "b1": whole(0.95),
        "b1_stdev": whole(0.005),
        "status": np.where(MASK, Status.CONVERGED, Status.OUTSIDE).astype(np.uint8),
    }


def pools() -> dict[str, NDArray[Any]]:
    return {
        "MT_fraction": whole(FRACTION),
        "MT_fraction_stdev": whole(0.1 * FRACTION),
        "MT_rate": whole(RATE),
        "MT_rate_stdev": whole(0.1 * RATE),
        "MT_correlation": whole(-0.9),
    }


def freed(folder: Path, seen: Mapping[str, NDArray[Any]], semisolid: Mapping[str, NDArray[Any]]) -> Any:
    """Run the node and return its outputs."""
    np.savez(folder / "apparent.npz", **seen)
    np.savez(folder / "pools.npz", **semisolid)
    mask = save_volume(folder / "mask.nii", MASK, AFFINE)
    node = FreeOfTransfer(
        run=transfer_run(),
        series=mask,
        mask=mask,
        apparent=str(folder / "apparent.npz"),
        pools=str(folder / "pools.npz"),
    )
    return node.run(cwd=str(folder)).outputs


def test_free_t1_and_m0_of_a_tissue_come_back(tmp_path: Path) -> None:
    done = freed(tmp_path, apparent(), pools())
    one = np.ones(1)
    slow = recovery_rate(one / FREE_T1, fraction=FRACTION * one, rate=RATE * one, r1m=one)[0]
    with np.load(done.estimate) as stored:
        np.testing.assert_allclose(stored["free_T1"][MASK], FREE_T1, rtol=1e-5)
        np.testing.assert_allclose(stored["mtcorrected_T1"][MASK], 1.0 / slow, rtol=1e-5)
        np.testing.assert_allclose(stored["free_M0"][MASK], FREE_M0, rtol=1e-5)
        assert (stored["mtcorrected_T1_stdev"][MASK] > 0.03 * FREE_T1).all()
        assert (stored["status"] == np.where(MASK, Status.CONVERGED, Status.OUTSIDE)).all()
        assert np.isnan(stored["free_T1"][~MASK]).all()
        assert list(stored["estimated"]) == ["mtcorrected_T1", "free_T1", "free_M0"]
    growth = 100.0 * (1.0 / slow / apparent()["T1"][5, 5, 5] - 1.0)
    assert done.decisions == [
        f"T1 as an inversion recovery sees it is {growth:.1f} % above the apparent T1 of bSSFP, that of free water "
        f"{100.0 * (FREE_T1 / apparent()['T1'][5, 5, 5] - 1.0):.1f} % (medians)."
    ]
    assert done.warnings == []


def test_codes_say_why_a_voxel_has_no_freed_t1(tmp_path: Path) -> None:
    seen, semisolid = apparent(), pools()
    for place, code in {(3, 3, 3): Status.MIXED, (3, 3, 4): Status.MISFIT}.items():
        seen["status"][place] = code
    seen["status"][3, 3, 5] = Status.NOT_CONVERGED
    seen["T1"][3, 3, 5] = np.nan
    seen["status"][3, 3, 6] = Status.OUTSIDE
    semisolid["MT_fraction"][3, 3, 7] = semisolid["MT_rate"][3, 3, 7] = np.nan
    semisolid["MT_rate_stdev"][3, 3, 8] = np.nan
    seen["T1"][3, 3, 9] = 8.0
    semisolid["MT_fraction"][3, 4, 3] = semisolid["MT_rate"][3, 4, 3] = np.nan
    seen["status"][3, 4, 3] = Status.LOW_SIGNAL
    done = freed(tmp_path, seen, semisolid)
    with np.load(done.estimate) as stored:
        status, t1, stdev = stored["status"], stored["mtcorrected_T1"], stored["free_M0_stdev"]
    expected = {
        (3, 3, 3): Status.MIXED,
        (3, 3, 4): Status.MISFIT,
        (3, 3, 5): Status.INVALID_INPUT,
        (3, 3, 6): Status.INVALID_INPUT,
        (3, 3, 7): Status.NOT_IDENTIFIABLE,
        (3, 3, 8): Status.NOT_IDENTIFIABLE,
        (3, 3, 9): Status.NO_ROOT,
        (3, 4, 3): Status.INVALID_INPUT,
    }
    assert {place: Status(int(status[place])) for place in expected} == expected
    for place, code in expected.items():
        has = code in (Status.MIXED, Status.MISFIT)
        assert np.isfinite(t1[place]) == has, place
        assert np.isfinite(stdev[place]) == has, place
    said = " ".join(done.decisions)
    assert "Voxels of the brain mask that lie outside of where the cycles were estimated were not estimated: 1." in said
    assert "2 voxels (0.2 %) have an apparent T1, but no value of the semisolid pool there (fluid, or" in said
    assert done.warnings == []


def test_b1_that_counts_as_exact_and_pools_without_correlation(tmp_path: Path) -> None:
    seen, semisolid = apparent(), pools()
    full = freed(tmp_path, seen, semisolid)
    with np.load(full.estimate) as stored:
        known = stored["mtcorrected_T1_stdev"][MASK]
    del seen["b1_stdev"], semisolid["MT_correlation"]
    (tmp_path / "other").mkdir()
    with np.load(freed(tmp_path / "other", seen, semisolid).estimate) as stored:
        # Errors of fraction and rate of one fit offset each other.
        assert (stored["mtcorrected_T1_stdev"][MASK] > known).all()
        np.testing.assert_allclose(stored["free_T1"][MASK], FREE_T1, rtol=1e-5)


def test_no_voxel_with_both_is_a_warning(tmp_path: Path) -> None:
    semisolid = pools() | {"MT_fraction": np.full(SHAPE, np.nan)}
    done = freed(tmp_path, apparent(), semisolid)
    assert done.warnings == ["No voxel has both an apparent T1 and a semisolid pool."]
    assert not any("above the apparent T1" in said for said in done.decisions)
    with np.load(done.estimate) as stored:
        assert (stored["status"][MASK] == Status.NOT_IDENTIFIABLE).all()


def test_the_image_of_the_scan_is_a_series_of_one_volume(tmp_path: Path) -> None:
    image = save_volume(tmp_path / "magnitude.nii", np.ones(SHAPE, dtype=np.float32), AFFINE)
    done = LoadApparent(magnitude=image).run(cwd=str(tmp_path)).outputs
    assert nib.load(done.series).shape == (*SHAPE, 1)
    assert done.noise is None


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunResults:
    """What the nodes of a run leave behind."""
    monkeypatch.chdir(tmp_path)
    seen = apparent()
    seen["T1"][:7] *= 1.3
    seen["status"][3, 3, 3] = Status.MIXED
    semisolid = pools()
    semisolid["MT_fraction"][4, 4, 4] = np.nan
    done = freed(tmp_path, seen, semisolid)
    tissue = np.where(MASK, np.where(np.arange(SHAPE[0])[:, None, None] < 7, 1, 2), 0).astype(np.uint8)
    magnitude = save_volume(tmp_path / "magnitude.nii", np.where(MASK, 1.0, 0.1).astype(np.float32), AFFINE)
    return RunResults(
        RunFiles(
            series=[Path(magnitude)],
            mask=tmp_path / "mask.nii",
            magnitude=Path(magnitude),
            estimate=Path(done.estimate),
            tissue=Path(save_volume(tmp_path / "tissue.nii", tissue, AFFINE)),
        )
    )


def written(results: RunResults, folder: Path, run: TransferRun) -> tuple[Path, ...]:
    out = folder / "out"
    (folder / "bids").mkdir()
    write_dataset_description(out, bids_dir=folder / "bids")
    write_bidsignore(out)
    return write_transfer(results, run=run, settings={}, model={}, bids_dir=folder / "bids", output_dir=out)


def test_files_of_a_run_and_what_their_sidecars_say(results: RunResults, tmp_path: Path) -> None:
    run = transfer_run(tmp_path / "bids")
    paths = written(results, tmp_path, run)
    names = {path.name.removeprefix("sub-01_acq-pcbssfpMT_") for path in paths}
    assert names == {
        "desc-mtcorrected_T1map.nii.gz",
        "desc-mtcorrectedstd_T1map.nii.gz",
        "desc-free_T1map.nii.gz",
        "desc-freestd_T1map.nii.gz",
        "desc-free_M0map.nii.gz",
        "desc-freestd_M0map.nii.gz",
        "desc-quality_mask.nii.gz",
        "desc-brain_mask.nii.gz",
        "desc-tissue_stats.tsv",
        "dseg.nii.gz",
        "dseg.tsv",
    }
    folder = tmp_path / "out" / "sub-01" / "anat"
    t1 = nib.load(folder / "sub-01_acq-pcbssfpMT_desc-free_T1map.nii.gz").get_fdata()
    assert np.nanmedian(t1[8:]) == pytest.approx(FREE_T1, rel=1e-4)
    codes = nib.load(folder / "sub-01_acq-pcbssfpMT_desc-quality_mask.nii.gz").get_fdata()
    assert (codes[3, 3, 3], codes[4, 4, 4]) == (Status.MIXED, Status.NOT_IDENTIFIABLE)
    for name in ("desc-mtcorrected_T1map", "desc-free_T1map", "desc-free_M0map", "desc-freestd_T1map"):
        said = json.loads((folder / f"sub-01_acq-pcbssfpMT_{name}.json").read_text(encoding="utf-8"))
        assert said["Units"] == ("arbitrary" if "M0" in name else "s")
        assert "10.1002/mrm.21705" in said["EstimationReference"]
        assert said["EstimationAlgorithm"].startswith("Two-pool steady state of bSSFP")
        assert said["ApparentT1From"] == "sub-01_acq-pcbssfp"
        assert said["PoolsFrom"] == "sub-01_acq-MRF_exchange"
        assert said["SemisolidLine"] == "Lorentzian"
        assert said["SemisolidLineOnResonance"] == pytest.approx(LINE, abs=1e-9)
        assert said["SemisolidR1"] == 1.0
        assert (said["ExcitationPulse"]["Shape"], said["ExcitationPulse"]["Duration"]) == ("sinc", 1e-3)
        assert said["RepetitionTimeExcitation"] == PROTOCOL.repetition_time
        assert said["Sources"] == [
            "bids:raw:sub-01/anat/sub-01_acq-pcbssfp_part-mag_VFA.nii.gz",
            "bids::sub-01/anat/sub-01_acq-pcbssfp_T1map.nii.gz",
            "bids::sub-01/anat/sub-01_acq-pcbssfp_M0map.nii.gz",
            "bids::sub-01/anat/sub-01_acq-MRF_desc-MT_fractionmap.nii.gz",
            "bids::sub-01/anat/sub-01_acq-MRF_desc-MT_exchangemap.nii.gz",
        ]
    program = Path(sys.executable).with_name("bids-validator-deno")
    valid = subprocess.run([program, "--ignoreWarnings", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert valid.returncode == 0, valid.stdout


def test_the_report_of_a_run(results: RunResults, tmp_path: Path) -> None:
    run = transfer_run(tmp_path / "bids")
    report = describe_run(
        results,
        kind=TRANSFER,
        run=run,
        settings={},
        decisions=["Said."],
        warnings=[],
        outputs=written(results, tmp_path, run),
        output_dir=tmp_path / "out",
    )
    assert report.title == "pc-bSSFP freed of magnetization transfer"
    assert report.decisions[0] == "By the pools of MRF."
    assert "R1 of 1 1/s" in report.decisions[1]
    keys = [figure.key for figure in report.figures]
    assert len(keys) == len(set(keys))
    checks = {check.name: check for check in report.checks}
    transfer = checks["Magnetization transfer"]
    assert transfer.level is Level.INFO
    assert transfer.value.startswith("apparent T1 was ")
    assert 5 < int(transfer.value.removeprefix("apparent T1 was ").split(" ")[0]) < 35
    medians = {(row.map, row.region): row.median for row in report.statistics}
    label = next(name for name, region in medians if region == "white matter" and "free" in name and "T1" in name)
    assert medians[label, "white matter"] == pytest.approx(1e3 * FREE_T1, rel=1e-3)


def test_a_run_in_which_nothing_was_freed_is_judged_bad(tmp_path: Path) -> None:
    done = freed(tmp_path, apparent(), pools() | {"MT_rate": np.full(SHAPE, np.nan)})
    mask = tmp_path / "mask.nii"
    found = RunResults(RunFiles(series=[mask], mask=mask, magnitude=mask, estimate=Path(done.estimate)))
    checks = {check.name: check for check in TRANSFER.checks(found, transfer_run(), {})}
    assert checks["Magnetization transfer"].level is Level.BAD
    assert checks["Magnetization transfer"].value == "no voxel was freed of it"
