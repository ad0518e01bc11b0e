"""The options of resources: processes, threads, memory, the engine, and where intermediate results lie."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.cli.options.call import NOTHING_COMPUTED
from qmri_bids.cli.parsing.option import Limits, Option, OptionGroup, Relation, Setting

UNLIMITED = 2**60
"""Numbers of bytes beyond which a limit of cgroup v1 means that there is none."""


@dataclass(frozen=True, kw_only=True)
class Available:
    """A number and what set it.

    Parameters
    ----------
    amount
        Cores, or bytes.
    source
        What set it, for the log.
    """

    amount: int
    source: str


def available_cores(*, environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Available:
    """Return how many cores this process may use: the least of affinity, quota of the cgroup and SLURM.

    Parameters
    ----------
    environment
        Environment variables.
    root
        Folder in which `proc` and `sys` are found.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [Available(amount=affinity, source="cores that this process may use")]
    if (task := _number(environment.get("SLURM_CPUS_PER_TASK"))) is not None:
        found.append(Available(amount=task, source="SLURM_CPUS_PER_TASK"))
    for folder in _cgroups("cpu", root=root):
        quota, period = _cpu_quota(folder)
        if quota is not None and period:
            # A quota of one core and a half is used up by two.
            found.append(Available(amount=math.ceil(quota / period), source="CPU quota of the cgroup"))
    least = min(found, key=lambda each: each.amount)
    return Available(amount=max(1, least.amount), source=least.source)


def available_memory(*, environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Available | None:
    """Return how many bytes are left for this job: the least of free memory, limit of the cgroup and SLURM.

    Parameters
    ----------
    environment, root
        Environment variables, and the folder in which `proc` and `sys` are found.

    Returns
    -------
    Available or None
        None where nothing tells.
    """
    found = []
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            found.append(Available(amount=int(rest.split()[0]) * 1024, source="free memory of this machine"))
    for variable, times in (
        ("SLURM_MEM_PER_NODE", 1),
        ("SLURM_MEM_PER_CPU", _number(environment.get("SLURM_CPUS_ON_NODE"))),
    ):
        megabytes = _number(environment.get(variable))
        if megabytes and times:  # 0 stands for all memory of the node
            found.append(Available(amount=megabytes * times * 2**20, source=variable))
    for folder in _cgroups("memory", root=root):
        limit = _number(_text(folder / "memory.max")) or _number(_text(folder / "memory.limit_in_bytes"))
        if limit is not None and limit < UNLIMITED:
            found.append(Available(amount=limit, source="memory limit of the cgroup"))
    return min(found, key=lambda each: each.amount, default=None)


def _cgroups(controller: str, *, root: Path) -> Iterator[Path]:
    """Yield the folders of the cgroups that this process lies in, up to the highest, of version 2 and 1."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        top = mount / (controller if names else "")
        folder = top / path.lstrip("/")
        # Inside a container the path may be that of the host: what does not exist is passed over.
        yield folder
        while folder != top and top in folder.parents:
            folder = folder.parent
            yield folder


def _cpu_quota(folder: Path) -> tuple[int | None, int | None]:
    """Return quota and period of a cgroup in microseconds; no quota is None."""
    if words := _text(folder / "cpu.max").split():
        return _number(words[0]), _number(words[1] if len(words) > 1 else "100000")
    quota = _number(_text(folder / "cpu.cfs_quota_us"))
    return (quota if quota is not None and quota > 0 else None), _number(_text(folder / "cpu.cfs_period_us"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


MOST_THREADS = 8
"""Threads of one step by default: beyond that they gain little."""

MEGABYTES = {"K": 2.0**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
"""Suffixes of amounts of memory."""

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def memory(text: str) -> float:
    """Return an amount of memory in GB (2³⁰ bytes) from a number of MB, or one with a suffix K, M, G or T.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.

    Examples
    --------
    >>> memory("8G"), memory("512")
    (8.0, 0.5)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), flags=re.IGNORECASE)
    amount = float(match[1]) * MEGABYTES[match[2].upper() or "M"] / MEGABYTES["G"] if match else 0.0
    if amount <= 0.0:
        raise argparse.ArgumentTypeError(f"expected MB, or a number with K, M, G or T, for instance 8G, found {text!r}")
    return amount


