"""Nipype's plugins for the jobs of a cluster, mended: a lost job ends no other, and no job goes on when the program has ended."""

from __future__ import annotations

import math
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

from nipype.pipeline import plugins
from nipype.pipeline.plugins.base import SGELikeBatchManagerBase

CANCEL: Mapping[str, str] = {
    "SLURM": "scancel",
    "PBS": "qdel",
    "SGE": "qdel",
    "LSF": "bkill",
    "OAR": "oardel",
    "Condor": "condor_rm",
}
"""Programs that end jobs, by plugin; they take the numbers of the jobs."""

_PATIENCE = 30.0
"""How long the cluster may take to answer [s]."""

HEADROOM, LEAST = 1.5, 1.0
"""Memory that a job asks for: times what its step is expected to need, and at least so much [GB]."""

_at_work: list[_MendedPlugin] = []


class _MendedPlugin:
    """What is mended in a plugin of Nipype.

    Nipype 1.11 gives `report_crash` one text where it takes lines, and adds lines to it when a node has left no result: that fails,
    and with it every run of the call, for one job that the cluster has killed. And it leaves jobs alone when it stops: they would
    go on writing into folders in which the next call works.
    """

    cancel: str
    _pending: dict[int, str]

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run the nodes of a graph as jobs, and end those that are left."""
        _at_work.append(self)
        try:
            super().run(graph, config, updatehash=updatehash)  # type: ignore[misc]
        finally:
            _at_work.remove(self)
            self.end_jobs()

    def end_jobs(self) -> None:
        """End the jobs whose results have not come."""
        jobs = [str(job) for job in self._pending]
        self._pending.clear()
        if jobs:
            subprocess.run([self.cancel, *jobs], check=False, capture_output=True, timeout=_PATIENCE)

    def _report_crash(self, node: Any, result: Any = None) -> Any:
        if result is not None and isinstance(result["traceback"], str):
            result = {**result, "traceback": result["traceback"].splitlines(keepends=True)}
        return super()._report_crash(node, result)  # type: ignore[misc]


class _AsksForNeeds:
    """Asks SLURM for the cores and the memory that each step needs, where the arguments of the plugin name none."""

    _sbatch_args: str | None

    def _submit_batchtask(self, scriptfile: str, node: Any) -> int:
        given = self._sbatch_args
        own = node.plugin_args.get("sbatch_args", "")
        words = " ".join([given or "", own])
        self._sbatch_args = " ".join([given or "", *needs_of(node, given=words)]).strip()
        try:
            return super()._submit_batchtask(scriptfile, node)  # type: ignore[misc]
        finally:
            self._sbatch_args = given


def needs_of(node: Any, *, given: str) -> list[str]:
    """Return the options of `sbatch` for the cores and the memory of a node that are not given.

    Parameters
    ----------
    node
        With `n_procs` and `mem_gb`.
    given
        Options of `sbatch`.
    """
    words = shlex.split(given)
    found = []
    if not any(word.startswith(("--cpus", "-c", "--ntasks", "-n", "--exclusive")) for word in words):
        found.append(f"--cpus-per-task={node.n_procs}")
    if not any(word.startswith(("--mem", "--exclusive")) for word in words):
        found.append(f"--mem={math.ceil(1024 * max(LEAST, HEADROOM * node.mem_gb))}M")
    return found


def cluster_plugin(name: str, arguments: Mapping[str, Any]) -> Any:
    """Return what Nipype takes as the plugin: the mended one for a cluster, the name for any other.

    Parameters
    ----------
    name
        As in the file of `--use-plugin`: `SLURM`.
    arguments
        Of the plugin.
    """
    kind = getattr(plugins, f"{name}Plugin", None)
    if kind is None or not issubclass(kind, SGELikeBatchManagerBase) or name not in CANCEL:
        return name
    mended = (_MendedPlugin, _AsksForNeeds, kind) if name == "SLURM" else (_MendedPlugin, kind)
    return type(kind.__name__, mended, {"cancel": CANCEL[name]})(plugin_args=dict(arguments))


def end_all_jobs() -> None:
    """End the jobs of every plugin that is at work: the program is about to end."""
    for plugin in _at_work:
        plugin.end_jobs()
