"""Handing in jobs of SLURM and asking for them, in place of the ways of Nipype."""

from __future__ import annotations

import getpass
import logging
import math
import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

logger = logging.getLogger("qmri_bids")

HEADROOM, LEAST = 1.5, 1.0
"""Memory that a job asks for: times what its step is expected to need, and at least so much [GB]."""

ASK_AGAIN = 1.0
"""How long an answer of SLURM holds [s]."""

LONGEST_OUTAGE = 900.0
"""How long SLURM may not answer [s]."""


class JobRefusedError(RuntimeError):
    """SLURM did not take a job."""


class ClusterUnreachableError(RuntimeError):
    """SLURM did not answer for too long."""


class SlurmJobs:
    """What replaces methods of Nipype's plugin.

    The plugin of Nipype 1.11 does not see that `sbatch` or `squeue` have failed: it takes a job that SLURM refused, or all jobs in
    the minutes in which its master does not answer, for jobs that have ended. It asks for each job by itself.
    """

    _pending: dict[int, str]
    _sbatch_args: str | None
    _max_tries: int
    _retry_timeout: float
    _jobid_re: str
    _known: frozenset[int] = frozenset()
    _asked = -math.inf
    _silent_since: float | None = None

    def _submit_batchtask(self, scriptfile: str, node: Any) -> int:
        given = " ".join(filter(None, [self._sbatch_args, node.plugin_args.get("sbatch_args")]))
        if node.plugin_args.get("overwrite"):
            given = node.plugin_args["sbatch_args"]
        output = Path(scriptfile).parent / "slurm-%j.out"
        options = [f"--output={output}", f"--job-name={_job_name(node)}", *needs_of(node, given=given)]
        command = ["sbatch", *options, *shlex.split(given), scriptfile]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        for _ in range(self._max_tries):
            if done.returncode == 0:
                break
            time.sleep(self._retry_timeout)
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        found = re.search(self._jobid_re, done.stdout)
        if done.returncode != 0 or found is None:
            said = " ".join((done.stderr or done.stdout).split())
            raise JobRefusedError(f"SLURM did not take the job of {node.name}: {said}")
        job = int(found.group(1))
        self._pending[job] = node.output_dir()
        self._asked = -math.inf  # what SLURM said before knows nothing of it
        return job

    def _is_pending(self, taskid: int) -> bool:
        now = time.monotonic()
        if now - self._asked > ASK_AGAIN:
            numbers = ",".join(str(job) for job in self._pending)
            command = ["squeue", "--noheader", "--format=%A", f"--jobs={numbers}"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0 and "Invalid job id" not in done.stderr:
                self._wait_for_answer(now, " ".join(done.stderr.split()))
                return True
            self._silent_since = None
            self._known = frozenset(int(each) for each in done.stdout.split())
            self._asked = now
        return taskid in self._known

    def _wait_for_answer(self, now: float, said: str) -> None:
        if self._silent_since is None:
            self._silent_since = now
            logger.warning("SLURM does not answer (%s); jobs are taken to go on", said)
        elif now - self._silent_since > LONGEST_OUTAGE:
            raise ClusterUnreachableError(f"SLURM has not answered for {LONGEST_OUTAGE / 60.0:.0f} minutes: {said}")


def needs_of(node: Any, *, given: str) -> list[str]:
    """Return the options of `sbatch` for the cores and the memory of a node that are not given.

    Parameters
    ----------
    node
        Node with `n_procs` and `mem_gb`.
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


def _job_name(node: Any) -> str:
    """Return the name of a node with the workflows around it, the node first: lists of jobs cut names off."""
    return ".".join(reversed([user_name(), *filter(None, (node._hierarchy or "").split(".")), node._id]))


def user_name() -> str:
    """Return the name of the user; a number where the machine does not know them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"
