"""What the tests of the import share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qmri_bids.importing.run import Imported, import_folder
from qmri_bids.importing.table import Row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "converted"
    path.mkdir()
    return path


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    return tmp_path / "bids"


@pytest.fixture
def imported(folder: Path, bids: Path) -> Callable[..., Imported]:
    def call(**options: object) -> Imported:
        return import_folder(folder, bids, **options)  # type: ignore[arg-type]

    return call


@pytest.fixture
def validate(bids: Path) -> Callable[[], None]:
    """Run the real validator, which must find no error."""
    program = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent))
    assert program is not None

    def run() -> None:
        done = subprocess.run([program, "--ignoreWarnings", str(bids)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def rows_of(done: Imported) -> dict[str, Row]:
    return {row.file: row for row in done.rows}


@pytest.fixture
def rows() -> Callable[[Imported], dict[str, Row]]:
    return rows_of
