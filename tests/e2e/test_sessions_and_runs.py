"""Two participants of two sessions with two runs each, in three spaces and as a group, by one call."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from anatomy_derivatives import write_transform

from qmri_bids.phantom.dataset import simulate_dataset

pytestmark = pytest.mark.slow

RunApp = Callable[..., subprocess.CompletedProcess]
TEMPLATE = "MNI152NLin2009aSym"
SPACES = {"T1w": "T1w", f"{TEMPLATE}:res-2": f"{TEMPLATE}_res-2"}
"""Spaces as they are asked for, and as names of files hold them; at 1 mm the template would take most of the time."""
SESSIONS = list(product(("01", "02"), ("1", "2")))
RUNS = [(subject, session, run) for (subject, session), run in product(SESSIONS, ("1", "2"))]


def anat(root: Path, subject: str, session: str) -> Path:
    return root / f"sub-{subject}" / f"ses-{session}" / "anat"


def stem(subject: str, session: str, run: str) -> str:
    return f"sub-{subject}_ses-{session}_acq-pcbssfp_run-{run}"


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of the ranks of two maps where both have a value: noise of few cycles has outliers."""
    both = np.isfinite(first) & np.isfinite(second)
    ranks = [np.argsort(np.argsort(each[both])).astype(float) for each in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"))


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sessions") / "bids"
    simulate_dataset(
        folder,
        subjects=2,
        sessions=2,
        runs=2,
        matrix=(32, 36, 32),
        voxel_size=6.0,
        phase_cycles=4,
        motion=1.0,
        snr=60.0,
        seed=3,
        t1w=True,
    )
    return folder


@pytest.fixture(scope="module")
def fmriprep(bids: Path) -> Path:
    """The T1w image of each session with transforms to the template, of which the simulated heads are made."""
    root = bids.parent / "fmriprep"
    for subject, session in SESSIONS:
        folder, name = anat(root, subject, session), f"sub-{subject}_ses-{session}"
        folder.mkdir(parents=True)
        shutil.copyfile(anat(bids, subject, session) / f"{name}_T1w.nii.gz", folder / f"{name}_desc-preproc_T1w.nii.gz")
        for ends in (f"from-T1w_to-{TEMPLATE}", f"from-{TEMPLATE}_to-T1w"):
            write_transform(folder / f"{name}_{ends}_mode-image_xfm.h5", np.eye(4))
    described = {"Name": "fMRIPrep", "BIDSVersion": "1.4.0", "GeneratedBy": [{"Name": "fMRIPrep", "Version": "25.1.0"}]}
    (root / "dataset_description.json").write_text(json.dumps(described))
    return root


@pytest.fixture(scope="module")
def done(bids: Path, fmriprep: Path, run_app: RunApp) -> tuple[Path, subprocess.CompletedProcess]:
    out, truth = bids.parent / "out", bids / "derivatives" / "truth"
    for subject, session, run in RUNS:  # brain masks made by a person: none is looked for
        name = f"{stem(subject, session, run)}_desc-brain_mask.nii.gz"
        anat(out, subject, session).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(anat(truth, subject, session) / name, anat(out, subject, session) / name)
    found = run_app(
        *(bids, out, "participant", "group", "--work-dir", bids.parent / "work", "--nprocs", 2),
        *("--derivatives", fmriprep, "--output-spaces", *SPACES),
        *("--bssfp-estimator", "ml", "--ignore", "motion", "calibration", "gibbs", "--skip-bids-validation"),
    )
    assert found.returncode == 0, found.stderr + found.stdout
    return out, found


def test_every_run_has_the_same_maps_in_every_space(done: tuple[Path, Any]) -> None:
    kinds = []
    for subject, session, run in RUNS:
        start = stem(subject, session, run)
        folder = anat(done[0], subject, session)
        names = {path.name.removeprefix(start) for path in folder.glob(f"{start}_*.nii.gz")}
        native = {name for name in names if "_space-" not in name and "_VFA" not in name}
        assert {"_T1map.nii.gz", "_T2map.nii.gz", "_M0map.nii.gz", "_desc-std_T1map.nii.gz"} <= native
        for space in SPACES.values():
            assert {f"_space-{space}{name}" for name in native} <= names
        kinds.append(names)
        assert all((folder / f"{start}{name}").with_suffix("").with_suffix(".json").is_file() for name in names)
        for space in ("", *(f"_space-{space}" for space in SPACES.values())):
            image: Any = nib.load(folder / f"{start}{space}_T1map.nii.gz")
            values = np.asarray(image.dataobj)
            voxel = abs(np.linalg.det(image.affine[:3, :3]))
            assert 0.8e6 < np.isfinite(values).sum() * voxel < 2.5e6
            assert 0.7 < np.nanmedian(values) < 2.0
    assert all(each == kinds[0] for each in kinds)


def test_runs_are_told_apart_and_lie_where_their_session_lies(done: tuple[Path, Any]) -> None:
    maps = {
        key: np.asarray(nib.load(anat(done[0], *key[:2]) / f"{stem(*key)}_space-{TEMPLATE}_res-2_T1map.nii.gz").dataobj)  # type: ignore[attr-defined]
        for key in RUNS
    }
    for subject, session in SESSIONS:
        first, second = maps[subject, session, "1"], maps[subject, session, "2"]
        both = np.isfinite(first) & np.isfinite(second)
        assert not np.allclose(first[both], second[both])
        elsewhere = [rank_correlation(first, np.roll(second, step, axis)) for axis in range(3) for step in (-6, 6)]
        assert rank_correlation(first, second) > 1.5 * max(elsewhere)  # than 12 mm away
        table = anat(done[0], subject, session) / f"{stem(subject, session, '1')}_from-T1w_to-scan_mode-image_xfm.txt"
        assert table.is_file()


def test_names_are_valid(done: tuple[Path, Any]) -> None:
    program = Path(sys.executable).with_name("bids-validator-deno")
    found = subprocess.run([program, "--ignoreWarnings", done[0]], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_one_report_a_participant_lists_sessions_and_runs(done: tuple[Path, Any]) -> None:
    assert sorted(path.name for path in done[0].glob("*.html")) == ["group.html", "sub-01.html", "sub-02.html"]
    for subject in ("01", "02"):
        page = (done[0] / f"sub-{subject}.html").read_text(encoding="utf-8")
        for session, run in product(("1", "2"), ("1", "2")):
            assert f"ses-{session}_acq-pcbssfp_run-{run}" in page
        record = json.loads((done[0] / f"sub-{subject}" / "log" / f"sub-{subject}_record.json").read_text())
        assert len(record["runs"]) == 4


def test_the_group_counts_participants_sessions_and_runs(done: tuple[Path, Any]) -> None:
    out, found = done
    assert "2 of 2 participants have a record; runs: 8 done" in found.stdout
    runs = rows(out / "group_runs.tsv")
    assert Counter(row["participant_id"] for row in runs) == {"sub-01": 4, "sub-02": 4}
    assert {row["state"] for row in runs} == {"done"}
    tissues = rows(out / "group_tissues.tsv")
    white = [row for row in tissues if (row["map"], row["tissue"]) == ("T1", "white matter")]
    assert len(white) == len({tuple(row[key] for key in ("participant_id", "session_id", "run")) for row in white}) == 8
    page = (out / "group.html").read_text(encoding="utf-8")
    assert "sub-01" in page
    assert "sub-02" in page


def test_the_record_of_the_call_repeats_both_levels(done: tuple[Path, Any]) -> None:
    (config,) = (done[0] / "logs").glob("config_*.toml")
    assert " participant group --config-file " in config.read_text(encoding="utf-8")
