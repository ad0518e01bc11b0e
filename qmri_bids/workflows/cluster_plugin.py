"""Nipype's plugins for the jobs of a cluster, mended where a job that was lost would end them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nipype.pipeline import plugins
from nipype.pipeline.plugins.base import SGELikeBatchManagerBase


class _KeepsGoing:
    """Tells of a node without a result as of any that failed.

    Nipype 1.11 gives `report_crash` one text where it takes lines, and adds lines to it when a node has left no result: that fails,
    and with it every run of the call, for one job that the cluster has killed.
    """

    def _report_crash(self, node: Any, result: Any = None) -> Any:
        if result is not None and isinstance(result["traceback"], str):
            result = {**result, "traceback": result["traceback"].splitlines(keepends=True)}
        return super()._report_crash(node, result)  # type: ignore[misc]


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
    if kind is None or not issubclass(kind, SGELikeBatchManagerBase):
        return name
    return type(kind.__name__, (_KeepsGoing, kind), {})(plugin_args=dict(arguments))
