"""A small simulated head, processed once for all tests of a session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from qmri_bids.phantom.dataset import simulate_dataset

PROGRAM = Path(sys.executable).with_name("qmri_bids")


@dataclass(frozen=True)
class Processed:
    bids: Path
    out: Path
    work: Path
    done: subprocess.CompletedProcess


@pytest.fixture(scope="session")
def run_app() -> Callable[..., subprocess.CompletedProcess]:
    """Run the program as a user does."""

    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [str(PROGRAM), *(str(each) for each in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)

    return run


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One participant at 2 mm, as in the demo, moving by a millimetre and a degree."""
    folder = tmp_path_factory.mktemp("head") / "bids"
    simulate_dataset(folder, subjects=1, motion=1.0, seed=3)
    return folder


@pytest.fixture(scope="session")
def processed(
    head: Path, run_app: Callable[..., subprocess.CompletedProcess], tmp_path_factory: pytest.TempPathFactory
) -> Processed:
    folder = tmp_path_factory.mktemp("processed")
    out, work = folder / "out", folder / "work"
    done = run_app(head, out, "participant", "--participant-label", "01", "--work-dir", work, "--nprocs", 2)
    assert done.returncode == 0, done.stderr + done.stdout
    return Processed(head, out, work, done)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head too coarse to look at: for what is decided before anything is computed."""
    folder = tmp_path_factory.mktemp("tiny") / "bids"
    simulate_dataset(folder, subjects=1, matrix=(32, 36, 32), voxel_size=6.0, motion=0.0, seed=1)
    return folder
