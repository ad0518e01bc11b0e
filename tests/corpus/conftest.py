"""The tiny dataset, and the check of a dataset as a user calls it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_dataset import write_dataset

from qmri_bids.cli import run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("corpus") / "raw")


@pytest.fixture
def dataset(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "raw")


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Check a dataset and return the exit code and what was said."""

    def call(root: Path, top: Path, *arguments: str) -> tuple[int, str]:
        try:
            code = run.main(
                [*map(str, (root, top / "out", "participant", "-w", top / "work", "--dry-run")), *map(str, arguments)]
            )
        except SystemExit as end:
            code = int(str(end.code))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call
