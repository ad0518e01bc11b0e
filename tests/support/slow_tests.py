"""Which tests are slow: measured, not chosen.

A test is slow if it takes more than `LIMIT` seconds of processor time: its own, and that of all fixtures that it takes, whichever
test set them up. `tests/slow_tests.txt` lists these, one function a line; they get the marker `slow`. `--write-slow-tests` writes
the list anew from what the run measured; entries of tests that it left out stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 2.0
"""Seconds."""

TOLERANCE = 2.0
"""By how much a test may exceed the limit until the summary names it: on a busy machine, and when kernels are compiled."""

TESTS = Path(__file__).parents[1]
LIST = TESTS / "slow_tests.txt"

_PROPERTY = "processor_time"


class SlowTests:
    """Plugin of pytest: marks the tests of the list, measures every test, and names or writes those that are slow."""

    def __init__(self, *, write: bool) -> None:
        self.write = write
        self.listed = set(LIST.read_text(encoding="utf-8").split())
        self.fixtures: dict[pytest.FixtureDef[Any], float] = {}
        self.measured: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)  # before `-m` chooses
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if function_name(item.nodeid) in self.listed:
                item.add_marker(pytest.mark.slow)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        before = processor_time()
        result = yield
        self.fixtures[fixturedef] = processor_time() - before
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Iterator[None]:
        before = processor_time()
        try:
            return (yield)
        finally:
            taken = [one for several in item._fixtureinfo.name2fixturedefs.values() for one in several]
            fixtures = sum(self.fixtures.get(fixture, 0.0) for fixture in taken)
            item.user_properties.append((_PROPERTY, processor_time() - before + fixtures))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what was measured, unless it ended early; with pytest-xdist this comes from the workers."""
        if report.when == "call" and report.passed:
            name = function_name(report.nodeid)
            taken = dict(report.user_properties)[_PROPERTY]
            self.measured[name] = max(taken, self.measured.get(name, 0.0))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.write:
            others = {name for name in self.listed - set(self.measured) if is_defined(name)}
            slow = {name for name, seconds in self.measured.items() if seconds > LIMIT}
            LIST.write_text("".join(f"{name}\n" for name in sorted(others | slow)), encoding="utf-8")
            terminalreporter.line(f"{LIST}: {len(others | slow)} slow tests")
            return
        missing = {
            name: seconds
            for name, seconds in self.measured.items()
            if seconds > TOLERANCE * LIMIT and name not in self.listed
        }
        if missing:
            terminalreporter.section(f"SLOW, AND NOT IN {LIST.name}: `make slow-tests`", yellow=True)
            for name, seconds in sorted(missing.items(), key=lambda pair: -pair[1]):
                terminalreporter.line(f"{seconds:6.1f} s  {name}")


def function_name(nodeid: str) -> str:
    """Return the name of the function of a test, without its parameters, in the folder of the tests."""
    return nodeid.partition("[")[0].removeprefix("tests/")


def is_defined(name: str) -> bool:
    """Return whether the function of an entry of the list is in its file."""
    path, *_, function = name.split("::")
    return (TESTS / path).is_file() and f"def {function}(" in (TESTS / path).read_text(encoding="utf-8")


def processor_time() -> float:
    """Return the seconds that this process and those of its children that have ended have computed."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