def device(text: str) -> str:
    """Return the name of a device: auto, cpu, cuda or cuda:N.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is none.
    """
    if not DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, cuda or cuda:N, found {text!r}")
    return text


def _take_from_machine(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Fill in what the machine offers; `options.resources` says what was found."""
    found = []
    if options.nprocs is None:
        cores = available_cores()
        options.nprocs = cores.amount
        found.append(f"--nprocs {cores.amount} ({cores.source})")
    if options.omp_nthreads is None:
        options.omp_nthreads = min(options.nprocs, MOST_THREADS)
        found.append(f"--omp-nthreads {options.omp_nthreads}")
    if options.memory_gb is None and (memory_found := available_memory()) is not None:
        options.memory_gb = memory_found.amount / 2**30
        found.append(f"--mem {memory_found.amount // 2**20} ({memory_found.source})")
    options.resources = ("Not given, taken from this machine: " + ", ".join(found),) if found else ()


RESOURCES = OptionGroup(
    title="resources",
    rows=(
        Option(
            name="--nprocs",
            also=("--nthreads", "--n-cpus"),
            type=int,
            metavar="N",
            help="cores to use in all; by default those this process may use (affinity, quota of the container, SLURM)",
            limits=Limits(low=1, refusal="must be at least 1, found {}"),
            setting=Setting("engine", field="processors"),
        ),
        Option(
            name="--omp-nthreads",
            type=int,
            metavar="N",
            help=f"threads of one step, at most --nprocs; by default --nprocs, up to {MOST_THREADS}",
            limits=Limits(
                low=1,
                most_of="nprocs",
                refusal="must lie within 1 to --nprocs, which is {high}, found {}",
            ),
            setting=Setting("processing", field="processes"),
        ),
        Option(
            name="--mem",
            also=("--mem-mb",),
            dest="memory_gb",
            type=memory,
            metavar="MB",
            help="memory to use in all, in MB or with a suffix K, M, G or T (8G); by default what is free (limit of the container, "
            "SLURM, machine)",
            written=lambda gigabytes: f"{gigabytes!r}G",
            setting=Setting("engine"),
        ),
        Option(
            name="--low-mem",
            action="store_true",
            help="take less memory and more time where a step has the choice",
            setting=Setting("engine"),
        ),
        Option(
            name="--use-plugin",
            also=("--nipype-plugin-file",),
            type=Path,
            metavar="FILE",
            help="YAML, TOML or JSON file with the Nipype plugin that runs the steps (plugin, plugin_args), for instance SLURM",
            must_be_file=True,
        ),
        Option(
            name="--device",
            type=device,
            default="auto",
            metavar="NAME",
            help="where networks run: auto (a GPU where there is one), cpu, cuda or cuda:N; default: %(default)s",
            setting=Setting("processing"),
        ),
        Option(
            name="--random-seed",
            type=int,
            default=0,
            metavar="N",
            help="seed of all random numbers; two calls with one seed give identical maps; default: %(default)s",
            limits=Limits(low=0, high=2**32 - 1, refusal="must lie within 0 to 2^32 - 1, found {}"),
            setting=Setting("processing"),
        ),
        Option(
            name="--work-dir",
            short="-w",
            type=Path,
            default=Path("work"),
            metavar="PATH",
            help="folder of intermediate results, outside bids_dir; default: ./work",
        ),
        Option(
            name="--clean-workdir",
            action="store_true",
            help="empty the part of work_dir of these participants first",
        ),
        Option(
            name="--stop-on-first-crash",
            action="store_true",
            help="stop at the first run that fails",
            setting=Setting("engine"),
        ),
        Option(
            name="--resource-monitor",
            action="store_true",
            help="measure time, processor time and memory of every step, in a table output_dir/logs/resources_….tsv",
            excluded_by=(
                Relation(
                    ("use_plugin",), "{option} measures the steps of this machine, not those of {others}: leave one out"
                ),
                *NOTHING_COMPUTED,
            ),
            setting=Setting("engine"),
        ),
        Option(name="--notrack", action="store_true", help="accepted for habit's sake: there is no telemetry"),
    ),
    fill_in=_take_from_machine,
)
