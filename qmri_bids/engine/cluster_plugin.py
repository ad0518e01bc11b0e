"""Nipype's plugins for the jobs of a cluster, mended: a lost job ends no other, and no job goes on when the program has ended."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

from nipype.pipeline import plugins
from nipype.pipeline.plugins.base import SGELikeBatchManagerBase

from qmri_bids.engine.slurm_jobs import SlurmJobs

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

_at_work: list[MendedPlugin] = []


class MendedPlugin:
    """What is mended in a plugin of Nipype.

    Nipype 1.11 gives `report_crash` one text where it takes lines, and adds lines to it when a node has left no result: that fails,
    and with it every run of the call, for one job that the cluster has killed. A job that the cluster does not take ends all,
    too. And jobs are left alone when it stops: they would go on writing into folders in which the next call works.
    """

    cancel: str
    _pending: dict[int, str]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._refused: dict[int, Exception] = {}

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

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        try:
            return super()._submit_job(node, updatehash=updatehash)  # type: ignore[misc]
        except Exception as error:
            number = -1 - len(self._refused)
            self._refused[number] = error
            return number

    def _get_result(self, taskid: int) -> Any:
        if taskid in self._refused:
            raise self._refused[taskid]
        return super()._get_result(taskid)  # type: ignore[misc]

    def _report_crash(self, node: Any, result: Any = None) -> Any:
        if result is not None and isinstance(result["traceback"], str):
            result = {**result, "traceback": result["traceback"].splitlines(keepends=True)}
        return super()._report_crash(node, result)  # type: ignore[misc]


def cluster_plugin(name: str, arguments: Mapping[str, Any]) -> Any:
    """Return what Nipype takes as the plugin: the mended one for a cluster, the name for any other.

    Parameters
    ----------
    name
        Name of the plugin, as in the file of `--use-plugin`: `SLURM`.
    arguments
        Arguments of the plugin.
    """
    kind = getattr(plugins, f"{name}Plugin", None)
    if kind is None or not issubclass(kind, SGELikeBatchManagerBase) or name not in CANCEL:
        return name
    more = (SlurmJobs,) if name == "SLURM" else ()
    return type(kind.__name__, (MendedPlugin, *more, kind), {"cancel": CANCEL[name]})(plugin_args=dict(arguments))


def end_all_jobs() -> None:
    """End the jobs of every plugin that is at work: the program is about to end."""
    for plugin in _at_work:
        plugin.end_jobs()
