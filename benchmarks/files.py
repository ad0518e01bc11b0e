"""Odd, broken and wrong files against their bars: mutations of a dataset that holds every kind of scan, and many participants.

    python benchmarks/files.py [--only PART ...]

`check` sends mutations through the check alone, each in a process of its own: a crash is an exit code that the program does not
have, a traceback, or a request to report; a hang is one that takes more than 10 s. `fresh` does so with another seed. `many` plans
participants whose files are empty. `whole` processes mistakes that change what a scan means and asks whether wrong maps got a green
light (`files_whole.py`; some hours).
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from files_child import called
from files_mutations import mutate
from files_whole import processed_whole
from rows import Row, run_parts

NUMBER, FRESH = 3000, 200
SEED, FRESH_SEED = 1_000_000, 7_000_000
PATIENCE = 10.0
"""A call that takes longer hangs [s]."""

CODES = (0, 1, 2, 3)
"""Exit codes that the program has."""

BAD_WORDS = ("Traceback", "Please report", "unexpected ")
SIMULATE = (
    *(
        "--matrix",
        "22",
        "24",
        "18",
        "--voxel-size",
        "10",
        "--phase-cycles",
        "6",
        "--b1",
        "TB1TFL",
        "--motion",
        "0",
        "--t1w",
    ),
    *("--mt", "mtr", "mts", "--wasabi", "--cest", "zspectrum", "mrf"),
)
"""What is simulated, as small as can be."""


def simulate(folder: Path) -> Path:
    """Return a dataset with every kind of scan, as small as can be."""
    dataset = folder / "dataset"
    command = [sys.executable, "-c", "import sys; from qmri_bids.cli.tools import main; sys.exit(main())"]
    subprocess.run([*command, "simulate", str(dataset), *SIMULATE], check=True, stdout=subprocess.DEVNULL)
    return dataset


class Answer(NamedTuple):
    """What was changed, what is wrong with the answer (nothing: it is right), time [s] and memory [GiB] of the call."""

    change: str
    fault: str
    took: float
    memory: float


def check(dataset: Path, folder: Path, *, seed: int) -> Answer:
    """Return the answer of the check to a mutation."""
    copy, said = folder / "copy", folder / "said.txt"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(dataset, copy)
    change = mutate(copy, seed)
    start = time.perf_counter()
    code, memory = called([str(copy), str(folder / "out"), "participant", "--dry-run"], said, until=start + PATIENCE)
    took = time.perf_counter() - start
    words = said.read_text(errors="replace")
    if code is None:
        return Answer(change, "hangs", took, memory)
    if code not in CODES:
        return Answer(change, f"exit code {code}", took, memory)
    fault = next((word for word in BAD_WORDS if word in words), "")
    return Answer(change, f"says {fault.strip()}: {' '.join(words.split())[-300:]}" if fault else "", took, memory)


def _mutations(number: int, *, seed: int, name: str) -> list[Row]:
    from qmri_bids.cli.run import main

    wrong: dict[str, list[str]] = {"crash": [], "hang": []}
    longest = memory = 0.0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        dataset = simulate(folder)
        with contextlib.redirect_stdout(io.StringIO()):  # what is imported is there for all that are forked
            main([str(dataset), str(folder / "out"), "participant", "--dry-run"])
        for each in range(seed, seed + number):
            change, fault, took, held = check(dataset, folder, seed=each)
            longest, memory = max(longest, took), max(memory, held)
            if fault:
                wrong["hang" if fault == "hangs" else "crash"].append(f"{each} {change}: {fault}")
                print(f"  {wrong['hang' if fault == 'hangs' else 'crash'][-1]}", flush=True)
    return [
        Row(
            figure=f"{name}: crashes, tracebacks, requests to report",
            unit="",
            bar=0.0,
            value=float(len(wrong["crash"])),
            baseline=f"of {number}, seeds from {seed}; longest {longest:.1f} s",
        ),
        Row(figure=f"{name}: hangs", unit="", bar=0.0, value=float(len(wrong["hang"])), baseline=f"of {number}"),
        Row(figure=f"{name}: memory of the check", unit="GiB", bar=1.0, value=memory, baseline="largest of all"),
    ]


def check_mutations() -> list[Row]:
    """Mutations of a dataset with every kind of scan, checked."""
    return _mutations(NUMBER, seed=SEED, name="mutations, check alone")


def fresh_mutations() -> list[Row]:
    """The same with a seed that nothing was mended by."""
    return _mutations(FRESH, seed=FRESH_SEED, name="fresh mutations, check alone")


def many_participants() -> list[Row]:
    """Planning of participants with ten empty files each."""
    found = {number: _planning(number) for number in (200, 2000)}
    return [
        Row(
            figure="planning of 200 participants with 10 empty files each",
            unit="s",
            bar=10.0,
            value=found[200],
            baseline=f"2,000: {found[2000]:.1f} s",
        ),
        Row(
            figure="planning of 2,000 participants over ten times that of 200",
            unit="×",
            bar=1.5,
            value=found[2000] / (10.0 * found[200]),
            baseline="1: linear",
        ),
    ]


def _planning(number: int) -> float:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "many"
        for subject in range(number):
            folder = root / f"sub-{subject:04d}" / "anat"
            folder.mkdir(parents=True)
            for part in range(5):
                stem = f"sub-{subject:04d}_acq-pcbssfp_run-{part + 1}_part-mag_VFA"
                (folder / f"{stem}.nii.gz").touch()
                (folder / f"{stem}.json").touch()
        (root / "dataset_description.json").write_text('{"Name": "many", "BIDSVersion": "1.10.0"}')
        command = [sys.executable, "-c", "import sys; from qmri_bids.cli.run import main; sys.exit(main())"]
        start = time.perf_counter()
        subprocess.run(
            [*command, str(root), str(Path(made) / "out"), "participant", "--dry-run"],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.perf_counter() - start


PARTS = {"check": check_mutations, "fresh": fresh_mutations, "many": many_participants, "whole": processed_whole}

if __name__ == "__main__":
    run_parts("files", PARTS, description=__doc__.splitlines()[0])
