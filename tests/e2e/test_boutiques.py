"""Boutiques runs the program, with what the repository's descriptor says, without a container and without the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DESCRIPTOR = Path(__file__).parents[2] / "boutiques.json"
PROGRAMS = Path(sys.executable).parent


def launch(invocation: dict[str, object], *, folder: Path) -> str:
    """Run `bosh exec launch` in a folder and return what it says of the outputs it looked for."""
    (folder / "invocation.json").write_text(json.dumps(invocation))
    command = [PROGRAMS / "bosh", "exec", "launch", "--no-container", "--skip-data-collection"]
    done = subprocess.run(
        [*command, DESCRIPTOR, "invocation.json"],
        cwd=folder,
        env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_bosh_launches_a_participant_and_the_group(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "bids").symlink_to(tiny)
    tests = {test["name"]: test for test in json.loads(DESCRIPTOR.read_text(encoding="utf-8"))["tests"]}
    # What takes long is left out: other tests see to it.
    quick = {"ignore": ["motion", "gibbs"], "no_b1": True, "skip_bids_validation": True}
    said = launch({**tests["participant"]["invocation"], **quick}, folder=tmp_path)
    assert said.rstrip().endswith("Missing files"), said
    assert "demo/out/sub-01.html (participant_reports" in said
    assert (tmp_path / "demo" / "out" / "sub-01" / "anat").is_dir()
    said = launch(tests["group"]["invocation"], folder=tmp_path)
    assert "demo/out/group.html (group_report" in said
    assert "(group_tables" in said
