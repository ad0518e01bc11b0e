"""A dataset of nothing but its description, and the parser on it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from qmri_bids.cli.parsing.parser import parse


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    folder = tmp_path / "bids"
    folder.mkdir()
    (folder / "dataset_description.json").write_text("{}")
    return folder


@pytest.fixture
def parsed(bids: Path) -> Callable[..., argparse.Namespace]:
    """Return a function that parses options, with folders and level in front."""

    def call(*arguments: object, level: str = "participant") -> argparse.Namespace:
        folders = (bids, bids.parent / "out", level, "-w", bids.parent / "work")
        return parse([str(each) for each in (*folders, *arguments)])

    return call


@pytest.fixture
def usage_error(parsed: Callable[..., argparse.Namespace], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that returns what the parser says of wrong options."""

    def call(*arguments: object, level: str = "participant") -> str:
        with pytest.raises(SystemExit) as end:
            parsed(*arguments, level=level)
        assert end.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    return call
