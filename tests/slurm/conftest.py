"""A SLURM of one node, and a small dataset of two participants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from qmri_bids.phantom.dataset import simulate_dataset

ONE_NODE = Path(__file__).with_name("one_node.sh")

Call = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Start it, and give the environment in which a user works; nobody is logged in, as in a container."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([ONE_NODE, "start", folder], check=True, timeout=60)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if key not in ("LOGNAME", "USER")}
    yield environment | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": programs}
    subprocess.run([ONE_NODE, "stop", folder], check=True, timeout=60)


@pytest.fixture(scope="session")
def call(cluster: Mapping[str, str]) -> Call:
    """Run a program with the environment of the cluster."""

    def run(*command: object, **more: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(each) for each in command],
            env={**cluster, **more.pop("env", {})},  # type: ignore[arg-type]
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            **more,
        )

    return run


@pytest.fixture(scope="session")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two") / "bids"
    simulate_dataset(folder, subjects=2, matrix=(32, 36, 32), voxel_size=6.0, phase_cycles=6, motion=0.0, seed=3)
    # The methods of the two are not the same, so that it shows whose are written.
    for path in (folder / "sub-02" / "anat").glob("*_VFA.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"RepetitionTimeExcitation": 0.0052}))
    return folder
