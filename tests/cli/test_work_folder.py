"""Intermediate results are taken from nobody else, and locks are no links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qmri_bids import __version__
from qmri_bids.bids.layout import BidsInputError
from qmri_bids.bids.shared_files import LOCK, shared_files
from qmri_bids.cli.failures import describe_failure
from qmri_bids.cli.levels.participant import take_work_folder
from qmri_bids.system.file_lock import file_lock
from qmri_bids.system.private_files import UntrustedError


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077, 0o000])
def test_a_new_work_folder_is_that_of_its_user_alone(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        take_work_folder(tmp_path / "work", subject="01").release()
        take_work_folder(tmp_path / "work", subject="01").release()
    finally:
        os.umask(before)
    folder = tmp_path / "work" / f"qmri_bids-{__version__}"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "participants").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", "participants", "sub-01"])
@pytest.mark.parametrize("mode", [0o775, 0o777])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    folder = tmp_path / f"qmri_bids-{__version__}" / name
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(BidsInputError, match=f"found the permissions {mode:o}.*chmod go-w.*another --work-dir"):
        take_work_folder(tmp_path, subject="01")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"qmri_bids-{__version__}").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    # A network drive may know this user by another name: files made now tell.
    take_work_folder(tmp_path, subject="01").release()
    monkeypatch.setattr("qmri_bids.system.private_files._own_user", lambda folder: 4242)
    with pytest.raises(BidsInputError, match=f"expected a folder of this user, found one of user {os.getuid()}"):
        take_work_folder(tmp_path, subject="01")


def test_a_link_is_no_work_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"qmri_bids-{__version__}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BidsInputError, match="expected a folder of intermediate results, found a link to"):
        take_work_folder(tmp_path, subject="01")


def test_locks_that_are_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    work = tmp_path / "work" / f"qmri_bids-{__version__}"
    work.mkdir(parents=True)
    (work / ".sub-01.lock").symlink_to(precious)
    with pytest.raises(
        BidsInputError, match=r"\.sub-01\.lock: expected a lock file, found a link to .*precious: remove it"
    ):
        take_work_folder(tmp_path / "work", subject="01")
    (tmp_path / "any.lock").symlink_to(precious)
    with pytest.raises(UntrustedError, match=r"any\.lock: expected a lock file"), file_lock(tmp_path / "any.lock"):
        pass
    (tmp_path / "out" / LOCK).parent.mkdir(parents=True)
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "new")
    with pytest.raises(UntrustedError) as caught, shared_files(tmp_path / "out"):
        pass
    assert "report it" not in describe_failure(caught.value, output_dir=tmp_path, command="qmri_bids")
    assert precious.read_text() == "kept"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_locks_that_are_no_files(tmp_path: Path, make) -> None:
    make(tmp_path / "lock")
    with pytest.raises(UntrustedError, match="expected a lock file, found"), file_lock(tmp_path / "lock"):
        pass
