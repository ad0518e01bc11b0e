"""Calls of the program as a user makes them: timed, killed, repeated, two at once."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from rows import AtLeast, Row

from qmri_bids.phantom.dataset import simulate_dataset

PROGRAM = Path(sys.executable).with_name("qmri_bids")
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
PROCESSES = 2
KILLS, PAIRS = 10, 20
SEED = 7


def overhead() -> list[Row]:
    """Compare the program with its steps called one after the other, at the size of the demo, and repeat a finished run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bids = folder / "bids"
        simulate_dataset(bids, subjects=1, motion=0.5, seed=0)
        direct = Path(__file__).with_name("engine_direct.py")
        plain = _timed([sys.executable, direct, bids, folder / "direct", PROCESSES])
        command = _command(bids, folder / "out", folder / "work")
        engine = _timed(command)
        again = _timed(command)
        return [
            Row(
                figure="demo: the program beyond its steps called directly in one process; bar 10 s or 10 %",
                unit="s",
                bar=max(10.0, 0.1 * plain),
                value=engine - plain,
                baseline=f"directly {plain:.0f} s, program {engine:.0f} s with its checks and the report; 2 cores each",
            ),
            Row(
                figure="repeat of a finished run",
                unit="s",
                bar=15.0,
                value=again,
                baseline=f"first run {engine:.0f} s",
            ),
        ]


def kills() -> list[Row]:
    """Kill the program at random moments, let the same command go on, and compare the maps with those of an unbroken run."""
    chance = random.Random(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bids = folder / "bids"
        _small(bids, subjects=1, mt=("mts",))
        unbroken = _timed(_command(bids, folder / "whole", folder / "work-whole"))
        truth = _images(folder / "whole")
        same, moments, gone_on = 0, [], []
        for number in range(KILLS):
            command = _command(bids, folder / f"out-{number}", folder / f"work-{number}")
            moment = chance.uniform(0.02, 0.98) * unbroken
            killed = _killed(command, after=moment)
            moments.append(f"{moment:.0f}" if killed else f"{moment:.0f} (was done)")
            gone_on.append(_timed(command))
            same += _equal(truth, _images(folder / f"out-{number}")) and not _leftovers(folder / f"out-{number}")
        return [
            Row(
                figure="killed (SIGKILL) at ten random moments: resumed runs with maps identical to an unbroken one",
                unit="",
                bar=AtLeast(KILLS),
                value=same,
                baseline=f"{len(truth)} images each; unbroken {unbroken:.0f} s, killed after {', '.join(moments)} s, resumed in "
                f"{min(gone_on):.0f}-{max(gone_on):.0f} s",
            )
        ]


def pairs() -> list[Row]:
    """Process two participants at once into one output folder, again and again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bids = folder / "bids"
        _small(bids, subjects=2, mt=("mtr",), cycles=False)
        good = 0
        for number in range(PAIRS):
            out, work = folder / f"out-{number}", folder / f"work-{number}"
            calls = [
                subprocess.Popen(
                    [str(each) for each in _command(bids, out, work, subject=subject)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                for subject in ("01", "02")
            ]
            codes = [call.wait() for call in calls]
            valid = subprocess.run([str(VALIDATOR), "--ignoreWarnings", str(out)], capture_output=True, check=False)
            whole = all((out / f"sub-{subject}.html").is_file() for subject in ("01", "02"))
            good += codes == [0, 0] and valid.returncode == 0 and whole and not _leftovers(out)
        return [
            Row(
                figure="two participants at once in one output folder, twenty times: both done and a valid dataset",
                unit="",
                bar=AtLeast(PAIRS),
                value=good,
                baseline="one work folder, one MT run each",
            )
        ]


def _small(bids: Path, *, subjects: int, mt: Sequence[str], cycles: bool = True) -> None:
    """Simulate heads too coarse to look at."""
    simulate_dataset(
        bids,
        subjects=subjects,
        matrix=(32, 36, 32),
        voxel_size=6.0,
        phase_cycles=6,
        motion=0.3,
        mt=tuple(mt),
        seed=SEED,
    )
    if not cycles:
        for path in itertools.chain(bids.glob("sub-*/anat/*acq-pcbssfp*"), bids.glob("sub-*/fmap/*")):
            path.unlink()


def _command(bids: Path, out: Path, work: Path, *, subject: str = "01") -> list[object]:
    options = ["--participant-label", subject, "--nprocs", PROCESSES, "--skip-bids-validation"]
    return [PROGRAM, bids, out, "participant", "--work-dir", work, *options]


def _timed(command: Sequence[object]) -> float:
    begun = time.perf_counter()
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return time.perf_counter() - begun


def _killed(command: Sequence[object], *, after: float) -> bool:
    """Kill a call and return whether it was still at work."""
    call = subprocess.Popen([str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        call.wait(timeout=after)
    except subprocess.TimeoutExpired:
        os.kill(call.pid, signal.SIGKILL)
        call.wait()
        return True
    return False


def _images(out: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(out).as_posix(): np.asanyarray(nib.load(path).dataobj)
        for path in sorted(out.rglob("*.nii.gz"))
    }


def _equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)


def _leftovers(out: Path) -> list[Path]:
    """Return temporary files that were left behind."""
    kept = {".bidsignore", ".lock"}
    return [path for path in out.rglob(".*") if path.is_file() and path.name not in kept]
