"""What is given away is complete: the source distribution holds what git tracks, the wheel the package and all its data."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import qmri_bids

ROOT = Path(__file__).parents[1]
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

MADE = {"PKG-INFO", "setup.cfg", "qmri_bids.egg-info"}
"""What setuptools adds to a source distribution."""
LEFT = {".venv", "__pycache__", ".pytest_cache", "build", "dist", "demo", "work"}
"""What installing and testing leave there."""


def tracked(*kinds: str) -> set[str]:
    """Return the files that belong to the project: what git names, or all where these tests lie in a source distribution."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", *kinds]
        named = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    else:
        named = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if not LEFT.intersection(path.parts)]
    return {path for path in named if path and (ROOT / path).is_file() and path.split("/")[0] not in MADE}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let setuptools list the files of a source distribution, and lay out those of a wheel, outside of the repository."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [
            *(sys.executable, "-c", "import setuptools; setuptools.setup()", "--quiet"),
            *("egg_info", "--egg-base", folder, "build_py", "--build-lib", folder / "wheel"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def test_the_source_distribution_is_what_git_tracks(built: Path) -> None:
    listed = set((built / "qmri_bids.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").splitlines())
    inside = {path for path in listed if not Path(path).is_absolute() and path.split("/")[0] not in (*MADE, "..")}
    assert tracked() - inside == set()
    assert inside - tracked("--others", "--exclude-standard") == set()  # a file that is not committed yet does no harm


def test_the_wheel_is_the_package_with_all_its_data(built: Path) -> None:
    wheel = built / "wheel"
    laid = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    package = {path for path in tracked("--others", "--exclude-standard") if path.startswith("qmri_bids/")}
    assert laid == package
    assert {"qmri_bids/py.typed", "qmri_bids/reports/references.bib", "qmri_bids/data/outputs.json"} <= laid
    assert [path.name for path in wheel.iterdir()] == ["qmri_bids"]


def test_extras_are_those_that_pages_name() -> None:
    assert set(OPTIONS) == {"dev", "docs", "validator"}
    assert "qmri_bids[validator]" in OPTIONS["dev"]
    image = subprocess.run(
        [sys.executable, ROOT / "containers" / "requirements.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(OPTIONS["validator"]) <= set(image)


def test_constraints_pin_what_every_extra_asks_for() -> None:
    names = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    asked = {
        requirement.split(";")[0].split(">=")[0].split("==")[0].split("[")[0].strip().lower().replace("_", "-")
        for extra in OPTIONS.values()
        for requirement in extra
    }
    assert asked - {"qmri-bids"} <= names


def test_the_citation_has_what_its_format_requires() -> None:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(content)  # required by the schema of CFF 1.2.0
    assert content["cff-version"] == "1.2.0"
    assert str(content["version"]) == qmri_bids.__version__
    assert content["type"] == "software"
    for part in (content, *content["references"]):
        assert part["authors"]
        assert all("name" in author or {"family-names", "given-names"} <= set(author) for author in part["authors"])
    for reference in content["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert isinstance(reference["year"], int)


@pytest.mark.parametrize(
    "path", ["CITATION.cff", "Dockerfile", "singularity.def", "docs/containers.md", "pyproject.toml", "boutiques.json"]
)
def test_every_file_that_states_the_version_states_this_one(path: str) -> None:
    assert qmri_bids.__version__ in (ROOT / path).read_text(encoding="utf-8")


def test_read_the_docs_builds_as_make_docs_does() -> None:
    there = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text(encoding="utf-8"))
    version = there["build"]["tools"]["python"]
    assert f'python-version: "{version}"' in (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    assert there["sphinx"] == {"configuration": "docs/conf.py", "fail_on_warning": True}
    assert all("-c constraints.txt" in step for step in there["build"]["jobs"]["install"])
    assert there["build"]["jobs"]["install"][-1].endswith("'.[docs]'")
    assert "sphinx -W" in (ROOT / "Makefile").read_text(encoding="utf-8")
