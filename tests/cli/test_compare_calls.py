"""`qmri-tools compare` repeats the call that made the maps, whatever was called later, and clears up when it is stopped."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmri_bids.cli.commands import compare
from qmri_bids.cli.tools import main


@pytest.fixture
def out(bids: Path) -> Path:
    folder = bids.parent / "out"
    (folder / "logs").mkdir(parents=True)
    (folder / "sub-01").mkdir()
    return folder


def leave(out: Path, number: int, text: str) -> Path:
    path = out / "logs" / f"config_2026010{number}-000000_sub-01_abcdef.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def chosen(bids: Path, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> compare._Call:
    """Return the call that is chosen of several that the output folder names."""
    leave(out, 1, 'bssfp-estimator = "ml"')
    leave(out, 2, 'bssfp-estimator = "pinn"\noutput-layout = "multiverse"')
    leave(out, 3, 'bssfp-estimator = "miracle"')
    leave(out, 4, 'level = "minimal"')
    for number, mode in enumerate(("reports-only", "dry-run", "boilerplate-only"), start=5):
        leave(out, number, f"{mode} = true")
    leave(out, 8, 'participant-label = ["02"]')
    monkeypatch.setattr(compare, "_runs", lambda call, **_: ([call.bssfp_estimator], []))
    monkeypatch.setattr(compare, "_made_otherwise", lambda call, runs: "" if runs == ["pinn"] else "T1map (pinn)")
    options = argparse.Namespace(
        bids_dir=bids, output_dir=out, participant_label=None, run_label=None, parts=["b1"], nprocs=1
    )
    return compare._call_of(options, work_dir=tmp_path / "work")


def test_the_latest_call_that_made_the_maps_is_repeated_in_its_own_folder(chosen: compare._Call, out: Path) -> None:
    assert chosen.config.name == "config_20260102-000000_sub-01_abcdef.toml"
    assert chosen.options.bssfp_estimator == "pinn"
    assert chosen.options.output_dir == out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "broken = [",
            "config_20260101-000000_sub-01_abcdef.toml: expected the options of an earlier call (TOML), found",
        ),
        ("unknown-option = 3", "OUT_DIR may be of another version of qmri_bids"),
        ('level = "minimal"', "expected config_….toml of a call that made maps of sub-01 (--level full), found none"),
    ],
)
def test_a_call_that_cannot_be_repeated_is_named(
    bids: Path, out: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    leave(out, 1, text)
    assert main(["compare", str(bids), str(out)]) == 2
    assert said in capsys.readouterr().err


def test_the_folder_above_those_of_sets_of_options_names_them(
    bids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "several" / "qmri_bids-0.1.0-01234567" / "sub-01").mkdir(parents=True)
    assert main(["compare", str(bids), str(tmp_path / "several")]) == 2
    assert "give one of them as OUT_DIR (qmri_bids-0.1.0-01234567)" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_one_line_and_leaves_no_folder(
    bids: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    temporary = out.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def stopped(options: argparse.Namespace, *, work_dir: Path) -> Iterator[Path]:
        assert work_dir.parent == temporary
        os.kill(os.getpid(), number)
        yield work_dir

    monkeypatch.setattr(compare, "_compare", stopped)
    before = signal.getsignal(number)
    assert main(["compare", str(bids), str(out)]) == 128 + number
    assert capsys.readouterr().err.strip() == "qmri-tools compare: interrupted"
    assert not list(temporary.iterdir())
    assert signal.getsignal(number) == before
