"""Cores and memory as machine, container and SLURM allow, and the options that override them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qmri_bids.cli.options.resources import available_cores, available_memory, memory


def machine(root: Path, **files: str) -> Path:
    """Write files of `proc` and `sys`; two underscores stand for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


@pytest.mark.usefixtures("many_cores")
def test_cores_are_the_least_of_affinity_quota_and_slurm(tmp_path: Path) -> None:
    assert available_cores(environment={}, root=tmp_path).amount == 16
    found = available_cores(environment={"SLURM_CPUS_PER_TASK": "4"}, root=tmp_path)
    assert (found.amount, found.source) == (4, "SLURM_CPUS_PER_TASK")
    machine(tmp_path, proc__self__cgroup="0::/job/step\n")
    machine(tmp_path / "sys/fs/cgroup", job__step__ignored="")
    (tmp_path / "sys/fs/cgroup/job/step/cpu.max").write_text("max 100000\n")
    (tmp_path / "sys/fs/cgroup/job/cpu.max").write_text("250000 100000\n")
    found = available_cores(environment={"SLURM_CPUS_PER_TASK": "4"}, root=tmp_path)
    assert (found.amount, found.source) == (3, "CPU quota of the cgroup")


@pytest.mark.usefixtures("many_cores")
def test_quota_of_cgroup_1_where_the_path_is_that_of_the_host(tmp_path: Path) -> None:
    machine(tmp_path, proc__self__cgroup="4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n")
    folder = tmp_path / "sys/fs/cgroup/cpu"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert available_cores(environment={}, root=tmp_path).amount == 16
    (folder / "cpu.cfs_quota_us").write_text("200000\n")
    assert available_cores(environment={}, root=tmp_path).amount == 2


def test_memory_is_the_least_of_free_memory_limit_and_slurm(tmp_path: Path) -> None:
    assert available_memory(environment={}, root=tmp_path) is None
    machine(tmp_path, proc__meminfo="MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n")
    found = available_memory(environment={"SLURM_MEM_PER_NODE": "0"}, root=tmp_path)
    assert found is not None
    assert (found.amount, found.source) == (8 * 2**30, "free memory of this machine")
    found = available_memory(environment={"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "3"}, root=tmp_path)
    assert found is not None
    assert (found.amount, found.source) == (6 * 2**30, "SLURM_MEM_PER_CPU")
    machine(tmp_path, proc__self__cgroup="4:memory:/\n", sys__fs__cgroup__memory__ignored="")
    limit = tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes"
    limit.write_text("9223372036854771712")  # how version 1 says that there is none
    assert available_memory(environment={}, root=tmp_path) == available_memory(
        environment={"SLURM_MEM_PER_NODE": "65536"}, root=tmp_path
    )
    limit.write_text(str(4 * 2**30))
    found = available_memory(environment={}, root=tmp_path)
    assert found is not None
    assert (found.amount, found.source) == (4 * 2**30, "memory limit of the cgroup")


@pytest.mark.parametrize(
    ("text", "gigabytes"),
    [("2048", 2.0), ("8G", 8.0), ("8gb", 8.0), ("1.5T", 1536.0), ("524288K", 0.5), ("512 MiB", 0.5)],
)
def test_amounts_of_memory(text: str, gigabytes: float) -> None:
    assert memory(text) == pytest.approx(gigabytes)


@pytest.mark.parametrize("text", ["0", "-1", "much", "8X", ""])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected MB"):
        memory(text)


def test_what_is_not_given_is_taken_from_the_machine_and_said(parsed: Callable[..., argparse.Namespace]) -> None:
    options = parsed()
    assert options.nprocs == available_cores().amount
    assert options.omp_nthreads == min(options.nprocs, 8)
    (sentence,) = options.resources
    assert f"--nprocs {options.nprocs}" in sentence
    options = parsed("--n_cpus", 12, "--mem_mb", "4G")
    assert (options.nprocs, options.omp_nthreads, options.memory_gb) == (12, 8, 4.0)
    assert parsed("--nthreads", 3, "--omp_nthreads", 2, "--mem", 1024, "--low_mem").low_mem
    assert parsed("--nthreads", 3, "--omp_nthreads", 2, "--mem", 1024).resources == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--nprocs", 0), "--nprocs must be at least 1, found 0"),
        (("--nprocs", 2, "--omp-nthreads", 4), "--omp-nthreads must lie within 1 to --nprocs, which is 2, found 4"),
        (
            ("--mem", "some"),
            "--mem/--mem-mb: expected MB, or a number with K, M, G or T, for instance 8G, found 'some'",
        ),
        (("--device", "gpu"), "--device: expected auto, cpu, cuda or cuda:N, found 'gpu'"),
        (("--random-seed", -1), "--random-seed must lie within 0 to 2^32 - 1, found -1"),
        (("--use-plugin", "/nowhere/plugin.yml"), "--use-plugin /nowhere/plugin.yml is not a file"),
        (("--dry-run", "--reports-only"), "--dry-run and --reports-only exclude each other"),
        (("--reports-only", "--clean-workdir"), "--reports-only needs what --clean-workdir empties"),
    ],
)
def test_options_that_make_no_sense(
    usage_error: Callable[..., str], arguments: tuple[object, ...], message: str
) -> None:
    assert message in usage_error(*arguments)


def test_the_group_level_computes_nothing(
    parsed: Callable[..., argparse.Namespace], usage_error: Callable[..., str], bids: Path
) -> None:
    # its work folder is not used, and may be one that no participant may have
    assert parsed("--work-dir", bids, level="group").analysis_level == ("group",)
    assert "--dry-run goes with the level participant" in usage_error("--check", level="group")
