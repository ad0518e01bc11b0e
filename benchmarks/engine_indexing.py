"""How long the program looks before it computes: one participant of 2,000, and its answers to --help and --version.

    python benchmarks/engine_indexing.py

Prints its rows; `engine.py` saves them with the others.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import Row, print_rows

PARTICIPANTS = 2000
SOME = 100
"""Participants of which the whole index, as the baseline, is made: of all it would take half an hour."""
REPEATS = 5

NAMES = {
    "anat": (
        "acq-pcbssfp_flip-1_part-mag_VFA",
        "acq-pcbssfp_flip-1_part-phase_VFA",
        "acq-APT_cest",
        "flip-1_mt-off_MTS",
        "flip-1_mt-on_MTS",
        "flip-2_mt-off_MTS",
        "T1w",
    ),
    "fmap": ("acq-anat_TB1TFL", "acq-famp_TB1TFL"),
    "func": ("task-rest_bold", "task-rest_sbref"),
    "dwi": ("dwi", "sbref"),
}
"""Files of a participant, image and sidecar of each."""

INDEX = """
import sys, time
start = time.monotonic()
from pathlib import Path
from qmri_bids.bids.layout import open_layout
layout = open_layout(Path(sys.argv[1]), subjects=[sys.argv[2]])
assert len(layout.get_subjects()) == 1
print(time.monotonic() - start)
"""
"""The import of pybids, which takes most of it, belongs to the time."""

WHOLE_INDEX = """
import sys, time
start = time.monotonic()
from bids.layout import BIDSLayout, BIDSLayoutIndexer
layout = BIDSLayout(sys.argv[1], indexer=BIDSLayoutIndexer(index_metadata=False))  # empty sidecars are no JSON
print(time.monotonic() - start)
"""


def make_dataset(root: Path, *, participants: int) -> Path:
    """Make a dataset of empty files, with a description and a table of participants that are not."""
    root.mkdir(parents=True)
    description = {"Name": "many", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    labels = [f"sub-{number:04d}" for number in range(1, participants + 1)]
    (root / "participants.tsv").write_text("\n".join(["participant_id", *labels]) + "\n")
    for label in labels:
        for folder, names in NAMES.items():
            (root / label / folder).mkdir(parents=True)
            for name in names:
                (root / label / folder / f"{label}_{name}.nii.gz").touch()
                (root / label / folder / f"{label}_{name}.json").touch()
    return root


def rows() -> list[Row]:
    """Measure what the program does before it computes."""
    with tempfile.TemporaryDirectory(prefix="qmri_bids-indexing-") as name:
        root = make_dataset(Path(name) / "many", participants=PARTICIPANTS)
        some = make_dataset(Path(name) / "some", participants=SOME)
        indexing = statistics.median(_python(INDEX, root, "0007") for _ in range(3))
        whole = _python(WHOLE_INDEX, some)
        own = ("participant", "--participant-label", "0007", "-w", Path(name) / "work")
        checking = _program(root, Path(name) / "out", *own, "--dry-run", codes=(1,))  # empty files are refused
        part = _validator(_linked(root, Path(name) / "one", label="0007"))
        everyone = _validator(root)
    return [
        Row(
            figure=f"indexing one participant of {PARTICIPANTS} (empty files)",
            unit="s",
            bar=10.0,
            value=indexing,
            baseline=f"pybids on the whole dataset: {whole:.1f} s for {SOME} participants, "
            f"{whole * PARTICIPANTS / SOME:.0f} s for all at that rate",
        ),
        Row(figure="--dry-run of that participant, the whole program", unit="s", bar=None, value=checking),
        Row(
            figure="bids-validator on that participant",
            unit="s",
            bar=None,
            value=part,
            baseline=f"on the whole dataset {everyone:.0f} s",
        ),
        *(
            Row(
                figure=option,
                unit="s",
                bar=1.0,
                value=statistics.median(_program(option) for _ in range(REPEATS)),
                baseline=f"python that does nothing {statistics.median(_start() for _ in range(REPEATS)):.2f} s",
            )
            for option in ("--help", "--version")
        ),
    ]


def _python(program: str, *arguments: object) -> float:
    """Return the time that a program prints."""
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _start() -> float:
    return _timed([sys.executable, "-c", "pass"], codes=(0,))


def _program(*arguments: object, codes: tuple[int, ...] = (0,)) -> float:
    return _timed([str(Path(sys.executable).with_name("qmri_bids")), *map(str, arguments)], codes=codes)


def _validator(root: Path) -> float:
    program = str(Path(sys.executable).with_name("bids-validator-deno"))
    return _timed([program, "--ignoreWarnings", str(root)], codes=(0, 16))


def _timed(command: list[str], *, codes: tuple[int, ...]) -> float:
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode not in codes:
        raise RuntimeError(f"{command}: ended with {done.returncode}: {done.stderr}")
    return seconds


def _linked(root: Path, folder: Path, *, label: str) -> Path:
    """Make the folder of links that the program has validated."""
    folder.mkdir()
    shutil.copy(root / "dataset_description.json", folder)
    (folder / f"sub-{label}").symlink_to(root / f"sub-{label}", target_is_directory=True)
    return folder


if __name__ == "__main__":
    print_rows(rows())
