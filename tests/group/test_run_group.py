"""`qmri_bids BIDS_DIR OUT_DIR group`: exit codes and what is said."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from qmri_bids.cli.levels.group import run_group
from qmri_bids.group.tables import TABLES

FILES = {f"group_{name}.{extension}" for name in TABLES for extension in ("tsv", "json")}


def _call(bids_dir: Path, output_dir: Path, *labels: str) -> int:
    return run_group(
        argparse.Namespace(
            output_root=output_dir,
            bids_dir=bids_dir,
            output_dir=output_dir,
            participant_label=labels or None,
            command="qmri_bids bids out group",
        )
    )


def test_all_done(bids_dir: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(bids_dir, good, "01", "02", "03", "04", "05", "06") == 0
    assert {path.name for path in good.glob("group*")} == FILES | {"group.html"}
    assert "group_*.tsv" in (good / ".bidsignore").read_text(encoding="utf-8").splitlines()
    assert "6 of 6 participants have a record; runs: 6 done" in capsys.readouterr().out


def test_some_amiss_are_named_and_all_is_written(
    bids_dir: Path, mixed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(bids_dir, mixed) == 1
    assert {path.name for path in mixed.glob("group*")} == FILES | {"group.html"}
    said = capsys.readouterr().out
    for start in ("sub-07_acq-APT: FAILED", "sub-07_acq-MT_mt-on_MTR: REFUSED", "sub-08: UNREADABLE", "sub-09: NOT"):
        assert f"\n{start}" in f"\n{said}"


def test_a_participant_that_is_not_there_is_a_wrong_call(
    bids_dir: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(bids_dir, good, "42") == 2
    assert "expected sub-42, found the subjects" in capsys.readouterr().err
    assert list(good.glob("group*")) == []


def test_without_any_record_nothing_is_written(
    bids_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(bids_dir, tmp_path / "nothing") == 3
    assert "Process participants first" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
