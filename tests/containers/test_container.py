"""The image of the Dockerfile, run as on a cluster: a user without name or home, no network, nothing writable but two folders.

    make container-test

Builds it with buildah on a Debian made by debootstrap (some minutes), hence apart from the other tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from container_image import ROOT, USER, Image, build_image, missing_programs, remove_image

from qmri_bids import __version__
from qmri_bids.phantom.dataset import simulate_dataset

pytestmark = pytest.mark.container

LARGEST = 3.0e9
"""Bytes of an image for the CPU."""


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Layers are kept in QMRI_BIDS_CONTAINER_FOLDER, if it is set, and taken up by the next call."""
    missing = missing_programs()
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}; as root: apt-get install {' '.join(missing)}")
    kept = os.environ.get("QMRI_BIDS_CONTAINER_FOLDER")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("image")
    yield build_image(folder)
    if not kept:
        remove_image(folder)


@dataclass(frozen=True, kw_only=True)
class Runs:
    bids: Path
    inside: Path
    outside: Path
    work: Path
    done: subprocess.CompletedProcess


@pytest.fixture(scope="session")
def runs(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A head of few voxels, processed inside and outside."""
    folder = tmp_path_factory.mktemp("run")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    bids, inside, work, outside = (folder / name for name in ("bids", "inside", "work", "outside"))
    simulate_dataset(bids, subjects=1, matrix=(32, 36, 32), voxel_size=6.0, motion=0.0, seed=1)
    for each in (inside, work):
        each.mkdir()
        os.chown(each, USER, USER)
    options = ["participant", "--nprocs", "1", "--omp-nthreads", "1"]
    # Not even /tmp can be written.
    command = image.command(
        [bids, inside, *options, "--work-dir", work], read=[bids], write=[inside, work], temporary=False
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    program = Path(sys.executable).with_name("qmri_bids")
    own = [program, bids, outside, *options, "--work-dir", folder / "own", "--skip-bids-validation"]
    subprocess.run(own, check=True, capture_output=True)
    return Runs(bids=bids, inside=inside, outside=outside, work=work, done=done)


def test_any_user_without_home_network_and_temporary_folder_gets_a_whole_report(runs: Runs):
    assert runs.done.returncode == 0, runs.done.stderr + runs.done.stdout
    for complaint in (
        "Traceback",
        "Permission denied",
        "Read-only",
        "not a writable",
        "was not found",
        "not validated",
    ):
        assert complaint not in runs.done.stderr + runs.done.stdout
    page = (runs.inside / "sub-01.html").read_text(encoding="utf-8")
    outside = (runs.outside / "sub-01.html").read_text(encoding="utf-8")
    assert page.count("<img") == outside.count("<img") > 3
    assert page.count("<section") == outside.count("<section")
    assert page.rstrip().endswith("</html>")
    assert {path.stat().st_uid for path in runs.inside.rglob("*")} == {USER}


def test_files_and_maps_are_those_of_a_run_outside(runs: Runs):
    inside, outside = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("sub-*") if path.is_file()}
        for folder in (runs.inside, runs.outside)
    )
    assert inside == outside
    maps = sorted(name for name in inside if name.endswith(".nii.gz"))
    assert len(maps) > 10
    for name in maps:
        first, second = (nib.load(folder / name) for folder in (runs.inside, runs.outside))
        np.testing.assert_array_equal(first.affine, second.affine)
        np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj), err_msg=name)


def test_the_derivatives_name_the_container(runs: Runs):
    (generated,) = json.loads((runs.inside / "dataset_description.json").read_text())["GeneratedBy"]
    assert generated["Container"] == {"Type": "docker", "Tag": f"qmri_bids:{__version__}"}


def test_no_kernel_is_compiled(runs: Runs, image: Image):
    kept = runs.work / f"qmri_bids-{__version__}" / "caches" / "numba"
    shipped = image.root / "opt" / "qmri_bids" / "caches" / "numba"
    found, brought = ({path.name for path in folder.rglob("*.nbc")} for folder in (kept, shipped))
    assert found == brought


def test_without_a_folder_to_write_the_error_says_so(runs: Runs, image: Image, tmp_path: Path):
    done = subprocess.run(
        image.command([runs.bids, tmp_path, "participant"], read=[runs.bids, tmp_path], temporary=False),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--work-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_and_version_are_those_of_the_package(image: Image):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == project["version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert len(labels["org.opencontainers.image.revision"]) == 40
    done = subprocess.run(image.command(["--version"]), capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


def test_nothing_of_the_machine_is_in_the_image(image: Image):
    assert not (image.root / "etc" / "pip.conf").exists()
    assert not (image.root / "src").exists()
    assert not any("index" in each.lower() or "proxy" in each.lower() for each in image.config["Env"])


def test_the_image_is_no_larger_than_stated(image: Image):
    assert image.size < LARGEST
