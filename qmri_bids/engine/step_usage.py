"""What steps took: time, processor time and memory, as the kernel accounts for them, in a table."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmri_bids.bids.write import write_json, write_text

KIBIBYTE = 1024.0
"""Unit of the kernel's figures of memory."""

GIBIBYTE = 2.0**30


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a step took.

    Parameters
    ----------
    seconds
        From its begin to its end [s].
    cpu_seconds
        Time of all processors together, of its worker processes too [s].
    peak_memory
        Largest resident memory of its own process, with what was loaded before it began [bytes].
    worker_memory
        That of the largest of its worker processes [bytes]; None where it had none, or where an earlier step of this process had a
        larger one.
    """

    seconds: float
    cpu_seconds: float
    peak_memory: float
    worker_memory: float | None


Took = Callable[[Any, Usage], None]
"""Is told what the step of a node took."""


class Meter:
    """Measures one step, from the moment it is made to `usage`."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):  # elsewhere than on Linux the peak is that of the process so far
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._started, self._cpu, self._workers = time.monotonic(), _cpu_seconds(), _largest_worker()

    def usage(self) -> Usage:
        """Return what was taken since."""
        workers = _largest_worker()
        return Usage(
            seconds=time.monotonic() - self._started,
            cpu_seconds=_cpu_seconds() - self._cpu,
            peak_memory=_peak(),
            worker_memory=workers if workers > self._workers else None,
        )


def _cpu_seconds() -> float:
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def _largest_worker() -> float:
    return KIBIBYTE * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def _peak() -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return KIBIBYTE * float(line.split()[1])
    return KIBIBYTE * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """A step and what it took.

    Parameters
    ----------
    participant, run, step
        Label of the participant without `sub-`, label of the run, name of the step.
    expected_memory
        What the engine reckoned with [GiB].
    usage
        What it took.
    """

    participant: str
    run: str
    step: str
    expected_memory: float
    usage: Usage


COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "run": {"Description": "Name of the run"},
    "step": {"Description": "Name of the step, in the order in which steps ended"},
    "duration": {"Description": "From its begin to its end", "Units": "s"},
    "processor_time": {"Description": "Time of all processors together, worker processes included", "Units": "s"},
    "peak_memory": {
        "Description": "Largest resident memory of the process of the step, libraries included",
        "Units": "GiB",
    },
    "peak_memory_of_worker": {
        "Description": "Largest resident memory of one of its worker processes; n/a where it had none, or where one process runs "
        "all steps and an earlier one had a larger worker",
        "Units": "GiB",
    },
    "expected_memory": {"Description": "What was set aside for the step before it began", "Units": "GiB"},
}
"""Columns of the table and what its sidecar says of them."""


def write_usage(path: Path, rows: Sequence[StepRow]) -> None:
    """Write what steps took as a table with its sidecar.

    Parameters
    ----------
    path
        The table (.tsv).
    rows
        Of all steps that ran; those whose result was kept from an earlier call took nothing and are no rows.
    """
    lines = ["\t".join(COLUMNS)]
    for row in rows:
        used = row.usage
        cells: list[Any] = [
            f"sub-{row.participant}",
            row.run,
            row.step,
            f"{used.seconds:.2f}",
            f"{used.cpu_seconds:.2f}",
            f"{used.peak_memory / GIBIBYTE:.3f}",
            "n/a" if used.worker_memory is None else f"{used.worker_memory / GIBIBYTE:.3f}",
            f"{row.expected_memory:.3f}",
        ]
        lines.append("\t".join(cells))
    write_text(path, "\n".join(lines) + "\n")
    write_json(path.with_suffix(".json"), COLUMNS)
