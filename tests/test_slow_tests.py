"""The list of slow tests: what it holds, how it marks and how it is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import slow_tests
from slow_tests import SlowTests, is_defined

MODULE = """
import time
import pytest

def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

@pytest.fixture(scope="module")
def dear():
    work(0.3)

@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_own_work(seconds):
    work(seconds)

def test_first_user(dear): pass
def test_second_user(dear): pass
def test_quick(): pass
def test_skipped(): pytest.skip("for want of something")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tests in which a fifth of a second is slow."""
    (tmp_path / "test_it.py").write_text(MODULE)
    monkeypatch.setattr(slow_tests, "TESTS", tmp_path)
    monkeypatch.setattr(slow_tests, "LIST", tmp_path / "slow_tests.txt")
    monkeypatch.setattr(slow_tests, "LIMIT", 0.2)
    monkeypatch.setattr(slow_tests, "TOLERANCE", 1.0)
    slow_tests.LIST.write_text("")
    return tmp_path


def run(folder: Path, *options: str, write: bool = False) -> int:
    arguments = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        f"--rootdir={folder}",
        "-c",
        str(folder / "none.ini"),
        *options,
    ]
    sys.modules.pop("test_it", None)  # that of another folder
    (folder / "none.ini").write_text("[pytest]\nmarkers = slow\n")
    return pytest.main([*arguments, str(folder / "test_it.py")], plugins=[SlowTests(write=write)])


def test_what_is_listed_is_there() -> None:
    listed = slow_tests.LIST.read_text(encoding="utf-8").splitlines()
    assert listed == sorted(set(listed))
    assert [name for name in listed if not is_defined(name)] == [], "moved or gone: correct tests/slow_tests.txt"


def test_own_work_and_that_of_shared_fixtures_count(folder: Path) -> None:
    slow_tests.LIST.write_text("test_it.py::test_quick\ntest_it.py::test_gone\ntest_it.py::test_skipped\n")
    assert run(folder, write=True) == pytest.ExitCode.OK
    assert slow_tests.LIST.read_text().split() == [
        f"test_it.py::test_{name}" for name in ("first_user", "own_work", "second_user", "skipped")
    ]


def test_what_is_listed_is_marked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow_tests.LIST.write_text("test_it.py::test_own_work\n")
    assert run(folder, "-m", "not slow") == pytest.ExitCode.OK
    assert "3 passed, 1 skipped, 2 deselected" in capsys.readouterr().out


def test_slow_tests_that_are_not_listed_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow_tests.LIST.write_text("test_it.py::test_first_user\n")
    assert run(folder) == pytest.ExitCode.OK
    said = capsys.readouterr().out
    assert "SLOW, AND NOT IN slow_tests.txt" in said
    assert "s  test_it.py::test_own_work" in said
    assert "s  test_it.py::test_second_user" in said
    assert "s  test_it.py::test_first_user" not in said
    assert "s  test_it.py::test_quick" not in said


def test_a_broken_test_fails_whether_it_is_listed_or_not(folder: Path) -> None:
    (folder / "test_it.py").write_text("def test_broken(): assert False\ndef test_slow(): pass\n")
    slow_tests.LIST.write_text("test_it.py::test_slow\n")
    assert run(folder, "-m", "not slow") == pytest.ExitCode.TESTS_FAILED
