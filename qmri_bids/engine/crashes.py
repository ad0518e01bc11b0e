"""Crash files of the engine, as errors that a person can read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qmri_bids.reports.content import ErrorEntry

LOST = re.compile(r"Job id \((\d+)\) finished or terminated, but results file does not exist")
"""What Nipype says of a job whose result it does not find."""

FOLDER = re.compile(r"Node working directory: \((.+?)\)")

ENDED = re.compile(r"(slurmstepd|srun|sbatch|=>> PBS|TERM_|Killed|oom|exceeded|CANCELLED|DUE TO)", re.IGNORECASE)
"""Lines by which a cluster says why it ended a job."""

MESSAGE = "Job {job} of the cluster ended without a result: it was killed, or its node failed"

LOST_ADVICE = (
    "If it lacked memory or time, give each job more in the file of --use-plugin (sbatch_args of SLURM: --mem, --time). Run the "
    "same command again: it goes on from here."
)


def lost_job(text: str) -> tuple[str, str] | None:
    """Return a sentence on the job that a text of the engine says was lost, and what to do; None if there is none.

    Parameters
    ----------
    text
        Text of a crash file.
    """
    found = LOST.search(text)
    if found is None:
        return None
    job = found.group(1)
    folder = FOLDER.search(text)
    output = _output(Path(folder.group(1)), job=job) if folder is not None else None
    message = MESSAGE.format(job=job)
    if output is None:
        return message, LOST_ADVICE
    lines = output.read_text(errors="replace").splitlines()
    why = [line.strip() for line in lines if ENDED.search(line)]
    if why:
        message += f" ({why[-1].strip('* ')})"
    return message, f"{LOST_ADVICE} What the job said: {output}"


def _output(node_folder: Path, *, job: str) -> Path | None:
    """Return the file with the output of a job, in the folder `batch` of the workflow in which the folder of a node lies."""
    for parent in node_folder.parents:
        for path in (parent / "batch").glob(f"*{job}.out"):
            return path
    return None


ADVICE = {
    "ContentError": "Correct that and run the same command again. --dry-run reads all images first, and tells such faults of "
    "every run before anything is computed.",
    "RegistrationFailed": "Look at the two images: do they show the same head in the same place? A wrong scan is left out with "
    "--bids-filter-file, a wrong B1 scan with --no-b1.",
    "MemoryError": "Give the job more memory, or fewer processes with --nprocs.",
    "BrokenProcessPool": "A process was killed, mostly for lack of memory: give the job more, or fewer processes with --nprocs.",
    "ProcessKilledError": "Give the job more memory, fewer threads with --omp-nthreads, or take --low-mem, and run it again: it "
    "goes on from here.",
    "JobRefusedError": "See the options of sbatch in the file of --use-plugin (sbatch_args), and whether SLURM is at work (sinfo).",
    "ClusterUnreachableError": "Run the same command again when SLURM is at work (sinfo): it goes on from here.",
    "OSError": "See whether the disk is full and the folders can be written to.",
}

TITLES = {"ContentError": "The images cannot be used"}
"""What is said in place of the step that failed, where no step is to blame."""


@dataclass(frozen=True, kw_only=True)
class Crash:
    """A node that failed."""

    node: str
    entry: ErrorEntry


def read_crashes(folder: Path, *, since: float) -> tuple[Crash, ...]:
    """Return the failures of which the folder has crash files newer than a time.

    Parameters
    ----------
    folder
        Folder in which the engine leaves its crash files.
    since
        Time of the start [s since the epoch].
    """
    if not folder.is_dir():
        return ()
    paths = [path for path in sorted(folder.glob("crash-*.txt")) if path.stat().st_mtime >= since - 1.0]
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Crash:
    text = path.read_text(errors="replace")
    found = re.search(r"^Node: (\S+)", text, flags=re.MULTILINE)
    node = found.group(1) if found else path.stem
    step = node.rsplit(".", 1)[-1]
    advice = f"The details are in {path.name}, in the log folder of the participant."
    return Crash(node=node, entry=crash_entry(text, title=f"Step {step} failed", advice=advice))


def _begun(found: re.Match[str]) -> str:
    """Return the first letters of a sentence; names of files stay as they are."""
    return found[2] if found[2] == "sub-" else f"{found[2][0].upper()}{found[2][1:]}"


def _ended(message: str) -> str:
    """Return a sentence with one stop at its end."""
    text = message.rstrip(".")
    return text if text.endswith(("?", "!")) else f"{text}."


def crash_entry(text: str, *, title: str, advice: str) -> ErrorEntry:
    """Return the last error in a text of tracebacks.

    Parameters
    ----------
    text
        Text of the engine, with its tracebacks.
    title
        What failed.
    advice
        What to do about an error for which nothing better is known.
    """
    lost = lost_job(text)
    if lost is not None:
        return ErrorEntry(title=title, message=lost[0] + ".", advice=lost[1], details=text)
    errors = re.findall(
        r"^[\t ]*((?:\w+\.)*(\w*(?:Error|Exception|Failed|Found|Interrupt|Pool|Supported))\b:? ?.*)$",
        text,
        re.MULTILINE,
    )
    # What the engine raises around it says nothing.
    errors = [each for each in errors if each[1] != "NodeExecutionError"] or errors
    message, kind = errors[-1] if errors else ("the engine gave no reason", "")
    title = TITLES.get(kind, title)
    # Errors of this program are sentences; those of others need their name.
    message = re.sub(r"^qmri_bids(\.\w+)+: (sub-|.)", _begun, message.strip())
    return ErrorEntry(title=title, message=_ended(message), advice=ADVICE.get(kind, advice), details=text)
