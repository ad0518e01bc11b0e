import os
import re
from pathlib import Path

import pytest

from qmri_bids import __version__
from qmri_bids.cli import caches
from qmri_bids.cli.caches import CACHES, SHIPPED, CacheError, keep_caches, keep_caches_of_one_call


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither package nor home can be written, and nothing was said about it."""
    monkeypatch.setattr(caches, "_can_keep_by_themselves", lambda: False)
    for variable in (*CACHES, SHIPPED):
        # What the call sets is taken back, too.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)


@pytest.fixture
def shipped(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    (folder / "numba" / "fits").mkdir(parents=True)
    (folder / "numba" / "fits" / "kernel.nbc").write_text("compiled")
    (folder / "numba" / "fits").chmod(0o555)
    monkeypatch.setenv(SHIPPED, str(folder))
    return folder


def kept(work: Path) -> Path:
    return work / f"qmri_bids-{__version__}" / "caches"


def test_every_library_gets_a_folder_that_it_can_write(bare: None, tmp_path: Path):
    keep_caches(tmp_path / "work")
    for variable, name in CACHES.items():
        assert os.environ[variable] == str(kept(tmp_path / "work") / name)
        (Path(os.environ[variable]) / "new").write_text("")


def test_what_an_image_brings_is_copied_once_and_can_be_added_to(shipped: Path, tmp_path: Path):
    keep_caches(tmp_path / "work")
    folder = kept(tmp_path / "work") / "numba" / "fits"
    assert (folder / "kernel.nbc").read_text() == "compiled"
    assert folder.stat().st_mode & 0o200
    (folder / "kernel.nbc").write_text("for another processor")
    for variable in CACHES:
        del os.environ[variable]
    keep_caches(tmp_path / "work")
    assert (folder / "kernel.nbc").read_text() == "for another processor"
    assert [each.name for each in kept(tmp_path / "work").iterdir() if each.name.startswith(".")] == []


def test_variables_of_the_user_are_left_alone(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MPLCONFIGDIR", "/somewhere")
    keep_caches(tmp_path / "work")
    assert os.environ["MPLCONFIGDIR"] == "/somewhere"
    assert not (kept(tmp_path / "work") / "matplotlib").exists()


def test_a_home_that_can_be_written_is_enough(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(caches, "_can_keep_by_themselves", lambda: True)
    keep_caches(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_work_folder_that_cannot_be_made_is_named(bare: None, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CacheError, match=re.escape(f"--work-dir {tmp_path / 'file' / 'work'}: cannot be written (Not a dir")
    ):
        keep_caches(tmp_path / "file" / "work")


def test_a_program_without_work_folder_keeps_them_until_its_end(shipped: Path, monkeypatch: pytest.MonkeyPatch):
    at_exit = []
    monkeypatch.setattr(caches.atexit, "register", lambda *call, **options: at_exit.append((call, options)))
    keep_caches_of_one_call()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert (folder / "fits" / "kernel.nbc").exists()
    (((remove, *arguments), options),) = at_exit
    remove(*arguments, **options)
    assert not folder.exists()
