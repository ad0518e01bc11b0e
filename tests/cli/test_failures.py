"""What ends a call is one clear message; details of what nobody expected are kept."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qmri_bids.cli import run
from qmri_bids.cli.failures import describe_failure


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: make room and run the same command again"),
        (errno.EDQUOT, "the disk quota is used up: make room"),
        (errno.EROFS, "the file system is read-only: give folders that can be written"),
        (errno.EACCES, "this user may not read or write it"),
    ],
)
def test_errors_of_the_system_name_the_file_and_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), "/data/out/map.nii.gz")
    text = describe_failure(error, output_dir=tmp_path, command="qmri_bids …")
    assert text.startswith(f"/data/out/map.nii.gz: {words}")
    assert not list(tmp_path.iterdir())


def test_details_of_the_unexpected_are_kept(tmp_path: Path) -> None:
    try:
        raise ZeroDivisionError("by\nnothing")
    except ZeroDivisionError as error:
        text = describe_failure(error, output_dir=tmp_path, command="qmri_bids a b participant")
        (tmp_path / "file").write_text("")
        shown = describe_failure(error, output_dir=tmp_path / "file", command="qmri_bids a b participant")
    match = re.fullmatch(r"unexpected ZeroDivisionError: by nothing\. Please report it with the details in (.*)", text)
    assert match is not None
    details = Path(match[1]).read_text()
    assert "qmri_bids a b participant" in details
    assert "Traceback" in details
    assert "Traceback" in shown  # where no file can be written


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.nii.gz"), "x.nii.gz: the disk is full"),
        (RuntimeError("odd"), "unexpected RuntimeError: odd. Please report it"),
    ],
)
def test_the_program_ends_with_1_and_without_traceback(
    bids: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    message: str,
) -> None:
    def fail(options: object) -> int:
        raise error

    monkeypatch.setitem(run.LEVELS, "participant", fail)
    assert run.main([str(bids), str(bids.parent / "out"), "participant", "-w", str(bids.parent / "work")]) == run.FAILED
    text = capsys.readouterr().err
    assert f"qmri_bids: error: {message}" in text
    assert "Traceback" not in text


def test_a_reader_that_goes_away_does_no_harm() -> None:
    program = "from qmri_bids.cli.failures import say\nfor _ in range(9): say('x' * 100_000)\nraise SystemExit(7)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait() == 7
