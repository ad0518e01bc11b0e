"""The wheel, made of the source distribution, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An environment in which nothing but the wheel and what it requires was installed.

    Parameters
    ----------
    bin
        Where its programs lie.
    wheel
        What was installed.
    folder
        Where its programs are called: not the repository.
    """

    bin: Path
    wheel: Path
    folder: Path

    def call(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Call one of its programs as a user would who has never seen the repository."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "QMRI_BIDS", "VIRTUAL"))
        }
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env=kept
            | {"HOME": str(home), "PATH": f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin", "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, *arguments: str | Path) -> None:
        pip(self.bin, "install", "--quiet", "--constraint", CONSTRAINTS, *arguments)


def pip(folder: Path, *arguments: str | Path) -> None:
    made = subprocess.run([folder / "python", "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def wheel_of_sources(folder: Path) -> Path:
    """Make a source distribution of the repository, and a wheel of that."""
    command: Sequence[str | Path] = (
        *(sys.executable, "-c", "import setuptools; setuptools.setup()", "--quiet"),
        *("egg_info", "--egg-base", folder, "sdist", "--formats", "gztar", "--dist-dir", folder),
    )
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (sources,) = folder.glob("*.tar.gz")
    pip(Path(sys.executable).parent, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, sources)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel as the README says; where QMRI_BIDS_WHEEL_ENVIRONMENT names a folder, there, and it is kept."""
    folder = tmp_path_factory.mktemp("elsewhere")
    wheel = wheel_of_sources(tmp_path_factory.mktemp("wheel"))
    kept = os.environ.get("QMRI_BIDS_WHEEL_ENVIRONMENT")
    environment = Path(kept) if kept else tmp_path_factory.mktemp("environment")
    if not (environment / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    found = Installed(bin=environment / "bin", wheel=wheel, folder=folder)
    found.install("torch")
    if kept:  # an earlier wheel of the same version would stay
        pip(found.bin, "uninstall", "--quiet", "--yes", "qmri_bids", "bids-validator-deno")
    found.install(wheel)
    return found
