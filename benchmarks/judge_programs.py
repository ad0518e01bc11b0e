"""The programs of a source tree: started as its users start them, with nothing of another tree in sight."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

WIDTH = "132"
"""Columns of a terminal, by which help and tables are broken into lines."""

FACE = """\
import inspect
from qmri_bids import workflows

for name in workflows.__all__:
    found = getattr(workflows, name)
    print(name, *inspect.signature(found).parameters)
"""
"""Lists what other pipelines import, with the names of its parameters."""


def write_programs(tree: Path, folder: Path) -> None:
    """Write the start scripts that an installation of the tree would make, and `face`."""
    scripts = tomllib.loads((tree / "pyproject.toml").read_text())["project"]["scripts"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "face").write_text(FACE)
    for name, target in scripts.items():
        module, function = target.split(":")
        (folder / name).write_text(
            f"import sys\nfrom {module} import {function}\nif __name__ == '__main__':\n    sys.exit({function}())\n"
        )


def environment(tree: Path) -> dict[str, str]:
    """Return the variables of a call: the tree comes before what is installed, and nothing depends on the terminal."""
    return os.environ | {"PYTHONPATH": str(tree), "COLUMNS": WIDTH, "NO_COLOR": "1", "TERM": "dumb"}


def check_tree(tree: Path) -> None:
    """Refuse a tree whose package is not the one that is imported."""
    command = [sys.executable, "-c", "import qmri_bids; print(qmri_bids.__file__)"]
    found = subprocess.run(command, env=environment(tree), cwd=tree, capture_output=True, text=True, check=True)
    if not Path(found.stdout.strip()).is_relative_to(tree):
        raise SystemExit(f"{tree}: expected its own package, found {found.stdout.strip()}")


def call(tree: Path, program: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it says."""
    return subprocess.run(
        [sys.executable, program, *map(str, arguments)],
        env=environment(tree),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
