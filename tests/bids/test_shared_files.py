"""The lock of files that jobs share, and the container that the description names."""

from __future__ import annotations

import errno
import fcntl
import logging
from pathlib import Path

import pytest

from qmri_bids.bids import shared_files as module
from qmri_bids.bids.description import running_container
from qmri_bids.bids.shared_files import LOCK, shared_files


def test_another_job_is_waited_for_but_not_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with shared_files(tmp_path), (tmp_path / LOCK).open("a") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / LOCK).open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was given back
        with caplog.at_level(logging.WARNING, logger="qmri_bids"), shared_files(tmp_path, patience=0.05):
            pass
    assert "another job has held it for 0.05 s; going on without it" in caplog.text


def test_file_systems_without_locks_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(handle: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING, logger="qmri_bids"), shared_files(tmp_path):
        pass
    assert "cannot be locked" in caplog.text


@pytest.mark.parametrize(
    ("environment", "files", "expected"),
    [
        ({}, (), None),
        ({}, (".dockerenv",), {"Type": "docker"}),
        ({}, ("run/.containerenv",), {"Type": "podman"}),
        ({"QMRI_BIDS_DOCKER_TAG": "1.2"}, (".dockerenv",), {"Type": "docker", "Tag": "qmri_bids:1.2"}),
        ({"QMRI_BIDS_DOCKER_TAG": "1.2"}, (), {"Type": "docker", "Tag": "qmri_bids:1.2"}),
        ({"QMRI_BIDS_DOCKER_TAG": "1.2"}, ("run/.containerenv",), {"Type": "podman", "Tag": "qmri_bids:1.2"}),
        (
            {"QMRI_BIDS_DOCKER_TAG": "1.2", "APPTAINER_CONTAINER": "/images/qmri_bids-1.2.sif"},
            (),
            {"Type": "apptainer", "Tag": "qmri_bids-1.2.sif"},
        ),
        ({"SINGULARITY_CONTAINER": "/images/q.sif"}, (), {"Type": "singularity", "Tag": "q.sif"}),
    ],
)
def test_containers(
    tmp_path: Path, environment: dict[str, str], files: tuple[str, ...], expected: dict[str, str] | None
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert running_container(environment=environment, root=tmp_path) == expected
