"""The wheel in a new environment, far from the repository: what a user does first."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import qmri_bids

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[2]


def done(call: subprocess.CompletedProcess[str]) -> str:
    assert call.returncode == 0, call.stdout + call.stderr
    return call.stdout + call.stderr


@pytest.fixture(scope="module")
def simulated(installed) -> Path:
    done(installed.call("qmri-tools", "simulate", "bids", "--matrix", "32", "36", "32", "--voxel-size", "6"))
    return installed.folder / "bids"


def test_the_package_is_that_of_the_wheel(installed) -> None:
    code = "import json, sys, qmri_bids; print(json.dumps([qmri_bids.__file__, *sys.path]))"
    file, *paths = json.loads(done(installed.call("python", "-c", code)))
    assert Path(file).is_relative_to(installed.bin.parent)
    assert not any(Path(path).is_relative_to(ROOT) for path in paths if path)


def test_version(installed) -> None:
    assert done(installed.call("qmri_bids", "--version")).split()[-1] == qmri_bids.__version__


def test_doctor(installed) -> None:
    said = done(installed.call("qmri-tools", "doctor"))
    assert "Everything is right." in said
    assert "bids-validator-deno: not there" in said


def test_a_simulated_participant(installed, simulated) -> None:
    said = done(installed.call("qmri_bids", "bids", "out", "participant", "--work-dir", "work"))
    assert "Install it by `pip install bids-validator-deno`" in " ".join(said.split())
    out = installed.folder / "out"
    assert (out / "sub-01.html").is_file()
    for suffix in ("T1map", "T2map"):
        assert list((out / "sub-01").rglob(f"*_{suffix}.nii.gz"))


def test_five_lines_of_the_readme(installed) -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "library.md"]
    code = "import doctest, sys; sys.exit(sum(doctest.testfile(page, module_relative=False).failed for page in sys.argv[1:]))"
    done(installed.call("python", "-c", code, *pages))


def test_the_extra_brings_the_validator(installed, simulated) -> None:
    installed.install(f"{installed.wheel}[validator]")
    assert "bids-validator-deno: not there" not in done(installed.call("qmri-tools", "doctor"))
    code = (
        "from pathlib import Path; from qmri_bids.bids.validation import validation_sentences; "
        "print(validation_sentences(Path('bids'), subjects=['01'], everyone=['01']))"
    )
    assert done(installed.call("python", "-c", code)).strip() == "[]"
