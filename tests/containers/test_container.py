"""The image of the Dockerfile, run as on a cluster: a user without name or home, no network, nothing writable but two folders.

    make container-test

Builds it with buildah on a Debian made by debootstrap (some minutes), hence apart from the other tests.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from container_image import ROOT, USER, Image

from qmri_bids import __version__

pytestmark = pytest.mark.container

LARGEST = 3.0e9
"""Bytes of an image for the CPU."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    out: Path
    work: Path
    done: subprocess.CompletedProcess


@pytest.fixture(scope="module")
def inside(image: Image, head) -> Inside:
    """The head processed inside, where not even /tmp can be written."""
    out, work = head.writable("inside"), head.writable("work")
    options = ["participant", "--nprocs", "1", "--omp-nthreads", "1", "--work-dir", work]
    command = image.command([head.bids, out, *options], read=[head.bids], write=[out, work], temporary=False)
    return Inside(out=out, work=work, done=subprocess.run(command, capture_output=True, text=True, check=False))


def test_any_user_without_home_network_and_temporary_folder_gets_what_others_get(
    inside: Inside, head, assert_same_results: Callable[[Path, Path], None]
):
    said = inside.done.stderr + inside.done.stdout
    assert inside.done.returncode == 0, said
    for complaint in (
        "Traceback",
        "Permission denied",
        "Read-only",
        "not a writable",
        "was not found",
        "not validated",
    ):
        assert complaint not in said
    assert_same_results(inside.out, head.outside)
    assert {path.stat().st_uid for path in inside.out.rglob("*")} == {USER}


def test_the_derivatives_name_the_container(inside: Inside):
    (generated,) = json.loads((inside.out / "dataset_description.json").read_text())["GeneratedBy"]
    assert generated["Container"] == {"Type": "docker", "Tag": f"qmri_bids:{__version__}"}


def test_no_kernel_is_compiled(inside: Inside, image: Image):
    kept = inside.work / f"qmri_bids-{__version__}" / "caches" / "numba"
    shipped = image.root / "opt" / "qmri_bids" / "caches" / "numba"
    found, brought = ({path.name for path in folder.rglob("*.nbc")} for folder in (kept, shipped))
    assert found == brought


def test_without_a_folder_to_write_the_error_says_so(head, image: Image):
    out = head.writable("unused")
    done = subprocess.run(
        image.command([head.bids, out, "participant"], read=[head.bids], write=[out], temporary=False),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "/tmp/work cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_and_version_are_those_of_the_package(image: Image):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == project["version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert f"    FROM=qmri_bids:{__version__}\n" in (ROOT / "singularity.def").read_text()
    assert len(labels["org.opencontainers.image.revision"]) == 40
    done = subprocess.run(image.command(["--version"]), capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


def test_nothing_of_the_machine_is_in_the_image(image: Image):
    # Where something was mounted, an empty file or folder may be left.
    for place in (image.root / "etc" / "pip.conf", *(image.root / "run").rglob("*")):
        assert not place.is_file() or place.stat().st_size == 0
    assert not (image.root / "src").exists()
    assert not any("index" in each.lower() or "proxy" in each.lower() for each in image.config["Env"])


def test_the_image_is_no_larger_than_stated(image: Image):
    assert image.size < LARGEST
