"""How steps run side by side on one machine: each in a process of its own, so that one that is killed harms no other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from traceback import format_exception
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, run_node

from qmri_bids.engine.log import quiet_engine
from qmri_bids.engine.step_usage import Meter, Took
from qmri_bids.system.child_processes import end_with_parent
from qmri_bids.system.step_server import start_server

logger = logging.getLogger("qmri_bids")

PRELOADED = (
    "qmri_bids.system.step_server",
    "numpy",
    "scipy.ndimage",
    "nibabel",
    "torch",
    "numba",
    "nipype.pipeline.engine",
    "qmri_bids.workflows.base",
)
"""What is imported once, in the process from which those of the steps are forked."""


USAGE = "usage"
"""Key of what a step took, among what its process returns."""


def run_measured(node: Any, updatehash: bool, number: int) -> dict[str, Any]:
    """Run a step as Nipype does, and say what it took."""
    meter = Meter()
    result: dict[str, Any] = run_node(node, updatehash, number)
    return {**result, USAGE: meter.usage()}


class LocalPlugin(MultiProcPlugin):
    """Nipype's plugin for several processes, with a fresh process for every step.

    Memory goes back to the system after each step, and when the system kills one for lack of memory the others go on; the
    plugin of Nipype waits for ever for the result of a process that was killed.

    Parameters
    ----------
    plugin_args
        `n_procs` and `memory_gb`, as of Nipype's plugin.
    took
        Function that is told what each step took, with its node; None measures nothing.
    """

    def __init__(self, plugin_args: Mapping[str, Any], *, took: Took | None = None) -> None:
        super().__init__(plugin_args={"raise_insufficient": False, **plugin_args})
        self.pool.shutdown()  # one for each step takes its place
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._executors: dict[int, ProcessPoolExecutor] = {}
        self._took = took

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        number = self._taskid
        executor = ProcessPoolExecutor(
            max_workers=1,
            mp_context=self._context,
            initializer=_begin,
            initargs=(os.getcwd(), logging.getLogger("nipype").level),
        )
        self._executors[number] = executor
        start_server()  # not before there is something to do
        future = executor.submit(run_node if self._took is None else run_measured, node, updatehash, number)
        self._task_obj[number] = future
        future.add_done_callback(partial(self._finished, number=number, node=node))
        return number

    def _finished(self, future: Future[Any], *, number: int, node: Any) -> None:
        try:
            result = future.result()
        except BaseException as error:
            if isinstance(error, BrokenProcessPool):
                error = ProcessKilledError(
                    f"the process of the step {node.name} was killed from outside, most often because memory ran out (the step "
                    f"was expected to need {node.mem_gb:.1f} GB)"
                )
            result = {"result": None, "traceback": format_exception(error), "taskid": number}
        if self._took is not None and USAGE in result:
            self._took(node, result.pop(USAGE))
        self._taskresult[number] = result
        self._executors.pop(number).shutdown(wait=False)

    def _sort_jobs(self, jobids: Any, scheduler: str = "tsort") -> list[int]:
        """Order what may run: one participant is finished before the next is begun, as far as its steps wait for each other."""
        groups = {name: number for number, name in enumerate(dict.fromkeys(_group(node) for node in self.procs))}
        return sorted(jobids, key=lambda job: (groups[_group(self.procs[job])], job))

    def _report_crash(self, node: Any, result: Any = None) -> str:
        try:
            return str(super()._report_crash(node, result=result))
        except OSError as error:
            logger.error("The details of the failure of %s could not be kept: %s", node.name, error)
            return ""

    def _postrun_check(self) -> None:
        self.close()

    def close(self) -> None:
        """End the processes of steps that still run."""
        for executor in list(self._executors.values()):
            for process in list((executor._processes or {}).values()):
                process.terminate()


class ProcessKilledError(RuntimeError):
    """The process of a step ended without a result."""


def _group(node: Any) -> str:
    """Return the name of the workflow of the participant."""
    return str(node.fullname.split(".")[1])


def _begin(folder: str, level: int) -> None:
    """Set up the process of a step."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted as well, and ends this one
    os.environ["NIPYPE_NO_ET"] = "1"
    os.chdir(folder)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    quiet_engine(level)
