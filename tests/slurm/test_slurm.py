"""The program on a real SLURM: every step a job, jobs that are killed, and an array of participants in one output folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.slurm

QUICK = ("--bssfp-estimator", "linear", "--ignore", "motion", "gibbs", "calibration", "--skip-bids-validation")
"""What the cluster does is tested here, not what comes out of the steps."""

EXAMPLES = Path(__file__).parents[2] / "examples" / "slurm"
PLUGIN = EXAMPLES / "plugin.yml"

Call = Callable[..., subprocess.CompletedProcess]


def arguments(bids: Path, folder: Path, label: str) -> list[object]:
    return [bids, folder / "out", "participant", "--participant-label", label, "--work-dir", folder / "work", *QUICK]


def test_every_step_is_a_job(bids: Path, call: Call, tmp_path: Path) -> None:
    done = call("qmri_bids", *arguments(bids, tmp_path, "01"), "--use-plugin", PLUGIN)
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "out" / "sub-01.html").is_file()
    assert (tmp_path / "out" / "sub-01" / "anat" / "sub-01_acq-pcbssfp_T1map.nii.gz").is_file()
    jobs = [path.name for path in (tmp_path / "work").rglob("batch/batchscript_*.sh")]
    for step in ("load_cycles", "mask_brain", "align_b1", "estimate_relaxation", "write_derivatives", "describe_run"):
        assert sum(step in each for each in jobs) == 1
    assert not any("collect" in each for each in jobs)
    assert len(list((tmp_path / "work").rglob("batch/slurm-*.out"))) == len(jobs)


def test_a_job_that_was_cancelled_ends_the_run_with_a_message(
    bids: Path, call: Call, cluster: Mapping[str, str], tmp_path: Path
) -> None:
    command = ["qmri_bids", *(str(each) for each in arguments(bids, tmp_path, "01")), "--use-plugin", str(PLUGIN)]
    running = subprocess.Popen(command, env=dict(cluster), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    job = ""
    while not job and running.poll() is None:
        job = call("squeue", "--noheader", "--states=RUNNING", "--format=%A").stdout.strip()
        time.sleep(0.05)
    assert call("scancel", job).returncode == 0
    table, log = running.communicate(timeout=180)
    assert running.returncode == 1, log + table
    said = " ".join(table.split())
    assert f"Step load_cycles failed: Job {job} of the cluster ended without a result: it was killed" in said
    assert "CANCELLED" in said
    assert "Run the same command again" in said
    page = (tmp_path / "out" / "sub-01.html").read_text()
    assert f"Job {job} of the cluster ended without a result" in page
    assert f"slurm-{job}.out" in page


def test_jobs_end_with_the_program(bids: Path, call: Call, cluster: Mapping[str, str], tmp_path: Path) -> None:
    command = ["qmri_bids", *(str(each) for each in arguments(bids, tmp_path, "01")), "--use-plugin", str(PLUGIN)]
    running = subprocess.Popen(command, env=dict(cluster), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not call("squeue", "--noheader", "--states=RUNNING").stdout.strip():
        assert running.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)  # the program has the number of its job
    running.terminate()
    assert running.wait(timeout=60) == 143
    time.sleep(3.0)  # what SLURM gives a job to end
    assert not call("squeue", "--noheader", "--states=PENDING,RUNNING").stdout.strip()


def test_a_job_that_lacks_memory_says_so(bids: Path, call: Call, tmp_path: Path) -> None:
    small = tmp_path / "plugin.yml"
    small.write_text("plugin: SLURM\nplugin_args:\n  sbatch_args: --mem=20M\n  job_finished_timeout: 5\n")
    done = call("qmri_bids", *arguments(bids, tmp_path, "01"), "--use-plugin", small)
    assert done.returncode == 1, done.stderr + done.stdout
    said = " ".join(done.stdout.split())
    assert "of the cluster ended without a result: it was killed" in said
    assert "memory limit" in said.lower()
    assert "--mem" in said


def test_a_job_that_slurm_does_not_take_says_so(bids: Path, call: Call, tmp_path: Path) -> None:
    huge = tmp_path / "plugin.yml"
    huge.write_text("plugin: SLURM\nplugin_args: {sbatch_args: --mem=900T, max_tries: 1, retry_timeout: 0}\n")
    done = call("qmri_bids", *arguments(bids, tmp_path, "01"), "--use-plugin", huge)
    assert done.returncode == 1, done.stderr + done.stdout
    said = " ".join(done.stdout.split())
    assert "SLURM did not take the job of load_cycles: sbatch: error:" in said
    assert "sbatch_args" in said


def test_an_array_shares_one_output_folder_and_the_group_comes_after_it(bids: Path, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    submitted = call(
        EXAMPLES / "submit.sh",
        bids,
        out,
        tmp_path / "work",
        *QUICK,
        env={"SBATCH_OPTIONS": "--cpus-per-task=1 --mem=4G"},
        cwd=tmp_path,
    )
    assert submitted.returncode == 0, submitted.stderr
    while call("squeue", "--noheader").stdout.strip():
        time.sleep(0.5)
    logs = {path.name: path.read_text() for path in tmp_path.glob("qmri_bids-*.out")}
    assert len(logs) == 3
    for label in ("01", "02"):
        assert (out / f"sub-{label}.html").is_file(), logs
        assert (out / f"sub-{label}" / "anat" / f"sub-{label}_acq-pcbssfp_T1map.nii.gz").is_file()
    valid = call(Path(sys.executable).with_name("bids-validator-deno"), "--ignoreWarnings", out)
    assert valid.returncode == 0, valid.stdout
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Name"] == "qmri_bids"
    citation = (out / "logs" / "CITATION.md").read_text()
    assert all(f"{milliseconds} ms" in citation for milliseconds in (4.8, 5.2)), citation
    runs = (out / "group_runs.tsv").read_text()
    assert {"sub-01", "sub-02"} <= set(runs.split()), runs
