"""The plugin of a cluster whose jobs leave no result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe
from nipype.pipeline.plugins.base import SGELikeBatchManagerBase

from qmri_bids.engine.cluster_plugin import cluster_plugin
from qmri_bids.engine.crashes import read_crashes
from qmri_bids.engine.slurm_jobs import ClusterUnreachableError, JobRefusedError, needs_of


def test_a_lost_job_is_reported_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[str] = []

    def submit(self: Any, script: str, node: Any) -> int:
        submitted.append(node.name)
        self._pending[len(submitted)] = node.output_dir()
        return len(submitted)

    plugin = cluster_plugin("SLURM", {})
    monkeypatch.setattr(type(plugin), "_submit_batchtask", submit)
    monkeypatch.setattr(type(plugin), "_is_pending", lambda self, job: False)
    workflow = pe.Workflow(name="lost", base_dir=str(tmp_path))
    nodes = [pe.Node(IdentityInterface(fields=["x"], mandatory_inputs=False), name=name) for name in ("a", "b")]
    followers = [pe.Node(IdentityInterface(fields=["x"]), name=f"after_{node.name}") for node in nodes]
    for node, follower in zip(nodes, followers, strict=True):
        node.inputs.x = 1
        workflow.connect(node, "x", follower, "x")
    monkeypatch.setattr(pe.workflows, "generate_expanded_graph", lambda graph: graph)  # which drops identities
    workflow.config["execution"] = {
        "crashfile_format": "txt",
        "crashdump_dir": str(tmp_path / "log"),
        "job_finished_timeout": "0",
        "poll_sleep_duration": "0.01",
        "create_report": "false",
    }
    with pytest.raises(RuntimeError, match="2 raised"):
        workflow.run(plugin=plugin)
    assert sorted(submitted) == ["a", "b"]
    crashes = read_crashes(tmp_path / "log", since=0.0)
    assert sorted(crash.node for crash in crashes) == ["lost.a", "lost.b"]
    assert all("of the cluster ended without a result" in crash.entry.message for crash in crashes)


def test_jobs_end_with_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[list[str]] = []
    monkeypatch.setattr("qmri_bids.engine.cluster_plugin.subprocess.run", lambda command, **_: ended.append(command))

    def interrupted(self: Any, *_: Any, **__: Any) -> None:
        self._pending[41], self._pending[42] = "node", "node"
        raise KeyboardInterrupt

    monkeypatch.setattr(SGELikeBatchManagerBase, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cluster_plugin("SLURM", {}).run(None, {})
    assert ended == [["scancel", "41", "42"]]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("", ["--cpus-per-task=4", "--mem=3072M"]),
        ("--time=1:00:00 -p long", ["--cpus-per-task=4", "--mem=3072M"]),
        ("--mem=8G", ["--cpus-per-task=4"]),
        ("-c 2 --mem-per-cpu=4G", []),
        ("--exclusive", []),
    ],
)
def test_a_job_asks_for_what_its_step_needs(given: str, asked: list[str]) -> None:
    node = pe.Node(IdentityInterface(fields=["x"]), name="node", n_procs=4, mem_gb=2.0)
    assert needs_of(node, given=given) == asked


def fake(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_job_that_is_not_taken_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "sbatch", 'echo "sbatch: error: Memory specification can not be satisfied" >&2; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    plugin = cluster_plugin("SLURM", {"max_tries": 1, "retry_timeout": 0})
    node = pe.Node(IdentityInterface(fields=["x"]), name="mask_brain", base_dir=str(tmp_path))
    node.config = {"execution": {"matplotlib_backend": "Agg"}}
    number = plugin._submit_job(node)
    assert not plugin._pending
    with pytest.raises(JobRefusedError, match=r"not take the job of mask_brain: .*Memory specification can not be"):
        plugin._get_result(number)


def test_an_outage_of_the_master_is_no_end_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("qmri_bids.engine.slurm_jobs.ASK_AGAIN", -1.0)
    plugin = cluster_plugin("SLURM", {})
    plugin._pending = {41: "node", 42: "node"}
    fake(tmp_path, "squeue", 'case "$*" in *--jobs=41,42) echo 42;; esac')
    assert [plugin._is_pending(job) for job in (41, 42)] == [False, True]
    fake(tmp_path, "squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1')
    assert plugin._is_pending(41)
    monkeypatch.setattr("qmri_bids.engine.slurm_jobs.LONGEST_OUTAGE", -1.0)
    with pytest.raises(ClusterUnreachableError, match="Unable to contact slurm controller"):
        plugin._is_pending(41)
    fake(tmp_path, "squeue", 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1')
    assert not plugin._is_pending(41)


def test_other_plugins_are_left_to_nipype() -> None:
    assert cluster_plugin("Linear", {}) == "Linear"
    assert cluster_plugin("MultiProc", {"n_procs": 2}) == "MultiProc"
    assert isinstance(cluster_plugin("PBS", {}), SGELikeBatchManagerBase)
    assert "nipype.pipeline.plugins.slurm" in sys.modules
