"""What this process may use of the machine: cores and memory, as the operating system, a container or SLURM allow."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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
        Where `proc` and `sys` are found.
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
        As in `available_cores`.

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
