"""Calls that compute nothing, on a head that is there: what they write, and what they leave alone."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from qmri_bids import __version__
from qmri_bids.cli import run


@pytest.fixture
def folders(tiny: Path, tmp_path: Path) -> list[str]:
    return [str(tiny), str(tmp_path / "out"), "participant", "-w", str(tmp_path / "work"), "--skip-bids-validation"]


def test_boilerplate_only(folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([*folders, "--boilerplate-only", "--bssfp-estimator", "planet"]) == run.DONE
    out = tmp_path / "out"
    assert f"Methods text: {out / 'logs' / 'CITATION.md'}" in capsys.readouterr().out
    assert "PLANET" in (out / "logs" / "CITATION.md").read_text()
    assert "@article{" in (out / "logs" / "CITATION.bib").read_text()
    assert not list(out.rglob("*.html")) + list(out.rglob("*.nii.gz"))


def test_reports_only_says_which_run_has_nothing_yet_and_the_call_is_recorded(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([*folders, "--reports-only"]) == run.FAILED
    table = " ".join(capsys.readouterr().out.split())
    assert "sub-01 acq-pcbssfp_flip-1 FAILED" in table
    assert "--reports-only" in table
    (config,) = (tmp_path / "out" / "logs").glob("config_*_sub-01_*.toml")
    assert tomllib.loads(config.read_text())["reports-only"] is True
    (versions,) = (tmp_path / "out" / "logs").glob("versions_*_sub-01_*.json")
    content = json.loads(versions.read_text())
    assert (content["Version"], content["Config"]) == (__version__, config.name)
    assert {"nipype", "torch", "antspyx"} <= set(content["Packages"])


def test_a_plugin_file_that_is_wrong_is_said_first(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plugin.yml").write_text("plugin: Slurm\n")
    assert run.main([*folders, "--use-plugin", str(tmp_path / "plugin.yml")]) == run.USAGE
    assert "found Slurm; did you mean SLURM?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_is_one_message(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from qmri_bids.bids import write

    def full(source: object, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(write.os, "replace", full)
    assert run.main([*folders, "--reports-only"]) == run.FAILED
    error = capsys.readouterr().err
    assert "the disk is full: make room and run the same command again" in error
    assert "Traceback" not in error
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != ".lock"]
    assert left == []
