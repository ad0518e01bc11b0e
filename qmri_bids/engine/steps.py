"""Which step of which run begins and ends, as the engine tells it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nipype.pipeline import engine as pe

logger = logging.getLogger("qmri_bids")

QUIET_NODES = ("inputnode", "outputnode", "collect_")
"""How the names of nodes begin that only pass something on."""

LAST_NODE = "describe_run"
"""The node with which a run is done."""


class Listener(Protocol):
    """What shows the progress to a person."""

    def start(self, total: int) -> None:
        """Be told how many steps there are."""

    def begin(self, label: str, step: str) -> None:
        """Be told that a step of a run begins."""

    def end(self, label: str, step: str, *, seconds: float, ok: bool, cached: bool) -> None:
        """Be told how a step ended; one whose result was kept from an earlier call is `cached` and took no time."""

    def close(self) -> None:
        """Be told that no step follows."""


class LogLines:
    """Progress as lines of the log."""

    def start(self, total: int) -> None:
        """Say nothing."""

    def begin(self, label: str, step: str) -> None:
        """Say that a step begins."""
        logger.info("%s: %s …", label, step)

    def end(self, label: str, step: str, *, seconds: float, ok: bool, cached: bool) -> None:
        """Say how it ended."""
        if not ok:
            logger.error("%s: %s FAILED (%.1f s)", label, step, seconds)
        elif cached:
            logger.info("%s: %s is done already", label, step)
        else:
            logger.info("%s: %s done (%.1f s)", label, step, seconds)

    def close(self) -> None:
        """Say nothing."""


def shown_steps(workflow: pe.Workflow) -> int:
    """Return how many steps of a workflow are shown."""
    return sum(not name.rsplit(".", 1)[-1].startswith(QUIET_NODES) for name in workflow.list_node_names())


class Steps:
    """Takes what the engine tells, passes it on, and remembers which runs came to their end.

    Parameters
    ----------
    labels
        Labels of the runs by the names of the workflows of participant and run.
    listener
        Shows the progress.
    in_order
        Whether the engine runs one node after the other: it then ends without beginning what could not run, where others so end
        what they have kept.
    done
        Function that is called with the names of participant and run when the run came to its end.

    Attributes
    ----------
    ended
        Names of participant, run and node of every node whose result is there.
    """

    def __init__(
        self,
        labels: Mapping[tuple[str, str], str],
        *,
        listener: Listener,
        in_order: bool,
        done: Callable[[tuple[str, str]], None],
    ) -> None:
        self._labels, self._listener, self._in_order, self._done = labels, listener, in_order, done
        self._starts: dict[str, float] = {}
        self.ended: set[tuple[str, str, str]] = set()

    def __call__(self, node: Any, status: str) -> None:
        """Take what the engine tells of a node."""
        if node.name.startswith(QUIET_NODES):
            return
        _, participant, run, *_ = node.fullname.split(".")
        label = self._labels[participant, run]
        if status == "start":
            self._starts[node.fullname] = time.monotonic()
            self._listener.begin(label, node.name)
            return
        begun = self._starts.pop(node.fullname, None)
        if begun is None and self._in_order:
            return
        self._listener.end(
            label,
            node.name,
            seconds=0.0 if begun is None else time.monotonic() - begun,
            ok=status == "end",
            cached=begun is None,
        )
        if status == "end":
            self.ended.add((participant, run, node.name))
        if status == "end" and node.name == LAST_NODE:
            self._done((participant, run))
