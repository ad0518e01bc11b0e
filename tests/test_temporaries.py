"""Files that a killed call was writing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from qmri_bids.bids.write import write_text
from qmri_bids.system.temporaries import remove_abandoned, remove_abandoned_scratch, scratch_folder, temporary_path

WRITES = """
import os, signal, sys
from pathlib import Path
from qmri_bids.bids.write import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITES, str(tmp_path / "sub-01_T1map.nii.gz")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".sub-01_T1map-")
    assert left.name.endswith(".nii.gz")
    assert remove_abandoned([tmp_path, tmp_path / "missing"]) == (left,)
    assert not left.exists()


def test_what_others_write_stays(tmp_path: Path) -> None:
    own = temporary_path(tmp_path / "sub-01_T1map.nii.gz")
    host, process = own.name.removesuffix(".nii.gz").split("-")[-3:-1]
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    elsewhere = own.with_name(own.name.replace(f"-{host}-{process}-", f"-00000000-{gone.stdout.strip()}-"))
    assert process == str(os.getpid())
    for path in (own, elsewhere, tmp_path / ".bidsignore"):
        path.touch()
    write_text(tmp_path / "kept.txt", "whole")
    assert remove_abandoned([tmp_path]) == ()
    assert len(list(tmp_path.iterdir())) == 4


IS_KILLED = """
import os, signal, tempfile
from qmri_bids.system.temporaries import scratch_folder
with scratch_folder() as folder:
    (folder / "image.nii.gz").write_text("of a patient")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_files_of_libraries_lie_in_the_scratch_folder_and_go_with_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        library = Path(tempfile.mktemp(prefix="antsr"))
        library.write_text("left there")
        assert library.parent == folder
        assert remove_abandoned_scratch() == ()
    assert tempfile.gettempdir() == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_scratch_of_a_killed_process_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-c", IS_KILLED], check=False, env={**os.environ, "TMPDIR": str(tmp_path)})
    (left,) = tmp_path.iterdir()
    (tmp_path / ".qmri_bids-scratch-of-somebody").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert remove_abandoned_scratch() == (left,)
    assert not left.exists()


def test_scratch_folders_that_are_closed_in_any_order_leave_the_folder_of_the_machine() -> None:
    before = tempfile.gettempdir()
    first, second = scratch_folder(), scratch_folder()
    one, other = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert not one.exists()
    assert other.is_dir()
    assert tempfile.gettempdir() == str(other)
    second.__exit__(None, None, None)
    assert tempfile.gettempdir() == before
