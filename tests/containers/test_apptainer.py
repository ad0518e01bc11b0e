"""The definition file, built from the image and run by an ordinary user with nothing of the host but three folders."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from apptainer_root import Apptainer, make_apptainer
from container_image import ROOT, Image, save_archive

from qmri_bids import __version__

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def apptainer(storage: Path, head) -> Apptainer:
    return make_apptainer(storage, head.folder)


@pytest.fixture(scope="module")
def sandbox(apptainer: Apptainer, image: Image, storage: Path) -> Path:
    """Its own `%test` runs at the end of the build, and fails it."""
    archive = save_archive(storage, apptainer.shared / "qmri_bids.tar")
    archive.chmod(0o644)
    definition = apptainer.shared / "singularity.def"
    definition.write_text((ROOT / "singularity.def").read_text())
    built = apptainer.shared / "user" / "qmri_bids"
    options = ["--sandbox", "--build-arg", "BOOTSTRAP=docker-archive", "--build-arg", f"FROM={archive}"]
    done = subprocess.run(
        apptainer.command("build", *options, built, definition), capture_output=True, text=True, check=False
    )
    archive.unlink()
    assert done.returncode == 0, done.stderr
    assert "templates, validator and entry points" in done.stdout + done.stderr
    return built


def test_contained_and_without_the_environment_of_the_host_it_gives_what_others_get(
    apptainer: Apptainer, sandbox: Path, head, assert_same_results: Callable[[Path, Path], None]
):
    out, work = head.writable("apptainer_out"), head.writable("apptainer_work")
    places = {head.bids: "/data:ro", out: "/out", work: "/work"}
    binds = [each for here, there in places.items() for each in ("--bind", f"{here}:{there}")]
    options = ["--userns", "--net", "--network", "none", "--containall", "--cleanenv", *binds]
    arguments = ["/data", "/out", "participant", "--nprocs", 1, "--omp-nthreads", 1, "--work-dir", "/work"]
    done = subprocess.run(
        apptainer.command("run", *options, sandbox, *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert_same_results(out, head.outside)
    (generated,) = json.loads((out / "dataset_description.json").read_text())["GeneratedBy"]
    assert generated["Container"]["Type"] == "apptainer"
    assert generated["Version"] == __version__


def test_help_is_there(apptainer: Apptainer, sandbox: Path):
    shown = subprocess.run(apptainer.command("run-help", sandbox), capture_output=True, text=True, check=True).stdout
    assert "/data /out participant --work-dir /work" in shown
