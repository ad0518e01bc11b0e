"""Jobs of a cluster that ended without a result: killed by it or by somebody, which the engine tells at length."""

from __future__ import annotations

import re
from pathlib import Path

LOST = re.compile(r"Job id \((\d+)\) finished or terminated, but results file does not exist")
"""What Nipype says of a job whose result it does not find."""

FOLDER = re.compile(r"Node working directory: \((.+?)\)")

ENDED = re.compile(r"(slurmstepd|srun|sbatch|=>> PBS|TERM_|Killed|oom|exceeded|CANCELLED|DUE TO)", re.IGNORECASE)
"""Lines by which a cluster says why it ended a job."""

MESSAGE = "Job {job} of the cluster ended without a result: it was killed, or its node failed"

ADVICE = (
    "If it lacked memory or time, give each job more in the file of --use-plugin (sbatch_args of SLURM: --mem, --time). Run the "
    "same command again: it goes on from here."
)


def lost_job(text: str) -> tuple[str, str] | None:
    """Return a sentence on the job that a text of the engine says was lost, and what to do; None if there is none.

    Parameters
    ----------
    text
        Of a crash file.
    """
    found = LOST.search(text)
    if found is None:
        return None
    job = found.group(1)
    folder = FOLDER.search(text)
    output = _output(Path(folder.group(1)), job=job) if folder is not None else None
    message = MESSAGE.format(job=job)
    if output is None:
        return message, ADVICE
    lines = output.read_text(errors="replace").splitlines()
    why = [line.strip() for line in lines if ENDED.search(line)]
    if why:
        message += f" ({why[-1].strip('* ')})"
    return message, f"{ADVICE} What the job said: {output}"


def _output(node_folder: Path, *, job: str) -> Path | None:
    """Return the file with the output of a job, in the folder `batch` of the workflow in which the folder of a node lies."""
    for parent in node_folder.parents:
        for path in (parent / "batch").glob(f"*{job}.out"):
            return path
    return None
