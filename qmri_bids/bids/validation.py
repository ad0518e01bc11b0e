"""What bids-validator says of the participants that are processed, and of no others: of thousands it takes minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qmri_bids.system.temporaries import scratch_folder

PROGRAM = "bids-validator-deno"

PATIENCE = 1800.0
"""How long the validator may take [s]."""

SHARED_FOLDERS = ("stimuli",)
"""Folders beside those of participants to which their files refer."""


def validator() -> str | None:
    """Return the path of the program, of this environment before others; None where there is none."""
    return shutil.which(PROGRAM, path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))


def validation_sentences(
    bids_dir: Path, *, subjects: Sequence[str], everyone: Sequence[str], patience: float = PATIENCE
) -> list[str]:
    """Return what bids-validator finds wrong, as one sentence; it never stops the processing.

    Parameters
    ----------
    bids_dir
        Root of the dataset.
    subjects
        Labels of the participants that are processed: only their files and those of the root are validated.
    everyone
        Labels of all participants of the dataset.
    patience
        How long the validator may take [s].
    """
    program = validator()
    if program is None:
        return [
            f"{PROGRAM} was not found: the dataset was not validated, though every run is checked by itself. Install it by "
            f"`pip install {PROGRAM}`, or leave it out by --skip-bids-validation."
        ]
    try:
        with _part(bids_dir, subjects=subjects, everyone=everyone) as folder:
            done = subprocess.run(
                [program, "--ignoreWarnings", str(folder)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=patience,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{PROGRAM} could not validate the dataset: {error}"]
    if done.returncode == 0:
        return []
    errors = [line.strip() for line in done.stdout.splitlines() if "[ERROR]" in line]
    first = f": {errors[0]}" if errors else ""
    what = "the dataset" if folder == bids_dir else "what was asked for of the dataset"
    return [
        f"bids-validator found {what} not valid ({len(errors) or 'some'} kinds of errors{first}). "
        f"Every run was checked by itself all the same; run {PROGRAM} on the dataset to see all."
    ]


@contextmanager
def _part(bids_dir: Path, *, subjects: Sequence[str], everyone: Sequence[str]) -> Iterator[Path]:
    """Give a folder of links to participants and to what belongs to the whole dataset; the dataset itself if all are meant."""
    if set(everyone) <= set(subjects):
        yield bids_dir
        return
    with scratch_folder() as folder:
        for entry in bids_dir.iterdir():
            if entry.is_file() and entry.name != "participants.tsv":
                (folder / entry.name).symlink_to(entry)
        for each in (*SHARED_FOLDERS, *(f"sub-{subject}" for subject in subjects)):
            if (bids_dir / each).is_dir():
                (folder / each).symlink_to(bids_dir / each, target_is_directory=True)
        if (bids_dir / "participants.tsv").is_file():
            _write_rows(bids_dir / "participants.tsv", folder / "participants.tsv", subjects=subjects)
        yield folder


def _write_rows(source: Path, target: Path, *, subjects: Sequence[str]) -> None:
    """Copy the rows of participants: one of a participant without folder would be an error."""
    head, *rows = source.read_bytes().splitlines(keepends=True) or [b""]
    names = {f"sub-{subject}".encode() for subject in subjects}
    target.write_bytes(head + b"".join(row for row in rows if row.split(b"\t")[0].strip() in names))
