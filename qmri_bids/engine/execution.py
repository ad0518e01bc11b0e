"""How Nipype executes a workflow: in order, side by side on this machine, or by the jobs of a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nipype.pipeline import engine as pe

from qmri_bids.engine.cluster_plugin import cluster_plugin
from qmri_bids.engine.slurm_jobs import user_name
from qmri_bids.engine.step_usage import Meter, Took

IN_ORDER, LOCAL = "Linear", "MultiProc"
"""Nipype's plugins of one process, and of several on this machine; `LocalPlugin` takes the place of the latter."""

PATIENCE, RESULTS_ARRIVE = "job_finished_timeout", 30.0
"""Argument of a plugin: how long the result of a job that has ended may take to appear on a shared disk; by default [s]."""

LOCAL_POLL, CLUSTER_POLL = 0.1, 2.0
"""How often the engine looks for steps that have ended [s]: here, and where a question goes to the master of a cluster."""

SETTINGS: Mapping[str, str] = {
    "crashfile_format": "txt",
    "check_version": "false",
    "create_report": "false",  # several calls share the folder in which it would lie
    "remove_unnecessary_outputs": "false",
}
"""How Nipype executes, whatever the plugin."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Environment variables from which libraries take their number of threads when they are loaded."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where the steps run, and with how much.

    Parameters
    ----------
    processors
        Threads of all steps that run at one time.
    memory_gb
        Memory of all steps that run at one time [GB].
    plugin
        Name of a plugin of Nipype, instead of those of this machine.
    plugin_arguments
        Its arguments.
    stop_on_first_crash
        Whether the first failure ends all.
    low_mem
        Whether steps take less memory and more time where they have the choice.
    resource_monitor
        Whether it is measured what each step takes.
    """

    processors: int = 1
    memory_gb: float | None = None
    plugin: str | None = None
    plugin_arguments: Mapping[str, Any] = field(default_factory=dict)
    stop_on_first_crash: bool = False
    low_mem: bool = False
    resource_monitor: bool = False

    @property
    def in_order(self) -> bool:
        """Whether one step follows the other in this process."""
        return self.plugin == IN_ORDER or (self.plugin is None and self.processors == 1)

    @property
    def poll(self) -> float:
        """How often the engine looks for steps that have ended [s]."""
        return LOCAL_POLL if self.plugin in (None, IN_ORDER, LOCAL) else CLUSTER_POLL


def run_workflow(
    workflow: pe.Workflow,
    *,
    options: EngineOptions,
    callback: Callable[[Any, str], None] | None = None,
    took: Took | None = None,
) -> None:
    """Run a workflow.

    Parameters
    ----------
    workflow
        Workflow with its nodes.
    options
        Where the steps run.
    callback
        Function that is told of every node and what became of it: `start`, `end` or `exception`.
    took
        Function that is told what each step took that this machine has run; None measures nothing.

    Raises
    ------
    Exception
        The error of a node that failed, after all that do not need it are done.
    """
    workflow.config["execution"] = {
        **workflow.config.get("execution", {}),
        **SETTINGS,
        "poll_sleep_duration": str(options.poll),
        "job_finished_timeout": str(options.plugin_arguments.get(PATIENCE, RESULTS_ARRIVE)),
        "stop_on_first_crash": str(options.stop_on_first_crash).lower(),
    }
    if took is not None and options.in_order:
        callback = MeasuredInOrder(callback, took=took)
    arguments = {**options.plugin_arguments, "status_callback": callback}
    if options.plugin not in (None, LOCAL) or options.in_order:
        os.environ.setdefault("LOGNAME", user_name())  # Nipype names jobs by it; in containers it is not there
        plugin = cluster_plugin(options.plugin or IN_ORDER, arguments)
        workflow.run(plugin=plugin, plugin_args=arguments)
        return
    with local_plugin(arguments, options=options, took=took) as plugin:
        workflow.run(plugin=plugin)


class MeasuredInOrder:
    """Takes what the engine tells where one step follows the other in this process, and measures between begin and end.

    Parameters
    ----------
    callback
        Is told, too; None for nobody.
    took
        Is told what each step took.
    """

    def __init__(self, callback: Callable[[Any, str], None] | None, *, took: Took) -> None:
        self._callback, self._took = callback, took
        self._meters: dict[str, Meter] = {}

    def __call__(self, node: Any, status: str) -> None:
        """Take what the engine tells of a node."""
        if status == "start":
            self._meters[node.fullname] = Meter()
        elif (meter := self._meters.pop(node.fullname, None)) is not None:
            self._took(node, meter.usage())
        if self._callback is not None:
            self._callback(node, status)


@contextlib.contextmanager
def local_plugin(arguments: Mapping[str, Any], *, options: EngineOptions, took: Took | None = None) -> Iterator[Any]:
    """Give the plugin that runs steps side by side on this machine, and end what is left of it."""
    from qmri_bids.engine.local_plugin import LocalPlugin

    limits: dict[str, Any] = {"n_procs": options.processors}
    if options.memory_gb is not None:
        limits["memory_gb"] = options.memory_gb
    plugin = LocalPlugin({**limits, **arguments}, took=took)  # what the file of a plugin says is meant
    try:
        yield plugin
    finally:
        plugin.close()


def limit_threads(threads: int) -> None:
    """Hold the libraries of this process, and of those it starts, to a number of threads.

    Parameters
    ----------
    threads
        Threads of one step.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads)  # of libraries that are loaded already
