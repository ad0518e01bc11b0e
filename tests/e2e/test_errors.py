"""What a user sees when something is wrong: one clear error, before anything is computed, and honest exit codes."""

from __future__ import annotations

import fcntl
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

from qmri_bids import __version__
from qmri_bids.cli import run
from qmri_bids.cli.tools import main as tools_main

STEM = "sub-01/anat/sub-01_acq-pcbssfp_flip-1_part-"


@pytest.fixture
def dataset(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "bids", ignore=shutil.ignore_patterns("derivatives"))


def app(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Call the program and return its exit code with all that it printed, on one line."""
    try:
        code = run.main([str(each) for each in arguments])
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).split())


def check(dataset: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    return app(
        capsys,
        dataset,
        dataset.parent / "out",
        "participant",
        "-w",
        dataset.parent / "work",
        "--dry-run",
        *arguments,
    )


def edit(dataset: Path, part: str, **changes: Any) -> None:
    path = dataset / f"{STEM}{part}_VFA.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def no_increments(dataset: Path) -> None:
    for part in ("mag", "phase"):
        edit(dataset, part, RFPhaseIncrement=None)


def too_few_increments(dataset: Path) -> None:
    for part in ("mag", "phase"):
        edit(dataset, part, RFPhaseIncrement=[0, 90, 180, 270])


def empty_image(dataset: Path) -> None:
    (dataset / f"{STEM}mag_VFA.nii.gz").write_bytes(b"")


def unreadable_image(dataset: Path) -> None:
    (dataset / f"{STEM}phase_VFA.nii.gz").write_bytes(b"not an image")


def no_b1(dataset: Path) -> None:
    shutil.rmtree(dataset / "sub-01" / "fmap")


def readout_angle_in_b1(dataset: Path) -> None:
    path = dataset / "sub-01" / "fmap" / "sub-01_acq-famp_TB1TFL.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"FlipAngle": 8}))


def milliseconds(dataset: Path) -> None:
    for part in ("mag", "phase"):
        edit(dataset, part, RepetitionTimeExcitation=4.8)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_increments, ("RFPhaseIncrement", "expected", "found")),
        (too_few_increments, ("RFPhaseIncrement", "12", "4")),
        (empty_image, ("part-mag_VFA.nii.gz", "empty")),
        (unreadable_image, ("part-phase_VFA.nii.gz", "expected", "found")),
        (no_b1, ("B1 map", "found none", "--no-b1")),
        (readout_angle_in_b1, ("--b1-nominal-fa", "nominal 8°")),
        (milliseconds, ("RepetitionTimeExcitation", "milliseconds")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_run_is_refused_by_file_key_expected_and_found(
    dataset: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    damage(dataset)
    code, text = check(dataset, capsys)
    assert code == 1
    assert "0 run(s) can be computed" in text
    for word in words:
        assert word in text
    assert "Traceback" not in text
    assert not (dataset.parent / "out").exists()


def test_a_dry_run_shows_the_protocol_and_where_it_comes_from(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = check(dataset, capsys)
    assert code == 0
    assert "repetition_time = 4.8 ms [sub-01_acq-pcbssfp_flip-1_part-mag_VFA.json: RepetitionTimeExcitation]" in text
    assert "1 run(s) can be computed, 0 refusal(s)." in text
    assert not (dataset.parent / "out").exists()


def test_an_estimator_that_does_not_cover_the_protocol_is_said_before_computing(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("mag", "phase"):
        edit(dataset, part, FlipAngle=40)
    assert check(dataset, capsys)[0] == 0, "the default serves any protocol"
    code, text = check(dataset, capsys, "--bssfp-estimator", "pinn-complex-uniform")
    assert code == 1
    assert "--bssfp-estimator: expected N = 4, 6, 12 at a nominal flip angle within 9.0-21.0°" in text
    assert "Add --train-missing to train one for this protocol, or use --bssfp-estimator ml" in text
    for name in ("linear", "ml"):
        assert check(dataset, capsys, "--bssfp-estimator", name)[0] == 0


def test_a_network_that_is_missing_is_announced_and_own_weights_are_taken(
    dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for part in ("mag", "phase"):
        edit(dataset, part, FlipAngle=40)
    cycles = nib.load(dataset / f"{STEM}mag_VFA.nii.gz").shape[3]
    network = ("--bssfp-estimator", "pinn-magnitude-uniform")
    code, text = check(dataset, capsys, *network, "--train-missing")
    assert code == 0
    assert "A network would be trained for" in text
    assert not (dataset.parent / "work").exists(), "a dry run trains nothing"
    trained = tools_main(
        (
            f"train --output {tmp_path / 'own'} --network pinn-magnitude --prior uniform --phase-cycles {cycles} "
            "--flip-angle 40 --epochs 1 --samples 2000"
        ).split()
    )
    assert trained == 0
    assert check(dataset, capsys, *network, "--bssfp-weights", tmp_path / "own")[0] == 0


def test_no_b1_is_a_loud_assumption(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    no_b1(dataset)
    code, text = check(dataset, capsys, "--no-b1")
    assert code == 0
    assert "NO B1 MAP IS USED: B1 = 1 is assumed everywhere" in text


def test_nothing_eligible_is_exit_3_and_says_what_was_looked_for(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(dataset / "sub-01" / "anat")
    code, text = check(dataset, capsys)
    assert (code, "1 run(s) can be computed" in text) == (0, True)  # what is left is a B1 scan
    for path in (dataset / "sub-01" / "fmap").iterdir():
        path.unlink()
    code, text = check(dataset, capsys)
    assert code == 3
    assert "no pc-bSSFP, CEST, MT, B1 or B0 run found" in text
    assert "Looked for: anat/*_{VFA,T2w,bSSFP,SSFP}" in text


def test_the_command_line_is_checked(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, work = dataset.parent / "out", dataset.parent / "work"
    (dataset.parent / "file").touch()
    for arguments, expected in (
        ((dataset, dataset, "participant", "-w", work), "output_dir is bids_dir"),
        ((dataset, out, "participant", "-w", dataset / "work"), "lies inside bids_dir"),
        ((dataset, dataset / "sub-01", "participant", "-w", work), "only derivatives/… may be written"),
        ((dataset, out, "participant", "-w", out), "work_dir is output_dir"),
        ((dataset, dataset / "README.md" / "out", "participant", "-w", work), "only derivatives/"),
        ((dataset, dataset.parent / "file", "participant", "-w", work), "is not a folder"),
        ((dataset / "none", out, "participant", "-w", work), "is not a folder"),
        ((dataset / "sub-01", out, "participant", "-w", work), "dataset_description.json not found"),
        ((dataset, out, "participant", "-w", work, "--participant-label", "1"), "1 is not 01"),
        ((dataset, out, "participant", "-w", work, "--nprocs", "0"), "--nprocs must be at least 1"),
        ((dataset, out, "participant", "-w", work, "--bssfp-estimator", "magic"), "invalid choice"),
        ((dataset, out, "participant", "-w", work, "--posterior", "scan"), "invalid choice"),
        (
            (
                dataset,
                out,
                "participant",
                "-w",
                work,
                "--bssfp-estimator",
                "linear",
                "--cest-estimator",
                "ml",
                "--no-refine",
            ),
            "--no-refine goes with --bssfp-estimator pinn or --cest-estimator pinn, found --bssfp-estimator linear",
        ),
        (
            (dataset, out, "participant", "-w", work, "--train-missing", "--cest-estimator", "ml"),
            "found --bssfp-estimator pinn and --cest-estimator ml, which need no training",
        ),
        (
            (dataset, out, "participant", "-w", work, "--bssfp-weights", out),
            "is not a folder; give one that qmri-tools train",
        ),
    ):
        code, text = app(capsys, *arguments)
        assert code == 2, text
        assert expected in text
        assert "Traceback" not in text


def test_help_imports_nothing_heavy() -> None:
    heavy = (
        "torch",
        "ants",
        "nibabel",
        "nilearn",
        "nipype",
        "bids",
        "dipy",
        "matplotlib",
        "numba",
        "numpy",
        "pandas",
        "scipy",
    )
    code = (
        "import sys; from qmri_bids.cli.parsing.parser import build_parser; from qmri_bids.cli import run, tools; "
        "build_parser().format_help(); tools.build_parser().format_help(); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_one_bad_run_does_not_stop_the_others(
    dataset: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """sub-01 is good, sub-02 is refused, and sub-03 fails while it is processed: its B1 scan shows another place."""
    for label in ("02", "03"):
        shutil.copytree(dataset / "sub-01", dataset / f"sub-{label}")
        for path in sorted((dataset / f"sub-{label}").rglob("sub-01*")):
            path.rename(path.with_name(path.name.replace("sub-01", f"sub-{label}")))
    empty = dataset / STEM.replace("sub-01", "sub-02")
    empty.with_name(empty.name + "mag_VFA.nii.gz").write_bytes(b"")
    for name in ("anat", "famp"):
        path = dataset / "sub-03" / "fmap" / f"sub-03_acq-{name}_TB1TFL.nii.gz"
        image = nib.load(path)
        far = image.affine.copy()
        far[:3, 3] += 500.0
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), far, image.header), path)
    out = dataset.parent / "out"
    code = run.main(
        [
            str(dataset),
            str(out),
            "participant",
            "-w",
            str(dataset.parent / "work"),
            "--nprocs",
            "2",
            "--ignore",
            "gibbs",
        ]
    )
    captured = capfd.readouterr()
    text = " ".join((captured.out + captured.err).split())
    assert code == 1
    assert "sub-01 acq-pcbssfp_flip-1 done, report: " in text
    assert "REFUSED" in text
    assert "sub-03 acq-pcbssfp_flip-1 FAILED" in text
    assert "Traceback" not in text
    assert (out / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T1map.nii.gz").is_file()
    for label in ("02", "03"):
        report = (out / f"sub-{label}.html").read_text()
        assert ("expected" if label == "02" else "align_b1 failed") in report
    assert not list(out.glob("sub-02/anat/*")), "a run that is refused leaves nothing"
    # Of one that fails, what was done stays, whole: its mask and its motion, and no map.
    left = {path.name.removeprefix("sub-03_acq-pcbssfp_") for path in out.glob("sub-03/anat/*")}
    assert left == {
        "desc-brain_mask.nii.gz",
        "desc-brain_mask.json",
        "desc-confounds_timeseries.tsv",
        "desc-confounds_timeseries.json",
        "from-orig_to-pcbssfp_mode-image_desc-hmc_xfm.txt",
        "from-orig_to-pcbssfp_mode-image_desc-hmc_xfm.json",
    }
    assert not list(out.glob("sub-03/fmap/*"))
    assert list((out / "sub-03" / "log").glob("crash-*.txt"))


def test_damaged_weights_are_one_clear_error(dataset: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "mine.json").write_text("{ not a card")
    code, text = check(dataset, capsys, "--bssfp-weights", folder)
    assert code == 2
    assert f"{folder}/mine.json: expected a model card in JSON" in text
    assert "Traceback" not in text


def test_a_second_call_on_the_same_work_folder_is_refused(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = dataset.parent / "work"
    folder = work / f"qmri_bids-{__version__}"
    folder.mkdir(parents=True)
    with (folder / ".sub-01.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, text = app(capsys, dataset, dataset.parent / "out", "participant", "-w", work, "--skip-bids-validation")
    assert code == 2
    assert "another call of qmri_bids is at work in" in text
    assert not list((dataset.parent / "out").rglob("*map.nii.gz"))


def test_a_filter_file_selects_scans_and_a_wrong_one_is_refused(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = dataset.parent / "filter.json"
    path.write_text(json.dumps({"pcbssfp": {"acquisition": "pcbssfp"}}))
    code, text = check(dataset, capsys, "--bids-filter-file", path)
    assert (code, "sub-01_acq-pcbssfp" in text) == (0, True)
    path.write_text(json.dumps({"pcbssfp": {"acquisition": "other"}}))
    assert check(dataset, capsys, "--bids-filter-file", path)[0] == 3
    path.write_text(json.dumps({"bold": {}}))
    code, text = check(dataset, capsys, "--bids-filter-file", path)
    assert code == 2
    assert "expected an object with some of the keys pcbssfp, b1, cest, mt, fieldmap" in text
    assert check(dataset, capsys, "--bids-filter-file", dataset / "none.json")[0] == 2
