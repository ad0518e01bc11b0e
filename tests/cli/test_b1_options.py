"""The options of B1 scans."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmri_bids.cli.parsing.parser import parse


def parsed(bids: Path, *arguments: object) -> list[float] | None:
    folders = (bids, bids.parent / "out", "participant", "-w", bids.parent / "work")
    times: list[float] | None = parse([str(each) for each in (*folders, *arguments)]).b1_afi_tr
    return times


def error(bids: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        parsed(bids, *arguments)
    assert end.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_repetition_times_of_actual_flip_angle_imaging(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bids = tmp_path / "bids"
    bids.mkdir()
    (bids / "dataset_description.json").write_text("{}")
    assert parsed(bids) is None
    assert parsed(bids, "--b1-afi-tr", 0.02, 0.1) == [0.02, 0.1]
    expected = "--b1-afi-tr takes two different repetition times in seconds, found"
    assert f"{expected} 0.02 and 0.02" in error(bids, capsys, "--b1-afi-tr", 0.02, 0.02)
    assert f"{expected} 20 and 100" in error(bids, capsys, "--b1-afi-tr", 20, 100)
    assert "--no-b1 uses no B1 map" in error(bids, capsys, "--no-b1", "--b1-afi-tr", 0.02, 0.1)
